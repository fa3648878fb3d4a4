use std::fmt;

use super::Malformed;
use super::network::{Fragment, Network};

/// Bytes of a TCP header without options.
pub(super) const TCP_HEADER_BYTES: usize = 20;
/// Bytes of a UDP header.
pub(super) const UDP_HEADER_BYTES: usize = 8;

/// Where the checksum stands in a TCP header.
pub(super) const TCP_CHECKSUM: usize = 16;
/// Where the checksum stands in a UDP header.
pub(super) const UDP_CHECKSUM: usize = 6;

/// The eight control bits of a TCP header (RFC 9293, section 3.1); none for UDP.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpFlags(u8);

impl TcpFlags {
    const FIN: u8 = 0x01;
    const SYN: u8 = 0x02;
    const RST: u8 = 0x04;
    const ACK: u8 = 0x10;

    /// The flags as they stand in byte 13 of the header.
    #[inline]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The byte as it stands in the header.
    #[inline]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The sender will send no more.
    #[inline]
    pub const fn fin(self) -> bool {
        self.0 & Self::FIN != 0
    }

    /// The sender opens, or accepts, a connection.
    #[inline]
    pub const fn syn(self) -> bool {
        self.0 & Self::SYN != 0
    }

    /// The sender opens a connection: a SYN that accepts none.
    #[inline]
    pub const fn is_opening(self) -> bool {
        self.0 & (Self::SYN | Self::ACK) == Self::SYN
    }

    /// The sender gives the connection up.
    #[inline]
    pub const fn rst(self) -> bool {
        self.0 & Self::RST != 0
    }

    /// The acknowledgment number counts.
    #[inline]
    pub const fn ack(self) -> bool {
        self.0 & Self::ACK != 0
    }

    /// RST alone: the answer to a segment that acknowledges.
    pub(super) const fn reset() -> Self {
        Self(Self::RST)
    }

    /// RST and ACK: the answer to a segment that does not.
    pub(super) const fn reset_ack() -> Self {
        Self(Self::RST | Self::ACK)
    }
}

impl fmt::Debug for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TcpFlags({:#04x})", self.0)
    }
}

/// What a TCP or UDP header says to a dataplane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Transport {
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) tcp_flags: TcpFlags,
}

/// Reads the TCP header that `network` leads to.
///
/// # Errors
///
/// [`Malformed::TruncatedTransport`], [`Malformed::TcpDataOffset`], [`Malformed::ZeroPort`].
#[inline(always)]
pub(super) fn read_tcp(frame: &[u8], network: &Network) -> Result<Transport, Malformed> {
    let segment = network.payload(frame);
    let Some(header) = segment.first_chunk::<TCP_HEADER_BYTES>() else {
        return Err(Malformed::TruncatedTransport);
    };
    let header_bytes = usize::from(header[12] >> 4) * 4;
    if header_bytes < TCP_HEADER_BYTES || header_bytes > segment.len() {
        return Err(Malformed::TcpDataOffset);
    }
    with_ports([header[0], header[1], header[2], header[3]], TcpFlags::from_bits(header[13]))
}

/// Reads the UDP header that `network` leads to.
///
/// In a first fragment the length may exceed what is there: it is that of the whole datagram.
///
/// # Errors
///
/// [`Malformed::TruncatedTransport`], [`Malformed::UdpLength`], [`Malformed::ZeroPort`].
#[inline(always)]
pub(super) fn read_udp(frame: &[u8], network: &Network) -> Result<Transport, Malformed> {
    let datagram = network.payload(frame);
    let Some(header) = datagram.first_chunk::<UDP_HEADER_BYTES>() else {
        return Err(Malformed::TruncatedTransport);
    };
    let bytes = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let beyond = bytes > datagram.len() && network.fragment != Fragment::First;
    if bytes < UDP_HEADER_BYTES || beyond {
        return Err(Malformed::UdpLength);
    }
    with_ports([header[0], header[1], header[2], header[3]], TcpFlags::default())
}

