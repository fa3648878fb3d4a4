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

#[cfg(test)]
mod tests {
    use etherparse::{SlicedPacket, TransportSlice};

    use super::*;
    use crate::wire::sample::{
        self, ACK, ACKNOWLEDGMENT, FIN, RST, SEQUENCE, SYN, assert_valid, headers, segment, tagged,
    };

    const BUFFER_BYTES: usize = 2048;

    /// The answer to a frame in a large buffer.
    fn answer(frame: &[u8]) -> Option<Vec<u8>> {
        let headers = headers(frame);
        let mut buffer = frame.to_vec();
        buffer.resize(BUFFER_BYTES, 0xee);
        let before = buffer.clone();
        let length = answer_tcp_reset(&mut buffer, frame.len(), &headers);
        match length {
            Some(length) => buffer.truncate(length),
            None => assert_eq!(buffer, before, "refused, but written"),
        }
        length.map(|_| buffer)
    }

    /// Sequence number, acknowledgment number, RST and ACK of a frame.
    fn numbers_of(frame: &[u8]) -> (u32, u32, bool, bool) {
        match SlicedPacket::from_ethernet(frame).map(|packet| packet.transport) {
            Ok(Some(TransportSlice::Tcp(tcp))) => {
                assert!(!tcp.syn() && !tcp.fin());
                (tcp.sequence_number(), tcp.acknowledgment_number(), tcp.rst(), tcp.ack())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_are_those_of_rfc_9293() {
        for (tuple, _) in sample::translations() {
            if tuple.protocol != Protocol::Tcp {
                continue;
            }
            for (flags, payload, expected) in [
                (SYN, &b""[..], (0, SEQUENCE.wrapping_add(1), true, true)),
                (SYN, b"fast open", (0, SEQUENCE.wrapping_add(10), true, true)),
                (FIN, &[1; 20], (0, SEQUENCE.wrapping_add(21), true, true)),
                (0, &[1; 100], (0, SEQUENCE.wrapping_add(100), true, true)),
                (ACK, b"data", (ACKNOWLEDGMENT, 0, true, false)),
                (SYN | ACK, b"", (ACKNOWLEDGMENT, 0, true, false)),
            ] {
                for frame in
                    [segment(&tuple, flags, payload), tagged(&segment(&tuple, flags, payload))]
                {
                    let reset = answer(&frame).expect("an answer");
                    assert_valid(&reset);
                    assert_eq!(numbers_of(&reset), expected, "flags {flags:#x}");
                    assert_eq!(headers(&reset).tuple, tuple.reversed());
                    assert_eq!(usize::from(headers(&reset).end), reset.len());
                    assert_eq!(reset[..6], frame[6..12]);
                    assert_eq!(reset[6..12], frame[..6]);
                    let rest = 12..usize::from(headers(&frame).network_offset);
                    assert_eq!(reset[rest.clone()], frame[rest]);
                }
            }
        }
    }

    #[test]
    fn padding_and_options_do_not_count() {
        let (tuple, _) = sample::translations()[0];
        let mut frame = sample::with_options(&segment(&tuple, SYN, b"abc"), 3);
        frame.extend([0; 9]);
        let reset = answer(&frame).expect("an answer");
        assert_valid(&reset);
        assert_eq!(numbers_of(&reset), (0, SEQUENCE.wrapping_add(4), true, true));
        assert_eq!(reset.len(), 14 + 20 + 20);
    }

    #[test]
    fn what_must_not_be_answered_is_not() {
        let (tuple, _) = sample::translations()[0];
        assert_eq!(answer(&segment(&tuple, RST, b"")), None);
        assert_eq!(answer(&segment(&tuple, RST | ACK, b"")), None);
        let udp = crate::wire::Tuple { protocol: Protocol::Udp, ..tuple };
        assert_eq!(answer(&sample::frame(&udp, b"")), None);
        let mut first_fragment = segment(&tuple, ACK, b"");
        first_fragment[20] = 0x20;
        assert_eq!(answer(&first_fragment), None);
        let mut multicast = tuple;
        multicast.source.address = sample::address("224.0.0.1");
        assert_eq!(answer(&segment(&multicast, SYN, b"")), None);
    }

    #[test]
    fn a_buffer_that_is_too_small_stays_as_it_is() {
        let (tuple, _) = sample::translations()[0];
        let frame = segment(&tuple, SYN, b"");
        let headers = headers(&frame);
        for bytes in 0..frame.len() {
            let mut buffer = frame[..bytes].to_vec();
            assert_eq!(answer_tcp_reset(&mut buffer, frame.len(), &headers), None);
            assert_eq!(buffer, frame[..bytes]);
        }
    }
}
