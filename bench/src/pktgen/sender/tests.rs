use std::collections::HashMap;

use super::*;
use crate::pktgen::answer::tcp_answer;
use crate::pktgen::frame::{Link, Shape};
use crate::pktgen::packet::Located;
use crate::pktgen::schedule::Rate;
use crate::pktgen::stamp::{Found, Stamp};
use crate::pktgen::tuples::Tuples;

const RUN: u64 = 9;
const STEP: u64 = 10_000;

fn traffic(tcp: bool, flows: u32, seed: u64) -> Traffic {
    Traffic {
        shape: Shape { ipv6: false, tcp },
        sizes: vec![72, 72, 590],
        link: Link { source: [2; 6], destination: [4; 6] },
        tuples: Tuples::new(
            vec!["10.0.0.1-10.0.0.4".parse().expect("sources")],
            vec!["10.96.0.1:80".parse().expect("a destination")],
            seed,
        ),
        flows,
        seed,
    }
}

fn load(new_flows: Option<f64>) -> Load {
    Load {
        pace: Pace::Even { pps: Rate::new(10_000.0) },
        duration_ns: 500_000_000,
        count: None,
        warm_up_ns: 50_000_000,
        open_rate: Rate::new(20_000.0),
        new_flows: new_flows.map(Rate::new),
    }
}

/// Everything that is sent while a clock runs in even steps and every answer comes at once.
fn sent(traffic: Traffic, load: Load) -> (Vec<(u64, Vec<u8>)>, SenderReport) {
    let mut sender = Sender::new(traffic, load, Run::new(RUN), 0, 0);
    let (mut now_ns, mut sent) = (0, Vec::new());
    while !sender.is_over() {
        let Some(job) = sender.next(now_ns) else {
            now_ns += STEP;
            continue;
        };
        let mut frame = vec![0; 2_048];
        let length = sender.write(&job, &mut frame);
        frame.truncate(length);
        let located = Located::find(&frame).expect("a packet");
        assert!(located.sums_are_right(&frame));
        let answer = located.tcp.and_then(|tcp| tcp_answer(&tcp));
        if let (Found::Ours(stamp), Some(answer)) = (stamp(&frame), answer) {
            sender.receive(stamp.flow, stamp.odd, &answer);
        }
        sent.push((now_ns, frame));
    }
    (sent, sender.finish())
}

fn stamp(frame: &[u8]) -> Found {
    let located = Located::find(frame).expect("a packet");
    Stamp::read(located.stamp(frame).expect("a stamp"), Run::new(RUN))
}

fn stamps(frames: &[(u64, Vec<u8>)]) -> Vec<Stamp> {
    let ours = |found| if let Found::Ours(stamp) = found { stamp } else { panic!("{found:?}") };
    frames.iter().map(|(_, frame)| ours(stamp(frame))).collect()
}

#[test]
fn the_same_seed_sends_the_same_packets() {
    for tcp in [false, true] {
        let run = |seed| sent(traffic(tcp, 100, seed), load(Some(500.0))).0;
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }
}

#[test]
fn packets_are_sent_when_they_are_due_each_flow_as_often_as_any_other() {
    let (frames, report) = sent(traffic(false, 100, 1), load(None));
    assert_eq!((report.sent, report.missed), (5_000, 0));
    assert_eq!(report.elapsed_ns, 500_000_000);
    assert_eq!(report.steps, [1_000; 5]);
    let mut of_flow = HashMap::new();
    for ((now_ns, _), stamp) in frames.iter().zip(stamps(&frames)) {
        // A phase begins with a look at the clock of its own.
        assert!((stamp.time_ns..=stamp.time_ns + STEP).contains(now_ns), "{stamp:?}");
        *of_flow.entry(stamp.flow).or_insert(0) += u32::from(stamp.counts);
    }
    assert!(of_flow.len() == 100 && of_flow.values().all(|packets| *packets == 50));
    let large = frames.iter().filter(|(_, frame)| frame.len() == 590).count();
    assert_eq!(large, frames.len() / 3);
}

#[test]
fn new_flows_come_as_often_as_asked_and_are_new() {
    let (frames, report) = sent(traffic(false, 64, 1), load(Some(1_000.0)));
    assert_eq!(report.new_flows, 500);
    let ports: std::collections::HashSet<_> =
        frames.iter().map(|(_, frame)| frame[26..36].to_vec()).collect();
    assert_eq!(ports.len(), 564);
    let first = stamps(&frames).iter().filter(|stamp| stamp.first && stamp.counts).count();
    assert_eq!(first, 500);
}

