use super::network::{Addresses, Extent, Fragment, Network, Version};
use super::{Address, Malformed};

/// Bytes of an IPv4 header without options.
pub(super) const HEADER_BYTES: usize = 20;

const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// Reads the IPv4 header at `network.offset` of a frame of at most 65,535 bytes (RFC 791, section 3.1), stepping over its options.
///
/// The header checksum is not verified: the kernel or the NIC has, and updates are incremental,
/// so a wrong sum stays wrong and the receiver drops the packet.
///
/// # Errors
///
/// [`Malformed::TruncatedIp`], [`Malformed::IpVersion`], [`Malformed::HeaderLength`],
/// [`Malformed::TotalLength`].
#[inline(always)]
pub(super) fn read(frame: &[u8], extent: Extent, network: &mut Network) -> Result<(), Malformed> {
    let offset = usize::from(network.offset);
    let rest = frame.get(offset..).unwrap_or_default();
    let Some(header) = rest.first_chunk::<HEADER_BYTES>() else {
        return Err(Malformed::TruncatedIp);
    };
    if header[0] >> 4 != 4 {
        return Err(Malformed::IpVersion);
    }
    let header_bytes = usize::from(header[0] & 0xf) * 4;
    if header_bytes < HEADER_BYTES {
        return Err(Malformed::HeaderLength);
    }
    let total_bytes = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let present_bytes = match extent {
        Extent::Whole if total_bytes > rest.len() => return Err(Malformed::TotalLength),
        Extent::Whole | Extent::Quoted => total_bytes.min(rest.len()),
    };
    if header_bytes > present_bytes {
        return Err(Malformed::TotalLength);
    }
    let fragment = u16::from_be_bytes([header[6], header[7]]);
    *network = Network {
        version: Version::V4,
        protocol: header[9],
        time_to_live: header[8],
        fragment: part(fragment),
        offset: network.offset,
        payload_offset: (offset + header_bytes) as u16,
        end: (offset + present_bytes) as u16,
    };
    Ok(())
}

#[inline]
const fn part(word: u16) -> Fragment {
    if word & FRAGMENT_OFFSET != 0 {
        Fragment::Later
    } else if word & MORE_FRAGMENTS != 0 {
        Fragment::First
    } else {
        Fragment::Whole
    }
}

#[inline]
pub(super) fn addresses(header: &[u8; HEADER_BYTES]) -> Addresses {
    Addresses {
        source: address([header[12], header[13], header[14], header[15]]),
        destination: address([header[16], header[17], header[18], header[19]]),
    }
}

#[inline]
fn address(bytes: [u8; 4]) -> Address {
    Address::from_v4_bits(u32::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::{Extent, Fragment, Malformed, Network};

    /// 24 bytes of header, one option word, 4 bytes of payload, 2 bytes that are not the packet's.
    const PACKET: [u8; 30] = [
        0x46, 0, 0, 28, 0, 1, 0x40, 0, 63, 17, 0, 0, 10, 0, 0, 1, 10, 96, 0, 10, 1, 1, 1, 0, 9, 9,
        9, 9, 0xee, 0xee,
    ];

    fn with(at: usize, value: u8) -> [u8; 30] {
        let mut packet = PACKET;
        packet[at] = value;
        packet
    }

    fn read(packet: &[u8], extent: Extent) -> Result<Network, Malformed> {
        let mut network = Network::unread(0);
        super::read(packet, extent, &mut network).map(|()| network)
    }

    fn error(packet: &[u8]) -> Option<Malformed> {
        read(packet, Extent::Whole).err()
    }

    #[test]
    fn options_are_stepped_over_and_padding_is_left_out() {
        let network = read(&PACKET, Extent::Whole).expect("a packet");
        assert_eq!(network.addresses(&PACKET).source.to_string(), "10.0.0.1");
        assert_eq!(network.addresses(&PACKET).destination.to_string(), "10.96.0.10");
        assert_eq!((network.protocol, network.time_to_live), (17, 63));
        assert_eq!((network.payload_offset, network.end), (24, 28));
        assert_eq!(network.fragment, Fragment::Whole);
    }

    #[test]
    fn lengths_must_agree() {
        assert_eq!(error(&with(0, 0x44)), Some(Malformed::HeaderLength));
        assert_eq!(error(&with(0, 0x56)), Some(Malformed::IpVersion));
        assert_eq!(error(&with(3, 23)), Some(Malformed::TotalLength));
        assert_eq!(error(&with(3, 24)), None);
        assert_eq!(error(&with(3, 30)), None);
        assert_eq!(error(&with(3, 31)), Some(Malformed::TotalLength));
        for length in 0..28 {
            let reason = if length < 20 { Malformed::TruncatedIp } else { Malformed::TotalLength };
            assert_eq!(error(&PACKET[..length]), Some(reason), "{length}");
        }
    }

    #[test]
    fn a_quoted_packet_may_be_cut_behind_its_header() {
        let quoted = |length: usize| read(&PACKET[..length], Extent::Quoted).ok();
        assert_eq!(quoted(23).map(|network| network.end), None);
        assert_eq!(quoted(24).map(|network| network.end), Some(24));
        assert_eq!(quoted(30).map(|network| network.end), Some(28));
    }

    #[test]
    fn fragments_are_told_apart() {
        let fragment = |word: u16| {
            let mut packet = PACKET;
            packet[6..8].copy_from_slice(&word.to_be_bytes());
            read(&packet, Extent::Whole).map(|network| network.fragment)
        };
        assert_eq!(fragment(0x4000), Ok(Fragment::Whole));
        assert_eq!(fragment(0x2000), Ok(Fragment::First));
        assert_eq!(fragment(0x2001), Ok(Fragment::Later));
        assert_eq!(fragment(0x0001), Ok(Fragment::Later));
    }
}
