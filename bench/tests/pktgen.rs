//! The generator is to be believed: through a forwarder that loses, repeats, exchanges, damages and
//! delays packets as it is told, it reports just that.

#[path = "pktgen/forwarder.rs"]
mod forwarder;

use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use forwarder::{Deeds, Done, Forwarder, ip, within_rig};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

fn bench(arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_maglane-bench"))
        .args(arguments.split(' '))
        .output()
        .expect("maglane-bench")
}

/// Runs `pktgen` from g0 to g1 and reads its result.
fn pktgen(arguments: &str) -> Value {
    let line = format!("pktgen --tx g0 --rx g1 --no-bias --poll adaptive -o json {arguments}");
    let output = bench(&line);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {errors}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn count(result: &Value, direction: &str, name: &str) -> u64 {
    result[direction][name].as_u64().unwrap_or_else(|| panic!("{direction}.{name} in {result}"))
}

/// What a run says of a direction, beside what the forwarder did to it.
#[track_caller]
fn check(result: &Value, direction: &str, done: &Done) {
    let of = |name| count(result, direction, name);
    assert_eq!(of("lost"), done.dropped + done.damaged, "{done:?} {result}");
    assert_eq!(of("received"), of("sent") - of("lost"));
    assert_eq!(of("corrupted"), done.damaged);
    assert_eq!(of("duplicated"), done.repeated);
    assert_eq!(of("reordered"), done.swapped);
}

#[test]
fn loss_copies_order_and_damage_are_reported_as_they_were_done() {
    within_rig(|| {
        let deeds = Deeds {
            drop_every: Some(100),
            repeat_every: Some(77),
            swap_every: Some(31),
            // A damaged packet is no packet out of order: both never fall on one.
            damage_every: Some(331),
            ..Deeds::default()
        };
        let forwarder = Forwarder::start("d0", "d1", deeds);
        // One flow, without a warm-up: each packet but the flow's first one counts.
        let result = pktgen("--flows 1 --rate 5k --count 10000 --warm-up 0 --size 200");
        let done = forwarder.stop();
        assert_eq!(done.seen, 10_001);
        assert!(done.dropped >= 90 && done.swapped >= 200 && done.repeated >= 100, "{done:?}");
        check(&result, "forward", &done);
    });
}

#[test]
fn order_counts_within_a_flow_only() {
    within_rig(|| {
        let deeds = Deeds { swap_every: Some(10), ..Deeds::default() };
        let forwarder = Forwarder::start("d0", "d1", deeds);
        let result = pktgen("--flows 64 --rate 5k --count 5000 --warm-up 0");
        assert!(forwarder.stop().swapped >= 400);
        assert_eq!(count(&result, "forward", "reordered"), 0);
        assert_eq!(count(&result, "forward", "lost"), 0);
    });
}

#[test]
fn a_delay_is_what_the_latency_shows() {
    within_rig(|| {
        let delay = Duration::from_millis(20);
        let there = Forwarder::start("d0", "d1", Deeds { delay, ..Deeds::default() });
        let result = pktgen("--rate 2k --duration 1");
        there.stop();
        let latency = &result["forward"]["latency_ns"];
        let [min, p50] = ["min", "p50"].map(|name| latency[name].as_u64().expect("a latency"));
        assert!((20_000_000..24_000_000).contains(&min), "{latency}");
        // The machine may have more to do.
        assert!((20_000_000..60_000_000).contains(&p50), "{latency}");
    });
}

#[test]
fn replies_are_counted_by_themselves() {
    within_rig(|| {
        let lossy = Deeds { drop_every: Some(50), ..Deeds::default() };
        let there = Forwarder::start("d0", "d1", Deeds::default());
        let back = Forwarder::start("d1", "d0", lossy);
        let result = pktgen("--respond --flows 1 --rate 3k --count 6000 --warm-up 0");
        let (there, back) = (there.stop(), back.stop());
        assert_eq!((there.seen, back.seen), (6_001, 6_001));
        assert_eq!(count(&result, "forward", "lost"), 0);
        let (sent, lost) = (count(&result, "reply", "sent"), count(&result, "reply", "lost"));
        assert_eq!(sent, 6_000);
        assert!((back.dropped - 1..=back.dropped).contains(&lost), "{lost} lost, {back:?}");
    });
}

#[test]
fn replies_that_are_not_translated_back_are_none() {
    within_rig(|| {
        let there = Forwarder::start("d0", "d1", Deeds { backends: 1, ..Deeds::default() });
        let back = Forwarder::start("d1", "d0", Deeds::default());
        let result = pktgen("--respond --flows 16 --rate 3k --count 1000 --warm-up 0");
        there.stop();
        back.stop();
        let of = |direction, name| count(&result, direction, name);
        assert_eq!((of("forward", "received"), of("forward", "moved")), (1_000, 0), "{result}");
        assert_eq!((of("reply", "sent"), of("reply", "received")), (1_000, 0), "{result}");
        assert_eq!((of("reply", "mistranslated"), of("reply", "lost")), (1_000, 1_000));
    });
}

#[test]
fn replies_to_flows_that_are_over_are_theirs() {
    within_rig(|| {
        let slow = Deeds { delay: Duration::from_millis(20), ..Deeds::default() };
        let there = Forwarder::start("d0", "d1", slow);
        let back = Forwarder::start("d1", "d0", Deeds::default());
        // Meanwhile five others have had the place of each.
        let result =
            pktgen("--respond --flows 4 --new-flows 1k --rate 3k --count 2000 --warm-up 0");
        there.stop();
        back.stop();
        for name in ["lost", "mistranslated", "moved"] {
            assert_eq!(
                count(&result, "forward", name) + count(&result, "reply", name),
                0,
                "{name}"
            );
        }
    });
}

#[test]
fn a_flow_that_changes_its_backend_has_moved() {
    within_rig(|| {
        let there = Forwarder::start("d0", "d1", Deeds { backends: 2, ..Deeds::default() });
        let result = pktgen("--flows 1 --rate 3k --count 1000 --warm-up 0");
        there.stop();
        let of = |name| count(&result, "forward", name);
        assert_eq!((of("received"), of("lost"), of("moved")), (1_000, 0, 500), "{result}");
    });
}

#[test]
fn tcp_opens_moves_data_and_closes() {
    within_rig(|| {
        let there = Forwarder::start("d0", "d1", Deeds::default());
        let back = Forwarder::start("d1", "d0", Deeds::default());
        let result = pktgen("--protocol tcp --flows 32 --rate 3k --new-flows 100 --duration 1");
        there.stop();
        back.stop();
        for direction in ["forward", "reply"] {
            assert_eq!(count(&result, direction, "lost"), 0, "{result}");
            assert_eq!(count(&result, direction, "corrupted"), 0);
            assert_eq!(count(&result, direction, "mistranslated"), 0);
            assert_eq!(count(&result, direction, "moved"), 0);
        }
        let first = &result["forward"]["first_packet_latency_ns"]["packets"];
        assert!(first.as_u64().expect("first packets") >= 80, "{result}");
        assert_eq!(result["never_open"], 0);
        assert!(result["new_flows"].as_u64().expect("new flows") >= 80, "{result}");
    });
}

#[test]
fn tcp_without_an_answer_says_so() {
    within_rig(|| {
        let output = bench("pktgen --tx g0 --rx g1 --no-bias --protocol tcp --flows 4 --count 10");
        assert!(!output.status.success());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("none of 4 TCP flows opened"), "{errors}");
    });
}