/// Reads the ports of a TCP or UDP packet that an ICMP error quotes, of which perhaps only the
/// first eight bytes are there (RFC 792).
///
/// # Errors
///
/// [`Malformed::TruncatedTransport`], [`Malformed::ZeroPort`].
pub(super) fn read_quoted(frame: &[u8], network: &Network) -> Result<Transport, Malformed> {
    let quoted = network.payload(frame);
    let Some(&[s0, s1, d0, d1, ..]) = quoted.first_chunk::<8>() else {
        return Err(Malformed::TruncatedTransport);
    };
    with_ports([s0, s1, d0, d1], TcpFlags::default())
}

/// RFC 768 allows a UDP sender port 0 that expects no reply; a flow table needs one to reply to.
#[inline]
fn with_ports(bytes: [u8; 4], tcp_flags: TcpFlags) -> Result<Transport, Malformed> {
    let [s0, s1, d0, d1] = bytes;
    let source_port = u16::from_be_bytes([s0, s1]);
    let destination_port = u16::from_be_bytes([d0, d1]);
    if source_port == 0 || destination_port == 0 {
        return Err(Malformed::ZeroPort);
    }
    Ok(Transport { source_port, destination_port, tcp_flags })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::network::Version;

    const TCP: [u8; 24] =
        [0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x60, 0x12, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0];
    const UDP: [u8; 10] = [0x9c, 0x40, 0, 53, 0, 10, 0, 0, 0xaa, 0xbb];

    fn network(bytes: &[u8], fragment: Fragment) -> Network {
        Network {
            version: Version::V4,
            protocol: 0,
            time_to_live: 64,
            fragment,
            offset: 0,
            payload_offset: 0,
            end: bytes.len() as u16,
        }
    }

    fn tcp(bytes: &[u8]) -> Result<Transport, Malformed> {
        read_tcp(bytes, &network(bytes, Fragment::Whole))
    }

    fn udp(bytes: &[u8], fragment: Fragment) -> Result<Transport, Malformed> {
        read_udp(bytes, &network(bytes, fragment))
    }

    #[test]
    fn tcp_needs_its_whole_header() {
        let segment = tcp(&TCP).expect("a segment");
        assert_eq!((segment.source_port, segment.destination_port), (40_000, 80));
        let flags = segment.tcp_flags;
        assert!(flags.syn() && flags.ack() && !flags.fin() && !flags.rst());
        assert_eq!(flags.bits(), 0x12);
        for length in 0..TCP.len() {
            let reason =
                if length < 20 { Malformed::TruncatedTransport } else { Malformed::TcpDataOffset };
            assert_eq!(tcp(&TCP[..length]), Err(reason), "{length}");
        }
        let mut short = TCP;
        short[12] = 0x40;
        assert_eq!(tcp(&short), Err(Malformed::TcpDataOffset));
    }

    #[test]
    fn udp_length_lies_between_header_and_packet() {
        let with_length = |length: u8| {
            let mut datagram = UDP;
            datagram[5] = length;
            datagram
        };
        assert_eq!(udp(&UDP, Fragment::Whole).map(|udp| udp.destination_port), Ok(53));
        assert_eq!(udp(&with_length(7), Fragment::Whole), Err(Malformed::UdpLength));
        assert!(udp(&with_length(8), Fragment::Whole).is_ok());
        assert_eq!(udp(&with_length(11), Fragment::Whole), Err(Malformed::UdpLength));
        assert!(udp(&with_length(11), Fragment::First).is_ok());
        assert_eq!(udp(&with_length(7), Fragment::First), Err(Malformed::UdpLength));
        for length in 0..8 {
            let truncated = udp(&UDP[..length], Fragment::Whole);
            assert_eq!(truncated, Err(Malformed::TruncatedTransport), "{length}");
        }
    }

    #[test]
    fn quotes_need_eight_bytes() {
        let quoted =
            |length: usize| read_quoted(&TCP[..length], &network(&TCP[..length], Fragment::Whole));
        assert_eq!(quoted(7), Err(Malformed::TruncatedTransport));
        assert_eq!(quoted(8).map(|quote| quote.source_port), Ok(40_000));
    }

    #[test]
    fn port_zero_is_malformed_on_either_side() {
        for at in [0, 2] {
            let mut segment = TCP;
            segment[at..at + 2].fill(0);
            assert_eq!(tcp(&segment), Err(Malformed::ZeroPort));
        }
    }
}
