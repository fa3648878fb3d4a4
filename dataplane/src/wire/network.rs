use super::{Address, Malformed, Tuple, ipv4, ipv6};

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

/// The version of an IP packet, and so the family of its addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Version {
    V4,
    V6,
}

/// Both addresses of an IP packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    pub(super) source: Address,
    pub(super) destination: Address,
}

impl Addresses {
    #[inline]
    pub(super) fn of(tuple: &Tuple) -> Self {
        Self { source: tuple.source.address, destination: tuple.destination.address }
    }
}

/// What an IP header of either version and its options or extension headers say, but for the
/// addresses.
///
/// The readers fill one in rather than return it: what comes back as a `Result` of more than a
/// register goes through memory, in pieces that are not the fields, and made a parse take twice
/// as long. All offsets are in bytes from the frame's start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network {
    pub(super) version: Version,
    /// The protocol behind the last header that could be passed, as IANA numbers it.
    pub(super) protocol: u8,
    pub(super) time_to_live: u8,
    pub(super) fragment: Fragment,
    /// Where the IP header begins.
    pub(super) offset: u16,
    /// Where `protocol` begins.
    pub(super) payload_offset: u16,
    /// Where the packet ends; never beyond the frame.
    pub(super) end: u16,
}

impl Network {
    /// Nothing read yet: an empty packet at `offset`.
    #[inline]
    pub(super) const fn unread(offset: usize) -> Self {
        let offset = offset as u16;
        Self {
            version: Version::V4,
            protocol: 0,
            time_to_live: 0,
            fragment: Fragment::Whole,
            offset,
            payload_offset: offset,
            end: offset,
        }
    }

    /// Reads the addresses from the frame that this was read from.
    #[inline(always)]
    pub(super) fn addresses(&self, frame: &[u8]) -> Addresses {
        let packet = frame.get(usize::from(self.offset)..).unwrap_or_default();
        match self.version {
            Version::V4 => ipv4::addresses(packet.first_chunk().unwrap_or(&[0; _])),
            Version::V6 => ipv6::addresses(packet.first_chunk().unwrap_or(&[0; _])),
        }
    }

    /// What follows the header and its extensions.
    #[inline(always)]
    pub(super) fn payload<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        frame.get(usize::from(self.payload_offset)..usize::from(self.end)).unwrap_or_default()
    }
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
/// [`Malformed::FrameTooLong`], [`Malformed::TruncatedIp`] beyond the frame,
/// [`Malformed::IpVersion`] for neither 4 nor 6, and what the version's own reader finds.
#[cold]
pub(super) fn read(frame: &[u8], offset: usize, extent: Extent) -> Result<Network, Malformed> {
    if frame.len() > usize::from(u16::MAX) {
        return Err(Malformed::FrameTooLong);
    }
    let mut network = Network::unread(offset);
    match frame.get(offset).map(|byte| byte >> 4) {
        Some(4) => ipv4::read(frame, extent, &mut network)?,
        Some(6) => ipv6::read(frame, extent, &mut network)?,
        Some(_) => return Err(Malformed::IpVersion),
        None => return Err(Malformed::TruncatedIp),
    }
    Ok(network)
}
