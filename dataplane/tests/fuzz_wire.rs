//! Valid packets with some bytes changed and some cut off, through everything that `wire` does to
//! a packet. Runs on stable with random input; `cargo bolero test` makes a guided fuzzer of it.

use etherparse::{Ethernet2Header, IpHeaders, PacketBuilder, PacketBuilderStep};
use maglane_dataplane::wire::{
    Address, EchoRequest, Endpoint, Headers, IcmpAnswer, IcmpError, Parsed, Tuple, answer_echo,
    answer_icmp, answer_tcp_reset, finish_checksum, parse, translate, translate_icmp_error,
};

/// Longer than any answer to a seed.
const BUFFER_BYTES: usize = 1500;

fn ethernet() -> PacketBuilderStep<Ethernet2Header> {
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
}

fn ipv4() -> PacketBuilderStep<IpHeaders> {
    ethernet().ipv4([10, 0, 0, 1], [10, 96, 0, 10], 64)
}

fn ipv6() -> PacketBuilderStep<IpHeaders> {
    let address = |last: u8| [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    ethernet().ipv6(address(1), address(10), 64)
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = Vec::new();
    write(&mut frame);
    frame
}

/// An ICMP message of the header's family, of the type that stands there for it.
fn icmp(ip: PacketBuilderStep<IpHeaders>, [v4, v6]: [u8; 2], payload: &[u8]) -> Vec<u8> {
    written(|frame| {
        let ipv4 = ip.size(0) == 14 + 20;
        if ipv4 {
            ip.icmpv4_raw(v4, 0, [0; 4]).write(frame, payload).expect("ICMPv4");
        } else {
            ip.icmpv6_raw(v6, 0, [0; 4]).write(frame, payload).expect("ICMPv6");
        }
    })
}

/// Valid frames of every kind that the parser tells apart, untagged and tagged.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for ip in [ipv4, ipv6] {
        let tcp = written(|frame| {
            ip().tcp(40_000, 80, 1, 1024).syn().write(frame, b"payload").expect("TCP");
        });
        let udp = written(|frame| {
            ip().udp(40_000, 53).write(frame, b"payload").expect("UDP");
        });
        for about in [&tcp[14..], &udp[14..]] {
            seeds.push(icmp(ip(), [3, 1], about));
        }
        seeds.push(icmp(ip(), [8, 128], b"ping"));
        seeds.extend([tcp, udp]);
    }
    let extended: Vec<_> = seeds.iter().filter_map(|frame| with_extensions(frame)).collect();
    seeds.extend(extended);
    let tagged = |frame: &Vec<u8>| [&frame[..12], &[0x81, 0, 0, 7], &frame[12..]].concat();
    let tagged: Vec<_> = seeds.iter().map(tagged).collect();
    seeds.extend(tagged);
    seeds
}

/// The IPv6 frame with hop-by-hop, routing, fragment, AH and destination options headers.
fn with_extensions(frame: &[u8]) -> Option<Vec<u8>> {
    if frame[12..14] != [0x86, 0xdd] {
        return None;
    }
    let next = frame[20];
    let chain = [
        &[43, 0, 1, 4, 0, 0, 0, 0][..],
        &[44, 0, 4, 0, 0, 0, 0, 0],
        &[51, 0, 0, 0, 0, 0, 0, 1],
        &[60, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1],
        &[next, 0, 1, 4, 0, 0, 0, 0],
    ]
    .concat();
    let mut extended = [&frame[..54], &chain, &frame[54..]].concat();
    extended[19] += chain.len() as u8;
    extended[20] = 0;
    Some(extended)
}

/// Another tuple of the same family and protocol.
fn elsewhere(tuple: &Tuple) -> Tuple {
    let address = if tuple.source.address.is_ipv4() {
        Address::from_v4_bits(0x0af4_0207)
    } else {
        Address::from_v6_bits(0xfd00_0244 << 96 | 7)
    };
    Tuple { destination: Endpoint { address, port: 8080 }, ..tuple.reversed() }
}

fn in_buffer(frame: &[u8]) -> Vec<u8> {
    let mut buffer = frame.to_vec();
    buffer.resize(BUFFER_BYTES, 0);
    buffer
}

