//! Where things are in a packet, and whether its sums are right. Sums are computed by etherparse,
//! never by the code that is measured.

use etherparse::checksum::u64_16bit_word as sum;

use super::stamp::STAMP_BYTES;
use super::tuples::Tuple;

/// Bytes of an Ethernet header.
pub(crate) const ETHERNET_BYTES: usize = 14;
const IPV4_BYTES: usize = 20;
const IPV6_BYTES: usize = 40;
const UDP_BYTES: usize = 8;
const TCP_BYTES: usize = 20;
const UDP: u8 = 17;
const TCP: u8 = 6;
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];

/// The option that holds the stamp of a segment without data: RFC 4727's first experimental kind.
pub(crate) const STAMP_OPTION: u8 = 253;

/// TCP's flags.
pub(crate) mod flags {
    /// No more data from the sender.
    pub(crate) const FIN: u8 = 0x01;
    /// Begins a connection.
    pub(crate) const SYN: u8 = 0x02;
    /// Ends it at once.
    pub(crate) const RST: u8 = 0x04;
    /// For the application at once.
    pub(crate) const PSH: u8 = 0x08;
    /// The acknowledgement number counts.
    pub(crate) const ACK: u8 = 0x10;
}

/// A TCP header's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tcp {
    /// The sequence number.
    pub(crate) sequence: u32,
    /// The acknowledgement number.
    pub(crate) acknowledgement: u32,
    /// See [`flags`].
    pub(crate) flags: u8,
    /// Bytes of data.
    pub(crate) data: u32,
}

/// A UDP or TCP packet: offsets into its frame, all of them checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Located {
    ipv6: bool,
    /// Of the transport header.
    pub(crate) transport: usize,
    /// Of the first byte behind the packet; Ethernet may have padded it.
    pub(crate) end: usize,
    /// Of the stamp.
    pub(crate) stamp: usize,
    /// Set for TCP.
    pub(crate) tcp: Option<Tcp>,
}

impl Located {
    /// Finds a packet's parts. `None` when it is neither UDP nor TCP over plain IP, or has no room
    /// for a stamp.
    #[inline]
    pub(crate) fn find(frame: &[u8]) -> Option<Self> {
        let network = frame.get(ETHERNET_BYTES..)?;
        let (ipv6, header, length, protocol) = match frame.get(12..14)?.try_into().ok()? {
            ETHERTYPE_IPV4 => {
                let header = usize::from(network.first()? & 0x0f) * 4;
                let fragment = word(network, 6)? & 0x3fff;
                if header < IPV4_BYTES || fragment != 0 {
                    return None;
                }
                (false, header, usize::from(word(network, 2)?), *network.get(9)?)
            }
            ETHERTYPE_IPV6 => {
                let length = IPV6_BYTES + usize::from(word(network, 4)?);
                (true, IPV6_BYTES, length, *network.get(6)?)
            }
            _ => return None,
        };
        let (transport, end) = (ETHERNET_BYTES + header, ETHERNET_BYTES + length);
        let segment = frame.get(transport..end)?;
        let (stamp, tcp) = match protocol {
            UDP => (transport + UDP_BYTES, None),
            TCP => {
                let (stamp, tcp) = find_in_tcp(segment)?;
                (transport + stamp, Some(tcp))
            }
            _ => return None,
        };
        (stamp + STAMP_BYTES <= end).then_some(Self { ipv6, transport, end, stamp, tcp })
    }

    /// The stamp's bytes.
    #[inline]
    pub(crate) fn stamp<'a>(&self, frame: &'a [u8]) -> Option<&'a [u8; STAMP_BYTES]> {
        frame.get(self.stamp..self.stamp + STAMP_BYTES)?.try_into().ok()
    }

    /// Both ends, as the packet names them.
    #[inline]
    pub(crate) fn tuple(&self, frame: &[u8]) -> Option<Tuple> {
        let addresses = match self.ipv6 {
            true => [address::<16>(frame, 22)?.into(), address::<16>(frame, 38)?.into()],
            false => [address::<4>(frame, 26)?.into(), address::<4>(frame, 30)?.into()],
        };
        let ports = [word(frame, self.transport)?, word(frame, self.transport + 2)?];
        Some(Tuple { source: (addresses[0], ports[0]), destination: (addresses[1], ports[1]) })
    }

    /// Where the transport's checksum is.
    pub(crate) fn checksum(&self) -> usize {
        self.transport + if self.tcp.is_some() { 16 } else { 6 }
    }

    /// Whether the checksums are right: IPv4's, and UDP's or TCP's over all of the packet. A UDP
    /// packet over IPv4 may have none (RFC 768).
    #[inline]
    pub(crate) fn sums_are_right(&self, frame: &[u8]) -> bool {
        self.sums(frame).is_some_and(|right| right)
    }

    fn sums(&self, frame: &[u8]) -> Option<bool> {
        let network = frame.get(ETHERNET_BYTES..self.transport)?;
        let segment = frame.get(self.transport..self.end)?;
        let addresses = if self.ipv6 { network.get(8..40)? } else { network.get(12..20)? };
        if !self.ipv6 && sum::ones_complement(sum::add_slice(0, network)) != 0 {
            return Some(false);
        }
        if self.tcp.is_none() && !self.ipv6 && segment.get(6..8)? == [0, 0] {
            return Some(true);
        }
        let protocol = if self.tcp.is_some() { TCP } else { UDP };
        let pseudo = sum::add_slice(pseudo_header(protocol, segment.len()), addresses);
        Some(sum::ones_complement(sum::add_slice(pseudo, segment)) == 0)
    }
}

/// The sum of a pseudo-header without its addresses.
pub(crate) fn pseudo_header(protocol: u8, length: usize) -> u64 {
    let words = sum::add_2bytes(0, [0, protocol]);
    sum::add_4bytes(words, (length as u32).to_be_bytes())
}

#[inline]
fn address<const BYTES: usize>(frame: &[u8], at: usize) -> Option<[u8; BYTES]> {
    frame.get(at..at + BYTES)?.try_into().ok()
}

#[inline]
fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[inline]
fn double_word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The stamp's offset: where data begins, or in an option if there is none.
#[inline]
fn find_in_tcp(segment: &[u8]) -> Option<(usize, Tcp)> {
    let header = usize::from(segment.get(12)? >> 4) * 4;
    let data = segment.len().checked_sub(header)?;
    let tcp = Tcp {
        sequence: double_word(segment, 4)?,
        acknowledgement: double_word(segment, 8)?,
        flags: *segment.get(13)?,
        data: data as u32,
    };
    if header < TCP_BYTES {
        return None;
    }
    if data > 0 {
        return Some((header, tcp));
    }
    let options = segment.get(TCP_BYTES..header)?;
    Some((TCP_BYTES + find_stamp_option(options)?, tcp))
}

fn find_stamp_option(options: &[u8]) -> Option<usize> {
    const END: u8 = 0;
    const NOTHING: u8 = 1;
    let mut at = 0;
    loop {
        match *options.get(at)? {
            END => return None,
            NOTHING => at += 1,
            STAMP_OPTION => return Some(at + 2),
            _ => at += usize::from(*options.get(at + 1)?).max(2),
        }
    }
}
