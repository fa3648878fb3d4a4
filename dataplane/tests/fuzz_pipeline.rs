//! Bytes that nobody meant to be a packet, through batches of the real pipeline: no panic, one
//! verdict for each, every one counted, and what was sound is sound when it is forwarded.
//!
//! What comes in are valid packets of every kind, changed and cut; the exhaustive tests change one
//! byte, bolero any number of them. `BOLERO_RANDOM_TEST_TIME_MS` makes bolero go on for longer.

#[expect(dead_code, reason = "made for the pipeline's cases")]
#[path = "pipeline_cases/node.rs"]
mod node;
#[path = "pipeline_cases/text.rs"]
mod text;

use std::sync::atomic::{AtomicU64, Ordering};

use arrayvec::ArrayVec;
use etherparse::checksum::Sum16BitWords;
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use maglane_dataplane::pipeline::{BATCH, Ingress, Packet, Verdict, Via};
use maglane_dataplane::service::Deliver;
use node::{BUFFER_BYTES, Node, Services, Setup, arrive};
use proptest::prelude::*;

const SERVICES: Services<'_> = &[
    ("tcp 10.96.0.10:80", &["10.244.1.7:8080", "192.168.0.1:8080", "10.72.0.2:8080"]),
    ("udp 10.96.0.10:53", &["10.244.1.7:5353"]),
    ("tcp 10.96.0.20:80", &[]),
    ("udp 10.96.0.20:53", &[]),
    ("tcp [fd00:96::a]:80", &["[fd00:244::7]:8080", "[fd00:72::2]:8080"]),
    ("udp [fd00:96::a]:53", &["[fd00:244::7]:5353"]),
];

/// Each opens a flow, so that the others find some.
const OPENING: [&str; 4] = [
    "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:80 S",
    "pod 11: udp 10.244.1.2:40000 > 10.96.0.10:53 len 5",
    "pod 11: tcp [fd00:244::2]:40000 > [fd00:96::a]:80 S",
    "pod 11: udp [fd00:244::2]:40000 > [fd00:96::a]:53 len 5",
];

const TEMPLATES: [&str; 24] = [
    "tcp 10.244.1.2:40000 > 10.96.0.10:80 S",
    "tcp 10.244.1.2:40000 > 10.96.0.10:80 A len 11 options",
    "vlan 9 tcp 10.244.1.2:40000 > 10.96.0.10:80 FA",
    "tcp 10.244.1.2:41000 > 10.96.0.10:80 A len 4",
    "tcp 10.244.1.2:40000 > 10.96.0.20:80 S",
    "tcp 10.244.1.7:40000 > 10.96.0.10:80 S",
    "tcp 10.244.1.2:40000 > 10.96.0.10:80 S ttl 1",
    "udp 10.244.1.2:40000 > 10.96.0.10:53 len 5",
    "udp 10.244.1.2:40000 > 10.96.0.20:53 len 5",
    "udp 10.244.1.2:40000 > 10.96.0.10:53 len 5 first",
    "udp 10.244.1.2:40000 > 10.96.0.10:53 len 5 later",
    "udp 10.244.1.7:5353 > 10.244.1.2:40000 len 5",
    "icmp 10.244.1.2 > 10.96.0.10 8/0 len 5",
    "icmp 10.244.1.7 > 10.244.1.2 3/3 { udp 10.244.1.2:40000 > 10.244.1.7:5353 len 5 }",
    "icmp 10.244.1.2 > 10.96.0.10 3/3 { udp 10.96.0.10:53 > 10.244.1.2:40000 cut }",
    "tcp [fd00:244::2]:40000 > [fd00:96::a]:80 S",
    "vlan 9 tcp [fd00:244::2]:40000 > [fd00:96::a]:80 A len 5 options",
    "udp [fd00:244::2]:40000 > [fd00:96::a]:53 len 5 options",
    "udp [fd00:244::2]:40000 > [fd00:96::a]:53 len 5 options first",
    "udp [fd00:244::2]:40000 > [fd00:96::a]:53 len 5 later",
    "udp [fd00:244::7]:5353 > [fd00:244::2]:40000",
    "icmp fd00:244::2 > fd00:96::a 128/0 len 5",
    "icmp fd00:244::7 > fd00:244::2 1/4 { udp [fd00:244::2]:40000 > [fd00:244::7]:5353 len 5 }",
    "sctp 10.244.1.2 > 10.96.0.10",
];

