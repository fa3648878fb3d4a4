use super::{Address, Malformed, ipv4, ipv6};

/// How many bytes of an IP packet there are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All that its length field says.
    Whole,
    /// Perhaps only its beginning, as ICMP errors quote it.
    Quoted,
}

/// Which part of a datagram an IP packet is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fragment {
    /// All of it.
    Whole,
    /// The beginning: the ports are here, the rest of the payload is not.
    First,
    /// A part without ports.
    Later,
}

/// What an IP header of either version and its options or extension headers say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network {
    pub(super) source: Address,
    pub(super) destination: Address,
    /// The protocol behind the last header that could be passed, as IANA numbers it.
    pub(super) protocol: u8,
    pub(super) time_to_live: u8,
    pub(super) fragment: Fragment,
    /// Where `protocol` begins, bytes from the frame's start.
    pub(super) payload_offset: usize,
    /// Where the packet ends, bytes from the frame's start; never beyond the frame.
    pub(super) end: usize,
}

/// IANA's protocol numbers that the parser acts upon.
pub(super) mod protocol {
    pub(in crate::wire) const ICMP: u8 = 1;
    pub(in crate::wire) const TCP: u8 = 6;
    pub(in crate::wire) const UDP: u8 = 17;
    pub(in crate::wire) const ICMPV6: u8 = 58;
}

/// Reads the IP header at `offset`, of whichever version it says it is.
///
/// # Errors
///
/// [`Malformed::TruncatedIp`] beyond the frame, [`Malformed::IpVersion`] for neither 4 nor 6, and
/// what the version's own reader finds.
pub(super) fn read(frame: &[u8], offset: usize, extent: Extent) -> Result<Network, Malformed> {
    match frame.get(offset).map(|byte| byte >> 4) {
        Some(4) => ipv4::read(frame, offset, extent),
        Some(6) => ipv6::read(frame, offset, extent),
        Some(_) => Err(Malformed::IpVersion),
        None => Err(Malformed::TruncatedIp),
    }
}
