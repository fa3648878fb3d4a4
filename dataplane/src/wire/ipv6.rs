use super::network::{Addresses, Extent, Fragment, Network, Version};
use super::{Address, Malformed};

/// Bytes of the fixed IPv6 header.
pub(super) const HEADER_BYTES: usize = 40;

/// Extension headers that are walked before giving up. RFC 8200, section 4.1 recommends an order
/// in which each stands once (destination options twice), which makes six; two to spare.
const EXTENSIONS_MAX: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// Reads the IPv6 header at `network.offset` of a frame of at most 65,535 bytes and walks its extension headers (RFC 8200).
///
/// The walk stops at a routing header with segments left: the header's destination is then not
/// the one in the transport's pseudo-header (section 8.1), so the packet is reported as one of
/// protocol 43 and nothing is done to it.
///
/// # Errors
///
/// [`Malformed::TruncatedIp`], [`Malformed::IpVersion`], [`Malformed::TotalLength`],
/// [`Malformed::MappedAddress`], and those of the extension headers.
#[inline(always)]
pub(super) fn read(frame: &[u8], extent: Extent, network: &mut Network) -> Result<(), Malformed> {
    let offset = usize::from(network.offset);
    let rest = frame.get(offset..).unwrap_or_default();
    let Some(header) = rest.first_chunk::<HEADER_BYTES>() else {
        return Err(Malformed::TruncatedIp);
    };
    if header[0] >> 4 != 6 {
        return Err(Malformed::IpVersion);
    }
    let payload_bytes = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let next_header = header[6];
    if payload_bytes == 0 && next_header == HOP_BY_HOP {
        return Err(Malformed::Jumbogram);
    }
    let total_bytes = HEADER_BYTES + payload_bytes;
    let present_bytes = match extent {
        Extent::Whole if total_bytes > rest.len() => return Err(Malformed::TotalLength),
        Extent::Whole | Extent::Quoted => total_bytes.min(rest.len()),
    };
    let Addresses { source, destination } = addresses(header);
    if source.is_ipv4() || destination.is_ipv4() {
        return Err(Malformed::MappedAddress);
    }
    let end = offset + present_bytes;
    let mut chain = Chain {
        protocol: next_header,
        fragment: Fragment::Whole,
        payload_offset: offset + HEADER_BYTES,
    };
    if is_extension(next_header) {
        chain = walk(frame, chain, end)?;
    }
    *network = Network {
        version: Version::V6,
        protocol: chain.protocol,
        time_to_live: header[7],
        fragment: chain.fragment,
        offset: network.offset,
        payload_offset: chain.payload_offset as u16,
        end: end as u16,
    };
    Ok(())
}

/// How far the extension headers have been walked, and what they said.
#[derive(Clone, Copy)]
struct Chain {
    protocol: u8,
    fragment: Fragment,
    payload_offset: usize,
}

#[inline]
pub(super) fn addresses(header: &[u8; HEADER_BYTES]) -> Addresses {
    Addresses { source: address(header, 8), destination: address(header, 24) }
}

#[inline]
fn address(header: &[u8; HEADER_BYTES], at: usize) -> Address {
    // Always 16 bytes: both call sites name an offset within the fixed header.
    let bytes = header[at..].first_chunk::<16>().copied().unwrap_or_default();
    Address::from_v6_bits(u128::from_be_bytes(bytes))
}

#[inline]
fn is_extension(next_header: u8) -> bool {
    matches!(next_header, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS)
}

/// Goes on behind the extension headers, or to the first one that cannot be passed.
#[cold]
fn walk(frame: &[u8], mut chain: Chain, end: usize) -> Result<Chain, Malformed> {
    let chain_offset = chain.payload_offset;
    let mut fragmented = false;
    for _ in 0..EXTENSIONS_MAX {
        let extension = frame.get(chain.payload_offset..end).and_then(<[u8]>::first_chunk::<8>);
        let Some(&[next_header, length, fragment_high, fragment_low, ..]) = extension else {
            return Err(Malformed::TruncatedExtension);
        };
        let bytes = match chain.protocol {
            HOP_BY_HOP if chain.payload_offset != chain_offset => {
                return Err(Malformed::ExtensionOrder);
            }
            // The fourth byte of a routing header is "segments left".
            ROUTING if fragment_low != 0 => return Ok(chain),
            FRAGMENT if fragmented => return Err(Malformed::ExtensionOrder),
            FRAGMENT => {
                fragmented = true;
                chain.fragment = part(u16::from_be_bytes([fragment_high, fragment_low]));
                8
            }
            // RFC 4302, section 2.2: in units of 4 bytes, minus 2.
            AUTHENTICATION => (usize::from(length) + 2) * 4,
            // RFC 8200, section 4: in units of 8 bytes, the first not counted.
            _ => (usize::from(length) + 1) * 8,
        };
        chain.payload_offset += bytes;
        if chain.payload_offset > end {
            return Err(Malformed::TruncatedExtension);
        }
        chain.protocol = next_header;
        // What follows in a later fragment is payload, not a header.
        if chain.fragment == Fragment::Later || !is_extension(next_header) {
            return Ok(chain);
        }
    }
    Err(Malformed::ExtensionChain)
}

