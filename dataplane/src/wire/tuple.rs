use super::Address;

/// A transport protocol that Services have, as numbered in the IP header.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Protocol {
    /// RFC 9293.
    Tcp = 6,
    /// RFC 768.
    Udp = 17,
}

/// One side of a conversation: an address and a port in host byte order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Endpoint {
    /// The IP address.
    pub address: Address,
    /// The TCP or UDP port.
    pub port: u16,
}

/// What tells one conversation from another in one direction, as it stands in a packet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tuple {
    /// Who sent the packet.
    pub source: Endpoint,
    /// To whom it is addressed.
    pub destination: Endpoint,
    /// TCP or UDP.
    pub protocol: Protocol,
}

impl Tuple {
    /// The tuple of a packet in the other direction.
    #[inline]
    pub const fn reversed(self) -> Self {
        Self { source: self.destination, destination: self.source, protocol: self.protocol }
    }
}
