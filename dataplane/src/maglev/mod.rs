//! Floor 1: Maglev lookup tables.
//!
//! After D. E. Eisenbud et al., *Maglev: A Fast and Reliable Software Network Load Balancer*,
//! NSDI 2016, section 3.4: each backend has its own permutation of the table's slots and takes,
//! in turns, the first of them that is free. The table depends on the set of backends alone, so
//! every node and every restart builds the same; and one backend's coming or going leaves nearly
//! all other slots as they were, as long as the table keeps its size.

mod size;
mod table;

pub use size::{MAX_BACKENDS, table_size};
pub use table::Maglev;
