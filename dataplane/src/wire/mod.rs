//! Floor 0: what stands in a frame, and how to change it in place.

mod address;
mod message;
mod tuple;

pub use address::Address;
pub use message::{WayIn, WayOut, read_message, write_message};
pub use tuple::{Endpoint, Protocol, Tuple};

/// An Ethernet address.
pub type MacAddress = [u8; 6];
