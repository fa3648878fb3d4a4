use super::{IpHeader, may_answer};
use crate::wire::checksum::Change;
use crate::wire::ethernet::swap_ethernet_addresses;
use crate::wire::icmp::{
    CHECKSUM, EchoRequest, V4_ECHO_REPLY, V4_ECHO_REQUEST, V6_ECHO_REPLY, V6_ECHO_REQUEST,
};
use crate::wire::network::protocol;

/// Writes the echo reply over the request, and returns the frame's new length in bytes.
///
/// The ICMP checksum is updated, not computed, so that a request that was damaged on its way is
/// not made to look sound. An IPv4 reply keeps the request's type of service, identification and
/// "don't fragment".
///
/// `None`, and nothing written, for a sender or destination that is not one host (RFC 1122,
/// section 3.2.2.6) and where the request does not lie within the first `length` bytes of the
/// buffer.
#[cold]
pub fn answer_echo(buffer: &mut [u8], length: usize, echo: &EchoRequest) -> Option<usize> {
    if !may_answer(echo.source, echo.destination) {
        return None;
    }
    let message = usize::from(echo.icmp_offset)..usize::from(echo.end);
    let offset = usize::from(echo.network_offset);
    let frame = buffer.get(..length)?;
    let message_bytes = frame.get(message.clone())?.len();
    let ip = reply_header(frame.get(offset..)?, echo)?;
    let end = ip.end(buffer, offset, message_bytes)?;

    buffer.copy_within(message, end - message_bytes);
    let packet = buffer.get_mut(offset..end)?;
    ip.write(packet);
    let icmp = packet.get_mut(ip.bytes()..)?.first_chunk_mut::<{ CHECKSUM + 2 }>()?;
    let (request, reply) = if ip.source.is_ipv4() {
        (V4_ECHO_REQUEST, V4_ECHO_REPLY)
    } else {
        // The pseudo-header's sum does not mind its addresses being swapped.
        (V6_ECHO_REQUEST, V6_ECHO_REPLY)
    };
    let change =
        Change::default().word(u16::from_be_bytes([request, 0]), u16::from_be_bytes([reply, 0]));
    let checksum = change.apply(u16::from_be_bytes([icmp[2], icmp[3]]));
    icmp[0] = reply;
    icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
    swap_ethernet_addresses(buffer);
    Some(end)
}

fn reply_header(packet: &[u8], echo: &EchoRequest) -> Option<IpHeader> {
    let &[_, type_of_service, _, _, i0, i1, i2, i3] = packet.first_chunk::<8>()?;
    let ipv4 = echo.source.is_ipv4();
    Some(IpHeader {
        source: echo.destination,
        destination: echo.source,
        protocol: if ipv4 { protocol::ICMP } else { protocol::ICMPV6 },
        traffic_class: if ipv4 { type_of_service } else { 0 },
        identification: [i0, i1, i2, i3],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sample::{self, address, assert_valid, tagged};
    use crate::wire::{Parsed, parse};

    fn request(ipv4: bool, payload: &[u8]) -> Vec<u8> {
        let (source, destination, kind) = if ipv4 {
            ("10.244.1.2", "10.96.0.10", V4_ECHO_REQUEST)
        } else {
            ("fd00::1", "fd00::a", V6_ECHO_REQUEST)
        };
        sample::icmp(address(source), address(destination), kind, 0, [0x12, 0x34, 0, 7], payload)
    }

    fn answer(frame: &[u8]) -> Option<Vec<u8>> {
        let Ok(Parsed::EchoRequest(echo)) = parse(frame) else {
            panic!("not an echo request");
        };
        let mut buffer = frame.to_vec();
        let length = answer_echo(&mut buffer, frame.len(), &echo)?;
        buffer.truncate(length);
        Some(buffer)
    }

    /// The reply that would have been built.
    fn expected(ipv4: bool, payload: &[u8]) -> Vec<u8> {
        let (source, destination, kind) = if ipv4 {
            ("10.96.0.10", "10.244.1.2", V4_ECHO_REPLY)
        } else {
            ("fd00::a", "fd00::1", V6_ECHO_REPLY)
        };
        let mut frame = sample::icmp(
            address(source),
            address(destination),
            kind,
            0,
            [0x12, 0x34, 0, 7],
            payload,
        );
        swap_ethernet_addresses(&mut frame);
        frame
    }

    #[test]
    fn the_reply_is_the_request_turned_round() {
        for ipv4 in [true, false] {
            for payload in [&b""[..], b"odd", &[0xa5; 1400]] {
                let reply = answer(&request(ipv4, payload)).expect("an answer");
                assert_valid(&reply);
                assert_eq!(reply, expected(ipv4, payload));
                let reply = answer(&tagged(&request(ipv4, payload))).expect("an answer");
                assert_eq!(reply, tagged(&expected(ipv4, payload)));
            }
        }
    }

    #[test]
    fn padding_options_and_extensions_are_not_sent_back() {
        let mut options = sample::with_options(&request(true, b"payload"), 4);
        options.extend([0xee; 5]);
        assert_eq!(answer(&options), Some(expected(true, b"payload")));
        let extension: (u8, &[u8]) = (60, &[0, 0, 1, 4, 0, 0, 0, 0]);
        let extended = sample::with_extensions(&request(false, b"payload"), &[extension]);
        assert_eq!(answer(&extended), Some(expected(false, b"payload")));
    }

    #[test]
    fn a_damaged_request_does_not_become_a_sound_reply() {
        let mut frame = request(true, b"payload");
        let last = frame.len() - 1;
        frame[last] ^= 1;
        let reply = answer(&frame).expect("an answer");
        let sum = etherparse::checksum::Sum16BitWords::new().add_slice(&reply[34..]);
        assert_ne!(sum.ones_complement(), 0);
    }

    #[test]
    fn a_request_from_no_host_is_not_answered() {
        let source = address("255.255.255.255");
        let frame = sample::icmp(source, address("10.96.0.10"), V4_ECHO_REQUEST, 0, [0; 4], b"");
        assert_eq!(answer(&frame), None);
    }

    #[test]
    fn type_of_service_and_identification_are_kept() {
        let mut frame = request(true, b"payload");
        frame[15] = 0xb8;
        frame[18..20].copy_from_slice(&[0xab, 0xcd]);
        frame[20] = 0;
        let reply = answer(&frame).expect("an answer");
        assert_valid(&reply);
        assert_eq!(reply[15], 0xb8);
        assert_eq!(reply[18..22], [0xab, 0xcd, 0, 0]);
    }
}
