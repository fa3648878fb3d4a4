//! Floor 0: what stands in a frame, and how to change it in place.
//!
//! [`parse()`] validates a frame once and hands out offsets; [`translate()`] and its siblings change
//! the bytes at those offsets; the answers write a packet over the one that they answer. Nothing
//! here allocates, and no byte sequence makes anything here panic: what is shorter than an offset
//! says is left alone.
//!
//! Anti-goals: no reassembly, no verification of checksums (see [`parse()`]), no second VLAN tag, no
//! ESP, no source routes.

mod address;
mod answer;
mod checksum;
mod ethernet;
mod finish;
mod hash;
mod icmp;
mod ipv4;
mod ipv6;
mod malformed;
mod message;
mod network;
mod parse;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod sample;
mod translate;
mod transport;
mod tuple;

pub use address::Address;
pub use answer::{IcmpAnswer, answer_echo, answer_icmp, answer_tcp_reset};
pub use ethernet::{MacAddress, ethernet_addresses, set_ethernet_addresses};
pub use finish::finish_checksum;
pub use hash::HashKeys;
pub use icmp::{EchoRequest, IcmpError};
pub use malformed::Malformed;
pub use message::{WayIn, WayOut, read_message, write_message};
pub use parse::{Headers, Parsed, parse, parse_transport};
pub use translate::{decrement_time_to_live, translate, translate_icmp_error};
pub use transport::TcpFlags;
pub use tuple::{Endpoint, Protocol, Tuple};
