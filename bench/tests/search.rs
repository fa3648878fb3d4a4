//! A search finds the rate of a link that somebody else limits.
//!
//! ```text
//!   g0 ═══ d0 ── bridge ── d1 (token bucket) ═══ g1      in a network namespace of its own
//! ```

#[path = "pktgen/forwarder.rs"]
mod forwarder;

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use forwarder::{Deeds, Forwarder, ip, within_rig};
use serde_json::Value;

/// What `search` says on standard error, and its result.
fn search(arguments: &str) -> (String, Value) {
    let line = format!("search --tx g0 --rx g1 --poll adaptive --no-bias -o json {arguments}");
    let output = Command::new(env!("CARGO_BIN_EXE_maglane-bench"))
        .args(line.split_ascii_whitespace())
        .output()
        .expect("maglane-bench");
    let steps = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{steps}");
    (steps, serde_json::from_slice(&output.stdout).expect("JSON"))
}

/// Between d0 and d1.
fn bridge() {
    ip("link add bridge0 type bridge");
    ip("link set bridge0 addrgenmode none");
    ip("link set bridge0 up");
    ip("link set d0 master bridge0");
    ip("link set d1 master bridge0");
}

#[test]
fn loads_without_place_for_all_new_flows_are_tried_with_fewer() {
    within_rig(|| {
        let forwarder =
            Forwarder::start("d0", "d1", Deeds { drop_every: Some(2), ..Deeds::default() });
        let (steps, result) = search(
            "--flows 16 --max-rate 1k --new-flows 500 --loss 0 --trial 0.1 --width 20 --latency 0.1",
        );
        forwarder.stop();
        assert_eq!(result["goals"][0]["lower_pps"], Value::Null, "{steps}");
        assert!(steps.contains("with fewer new flows"), "{steps}");
    });
}

#[test]
fn what_was_found_before_a_link_went_down_is_kept() {
    within_rig(|| {
        bridge();
        let line = "search --tx g0 --rx g1 --poll adaptive --no-bias --flows 16 --max-rate 1k \
                    --loss 0 --trial 0.2 --width 20 --latency 3 -o json";
        let mut search = Command::new(env!("CARGO_BIN_EXE_maglane-bench"))
            .args(line.split_ascii_whitespace())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("maglane-bench");
        let mut steps = BufReader::new(search.stderr.take().expect("its steps")).lines();
        // The bounds are there, latency comes.
        assert!(steps.any(|step| step.expect("a step").starts_with("NDR: at least 0.0010 Mpps")));
        ip("link set d1 down");
        let mut json = String::new();
        let mut output = search.stdout.take().expect("its result");
        output.read_to_string(&mut json).expect("read");
        assert!(search.wait().expect("its end").success());
        let result: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(result["goals"][0]["lower_pps"], 1_000.0);
        let failure = result["failure"].as_str().expect("why it ended");
        assert_eq!(failure, "the link of g1 went down: see `ip link show g1`");
    });
}

const FRAME_BYTES: u64 = 60;
/// Of the kernel's token bucket: 4,000 packets a second.
const LINK_PPS: u64 = 4_000;

#[test]
fn the_rate_of_a_limited_link_is_found_within_2_percent() {
    within_rig(|| {
        bridge();
        let rate = format!("{}bit", LINK_PPS * FRAME_BYTES * 8);
        // 20 ms of packets: for when the generator, or the kernel, is late.
        let queue = format!("{}", LINK_PPS * FRAME_BYTES / 50);
        let bucket = ["qdisc", "add", "dev", "d1", "root", "tbf", "rate", &rate];
        let bucket = [&bucket[..], &["burst", "1514", "limit", &queue]].concat();
        let made = Command::new("tc").args(bucket).output().expect("tc");
        if !made.status.success() {
            let why = String::from_utf8_lossy(&made.stderr);
            eprintln!("SKIPPED: this kernel has no token bucket: {}", why.trim());
            return;
        }
        let line = "search --tx g0 --rx g1 --poll adaptive --flows 64 --max-rate 8k --trial 1.5 \
                    --width 1 --no-bias --latency 0.5 -o json";
        // Ahead of whatever else this machine does: a generator that has to wait for its turn for
        // longer than the link's queue lasts would find the machine's limit, not the link's.
        let output = Command::new("chrt")
            .args(["--rr", "1", env!("CARGO_BIN_EXE_maglane-bench")])
            .args(line.split_ascii_whitespace())
            .output()
            .expect("chrt");
        let steps = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{steps}");
        let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        for goal in result["goals"].as_array().expect("goals") {
            let found = goal["lower_pps"].as_f64().expect("a lower bound");
            let ratio = found / LINK_PPS as f64;
            assert!((0.98..=1.02).contains(&ratio), "{} is {found}\n{steps}", goal["name"]);
        }
        let latencies = result["latencies"].as_array().expect("latencies");
        assert_eq!(latencies.len(), 4);
        for at in &latencies[..3] {
            assert_eq!(at["forward"]["lost"], 0, "{at}\n{steps}");
        }
    });
}
