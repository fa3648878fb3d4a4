use super::checksum::{self, Change};
use super::icmp::{self, IcmpError};
use super::network::Addresses;
use super::transport::{TCP_CHECKSUM, TCP_HEADER_BYTES, UDP_CHECKSUM};
use super::{Address, Headers, Protocol, Tuple, ipv4, ipv6};

/// Makes the packet's addresses and ports those of `to`, which has the packet's family and
/// protocol, lowers its TTL or hop limit by `hops`, and updates the IPv4 header checksum and the
/// TCP or UDP checksum (RFC 1624).
///
/// The caller has checked that the TTL is over `hops`: a packet that arrives with less is answered
/// with [`IcmpAnswer::TimeExceeded`](super::IcmpAnswer), not sent on. What is under it stays.
///
/// `headers` must have come from [`parse`](super::parse()) of this frame. A UDP checksum of 0 says
/// that there is none and stays (RFC 768); one that comes out as 0 is written as 0xffff.
#[inline(always)]
pub fn translate(frame: &mut [u8], headers: &Headers, to: &Tuple, hops: u8) {
    let from = &headers.tuple;
    debug_assert_eq!(from.protocol, to.protocol);
    let change = rewrite_addresses(
        frame,
        headers.network_offset,
        Addresses::of(from),
        Addresses::of(to),
        hops,
    );
    let packet = usize::from(headers.transport_offset)..usize::from(headers.end);
    if let Some(packet) = frame.get_mut(packet) {
        rewrite_transport(packet, change, from, to);
    }
}

/// Lowers the TTL or hop limit by one and updates the IPv4 header checksum.
///
/// The caller has checked that it is over 1 (0 stays 0): see [`translate`].
#[inline]
pub fn decrement_time_to_live(frame: &mut [u8], network_offset: u16) {
    let packet = frame.get_mut(usize::from(network_offset)..).unwrap_or_default();
    let Some(header) = packet.first_chunk_mut::<{ ipv4::HEADER_BYTES }>() else {
        return;
    };
    if header[0] >> 4 != 4 {
        header[7] = header[7].saturating_sub(1);
        return;
    }
    let old = u16::from_be_bytes([header[8], header[9]]);
    // The TTL is the upper byte of this word.
    let new = old.checked_sub(0x100).unwrap_or(old);
    [header[8], header[9]] = new.to_be_bytes();
    let checksum = u16::from_be_bytes([header[10], header[11]]);
    let checksum = Change::default().word(old, new).apply(checksum);
    [header[10], header[11]] = checksum.to_be_bytes();
}

/// Makes the outer addresses of an ICMP error `source` and `destination`, and the tuple of the
/// packet that it quotes `inner`, all of the packet's family.
///
/// Updates, as far as they are there, the quoted packet's IPv4 header checksum and TCP or UDP
/// checksum, then the ICMP checksum and the outer IPv4 header checksum. What follows the quoted
/// packet (RFC 4884) is not touched. `error` must have come from [`parse`](super::parse()) of this
/// frame.
#[cold]
pub fn translate_icmp_error(
    frame: &mut [u8],
    error: &IcmpError,
    source: Address,
    destination: Address,
    inner: &Tuple,
) {
    debug_assert_eq!(error.inner.protocol, inner.protocol);
    let old_sum = quoted_headers_sum(frame, error);
    let change = rewrite_addresses(
        frame,
        error.inner_network_offset,
        Addresses::of(&error.inner),
        Addresses::of(inner),
        0,
    );
    let quoted = usize::from(error.inner_transport_offset)..usize::from(error.quote_end);
    if let Some(quoted) = frame.get_mut(quoted) {
        rewrite_transport(quoted, change, &error.inner, inner);
    }
    let message = Change::default().word(old_sum, quoted_headers_sum(frame, error));

    let from = Addresses { source: error.source, destination: error.destination };
    let to = Addresses { source, destination };
    let pseudo_header = rewrite_addresses(frame, error.network_offset, from, to, 0);
    // RFC 4443, section 2.3: only ICMPv6 has a pseudo-header.
    let message = if source.is_ipv4() { message } else { message.and(pseudo_header) };
    let checksum_offset = usize::from(error.icmp_offset) + icmp::CHECKSUM;
    if let Some(field) = field(frame, checksum_offset) {
        *field = message.apply(u16::from_be_bytes(*field)).to_be_bytes();
    }
}

/// The sum of all bytes of the quoted packet that a translation may change.
fn quoted_headers_sum(frame: &[u8], error: &IcmpError) -> u16 {
    let end = (usize::from(error.inner_transport_offset) + TCP_HEADER_BYTES)
        .min(usize::from(error.quote_end));
    let headers = frame.get(usize::from(error.inner_network_offset)..end).unwrap_or_default();
    checksum::fold(checksum::sum(headers))
}

