use super::{ATOMIC, IpHeader, may_answer};
use crate::wire::checksum;
use crate::wire::ethernet::swap_ethernet_addresses;
use crate::wire::transport::{TCP_CHECKSUM, TCP_HEADER_BYTES, TcpFlags};
use crate::wire::{Headers, Protocol};

/// Writes a TCP reset over the segment that `headers` describes, and returns the frame's new
/// length in bytes.
///
/// As RFC 9293, section 3.10.7.1 has it for a connection that does not exist: a segment with ACK
/// is answered with RST at the sequence number it acknowledges, one without with RST and ACK of
/// all that it occupies.
///
/// `None`, and nothing written, for a segment that is itself a reset, for a first fragment (what
/// it occupies is not known), for other protocols, for a sender or destination that is not one
/// host, and where the buffer is too small.
#[cold]
pub fn answer_tcp_reset(buffer: &mut [u8], length: usize, headers: &Headers) -> Option<usize> {
    let answer = headers.tuple.reversed();
    if answer.protocol != Protocol::Tcp
        || headers.tcp_flags.rst()
        || headers.first_fragment
        || !may_answer(headers.tuple.source.address, headers.tuple.destination.address)
    {
        return None;
    }
    let segment = usize::from(headers.transport_offset)..usize::from(headers.end);
    let (sequence, acknowledgment, flags) = numbers(buffer.get(..length)?.get(segment)?)?;
    let ip = IpHeader {
        source: answer.source.address,
        destination: answer.destination.address,
        protocol: Protocol::Tcp as u8,
        traffic_class: 0,
        identification: ATOMIC,
    };
    let offset = usize::from(headers.network_offset);
    let end = ip.end(buffer, offset, TCP_HEADER_BYTES)?;
    let packet = buffer.get_mut(offset..end)?;
    ip.write(packet);
    let tcp = packet.last_chunk_mut::<TCP_HEADER_BYTES>()?;
    tcp.fill(0);
    tcp[0..2].copy_from_slice(&answer.source.port.to_be_bytes());
    tcp[2..4].copy_from_slice(&answer.destination.port.to_be_bytes());
    tcp[4..8].copy_from_slice(&sequence.to_be_bytes());
    tcp[8..12].copy_from_slice(&acknowledgment.to_be_bytes());
    tcp[12] = (TCP_HEADER_BYTES as u8 / 4) << 4;
    tcp[13] = flags.bits();
    let sum = ip.pseudo_header_sum(TCP_HEADER_BYTES) + checksum::sum(tcp);
    let checksum = !checksum::fold(sum);
    tcp[TCP_CHECKSUM..TCP_CHECKSUM + 2].copy_from_slice(&checksum.to_be_bytes());
    swap_ethernet_addresses(buffer);
    Some(end)
}

/// Sequence number, acknowledgment number and flags of the reset that answers `segment`.
fn numbers(segment: &[u8]) -> Option<(u32, u32, TcpFlags)> {
    let header = segment.first_chunk::<TCP_HEADER_BYTES>()?;
    let flags = TcpFlags::from_bits(header[13]);
    if flags.ack() {
        let acknowledged = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        return Some((acknowledged, 0, TcpFlags::reset()));
    }
    let sequence = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    let payload_bytes = segment.len().checked_sub(usize::from(header[12] >> 4) * 4)?;
    let occupied = payload_bytes as u32 + u32::from(flags.syn()) + u32::from(flags.fin());
    Some((0, sequence.wrapping_add(occupied), TcpFlags::reset_ack()))
}
