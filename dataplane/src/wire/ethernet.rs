use super::Malformed;

/// An Ethernet address as it stands on the wire.
pub type MacAddress = [u8; 6];

/// Bytes of an Ethernet header without tag.
pub(super) const HEADER_BYTES: usize = 14;
/// Bytes that one IEEE 802.1Q tag adds.
const TAG_BYTES: usize = 4;

const TYPE_IPV4: u16 = 0x0800;
const TYPE_IPV6: u16 = 0x86dd;
const TYPE_TAG: u16 = 0x8100;

/// What an Ethernet frame carries, and from which byte on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Payload {
    Ipv4(usize),
    Ipv6(usize),
    Other,
}

/// Finds the network layer behind the Ethernet header and at most one 802.1Q tag.
///
/// A second tag, an 802.1ad service tag and an IEEE 802.3 length are all [`Payload::Other`].
#[inline]
pub(super) fn payload(frame: &[u8]) -> Result<Payload, Malformed> {
    let Some(header) = frame.first_chunk::<HEADER_BYTES>() else {
        return Err(Malformed::TruncatedEthernet);
    };
    let [.., high, low] = *header;
    match u16::from_be_bytes([high, low]) {
        TYPE_IPV4 => Ok(Payload::Ipv4(HEADER_BYTES)),
        TYPE_IPV6 => Ok(Payload::Ipv6(HEADER_BYTES)),
        TYPE_TAG => tagged_payload(frame),
        _ => Ok(Payload::Other),
    }
}

fn tagged_payload(frame: &[u8]) -> Result<Payload, Malformed> {
    let Some(header) = frame.first_chunk::<{ HEADER_BYTES + TAG_BYTES }>() else {
        return Err(Malformed::TruncatedEthernet);
    };
    let [.., high, low] = *header;
    Ok(match u16::from_be_bytes([high, low]) {
        TYPE_IPV4 => Payload::Ipv4(HEADER_BYTES + TAG_BYTES),
        TYPE_IPV6 => Payload::Ipv6(HEADER_BYTES + TAG_BYTES),
        _ => Payload::Other,
    })
}

/// The destination and the source of a frame, in the order of the wire; `None` if it is shorter
/// than 12 bytes.
#[inline]
pub fn ethernet_addresses(frame: &[u8]) -> Option<(MacAddress, MacAddress)> {
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5] = *frame.first_chunk::<12>()?;
    Some(([d0, d1, d2, d3, d4, d5], [s0, s1, s2, s3, s4, s5]))
}

/// Writes the destination and the source of a frame. A frame under 12 bytes stays as it is.
#[inline]
pub fn set_ethernet_addresses(frame: &mut [u8], destination: MacAddress, source: MacAddress) {
    if let Some(addresses) = frame.first_chunk_mut::<12>() {
        let (to, from) = addresses.split_at_mut(6);
        to.copy_from_slice(&destination);
        from.copy_from_slice(&source);
    }
}

/// Turns a frame round: what came from one address goes back to it.
pub(super) fn swap_ethernet_addresses(frame: &mut [u8]) {
    if let Some((destination, source)) = ethernet_addresses(frame) {
        set_ethernet_addresses(frame, source, destination);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNTAGGED: [u8; 14] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x08, 0x00];
    const TAGGED: [u8; 18] =
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x81, 0x00, 0x20, 0x07, 0x86, 0xdd];

    #[test]
    fn payload_is_found_behind_one_tag_at_most() {
        assert_eq!(payload(&UNTAGGED), Ok(Payload::Ipv4(14)));
        assert_eq!(payload(&TAGGED), Ok(Payload::Ipv6(18)));
        let mut twice = TAGGED;
        twice[16..].copy_from_slice(&TYPE_TAG.to_be_bytes());
        assert_eq!(payload(&twice), Ok(Payload::Other));
        let mut arp = UNTAGGED;
        arp[13] = 0x06;
        assert_eq!(payload(&arp), Ok(Payload::Other));
    }

    #[test]
    fn truncated_headers_are_malformed() {
        for length in 0..UNTAGGED.len() {
            assert_eq!(payload(&UNTAGGED[..length]), Err(Malformed::TruncatedEthernet));
        }
        for length in 14..TAGGED.len() {
            assert_eq!(payload(&TAGGED[..length]), Err(Malformed::TruncatedEthernet));
        }
    }

    #[test]
    fn addresses_are_written_and_swapped() {
        let mut frame = UNTAGGED;
        swap_ethernet_addresses(&mut frame);
        assert_eq!(frame, [7, 8, 9, 10, 11, 12, 1, 2, 3, 4, 5, 6, 0x08, 0x00]);
        set_ethernet_addresses(&mut frame, [0xaa; 6], [0xbb; 6]);
        assert_eq!(ethernet_addresses(&frame), Some(([0xaa; 6], [0xbb; 6])));
        assert_eq!(frame[12..], [0x08, 0x00]);
        assert_eq!(ethernet_addresses(&frame[..11]), None);
    }
}