/// Writes the addresses and the TTL of the IP header at `offset`, with its checksum if it has one,
/// and returns how they change a pseudo-header.
#[inline(always)]
fn rewrite_addresses(
    frame: &mut [u8],
    offset: u16,
    from: Addresses,
    to: Addresses,
    hops: u8,
) -> Change {
    debug_assert_eq!(from.source.is_ipv4(), to.source.is_ipv4());
    debug_assert_eq!(from.destination.is_ipv4(), to.destination.is_ipv4());
    let packet = frame.get_mut(usize::from(offset)..).unwrap_or_default();
    if from.source.is_ipv4() {
        rewrite_ipv4(packet, from, to, hops)
    } else {
        rewrite_ipv6(packet, from, to, hops)
    }
}

#[inline(always)]
fn rewrite_ipv4(packet: &mut [u8], from: Addresses, to: Addresses, hops: u8) -> Change {
    let change = Change::default()
        .double_word(from.source.v4_bits(), to.source.v4_bits())
        .double_word(from.destination.v4_bits(), to.destination.v4_bits());
    if let Some(header) = packet.first_chunk_mut::<{ ipv4::HEADER_BYTES }>() {
        // The TTL is the upper byte of this word, and not in a pseudo-header.
        let old = u16::from_be_bytes([header[8], header[9]]);
        let new = old.checked_sub(u16::from(hops) << 8).unwrap_or(old);
        header[8] = (new >> 8) as u8;
        let checksum = u16::from_be_bytes([header[10], header[11]]);
        let checksum = change.word(old, new).apply(checksum);
        [header[10], header[11]] = checksum.to_be_bytes();
        header[12..16].copy_from_slice(&to.source.v4_bits().to_be_bytes());
        header[16..20].copy_from_slice(&to.destination.v4_bits().to_be_bytes());
    }
    change
}

#[inline(always)]
fn rewrite_ipv6(packet: &mut [u8], from: Addresses, to: Addresses, hops: u8) -> Change {
    if let Some(header) = packet.first_chunk_mut::<{ ipv6::HEADER_BYTES }>() {
        header[7] = header[7].saturating_sub(hops);
        header[8..24].copy_from_slice(&to.source.bits().to_be_bytes());
        header[24..40].copy_from_slice(&to.destination.bits().to_be_bytes());
    }
    Change::default().address(from.source, to.source).address(from.destination, to.destination)
}

/// Writes the ports of a packet that begins with its transport header, and its checksum if that is
/// there.
#[inline(always)]
fn rewrite_transport(packet: &mut [u8], pseudo_header: Change, from: &Tuple, to: &Tuple) {
    let old_ports = ports(from);
    let new_ports = ports(to);
    if let Some(field) = packet.first_chunk_mut::<4>() {
        *field = new_ports.to_be_bytes();
    }
    let change = pseudo_header.double_word(old_ports, new_ports);
    match to.protocol {
        Protocol::Tcp => {
            if let Some(field) = field(packet, TCP_CHECKSUM) {
                *field = change.apply(u16::from_be_bytes(*field)).to_be_bytes();
            }
        }
        Protocol::Udp => {
            if let Some(field) = field(packet, UDP_CHECKSUM) {
                *field = change.apply_udp(u16::from_be_bytes(*field)).to_be_bytes();
            }
        }
    }
}

/// Both ports as they stand side by side in a header.
#[inline]
fn ports(tuple: &Tuple) -> u32 {
    u32::from(tuple.source.port) << 16 | u32::from(tuple.destination.port)
}

