//! Floor 1: what is known of each connection.
//!
//! [`FlowTable`] is made of entries and three arrays beside them: an index from tuple hashes to
//! entries, deadlines for the sweep, and the lists that say who gives way when the table is full.
//! A packet of an established IPv4 flow touches one cache line of the index and one of the entry,
//! an IPv6 packet one more, and nothing else.
//!
//! [`Fingerprints`] tells the steering programs which packets belong to a flow.

mod config;
mod deadline;
mod entries;
mod eviction;
mod fingerprints;
mod index;
mod key;
mod ports;
mod records;
mod state;
mod table;
mod transition;

pub use config::{FlowConfig, FlowConfigError, MAX_CAPACITY_FLOWS, Timeouts};
pub use fingerprints::{Fingerprints, FingerprintsError, FingerprintsFull, FingerprintsMemory};
pub use key::{Direction, Entered, FlowId, Hit, NewFlow};
pub use records::FlowRecord;
pub use state::State;
pub use table::{FlowTable, Refused, RemovalReason, Removed};