/// RFC 8200, section 4.5: 13 bits of offset, two reserved, "more fragments".
fn part(word: u16) -> Fragment {
    match (word >> 3, word & 1) {
        (0, 0) => Fragment::Whole,
        (0, _) => Fragment::First,
        _ => Fragment::Later,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sample::{self, tuple};
    use crate::wire::{Parsed, Protocol, parse};

    const PLAIN: (u8, &[u8]) = (DESTINATION_OPTIONS, &[0, 0, 1, 4, 0, 0, 0, 0]);
    const ROUTED: (u8, &[u8]) =
        (ROUTING, &[0, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    const AUTHENTICATED: (u8, &[u8]) = (AUTHENTICATION, &[0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]);

    fn with(extensions: &[(u8, &[u8])]) -> Vec<u8> {
        let tuple = tuple(Protocol::Udp, "[fd00::1]:4000", "[fd00::2]:53");
        sample::with_extensions(&sample::frame(&tuple, b"abcd"), extensions)
    }

    fn fragment(word: u16) -> Vec<u8> {
        let [high, low] = word.to_be_bytes();
        with(&[(FRAGMENT, &[0, 0, high, low, 0, 0, 0, 1])])
    }

    #[test]
    fn every_extension_is_passed() {
        let hop_by_hop: (u8, &[u8]) =
            (HOP_BY_HOP, &[0, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let atomic: (u8, &[u8]) = (FRAGMENT, &[0; 8]);
        let frame = with(&[hop_by_hop, PLAIN, ROUTED, atomic, AUTHENTICATED, PLAIN]);
        let headers = sample::headers(&frame);
        assert_eq!(headers.transport_offset, 14 + 40 + 16 + 8 + 24 + 8 + 12 + 8);
        assert_eq!(headers.tuple.destination.port, 53);
        assert!(!headers.first_fragment);
        for length in 54..headers.transport_offset {
            let mut cut = frame[..usize::from(length)].to_vec();
            cut[18..20].copy_from_slice(&(length - 54).to_be_bytes());
            let reason =
                if length == 54 { Malformed::Jumbogram } else { Malformed::TruncatedExtension };
            assert_eq!(parse(&cut).err(), Some(reason), "{length}");
        }
    }

    #[test]
    fn the_walk_is_bounded() {
        assert!(matches!(parse(&with(&[PLAIN; EXTENSIONS_MAX])), Ok(Parsed::Transport(_))));
        let longer = with(&[PLAIN; EXTENSIONS_MAX + 1]);
        assert_eq!(parse(&longer).err(), Some(Malformed::ExtensionChain));
    }

    #[test]
    fn order_counts_where_it_decides_what_follows() {
        let hop_by_hop: (u8, &[u8]) = (HOP_BY_HOP, &[0; 8]);
        let late = parse(&with(&[PLAIN, hop_by_hop])).err();
        assert_eq!(late, Some(Malformed::ExtensionOrder));
        let atomic: (u8, &[u8]) = (FRAGMENT, &[0; 8]);
        assert_eq!(parse(&with(&[atomic, atomic])).err(), Some(Malformed::ExtensionOrder));
    }

    #[test]
    fn fragments_are_told_apart() {
        assert!(!sample::headers(&fragment(0)).first_fragment);
        assert!(sample::headers(&fragment(1)).first_fragment);
        assert!(matches!(parse(&fragment(8)), Ok(Parsed::LaterFragment { .. })));
        assert!(matches!(parse(&fragment(9)), Ok(Parsed::LaterFragment { .. })));
    }

    #[test]
    fn a_packet_on_a_source_route_is_no_packet_of_ours() {
        let mut frame = with(&[ROUTED]);
        frame[14 + 40 + 3] = 1;
        assert!(matches!(parse(&frame), Ok(Parsed::OtherIp { .. })));
    }

    #[test]
    fn lengths_version_and_addresses_are_held_to_the_rfc() {
        let plain = with(&[]);
        for length in 14..plain.len() {
            let reason = if length < 54 { Malformed::TruncatedIp } else { Malformed::TotalLength };
            assert_eq!(parse(&plain[..length]).err(), Some(reason), "{length}");
        }
        let mut version = plain.clone();
        version[14] = 0x45;
        assert_eq!(parse(&version).err(), Some(Malformed::IpVersion));
        for at in [22, 38] {
            let mut mapped = plain.clone();
            mapped[at..at + 16].copy_from_slice(&sample::address("10.0.0.1").bits().to_be_bytes());
            assert_eq!(parse(&mapped).err(), Some(Malformed::MappedAddress));
        }
    }

    #[test]
    fn an_extension_longer_than_the_packet_is_truncated() {
        for length in [3, u8::MAX] {
            let frame = with(&[(DESTINATION_OPTIONS, &[0, length, 1, 4, 0, 0, 0, 0])]);
            assert_eq!(parse(&frame).err(), Some(Malformed::TruncatedExtension));
        }
    }
}
