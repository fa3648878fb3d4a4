//! Floor 1: what a Service is to a packet, and what a packet's worker knows of the world.
//!
//! Everything here is immutable once made. Control builds a [`Snapshot`], the engine publishes it
//! as one value, and workers only read.

mod forwarding;
mod shared_table;
mod snapshot;
mod table;

pub use forwarding::{ForwardingTable, NextHop};
pub use snapshot::{Deliver, Masquerade, Snapshot};
pub use table::{Backend, Frontend, Lookup, Service, ServiceTable};