const WAYS_IN: [&str; 5] = ["pod 11", "egress 11", "node", "port 4", "silent"];

/// All templates by all ways in.
fn frames() -> Vec<(Ingress, Vec<u8>)> {
    let by_way = |way| TEMPLATES.iter().map(move |packet| arrive(way, text::build(packet)));
    WAYS_IN.into_iter().flat_map(by_way).collect()
}

fn node(deliver: Deliver, workers: u32) -> Node {
    let setup = Setup { deliver, workers, ..Setup::default() };
    let mut node = Node::with(setup, SERVICES);
    for packet in OPENING {
        node.give(packet);
    }
    node
}

/// Sends frames in batches; asserts what holds for every packet. Returns the verdicts.
#[track_caller]
fn send(node: &mut Node, frames: &[(Ingress, Vec<u8>)]) -> Vec<Verdict> {
    let mut buffers = vec![vec![0xee; BUFFER_BYTES]; BATCH];
    let mut all = Vec::new();
    for frames in frames.chunks(BATCH) {
        let before = node.counted();
        let mut packets = ArrayVec::<Packet<'_>, BATCH>::new();
        for ((ingress, frame), buffer) in frames.iter().zip(&mut buffers) {
            buffer[..frame.len()].copy_from_slice(frame);
            let (ingress, length) = (*ingress, frame.len());
            packets.push(Packet { buffer, length, ingress, handed_over: false });
        }
        let mut verdicts = ArrayVec::new();
        node.pipeline.process(&mut packets, &node.snapshot, node.now_ms, &mut verdicts);
        assert_eq!(verdicts.len(), frames.len());
        assert_eq!(node.counted(), before + frames.len() as u64);
        for ((verdict, packet), (_, frame)) in verdicts.iter().zip(&packets).zip(frames) {
            check(verdict, frame, packet.bytes());
        }
        all.extend(verdicts);
    }
    all
}

#[track_caller]
fn check(verdict: &Verdict, before: &[u8], after: &[u8]) {
    match verdict {
        Verdict::Forward(via) => {
            assert_eq!(after.len(), before.len());
            if is_sound(before) == Some(true) {
                assert_eq!(is_sound(after), Some(true), "{before:02x?} became {after:02x?}");
            }
            assert_message(*via, after);
        }
        Verdict::Answer(via) => {
            assert!(after.len() <= BUFFER_BYTES);
            assert_message(*via, after);
            // An echo reply has the request's sum, right or wrong, and updated.
            let is_echo = matches!(after.get(34), Some(0)) || matches!(after.get(54), Some(129));
            if !is_echo && after[12..14] != [0x81, 0] {
                assert_eq!(is_sound(after), Some(true), "{before:02x?} was answered {after:02x?}");
            }
        }
        Verdict::Kernel(via) => {
            assert_eq!(after.get(12..), before.get(12..), "given back unchanged");
            assert_message(*via, after);
        }
        Verdict::HandOver(_) | Verdict::Drop(_) | Verdict::Malformed(_) => {
            assert_eq!(after.len(), before.len());
        }
    }
}

#[track_caller]
fn assert_message(via: Via, frame: &[u8]) {
    if via == Via::HostPort {
        assert!(frame[0] == 0x0e && (1..=4).contains(&frame[1]), "{:02x?}", &frame[..12]);
    }
}

