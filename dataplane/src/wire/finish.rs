use super::checksum;
use super::transport::{TCP_CHECKSUM, UDP_CHECKSUM};
use super::{Headers, Protocol};

/// Completes a TCP or UDP checksum that the sending kernel left to the hardware, and says whether
/// it did.
///
/// A frame straight from a Pod's kernel over a veth with checksum offload holds in the checksum
/// field only the sum of the pseudo-header, folded and not complemented (`CHECKSUM_PARTIAL`, see
/// the kernel's Documentation/networking/checksum-offloads.rst). Such a field is replaced by the
/// full checksum. A valid packet whose checksum happens to have that value keeps it.
///
/// A first fragment is left alone: the rest of what the sum covers is not there, and the kernel
/// does not leave checksums of fragments to the hardware.
pub fn finish_checksum(frame: &mut [u8], headers: &Headers) -> bool {
    let transport = usize::from(headers.transport_offset)..usize::from(headers.end);
    let Some(packet) = frame.get_mut(transport) else {
        return false;
    };
    let (offset, length) = match headers.tuple.protocol {
        Protocol::Tcp => (TCP_CHECKSUM, packet.len()),
        Protocol::Udp => {
            let Some(&[.., high, low]) = packet.first_chunk::<6>() else {
                return false;
            };
            (UDP_CHECKSUM, usize::from(u16::from_be_bytes([high, low])))
        }
    };
    let tuple = &headers.tuple;
    let pseudo_header = checksum::pseudo_header_sum(
        tuple.source.address,
        tuple.destination.address,
        tuple.protocol as u8,
        length,
    );
    let partial = checksum::fold(pseudo_header).to_be_bytes();
    if headers.first_fragment || packet.get(offset..offset + 2) != Some(&partial) {
        return false;
    }
    let Some(summed) = packet.get_mut(..length) else {
        return false;
    };
    // The field holds the pseudo-header's sum already, so that the sum of all is the full one.
    let full = !checksum::fold(checksum::sum(summed));
    let full = match tuple.protocol {
        Protocol::Tcp => full,
        Protocol::Udp => checksum::udp(full),
    };
    summed[offset..offset + 2].copy_from_slice(&full.to_be_bytes());
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sample::{self, assert_valid, headers};

    /// Where the checksum of a sample stands in its frame.
    fn field(headers: &Headers) -> usize {
        let offset = match headers.tuple.protocol {
            Protocol::Tcp => 16,
            Protocol::Udp => 6,
        };
        usize::from(headers.transport_offset) + offset
    }

    /// What the kernel leaves in the field for the hardware to start from.
    fn make_partial(frame: &mut [u8]) {
        let headers = headers(frame);
        let (source, destination) =
            (headers.tuple.source.address.bits(), headers.tuple.destination.address.bits());
        let mut pseudo_header = [source.to_be_bytes(), destination.to_be_bytes()].concat();
        let bytes = headers.end - headers.transport_offset;
        pseudo_header.extend([0, headers.tuple.protocol as u8]);
        pseudo_header.extend(bytes.to_be_bytes());
        let sum = etherparse::checksum::Sum16BitWords::new().add_slice(&pseudo_header);
        let partial = !u16::from_be(sum.ones_complement());
        frame[field(&headers)..field(&headers) + 2].copy_from_slice(&partial.to_be_bytes());
    }

    #[test]
    fn a_partial_checksum_is_completed_behind_padding_too() {
        for (tuple, _) in sample::translations() {
            for payload in [&b""[..], b"odd", b"even", &[0xff; 1460]] {
                let full = [sample::frame(&tuple, payload), vec![0xee; 3]].concat();
                let mut frame = full.clone();
                make_partial(&mut frame);
                assert_ne!(frame, full);
                let headers = headers(&frame);
                assert!(finish_checksum(&mut frame, &headers));
                assert_eq!(frame, full);
                assert_valid(&frame);
            }
        }
    }

    #[test]
    fn any_other_checksum_is_left_alone() {
        for (tuple, _) in sample::translations() {
            let mut frame = sample::frame(&tuple, b"payload");
            let headers = headers(&frame);
            for checksum in [frame[field(&headers)], 0, 0xff] {
                frame[field(&headers)] = checksum;
                let before = frame.clone();
                assert!(!finish_checksum(&mut frame, &headers));
                assert_eq!(frame, before);
            }
        }
    }

    #[test]
    fn a_first_fragment_cannot_be_completed() {
        let (tuple, _) = sample::translations()[0];
        let mut frame = sample::frame(&tuple, b"payload");
        make_partial(&mut frame);
        frame[20] = 0x20;
        let before = frame.clone();
        let headers = headers(&frame);
        assert!(!finish_checksum(&mut frame, &headers));
        assert_eq!(frame, before);
    }

    #[test]
    fn udp_checksum_zero_is_written_as_ffff() {
        let (tuple, _) = sample::translations()[2];
        // Two bytes of payload that make the checksum come out as 0.
        let without = sample::frame(&tuple, &[0, 0]);
        let mut frame = sample::frame(&tuple, &without[40..42]);
        make_partial(&mut frame);
        let headers = headers(&frame);
        assert!(finish_checksum(&mut frame, &headers));
        assert_eq!(frame[40..42], [0xff, 0xff]);
        assert_valid(&frame);
    }
}
