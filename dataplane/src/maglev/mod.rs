//! Floor 1: Maglev lookup tables.

use crate::wire::Endpoint;

/// Stand-in until the table lands.
pub struct Maglev;

impl Maglev {
    pub fn build(_backends: &[(Endpoint, u32)], _size: usize) -> Self {
        Self
    }
    pub fn pick(&self, _hash: u64) -> Option<usize> {
        None
    }
}

pub fn table_size(_backends: usize) -> usize {
    1009
}