#[test]
fn connections_open_before_they_send_and_close_at_last() {
    let (frames, report) = sent(traffic(true, 32, 1), load(Some(100.0)));
    assert_eq!((report.never_open, report.retries, report.missed), (0, 0, 0));
    assert_eq!(report.new_flows, 50);
    let mut syns = HashMap::new();
    let mut fins = HashMap::new();
    for (_, frame) in &frames {
        let tcp = Located::find(frame).and_then(|located| located.tcp).expect("TCP");
        let client = frame[26..36].to_vec();
        match tcp.flags {
            crate::pktgen::packet::flags::SYN => *syns.entry(client).or_insert(0) += 1,
            flags if flags & crate::pktgen::packet::flags::FIN != 0 => {
                *fins.entry(client).or_insert(0) += 1;
            }
            _ => assert!(syns.contains_key(&client), "data before SYN"),
        }
    }
    assert_eq!(syns.len(), 82);
    assert_eq!(syns, fins);
}

#[test]
fn a_sender_that_is_too_slow_says_what_it_missed() {
    let mut sender = Sender::new(traffic(false, 1, 1), load(None), Run::new(RUN), 0, 0);
    let mut frame = vec![0; 2_048];
    let mut now_ns = 0;
    // One packet every 200 µs, where one is due every 100.
    while !sender.is_over() {
        if let Some(job) = sender.next(now_ns) {
            sender.write(&job, &mut frame);
        }
        now_ns += 200_000;
    }
    let report = sender.finish();
    assert!((2_500..2_700).contains(&report.sent), "{report:?}");
    assert_eq!(report.sent + report.missed, 5_000);
}

#[test]
fn a_pause_at_the_end_counts_as_time_or_costs_packets() {
    let with_pause = |duration_ns| {
        let load = Load { duration_ns, ..load(None) };
        let mut sender = Sender::new(traffic(false, 1, 1), load, Run::new(RUN), 0, 0);
        let mut frame = vec![0; 2_048];
        let (mut now_ns, all) = (0, duration_ns / 100_000);
        while !sender.is_over() {
            match sender.next(now_ns) {
                Some(job) => _ = sender.write(&job, &mut frame),
                None if sender.sent() == all - 5 => now_ns += 2_000_000,
                None => now_ns += STEP,
            }
        }
        sender.finish()
    };
    let long = with_pause(500_000_000);
    assert_eq!((long.sent, long.missed), (5_000, 0));
    assert!((501_000_000..502_000_000).contains(&long.elapsed_ns), "{long:?}");
    // In so short a trial that would be a tenth more packets than its rate has.
    let short = with_pause(20_000_000);
    assert_eq!((short.sent, short.missed), (195, 5));
}

#[test]
fn a_sender_without_room_ends_with_its_time() {
    for (tcp, count) in [(false, None), (false, Some(10)), (true, None)] {
        let load = Load { count, ..load(None) };
        let mut sender = Sender::new(traffic(tcp, 1, 1), load, Run::new(RUN), 0, 0);
        let mut now_ns = 0;
        // UDP: until packets count. TCP: a SYN without an answer.
        while sender.sent() < if tcp { 0 } else { 5 } || now_ns == 0 {
            if let Some(job) = sender.next(now_ns) {
                sender.write(&job, &mut [0; 2_048]);
            }
            now_ns += STEP;
        }
        while !sender.is_over() {
            sender.blocked(now_ns);
            now_ns += STEP;
            assert!(now_ns < 3_000_000_000, "{tcp} {count:?}");
        }
        let mut report = sender.finish();
        let due = if tcp { 0 } else { count.unwrap_or(5_000) };
        assert_eq!(report.sent + report.missed, due);
        report.take_back(3);
        assert_eq!(report.sent + report.missed, due);
        assert_eq!(report.steps.iter().sum::<u64>(), report.sent);
    }
}

#[test]
fn one_that_is_ended_before_its_time_knows_how_long_it_sent() {
    let mut sender = Sender::new(traffic(false, 1, 1), load(None), Run::new(RUN), 0, 0);
    let mut frame = vec![0; 2_048];
    let mut now_ns = 0;
    while sender.sent() < 1_000 {
        if let Some(job) = sender.next(now_ns) {
            sender.write(&job, &mut frame);
        }
        now_ns += STEP;
    }
    sender.stop(now_ns);
    assert!(sender.is_over() && sender.next(now_ns + 1).is_none());
    let report = sender.finish();
    assert_eq!((report.sent, report.missed), (1_000, 0));
    // 10,000 packets a second.
    assert!((99_000_000..=101_000_000).contains(&report.elapsed_ns), "{report:?}");
}
