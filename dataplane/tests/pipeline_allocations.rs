//! Nothing on a packet's way through the pipeline takes memory from the heap, or gives any back.
#![expect(unsafe_code, reason = "an allocator that counts is an allocator")]

#[expect(dead_code, reason = "made for the pipeline's cases")]
#[path = "pipeline_cases/node.rs"]
mod node;
#[path = "pipeline_cases/text.rs"]
mod text;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use arrayvec::ArrayVec;
use maglane_dataplane::pipeline::{BATCH, Ingress, Packet, Verdict};
use node::{BUFFER_BYTES, Node, Setup, arrive};

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// Counts what the calling thread asks of the heap.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    // A thread that ends has no counter any more.
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: all is left to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

/// A batch that can be sent again and again.
struct Batch {
    frames: Vec<(Ingress, Vec<u8>)>,
    buffers: Vec<Vec<u8>>,
}

impl Batch {
    fn new(packets: impl Iterator<Item = String>) -> Self {
        let build = |packet: String| {
            let (way_in, packet) = packet.split_once(": ").expect("WAY IN: PACKET");
            arrive(way_in, text::build(packet))
        };
        let frames: Vec<_> = packets.take(BATCH).map(build).collect();
        let buffers = frames.iter().map(|_| vec![0; BUFFER_BYTES]).collect();
        Self { frames, buffers }
    }

    /// Sends all packets, and returns the calls to the heap meanwhile. Every verdict must be like
    /// `expected`.
    fn send(&mut self, node: &mut Node, expected: fn(&Verdict) -> bool) -> u64 {
        let mut packets = ArrayVec::<Packet<'_>, BATCH>::new();
        for ((ingress, frame), buffer) in self.frames.iter().zip(&mut self.buffers) {
            buffer[..frame.len()].copy_from_slice(frame);
            let (ingress, length) = (*ingress, frame.len());
            packets.push(Packet { buffer, length, ingress, handed_over: false });
        }
        let mut verdicts = ArrayVec::new();
        let before = CALLS.get();
        node.pipeline.process(&mut packets, &node.snapshot, node.now_ms, &mut verdicts);
        let calls = CALLS.get() - before;
        assert_eq!(verdicts.len(), self.frames.len());
        assert!(verdicts.iter().all(expected), "{verdicts:?}");
        calls
    }
}

const FORWARD: fn(&Verdict) -> bool = |verdict| matches!(verdict, Verdict::Forward(_));
const ANSWER: fn(&Verdict) -> bool = |verdict| matches!(verdict, Verdict::Answer(_));
const KERNEL: fn(&Verdict) -> bool = |verdict| matches!(verdict, Verdict::Kernel(_));
const DROP: fn(&Verdict) -> bool = |verdict| matches!(verdict, Verdict::Drop(_));

fn node() -> Node {
    let services: node::Services<'_> = &[
        ("tcp 10.96.0.10:80", &["10.244.1.7:8080", "10.244.1.8:8080"]),
        ("udp 10.96.0.10:53", &["10.244.1.7:5353"]),
        ("tcp [fd00:96::a]:80", &["[fd00:244::7]:8080"]),
        ("tcp 10.96.0.20:80", &[]),
    ];
    Node::with(Setup { capacity_flows: 1_024, ..Setup::default() }, services)
}

#[test]
fn the_count_counts() {
    let before = CALLS.get();
    drop(std::hint::black_box(vec![1]));
    assert_eq!(CALLS.get() - before, 2);
}

