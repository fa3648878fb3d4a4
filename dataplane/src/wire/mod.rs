//! Floor 0: what stands in a frame, and how to change it in place.

mod address;
mod tuple;

pub use address::Address;
pub use tuple::{Endpoint, Protocol, Tuple};

/// An Ethernet address.
pub type MacAddress = [u8; 6];