fn check_transport(frame: &[u8], headers: &Headers) {
    assert!(headers.network_offset < headers.transport_offset);
    assert!(headers.transport_offset < headers.end && usize::from(headers.end) <= frame.len());
    let to = elsewhere(&headers.tuple);
    let mut changed = frame.to_vec();
    finish_checksum(&mut changed, headers);
    translate(&mut changed, headers, &to, 1);
    match parse(&changed) {
        Ok(Parsed::Transport(translated)) => {
            assert_eq!(translated.tuple, to);
            assert_eq!(translated.time_to_live, headers.time_to_live.saturating_sub(1));
            assert_eq!(translated.transport_offset, headers.transport_offset);
        }
        other => panic!("a translated packet became {other:?}"),
    }
    let mut buffer = in_buffer(frame);
    if let Some(length) = answer_tcp_reset(&mut buffer, frame.len(), headers) {
        match parse(&buffer[..length]) {
            Ok(Parsed::Transport(reset)) => {
                assert!(reset.tcp_flags.rst());
                assert_eq!(reset.tuple, headers.tuple.reversed());
            }
            other => panic!("a reset became {other:?}"),
        }
    }
    for what in [IcmpAnswer::TimeExceeded, IcmpAnswer::TooBig { mtu: 1400 }] {
        let mut buffer = in_buffer(frame);
        let source = headers.tuple.destination.address;
        let length = answer_icmp(&mut buffer, frame.len(), headers.network_offset, what, source);
        if let Some(length) = length {
            match parse(&buffer[..length]) {
                Ok(Parsed::IcmpError(error)) => assert_eq!(error.inner, headers.tuple),
                other => panic!("an answer became {other:?}"),
            }
        }
    }
}

fn check_error(frame: &[u8], error: &IcmpError) {
    let inner = elsewhere(&error.inner);
    let (source, destination) = (inner.destination.address, inner.source.address);
    let mut changed = frame.to_vec();
    translate_icmp_error(&mut changed, error, source, destination, &inner);
    match parse(&changed) {
        Ok(Parsed::IcmpError(translated)) => {
            assert_eq!(translated.inner, inner);
            assert_eq!((translated.source, translated.destination), (source, destination));
        }
        other => panic!("a translated error became {other:?}"),
    }
    // RFC 1122, section 3.2.2: no error about an error.
    let (what, mut buffer) = (IcmpAnswer::TimeExceeded, in_buffer(frame));
    let (source, offset) = (error.destination, error.network_offset);
    assert_eq!(answer_icmp(&mut buffer, frame.len(), offset, what, source), None);
}

fn check_echo(frame: &[u8], echo: &EchoRequest) {
    let mut buffer = in_buffer(frame);
    if let Some(length) = answer_echo(&mut buffer, frame.len(), echo) {
        assert!(length <= frame.len());
        match parse(&buffer[..length]) {
            Ok(Parsed::OtherIp { source, destination, .. }) => {
                assert_eq!((source, destination), (echo.destination, echo.source));
            }
            other => panic!("a reply became {other:?}"),
        }
    }
}

#[test]
fn fuzz_wire() {
    let seeds = seeds();
    for seed in &seeds {
        assert!(parse(seed).is_ok(), "a seed is no packet: {seed:02x?}");
    }
    bolero::check!()
        .with_iterations(1_000_000)
        .with_type::<(u8, [(u8, u8); 4], u8, u8)>()
        .for_each(|(seed, changes, changed, kept_bytes)| {
            let mut frame = seeds[usize::from(*seed) % seeds.len()].clone();
            for (at, value) in changes.iter().take(usize::from(changed % 5)) {
                let at = usize::from(*at) % frame.len();
                frame[at] = *value;
            }
            // One in eight is cut.
            if kept_bytes % 8 == 0 {
                frame.truncate(usize::from(*kept_bytes));
            }
            match parse(&frame) {
                Ok(Parsed::Transport(headers)) => check_transport(&frame, &headers),
                Ok(Parsed::IcmpError(error)) => check_error(&frame, &error),
                Ok(Parsed::EchoRequest(echo)) => check_echo(&frame, &echo),
                Ok(Parsed::LaterFragment { .. } | Parsed::OtherIp { .. } | Parsed::NotIp)
                | Err(_) => {}
            }
        });
}
