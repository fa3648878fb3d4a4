//! Bytes a second from Pod to Pod: traffic that is not for a Service must not notice Maglane.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use crate::error::{BenchError, Result};
use crate::figures::{Figure, ratio};
use crate::interrupt::Interrupt;
use crate::output::{self, Format, progress, table};
use crate::result::Origin;
use crate::rig::{Lab, LabOptions, Placed, Pod, Poll, Programs, inside};

/// TCP finds its pace meanwhile.
const WARM_UP: Duration = Duration::from_millis(500);
const CHUNK_BYTES: usize = 256 * 1024;
/// How long a thread waits for the other before it looks whether it is to stop.
const PATIENCE: Duration = Duration::from_millis(500);
const SENDER_CORE: usize = 0;
const RECEIVER_CORE: usize = 1;
const GBIT_BYTES: f64 = 1e9 / 8.0;

/// Options of `direct`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DirectArgs {
    #[command(flatten)]
    programs: Programs,
    /// Rounds, each of which measures with the agent and without.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Length of one measurement.
    #[arg(long, value_name = "S", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Workers of the agent.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// How they wait. Busy ones take a core from the two Pods, whatever these do.
    #[arg(long, value_enum, default_value_t = Poll::Adaptive)]
    poll: Poll,
    /// A table for people, or JSON for programs.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Both sides, in turn.
#[derive(Clone, Copy, Debug, Serialize)]
struct Round {
    without_bytes_per_s: f64,
    with_bytes_per_s: f64,
    ratio: f64,
}

/// What is printed.
#[derive(Clone, Debug, Serialize)]
struct Report {
    /// Where it comes from.
    #[serde(flatten)]
    origin: Origin,
    workers: u32,
    poll: Poll,
    seconds: u64,
    without_bytes_per_s: Figure,
    with_bytes_per_s: Figure,
    ratio: Figure,
    rounds: Vec<Round>,
    /// Whether a signal ended it before its time.
    interrupted: bool,
}

/// Measures and prints.
///
/// # Errors
/// What stopped it.
pub(crate) fn run(args: &DirectArgs, interrupt: &Interrupt) -> anyhow::Result<()> {
    let origin = Origin::now("direct");
    progress(&format!("on {}", origin.machine.show()));
    let rounds = measure(args, interrupt)?;
    let figure = |side: fn(&Round) -> f64| Figure::of(rounds.iter().map(side));
    let report = Report {
        origin,
        workers: args.workers,
        poll: args.poll,
        seconds: args.seconds,
        without_bytes_per_s: figure(|round| round.without_bytes_per_s),
        with_bytes_per_s: figure(|round| round.with_bytes_per_s),
        ratio: figure(|round| round.ratio),
        rounds,
        interrupted: interrupt.check().is_err(),
    };
    output::print(args.output, &report, text)
}

fn measure(args: &DirectArgs, interrupt: &Interrupt) -> Result<Vec<Round>> {
    progress("bringing up a lab");
    let options = LabOptions { workers: args.workers, poll: args.poll, backends: 1 };
    let mut lab = Lab::up(&args.programs, options, interrupt)?;
    let length = Duration::from_secs(args.seconds);
    let mut rounds = Vec::new();
    for number in 1..=args.rounds {
        // Who comes first changes, in case that matters.
        let [without_bytes_per_s, with_bytes_per_s] = match round(&mut lab, number % 2 == 0, length)
        {
            // What was measured is kept.
            Err(BenchError::Interrupted) if !rounds.is_empty() => break,
            sides => sides?,
        };
        let ratio = ratio(with_bytes_per_s, without_bytes_per_s);
        progress(&format!(
            "round {number} of {}: without the agent {:.1} Gbit/s, with it {:.1}, ratio {ratio:.3}",
            args.rounds,
            without_bytes_per_s / GBIT_BYTES,
            with_bytes_per_s / GBIT_BYTES,
        ));
        rounds.push(Round { without_bytes_per_s, with_bytes_per_s, ratio });
    }
    Ok(rounds)
}