/// Whether all checksums of a packet are right; `None` for what etherparse does not read.
fn is_sound(frame: &[u8]) -> Option<bool> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let pseudo_header = match packet.net.as_ref()? {
        NetSlice::Ipv4(ipv4) => {
            let header = ipv4.header().to_header();
            if header.header_checksum != header.calc_header_checksum() {
                return Some(false);
            }
            Sum16BitWords::new().add_slice(&header.source).add_slice(&header.destination)
        }
        NetSlice::Ipv6(ipv6) => {
            let header = ipv6.header();
            Sum16BitWords::new().add_slice(&header.source()).add_slice(&header.destination())
        }
        NetSlice::Arp(_) => return None,
    };
    let (protocol, bytes) = match packet.transport.as_ref()? {
        TransportSlice::Tcp(tcp) => (6, tcp.slice()),
        TransportSlice::Udp(udp) if udp.checksum() == 0 => return None,
        TransportSlice::Udp(udp) => (17, udp.slice()),
        TransportSlice::Icmpv4(icmp) => {
            return Some(Sum16BitWords::new().add_slice(icmp.slice()).ones_complement() == 0);
        }
        TransportSlice::Icmpv6(icmp) => (58, icmp.slice()),
        TransportSlice::Igmp(_) => return None,
    };
    let sum = pseudo_header
        .add_2bytes([0, protocol])
        .add_2bytes((bytes.len() as u16).to_be_bytes())
        .add_slice(bytes);
    Some(sum.ones_complement() == 0)
}

#[test]
fn a_packet_cut_anywhere_is_malformed() {
    let mut node = node(Deliver::Peer, 1);
    for (ingress, frame) in frames() {
        let cut: Vec<_> =
            (0..frame.len()).map(|length| (ingress, frame[..length].to_vec())).collect();
        for (length, verdict) in send(&mut node, &cut).iter().enumerate() {
            let malformed = matches!(verdict, Verdict::Malformed(_));
            assert!(malformed, "{length} bytes: {verdict:?}");
        }
        // What follows a packet in its frame is none of it.
        let padded = [(ingress, [frame.as_slice(), &[0xaa; 9]].concat())];
        let malformed = matches!(send(&mut node, &padded)[0], Verdict::Malformed(_));
        assert!(!malformed, "{frame:02x?}");
    }
    node.assert_fingerprints();
}

#[test]
fn any_byte_of_a_packet_may_be_any_other() {
    let mut node = node(Deliver::Peer, 2);
    for (ingress, frame) in frames() {
        let mut changed = Vec::new();
        for at in 0..frame.len() {
            for value in (0..=255).step_by(if at < 12 { 51 } else { 3 }) {
                let mut frame = frame.clone();
                frame[at] = value;
                changed.push((ingress, frame));
            }
        }
        send(&mut node, &changed);
    }
    node.assert_fingerprints();
}

#[test]
fn extension_headers_may_lead_anywhere() {
    let mut node = node(Deliver::Peer, 1);
    let (ingress, frame) = arrive("pod 11", text::build(TEMPLATES[17]));
    let mut changed = Vec::new();
    // Every next header in either extension, and every length: past the end, or onto the next one.
    for next in [0, 6, 17, 43, 44, 51, 58, 59, 60, 255] {
        for at in [20, 54, 62] {
            for length_at in [55, 63] {
                for length in [0, 1, 2, 3, 4, 31, 255] {
                    let mut frame = frame.clone();
                    frame[at] = next;
                    frame[length_at] = length;
                    changed.push((ingress, frame));
                }
            }
        }
    }
    // Chains of every length, the last of which leads on.
    for headers in 0..40 {
        for next in [0, 43, 44, 51, 60] {
            let mut frame = frame.clone();
            frame.splice(54..54, [next, 0, 1, 4, 0, 0, 0, 0].repeat(headers));
            frame[20] = next;
            let bytes = (frame.len() - 54) as u16;
            frame[18..20].copy_from_slice(&bytes.to_be_bytes());
            changed.push((ingress, frame));
        }
    }
    let verdicts = send(&mut node, &changed);
    assert!(verdicts.iter().any(|verdict| matches!(verdict, Verdict::Forward(_))));
    assert!(node.counter("malformed_extension_chain") > 0);
    assert!(node.counter("malformed_extension_order") > 0);
    assert!(node.counter("malformed_truncated_extension") > 0);
}

#[test]
fn nothing_that_bolero_thinks_of_is_harmful() {
    static REACHED: [AtomicU64; 6] = [const { AtomicU64::new(0) }; 6];
    let templates = frames();
    bolero::check!().with_iterations(20_000).with_max_len(1_024).for_each(|input: &[u8]| {
        let deliver = if input.len().is_multiple_of(2) { Deliver::Peer } else { Deliver::Kernel };
        let mut node = node(deliver, 1 + (input.len() as u32 / 2) % 3);
        let frames = decode(input, &templates);
        for verdict in send(&mut node, &frames) {
            let kind = match verdict {
                Verdict::Forward(_) => 0,
                Verdict::Answer(_) => 1,
                Verdict::Kernel(_) => 2,
                Verdict::HandOver(_) => 3,
                Verdict::Drop(_) => 4,
                Verdict::Malformed(_) => 5,
            };
            REACHED[kind].fetch_add(1, Ordering::Relaxed);
        }
        node.now_ms += 200_000;
        send(&mut node, &frames);
        node.wait_ms(1_000_000);
    });
    assert!(REACHED.iter().all(|verdicts| verdicts.load(Ordering::Relaxed) > 0), "{REACHED:?}");
}