/// The command fails with one line that names the option.
#[track_caller]
fn refused(arguments: &str, message: &str) {
    let output = bench(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments}: {errors}");
    assert_eq!(errors.trim(), format!("error: {message}"));
}

#[test]
fn bad_input_gets_one_clear_line() {
    within_rig(|| {
        let rate = "invalid value '0' for '--rate <RATE>': must be more than 0 packets a second";
        refused("pktgen --tx g0 --rate 0", rate);
        let size = "invalid value '59' for '--size <N,N>': a frame has at least 60 bytes";
        refused("pktgen --tx g0 --size 59", size);
        refused(
            "pktgen --tx g7 --rx g1",
            "--tx: g7: there is no such interface; `ip link` lists them",
        );
        refused(
            "pktgen --tx nowhere/g0",
            "--tx: nowhere/g0: there is no network namespace nowhere; `ip netns` lists them",
        );
        refused(
            "pktgen --tx g0 --rx g1 --size 1515",
            "--size: 1515 is more than 1,514, the MTU of g0 and an Ethernet header",
        );
        refused(
            "pktgen --tx g0 --rx g1 --flows 64513",
            "--flows: 64,513 are more than the 64,512 that source ports (1,024 to 65,535) and \
             addresses allow; give more with --src or --dst",
        );
        refused(
            "pktgen --tx g0 --rx g1 --rate 1k --new-flows 2k",
            "--new-flows: 2,000 new flows a second need at least as many packets a second: raise \
             the rate or lower this",
        );
        refused(
            "pktgen --tx g0 --rx g1 --protocol tcp --rate 1M --new-flows 1M",
            "--new-flows: 1,000,000 new flows a second need at least as many packets a second (4 \
             each with TCP): raise the rate or lower this",
        );
        refused(
            "pktgen --tx g0 --rx g1 --rate 50k --new-flows 10k --duration 8",
            "--new-flows: with 10,000 new flows a second for 8.00 s, 1,024 flows become 81,024, more \
             than the 64,512 that source ports (1,024 to 65,535) and addresses allow: lower this, \
             or give more with --src or --dst",
        );
        refused(
            "search --tx g0 --rx g1 --new-flows 40k",
            "--new-flows: with 40,000 new flows a second for 2.00 s, 1,024 flows become 81,024, more \
             than the 64,512 that source ports (1,024 to 65,535) and addresses allow: lower this, \
             or give more with --src or --dst",
        );
        refused(
            "pktgen --tx g0 --rx g1 --cores 0,1,2",
            "--cores: 3 are too many; give one, or one for each interface",
        );
        refused(
            "pktgen --tx g0 --rx g1 --pcap /etc/hostname",
            "--pcap: /etc/hostname: this is no pcap file",
        );
        ip("link set g1 down");
        refused("pktgen --tx g0 --rx g1", "--rx: g1: the interface is down; `ip link set g1 up`");
    });
}