/// Bytes a second without the agent, and with it.
fn round(lab: &mut Lab, agent_first: bool, length: Duration) -> Result<[f64; 2]> {
    let mut sides = [0.0; 2];
    for with_agent in [agent_first, !agent_first] {
        if with_agent {
            lab.start_agent()?
        } else {
            lab.stop_agent()?
        }
        sides[usize::from(with_agent)] = transfer(lab, length)?;
    }
    Ok(sides)
}

/// Sends from the client Pod to the backend Pod over one TCP connection. Returns bytes a second,
/// as received.
fn transfer(lab: &Lab, length: Duration) -> Result<f64> {
    let [client, server] = [&lab.client, lab.backends.first().unwrap_or(&lab.client)];
    let listener = listen(server)?;
    let port = listener
        .local_addr()
        .map_err(BenchError::kernel("listen", &server.network_namespace))?
        .port();
    let received = Arc::new(AtomicU64::new(0));
    let stop = Stop::default();
    let (count, halt) = (received.clone(), stop.0.clone());
    let place = server.network_namespace.clone();
    let receiver = Placed::spawn(&server.network_namespace, Some(RECEIVER_CORE), move || {
        receive(&listener, &count, &halt).map_err(BenchError::kernel("receive", &place))
    });
    let (address, halt) = (server.address, stop.0.clone());
    let place = client.network_namespace.clone();
    let sender = Placed::spawn(&client.network_namespace, Some(SENDER_CORE), move || {
        send(address, port, &halt).map_err(BenchError::kernel("send", &place))
    });
    lab.interrupt().sleep(WARM_UP)?;
    let (start, before) = (Instant::now(), received.load(Ordering::Relaxed));
    lab.interrupt().sleep(length)?;
    let bytes = received.load(Ordering::Relaxed) - before;
    let elapsed = start.elapsed();
    drop(stop);
    sender.join()?;
    receiver.join()?;
    Ok(bytes as f64 / elapsed.as_secs_f64())
}

/// Stops both threads when dropped.
#[derive(Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn listen(pod: &Pod) -> Result<TcpListener> {
    let place = pod.network_namespace.clone();
    inside(&pod.network_namespace, move || {
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(BenchError::kernel("listen", &place))
    })
}

fn receive(listener: &TcpListener, received: &AtomicU64, stop: &AtomicBool) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error),
        }
    };
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut chunk = vec![0; CHUNK_BYTES];
    while !stop.load(Ordering::Relaxed) {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(bytes) => drop(received.fetch_add(bytes as u64, Ordering::Relaxed)),
            Err(error) if is_pause(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn send(address: Ipv4Addr, port: u16, stop: &AtomicBool) -> std::io::Result<()> {
    let mut stream = TcpStream::connect((address, port))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let chunk = vec![0; CHUNK_BYTES];
    while !stop.load(Ordering::Relaxed) {
        match stream.write(&chunk) {
            Ok(_) => {}
            Err(error) if is_pause(&error) => {}
            // The receiver saw first that it is over.
            Err(_) if stop.load(Ordering::Relaxed) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_pause(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn text(report: &Report) -> String {
    let mut rows = table(["WITHOUT GBIT/S", "WITH GBIT/S", "WITH/WITHOUT"]);
    rows.add_row([
        report.without_bytes_per_s.show(GBIT_BYTES, 1),
        report.with_bytes_per_s.show(GBIT_BYTES, 1),
        report.ratio.show(1.0, 3),
    ]);
    format!(
        "Direct Pod to Pod, one TCP connection, with the agent ({} workers, {}) and without, on {}\n\
         Median (least–greatest) of {} rounds of {} s, in turn.\n\n{}",
        report.workers,
        report.poll.as_str(),
        report.origin.machine.show(),
        report.rounds.len(),
        report.seconds,
        rows.trim_fmt(),
    )
}
