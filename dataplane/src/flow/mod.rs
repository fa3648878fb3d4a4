//! Floor 1: what is known of each connection.

mod hash;
mod record;

pub use hash::HashKeys;
pub use record::FlowRecord;
