//! What holds for all packets, tried on many.

use proptest::collection::vec;
use proptest::prelude::*;

use super::sample::{self, assert_valid, assert_valid_ip};
use super::{
    Address, Endpoint, IcmpAnswer, Parsed, Protocol, Tuple, answer_icmp, answer_tcp_reset,
    decrement_time_to_live, finish_checksum, parse, translate, translate_icmp_error,
};

fn address(ipv4: bool, bits: u128) -> Address {
    if ipv4 {
        return Address::from_v4_bits(bits as u32);
    }
    // A global unicast address: never v4-mapped, always one host's.
    Address::from_v6_bits(bits >> 3 | 1 << 125)
}

prop_compose! {
    /// Two tuples of one family and protocol.
    fn tuples()(
        ipv4: bool,
        tcp: bool,
        bits: [u128; 4],
        ports in [1..=u16::MAX, 1..=u16::MAX, 1..=u16::MAX, 1..=u16::MAX],
    ) -> (Tuple, Tuple) {
        let protocol = if tcp { Protocol::Tcp } else { Protocol::Udp };
        let endpoint = |index: usize| {
            Endpoint { address: address(ipv4, bits[index]), port: ports[index] }
        };
        (
            Tuple { source: endpoint(0), destination: endpoint(1), protocol },
            Tuple { source: endpoint(2), destination: endpoint(3), protocol },
        )
    }
}

/// Puts words of IPv4 options or IPv6 extension headers, a tag and padding around a packet.
fn dressed(frame: &[u8], extras: usize, tag: bool, padding: usize) -> Vec<u8> {
    let extension: (u8, &[u8]) = (60, &[0, 0, 1, 4, 0, 0, 0, 0]);
    let ipv4 = frame[12] == 0x08;
    let mut frame = match extras {
        0 => frame.to_vec(),
        words if ipv4 => sample::with_options(frame, words),
        // etherparse slices destination options once before a routing header.
        _ => sample::with_extensions(frame, &[extension]),
    };
    if tag {
        frame = sample::tagged(&frame);
    }
    frame.resize(frame.len() + padding, 0);
    frame
}

proptest! {
    #[test]
    fn parsing_never_panics(bytes in vec(any::<u8>(), 0..200), kind in 0..4usize) {
        // Most random bytes are not IP: let most of these be.
        let ethertype: &[u8] = [&[0x08, 0x00][..], &[0x86, 0xdd], &[0x81, 0x00, 0, 1, 0x86, 0xdd], &[]][kind];
        let frame = [&[0; 12], ethertype, &bytes].concat();
        if let Ok(Parsed::Transport(headers)) = parse(&frame) {
            prop_assert!(headers.network_offset < headers.transport_offset);
            prop_assert!(headers.transport_offset < headers.end);
            prop_assert!(usize::from(headers.end) <= frame.len());
        }
    }

    #[test]
    fn incremental_checksums_equal_full_ones_and_come_back(
        (from, to) in tuples(),
        payload in vec(any::<u8>(), 0..64),
        extras in 0..4usize,
        tag: bool,
        padding in 0..20usize,
    ) {
        let original = dressed(&sample::frame(&from, &payload), extras, tag, padding);
        let mut frame = original.clone();
        translate(&mut frame, &sample::headers(&original), &to, 0);
        assert_valid(&frame);
        let headers = sample::headers(&frame);
        prop_assert_eq!(headers.tuple, to);
        prop_assert_eq!(&frame, &dressed(&sample::frame(&to, &payload), extras, tag, padding));
        translate(&mut frame, &headers, &from, 0);
        prop_assert_eq!(frame, original);
    }

    #[test]
    fn a_lower_time_to_live_leaves_the_header_valid(
        (tuple, _) in tuples(),
        extras in 0..4usize,
        time_to_live in 0..64u8,
    ) {
        let mut frame = dressed(&sample::frame(&tuple, b""), extras, false, 0);
        // Brought there by decrements, each of which must be right for the last to be.
        for _ in time_to_live..64 {
            decrement_time_to_live(&mut frame, 14);
        }
        assert_valid(&frame);
        prop_assert_eq!(sample::headers(&frame).time_to_live, time_to_live);
    }

    #[test]
    fn errors_are_translated_at_every_length(
        (from, to) in tuples(),
        outer in any::<[u128; 3]>(),
        payload in vec(any::<u8>(), 0..64),
        quoted in 28..200usize,
    ) {
        let ipv4 = from.source.address.is_ipv4();
        let about = sample::frame(&from, &payload);
        let quoted = if ipv4 { quoted } else { quoted + 20 };
        let original = sample::unreachable(address(ipv4, outer[0]), &about, quoted);
        let error = sample::icmp_error(&original);
        let mut frame = original.clone();
        translate_icmp_error(&mut frame, &error, address(ipv4, outer[1]), address(ipv4, outer[2]), &to);
        assert_valid(&frame);
        let translated = sample::icmp_error(&frame);
        prop_assert_eq!(translated.inner, to);
        prop_assert_eq!(translated.source, address(ipv4, outer[1]));
        prop_assert_eq!(translated.destination, address(ipv4, outer[2]));
        if quoted >= about.len() - 14 {
            assert_valid_ip(&frame[usize::from(translated.inner_network_offset)..]);
        }
        translate_icmp_error(&mut frame, &translated, error.source, error.destination, &from);
        prop_assert_eq!(frame, original);
    }

    #[test]
    fn valid_checksums_need_no_finishing((tuple, _) in tuples(), payload in vec(any::<u8>(), 0..64)) {
        let original = sample::frame(&tuple, &payload);
        let mut frame = original.clone();
        finish_checksum(&mut frame, &sample::headers(&original));
        prop_assert_eq!(frame, original);
    }

    #[test]
    fn answers_are_valid_packets_back_to_the_sender(
        (mut tuple, _) in tuples(),
        payload in vec(any::<u8>(), 0..1400),
        extras in 0..4usize,
        tag: bool,
        mtu in 1280..1500u16,
    ) {
        if tuple.source.address.is_ipv4() {
            tuple.source.address = Address::from_v4_bits(0x0a00_0000 | tuple.source.address.v4_bits() >> 8);
            tuple.destination.address = Address::from_v4_bits(0x0a60_000a);
        }
        let frame = dressed(&sample::frame(&tuple, &payload), extras, tag, 0);
        let headers = sample::headers(&frame);
        let mut buffer = frame.clone();
        buffer.resize(2048, 0);
        for what in [IcmpAnswer::PortUnreachable, IcmpAnswer::TimeExceeded, IcmpAnswer::TooBig { mtu }] {
            let mut buffer = buffer.clone();
            let source = tuple.destination.address;
            let length = answer_icmp(&mut buffer, frame.len(), headers.network_offset, what, source);
            let error = &buffer[..length.expect("an answer")];
            assert_valid(error);
            prop_assert_eq!(sample::icmp_error(error).inner, tuple);
        }
        let length = answer_tcp_reset(&mut buffer, frame.len(), &headers);
        prop_assert_eq!(length.is_some(), tuple.protocol == Protocol::Tcp);
        if let Some(length) = length {
            assert_valid(&buffer[..length]);
            prop_assert_eq!(sample::headers(&buffer[..length]).tuple, tuple.reversed());
        }
    }
}
