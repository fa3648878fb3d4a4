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
