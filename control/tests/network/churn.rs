//! Backends come and go under connections that are open.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::http::{Client, Server, ask};
use crate::lab::Lab;
use crate::manifest::{FAMILIES, client, pod, service};
use crate::namespace::{CLIENT, Namespace, await_that};

const STAYING: [&str; 3] = ["web-1", "web-2", "web-3"];
const CONNECTIONS: usize = 200;
const THREADS: usize = 4;
const CHANGES: u32 = 50;
/// How many new connections look at who is there, after each change.
const LOOKS: usize = 8;

/// A connection and who answers on it.
struct Held {
    client: Client,
    name: String,
}

impl Held {
    fn open(number: usize) -> Self {
        let family = FAMILIES[number % 2];
        let mut client = Client::connect(CLIENT, family.service(10, 80)).expect("connect");
        let name = client.ask().expect("an answer").name;
        Self { client, name }
    }

    fn ask(&mut self) -> io::Result<()> {
        let answer = self.client.ask()?;
        assert_eq!(answer.name, self.name, "moved: {answer:?}");
        Ok(())
    }
}

/// Talks on all connections in turn until told to stop. None may fail.
fn talk(mut held: Vec<Held>, rounds: &AtomicU64, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        for one in &mut held {
            one.ask().unwrap_or_else(|error| panic!("a connection to {}: {error}", one.name));
        }
        rounds.fetch_add(1, Ordering::Relaxed);
    }
}

/// Raises a flag when it goes out of scope, by a panic, too.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Who answers on new connections.
fn look(allowed: &[&str]) -> Vec<String> {
    let looks = (0..LOOKS).map(|number| {
        let answer = ask(CLIENT, FAMILIES[number % 2].service(10, 80)).expect("a new connection");
        assert!(allowed.contains(&answer.name.as_str()), "{answer:?}, there are {allowed:?}");
        answer.name
    });
    looks.collect()
}

fn nobody_moves(test: &str, workers: u32) {
    let pods = [11, 12, 13].map(|number| pod(&format!("web-{}", number - 10), number, "web"));
    let manifest =
        service("web", 10, "[{port: 80, targetPort: 8080}]") + &client() + &pods.concat();
    let Some(lab) = Lab::with_workers(test, &manifest, workers) else { return };
    let _servers = STAYING.map(|name| Server::start(Namespace::Pod(name), name, 8080));
    let mut held: Vec<Vec<Held>> = (0..THREADS)
        .map(|thread| {
            (0..CONNECTIONS / THREADS).map(|number| Held::open(thread + number)).collect()
        })
        .collect();
    let (stop, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut seen_extra = 0;
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        for held in held.drain(..) {
            scope.spawn(|| talk(held, &rounds, &stop));
        }
        // Each time another address takes the Service's place of a fourth.
        for change in 0..CHANGES {
            let extra = pod("extra", 100 + (change % 50) as u8, "web");
            lab.apply(&extra);
            {
                let _server = Server::start(Namespace::Pod("extra"), "extra", 8080);
                let names = look(&["web-1", "web-2", "web-3", "extra"]);
                seen_extra += names.iter().filter(|name| *name == "extra").count();
                lab.delete(&extra);
            }
            look(&STAYING);
        }
        let before = rounds.load(Ordering::Relaxed);
        await_that("all connections are used once more", || {
            rounds.load(Ordering::Relaxed) >= before + 2 * THREADS as u64
        });
    });
    assert!(seen_extra > 0, "those who came were never picked");
}

#[test]
fn connections_stay_1_worker() {
    nobody_moves("connections_stay_1_worker", 1);
}

#[test]
fn connections_stay_2_workers() {
    nobody_moves("connections_stay_2_workers", 2);
}