/// What bolero's bytes stand for: templates, how often each is changed, where and to what, and
/// where it is cut; or bytes as they are.
fn decode(input: &[u8], templates: &[(Ingress, Vec<u8>)]) -> Vec<(Ingress, Vec<u8>)> {
    let mut bytes = input.iter().copied();
    let mut frames = Vec::new();
    while let Some(first) = bytes.next() {
        let mut next = || bytes.next().unwrap_or_default();
        let (ingress, mut frame) = templates[usize::from(first) % templates.len()].clone();
        let kind = next();
        if kind & 0x80 != 0 {
            let length = usize::from(next());
            frame.truncate(14);
            frame.extend((0..length).map(|_| next()));
        }
        for _ in 0..kind & 7 {
            let at = usize::from(next()) % frame.len();
            frame[at] = next();
        }
        if kind & 0x40 != 0 {
            frame.truncate(usize::from(next()));
        }
        frames.push((ingress, frame));
    }
    frames
}

fn clients() -> impl Strategy<Value = (bool, u32, u16)> {
    (any::<bool>(), 0x0af4_0300_u32..0x0af4_ff00, 1_u16..)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() })]

    /// Whatever the client sends, what comes back comes from where it was sent to.
    #[test]
    fn forward_and_back_is_the_clients_own_view(
        (v4, host, port) in clients(),
        tcp: bool,
        tag in proptest::option::of(1_u16..4_095),
        options: bool,
        (sent, received) in (0_usize..1_300, 0_usize..1_300),
        own_address: bool,
    ) {
        let mut node = node(Deliver::Peer, 1);
        let client = match (v4, own_address) {
            (true, true) => format!("10.244.1.7:{port}"),
            (true, false) => format!("{}:{port}", std::net::Ipv4Addr::from_bits(host)),
            (false, true) => format!("[fd00:244::7]:{port}"),
            (false, false) => format!("[fd00:244:0:3::{:x}]:{port}", host & 0xffff),
        };
        let vip = if v4 { "10.96.0.10" } else { "[fd00:96::a]" };
        let (kind, vip_port, syn, syn_ack) =
            if tcp { ("tcp", 80, " S", " SA") } else { ("udp", 53, "", "") };
        let tag = tag.map(|tag| format!("vlan {tag} ")).unwrap_or_default();
        let marks = if options { " options" } else { "" };
        let length = |bytes| if bytes == 0 { String::new() } else { format!(" len {bytes}") };
        let (sent, received) = (length(sent), length(received));

        let outcome = node.give(&format!(
            "pod 12: {tag}{kind} {client} > {vip}:{vip_port}{syn}{sent}{marks}"
        ));
        prop_assert!(outcome.starts_with("forward to "), "{}", outcome);
        let (_, ends) = outcome.split_once(&format!("{kind} ")).expect("a packet");
        let mut words = ends.split_whitespace();
        let (seen, backend) = (words.next().expect("source"), words.nth(1).expect("destination"));
        let is_own = backend.starts_with("10.244.1.7:") || backend.starts_with("[fd00:244::7]:");
        prop_assert_eq!(seen != client, own_address && is_own, "masqueraded");
        prop_assert!(outcome.contains(&sent));

        let outcome = node.give(&format!(
            "pod 13: {tag}{kind} {backend} > {seen}{syn_ack}{received}{marks}"
        ));
        let (_, packet) = outcome.split_once(": ").expect("forwarded");
        let expected = format!("{tag}{kind} {vip}:{vip_port} > {client}{syn_ack}{received}");
        prop_assert_eq!(packet.replace(" ttl 63", ""), format!("{expected}{marks}"));
    }
}