#[test]
fn an_interface_with_the_machines_default_route_needs_force() {
    within_rig(|| {
        ip("route add default dev g0");
        // In a process namespace of its own the generator is the first process, and so this
        // namespace the machine's.
        let first = |arguments: &str| {
            Command::new("unshare")
                .args(["--pid", "--fork", "--mount-proc", env!("CARGO_BIN_EXE_maglane-bench")])
                .args(arguments.split(' '))
                .output()
                .expect("unshare")
        };
        let arguments = "pktgen --tx g0 --rx g1 --no-bias --poll adaptive --count 10";
        let output = first(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert_eq!(
            errors.trim(),
            "error: --tx: g0: this machine's default route leads there, and others would get what \
             is sent; --force if that is meant"
        );
        let output = first(&format!("{arguments} --force"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

/// Packets that came in at an interface of the calling thread's namespace.
fn arrived(interface: &str) -> u64 {
    let output =
        Command::new("ip").args(["-j", "-s", "link", "show", interface]).output().expect("ip");
    let links: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    links[0]["stats64"]["rx"]["packets"].as_u64().expect("a count")
}

/// Starts `pktgen` and waits until so many packets have come in at an interface.
fn begun(arguments: &str, interface: &str, packets: u64) -> Child {
    let child = Command::new(env!("CARGO_BIN_EXE_maglane-bench"))
        .args(format!("pktgen --no-bias -o json {arguments}").split_ascii_whitespace())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("maglane-bench");
    while arrived(interface) < packets {
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

/// Sends it a signal, and reads what it says then.
#[track_caller]
fn interrupted(child: Child) -> Value {
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("a signal");
    let output = child.wait_with_output().expect("its end");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(errors.trim(), "interrupted: this is what was measured until then");
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(result["interrupted"], true);
    result
}

#[test]
fn as_fast_as_it_goes_ends_with_a_signal_and_waits_for_what_is_on_its_way() {
    within_rig(|| {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(2));
        for cores in &["0", "0,1"][..cores] {
            let line = format!(
                "--tx g0 --rx d0 --dst 10.1.0.2:9 --dst-mac 02:00:00:00:00:01 --duration 3600 \
                 --warm-up 0 --cores {cores}"
            );
            let child = begun(&line, "d0", arrived("d0") + 50_000);
            let signalled = Instant::now();
            let result = interrupted(child);
            assert!(signalled.elapsed() < Duration::from_secs(5), "{:?}", signalled.elapsed());
            let of = |name| count(&result, "forward", name);
            // The machine may have more to do than to take all that is sent: that is known.
            let found_full = result["overrun"].as_u64().expect("a count");
            assert!(of("lost") <= found_full + of("sent") / 20, "{result}");
            // Each of them is one packet; those that open the 1,024 flows do not count.
            assert!(found_full <= of("lost") + 1_024, "{result}");
        }
    });
}

/// Sends 10,000 packets a second, and takes the link down when so many have come. Also how long it
/// took to end from then on.
fn cut_off(more: &str, packets: u64) -> (Output, Duration) {
    let line = "--tx g0 --rx d0 --dst 10.1.0.2:9 --dst-mac 02:00:00:00:00:01 --poll adaptive \
                --rate 10k";
    let child = begun(&format!("{line} {more}"), "d0", packets);
    ip("link set g0 down");
    let down = Instant::now();
    let output = child.wait_with_output().expect("its end");
    (output, down.elapsed())
}

#[test]
fn a_link_that_goes_down_ends_no_later_than_the_trial_and_is_said() {
    within_rig(|| {
        let (output, until_end) = cut_off("--duration 2 --warm-up 0", 3_000);
        assert!(until_end < Duration::from_secs(5), "{until_end:?}");
        let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(result["links_down"][0], "g0", "{result}");
        // What was still in the ring never left.
        let missed = result["missed"].as_u64().expect("a count");
        let (sent, lost) = (count(&result, "forward", "sent"), count(&result, "forward", "lost"));
        assert_eq!(sent + missed, 20_000, "{result}");
        assert!((2_000..19_000).contains(&sent) && lost <= 200, "{result}");
    });
}

#[test]
fn a_link_that_is_down_before_packets_count_is_an_error() {
    within_rig(|| {
        let (output, _) = cut_off("--duration 0.5 --warm-up 2", 2_000);
        assert_eq!(output.status.code(), Some(1));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(errors.trim(), "error: the link of g0 went down: see `ip link show g0`");
    });
}

#[test]
fn what_others_send_keeps_no_trial_open() {
    within_rig(|| {
        ip("address add 10.3.0.1/24 dev d1");
        let done = Arc::new(AtomicBool::new(false));
        let is_done = done.clone();
        let others = std::thread::spawn(move || {
            let socket = UdpSocket::bind("10.3.0.1:0").expect("a socket");
            while !is_done.load(Ordering::Relaxed) {
                socket.send_to(&[0; 64], "10.3.0.2:9").expect("sent");
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let lossy = Deeds { drop_every: Some(10), ..Deeds::default() };
        let there = Forwarder::start("d0", "d1", lossy);
        let began = Instant::now();
        let result = pktgen("--flows 1 --rate 2k --count 1000 --warm-up 0");
        let took = began.elapsed();
        there.stop();
        done.store(true, Ordering::Relaxed);
        others.join().expect("the others");
        assert!(count(&result, "forward", "foreign") > 50, "{result}");
        assert_eq!(count(&result, "forward", "lost"), 100, "{result}");
        // Half a second, and a quarter that what is late may take.
        assert!(took < Duration::from_secs(4), "{took:?}");
    });
}

#[test]
fn an_interrupted_run_keeps_what_was_measured() {
    within_rig(|| {
        let there = Forwarder::start("d0", "d1", Deeds::default());
        let line =
            "--tx g0 --rx g1 --poll adaptive --rate 2k --duration 3600 --flows 1 --warm-up 0";
        let result = interrupted(begun(line, "g1", 500));
        there.stop();
        let sent = count(&result, "forward", "sent");
        let pps = result["forward"]["sent_pps"].as_f64().expect("a rate");
        assert!(sent >= 499 && (1_900.0..2_100.0).contains(&pps), "{result}");
    });
}

/// So many packets, 2 ms apart.
fn write_capture(path: &Path, packets: u16) {
    let file = std::fs::File::create(path).expect("a file");
    let mut writer = pcap_file::pcap::PcapWriter::new(file).expect("a header");
    for number in 0..packets {
        let mut frame = Vec::new();
        etherparse::PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([10, 9, 9, 1], [10, 9, 9, 2], 64)
            .udp(1_000, number)
            .write(&mut frame, &[7; 40])
            .expect("a packet");
        let time = Duration::from_millis(u64::from(number) * 2);
        let packet = pcap_file::pcap::PcapPacket::new_owned(time, frame.len() as u32, frame);
        writer.write_packet(&packet).expect("written");
    }
}

#[test]
fn one_packet_has_no_times_to_be_repeated_at() {
    within_rig(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("one.pcap");
        write_capture(&path, 1);
        let line = format!("pktgen --tx g0 --rx g1 --pcap {} --duration 1", path.display());
        refused(&line, "--pcap: of one packet nobody knows when it would come again; give --rate");
        let forwarder = Forwarder::start("d0", "d1", Deeds::default());
        let result = pktgen(&format!("--pcap {} --duration 1 --rate 500", path.display()));
        forwarder.stop();
        assert_eq!(count(&result, "forward", "received"), 500, "{result}");
        assert_eq!(result["pace"], "500 pps");
    });
}

#[test]
fn a_capture_is_replayed_as_it_is() {
    within_rig(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("hand-made.pcap");
        write_capture(&path, 50);
        let forwarder =
            Forwarder::start("d0", "d1", Deeds { drop_every: Some(10), ..Deeds::default() });
        let result = pktgen(&format!("--pcap {}", path.display()));
        let done = forwarder.stop();
        assert_eq!(done.seen, 50);
        assert_eq!(count(&result, "forward", "sent"), 50);
        assert_eq!(count(&result, "forward", "received"), 45);
        let seconds = result["seconds"].as_f64().expect("seconds");
        assert!((0.098..1.0).contains(&seconds), "50 packets 2 ms apart took {seconds} s");
        assert_eq!(result["pace"], "at its own times");
        let line =
            format!("pktgen --tx g0 --rx g1 --poll adaptive -o json --pcap {}", path.display());
        let with_bias: Value = serde_json::from_slice(&bench(&line).stdout).expect("JSON");
        assert_eq!(count(&with_bias["bias"]["trial"], "forward", "received"), 50, "{with_bias}");
    });
}