#[test]
fn no_path_of_a_packet_touches_the_heap() {
    let mut node = node();
    let ports = |first: u16| first..;
    // The second round finds everything that is made at first use made.
    for round in 1..=2 {
        for (path, expected, packet) in [
            ("new flows", FORWARD, "pod 11: tcp 10.244.1.2:P > 10.96.0.10:80 S"),
            ("established", FORWARD, "pod 11: tcp 10.244.1.2:P > 10.96.0.10:80 A len 900"),
            ("new IPv6 flows", FORWARD, "pod 11: tcp [fd00:244::2]:P > [fd00:96::a]:80 S"),
            ("IPv6 replies", FORWARD, "pod 12: tcp [fd00:244::7]:8080 > [fd00:244::2]:P SA"),
            ("new UDP flows", FORWARD, "pod 11: udp 10.244.1.2:P > 10.96.0.10:53 len 20"),
            ("UDP replies", FORWARD, "pod 12: udp 10.244.1.7:5353 > 10.244.1.2:P len 20"),
            ("hairpins", FORWARD, "pod 12: udp 10.244.1.7:P > 10.96.0.10:53 len 20"),
            (
                "ICMP errors",
                FORWARD,
                "pod 12: icmp 10.244.1.7 > 10.244.1.2 3/3 \
                 { udp 10.244.1.2:P > 10.244.1.7:5353 len 20 }",
            ),
            ("resets", ANSWER, "pod 11: tcp 10.244.1.2:P > 10.96.0.20:80 S"),
            ("port unreachable", ANSWER, "pod 11: udp 10.244.1.2:P > 10.96.0.20:80 len 20"),
            ("time exceeded", ANSWER, "pod 11: udp 10.244.1.2:P > 10.96.0.10:53 ttl 1"),
            ("too big", ANSWER, "pod 11: udp 10.244.1.2:P > 10.96.0.10:53 len 1500"),
            ("echo", ANSWER, "pod 11: icmp 10.244.1.2 > 10.96.0.10 8/0 len 56"),
            ("false matches", KERNEL, "pod 12: udp 10.244.1.7:1 > 10.244.1.2:P"),
            ("unknown resets", DROP, "pod 11: tcp 10.244.1.8:P > 10.96.0.10:80 R"),
            ("fragments", DROP, "pod 11: udp 10.244.1.8:P > 10.96.0.10:53 len 80 later"),
            ("no message", DROP, "silent: udp 10.244.1.8:P > 10.96.0.10:53"),
        ] {
            let packets =
                ports(round * 1_000).map(|port| packet.replace(":P", &format!(":{port}")));
            let calls = Batch::new(packets).send(&mut node, expected);
            assert!(calls == 0 || round == 1, "{path}: {calls} calls");
        }
        // Answers are limited.
        node.now_ms += 1_000;
    }
    assert_eq!(node.counter("flows_opened"), 2 * 4 * BATCH as u64);
}

#[test]
fn neither_does_the_end_of_a_flow() {
    let mut node = node();
    let batch = |first: u16| {
        let syn = |port| format!("pod 11: tcp 10.244.1.2:{port} > 10.96.0.10:80 S");
        Batch::new((first..).map(syn))
    };
    let mut batches: Vec<Batch> = (0..32).map(|number| batch(1 + number * 64)).collect();
    for (number, batch) in batches.iter_mut().enumerate() {
        let calls = batch.send(&mut node, FORWARD);
        assert!(calls == 0 || number == 0, "batch {number}, evicting: {calls} calls");
    }
    assert_eq!(node.counter("flows_evicted"), 1_024);

    node.now_ms += 60_000;
    let before = CALLS.get();
    node.pipeline.expire(node.now_ms);
    assert_eq!(CALLS.get() - before, 0, "a sweep that finds nothing");
    assert_eq!(node.counter("flows_expired"), 0);
    node.now_ms += 121_000;
    let before = CALLS.get();
    node.pipeline.expire(node.now_ms);
    assert_eq!(CALLS.get() - before, 0, "a sweep that finds everything");
    assert_eq!(node.counter("flows_expired"), 1_024);

    // Found expired by their next packet, which opens them anew.
    assert_eq!(batches[0].send(&mut node, FORWARD), 0);
    node.now_ms += 121_000;
    assert_eq!(batches[0].send(&mut node, FORWARD), 0);
    assert_eq!(node.counter("flows_expired"), 1_024 + 64);
}