/// The 16-bit field at `offset`, if the bytes reach that far.
#[inline]
fn field(bytes: &mut [u8], offset: usize) -> Option<&mut [u8; 2]> {
    bytes.get_mut(offset..)?.first_chunk_mut()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sample::{self, address, assert_valid, assert_valid_ip, headers, icmp_error};

    #[test]
    fn a_translated_packet_is_the_one_that_would_have_been_built() {
        for (from, to) in sample::translations() {
            let mut frame = sample::frame(&from, b"payload");
            let headers = headers(&frame);
            translate(&mut frame, &headers, &to, 0);
            assert_eq!(frame, sample::frame(&to, b"payload"));
            assert_valid(&frame);
        }
    }

    #[test]
    fn hops_are_counted_with_a_translation_as_by_themselves() {
        for (from, to) in sample::translations() {
            let mut together = sample::frame(&from, b"payload");
            let mut apart = together.clone();
            // To 0, and there it stays.
            for _ in 0..66 {
                let headers = headers(&together);
                translate(&mut together, &headers, &to, 1);
                translate(&mut apart, &headers, &to, 0);
                decrement_time_to_live(&mut apart, headers.network_offset);
                assert_eq!(together, apart);
                assert_valid(&together);
            }
        }
    }

    #[test]
    fn udp_without_checksum_stays_without() {
        let (from, to) = sample::translations()[2];
        let mut frame = sample::frame(&from, b"payload");
        frame[40..42].fill(0);
        let headers = headers(&frame);
        translate(&mut frame, &headers, &to, 0);
        assert_eq!(frame[40..42], [0, 0]);
        assert_valid(&frame);
    }

    #[test]
    fn udp_checksum_zero_is_sent_as_ffff() {
        let (from, to) = sample::translations()[2];
        // Two bytes of payload that make the translated packet's checksum come out as 0.
        let missing = headers_checksum(&sample::frame(&to, &[0, 0]));
        let mut frame = sample::frame(&from, &missing.to_be_bytes());
        let headers = headers(&frame);
        translate(&mut frame, &headers, &to, 0);
        assert_eq!(frame[40..42], [0xff, 0xff]);
        assert_valid(&frame);
    }

    fn headers_checksum(udp_frame: &[u8]) -> u16 {
        u16::from_be_bytes([udp_frame[40], udp_frame[41]])
    }

    #[test]
    fn time_to_live_goes_down_by_one() {
        for (tuple, _) in sample::translations() {
            for frame in [sample::frame(&tuple, b""), sample::tagged(&sample::frame(&tuple, b""))] {
                let mut lower = frame;
                for time_to_live in (0..64).rev() {
                    let offset = headers(&lower).network_offset;
                    decrement_time_to_live(&mut lower, offset);
                    assert_eq!(headers(&lower).time_to_live, time_to_live);
                    assert_valid(&lower);
                }
                let used_up = lower.clone();
                let offset = headers(&lower).network_offset;
                decrement_time_to_live(&mut lower, offset);
                assert_eq!(lower, used_up);
            }
        }
    }

    #[test]
    fn a_shorter_frame_than_parsed_is_left_without_panic() {
        for (from, to) in sample::translations() {
            let frame = sample::frame(&from, b"payload");
            let about = sample::unreachable(from.destination.address, &frame, 1000);
            let (headers, error) = (headers(&frame), icmp_error(&about));
            for length in 0..about.len() {
                translate(&mut about.clone()[..length], &headers, &to, 1);
                decrement_time_to_live(&mut about.clone()[..length], headers.network_offset);
                let (a, b) = (to.source.address, to.destination.address);
                translate_icmp_error(&mut about.clone()[..length], &error, a, b, &to);
            }
        }
    }

    #[test]
    fn an_error_and_its_quote_are_translated_with_every_checksum() {
        for (client_side, backend_side) in sample::translations() {
            let about = sample::frame(&backend_side, b"payload");
            let mut frame = sample::unreachable(backend_side.destination.address, &about, 1000);
            assert_valid(&frame);
            let error = icmp_error(&frame);
            let source = client_side.destination.address;
            let destination = client_side.source.address;
            translate_icmp_error(&mut frame, &error, source, destination, &client_side);

            assert_valid(&frame);
            let inner = usize::from(error.inner_network_offset);
            assert_valid_ip(&frame[inner..]);
            assert_eq!(frame[inner..], sample::frame(&client_side, b"payload")[14..]);
            let translated = icmp_error(&frame);
            assert_eq!((translated.source, translated.destination), (source, destination));
        }
    }

    #[test]
    fn a_quote_of_any_length_keeps_the_outer_checksums_right() {
        for (client_side, backend_side) in sample::translations() {
            let about = sample::frame(&backend_side, b"payload");
            let ip_bytes = if client_side.source.address.is_ipv4() { 20 } else { 40 };
            for quoted in ip_bytes + 8..about.len() - 14 {
                let mut frame =
                    sample::unreachable(backend_side.destination.address, &about, quoted);
                let error = icmp_error(&frame);
                let (a, b) = (client_side.destination.address, client_side.source.address);
                translate_icmp_error(&mut frame, &error, a, b, &client_side);
                assert_valid(&frame);
                assert_eq!(icmp_error(&frame).inner, client_side);
            }
        }
    }

    #[test]
    fn an_extension_behind_the_quote_is_not_touched() {
        let (client_side, backend_side) = sample::translations()[0];
        let about = sample::frame(&backend_side, &[7; 400]);
        let extension = [0x20, 0, 0xab, 0xcd, 0, 8, 1, 1, 1, 2, 3, 4];
        let payload = [&about[14..14 + 128], &extension].concat();
        let reporter = address("10.0.0.254");
        let client = client_side.source.address;
        let mut frame = sample::icmp(reporter, client, 11, 0, [0, 32, 0, 0], &payload);
        let error = icmp_error(&frame);
        translate_icmp_error(&mut frame, &error, reporter, client, &client_side);
        assert_valid(&frame);
        assert!(frame.ends_with(&extension));
        let quote = &sample::frame(&client_side, &[7; 400])[14..14 + 128];
        assert_eq!(frame[42..42 + 128], *quote);
    }
}
