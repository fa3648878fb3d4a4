//! Floor 1: what is known of each connection.

mod hash;

pub use hash::HashKeys;
