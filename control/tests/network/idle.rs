//! An agent that has nothing to do, what wakes it, and one that never sleeps.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::{Pid, SysconfVar, sysconf};

use crate::lab::Lab;
use crate::manifest::{FAMILIES, client, pod, service};
use crate::namespace::{CLIENT, Namespace};

const MANIFEST_PORTS: &str = "[{port: 53, targetPort: 5353, protocol: UDP}]";
/// Long enough for a worker to go to sleep, many times over.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSES: usize = 50;
const IDLE: Duration = Duration::from_secs(5);

fn lab(test: &str, options: &[&str]) -> Option<Lab> {
    let manifest = service("echo", 10, MANIFEST_PORTS) + &client() + &pod("echo-1", 11, "echo");
    Lab::up(test, &manifest, options)
}

/// Processor time that a process and its threads have used.
fn used(process: Pid) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("stat");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks = |field: usize| -> u64 {
        let mut fields = fields.split_whitespace();
        fields.nth(field - 3).and_then(|ticks| ticks.parse().ok()).expect("ticks")
    };
    let a_second = sysconf(SysconfVar::CLK_TCK).expect("sysconf").expect("ticks a second");
    Duration::from_secs_f64((ticks(14) + ticks(15)) as f64 / a_second as f64)
}

fn exchange(client: &UdpSocket, server: &UdpSocket, message: &[u8]) {
    let mut received = [0; 64];
    client.send(message).expect("send");
    let (length, from) = server.recv_from(&mut received).expect("the datagram");
    assert_eq!(&received[..length], message);
    server.send_to(message, from).expect("send back");
    let length = client.recv(&mut received).expect("the answer");
    assert_eq!(&received[..length], message);
}

#[test]
fn an_idle_agent_rests_and_loses_nothing_on_waking() {
    let Some(lab) = lab("an_idle_agent_rests_and_loses_nothing_on_waking", &["--workers", "2"])
    else {
        return;
    };
    let server = Namespace::Pod("echo-1").udp(5353);
    for family in FAMILIES {
        let client = CLIENT.udp_connected(family.service(10, 53));
        for number in 0..PAUSES {
            std::thread::sleep(PAUSE);
            exchange(&client, &server, format!("after pause {number}").as_bytes());
        }
    }
    let agent = lab.agent().expect("the agent runs");
    let (before, since) = (used(agent), Instant::now());
    std::thread::sleep(IDLE);
    let share = (used(agent) - before).as_secs_f64() / since.elapsed().as_secs_f64();
    assert!(share < 0.02, "an idle agent uses {:.1}% of a core", share * 100.0);
}

#[test]
fn an_agent_that_never_sleeps_serves_as_well() {
    let Some(lab) = lab("an_agent_that_never_sleeps_serves_as_well", &["--poll", "busy"]) else {
        return;
    };
    let server = Namespace::Pod("echo-1").udp(5353);
    for family in FAMILIES {
        exchange(&CLIENT.udp_connected(family.service(10, 53)), &server, b"hello");
    }
    let agent = lab.agent().expect("the agent runs");
    let before = used(agent);
    std::thread::sleep(Duration::from_secs(1));
    assert!(used(agent) - before > Duration::from_millis(100), "it sleeps");
}

/// Large sends that the client's kernel leaves to be cut up on the way: `UDP_SEGMENT`.
#[test]
fn datagrams_that_are_segmented_on_the_way_arrive_whole() {
    let Some(_lab) = lab("datagrams_that_are_segmented_on_the_way_arrive_whole", &[]) else {
        return;
    };
    const SEGMENT_BYTES: usize = 1_000;
    let server = Namespace::Pod("echo-1").udp(5353);
    let sent: Vec<u8> = (0..40 * SEGMENT_BYTES + 123).map(|at| (at * 31 % 251) as u8).collect();
    for family in FAMILIES {
        let client = CLIENT.udp_connected(family.service(10, 53));
        setsockopt(&client, sockopt::UdpGsoSegment, &(SEGMENT_BYTES as i32)).expect("UDP_SEGMENT");
        client.send(&sent).expect("send");
        let mut received = [0; 2 * SEGMENT_BYTES];
        for wanted in sent.chunks(SEGMENT_BYTES) {
            let (length, _) = server.recv_from(&mut received).expect("a segment");
            assert_eq!(&received[..length], wanted);
        }
    }
}
