//! A thread of the generator on a core of its own, and the interfaces that it serves: both of them
//! on a small machine, where the other cores are the dataplane's; else one.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use clap::ValueEnum;
use maglane_dataplane::xsk::{MAX_PORTS, PortQueue, Waker, wait};
use serde::Serialize;

use super::end::{DeviceCounts, End, EndPlan};
use super::part::Part;
use super::shared::Shared;
use crate::error::{BenchError, Result};
use crate::rig::{pin, thread_cpu_ns};

/// Rounds without anything to do before an adaptive station sleeps.
const IDLE_ROUNDS: u32 = 64;
/// It does not sleep for less, and what is due meanwhile is sent together: to sleep and to wake up
/// for every packet would cost more than to wait awake.
pub(crate) const MIN_SLEEP_NS: u64 = 200_000;
/// Nor does it sleep longer, or it would not see that a trial is over.
const MAX_SLEEP_NS: u64 = 5_000_000;
const NS_PER_MS: u64 = 1_000_000;

/// How the generator waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Wait {
    /// Never sleeps: packets leave on time, and are seen as they come; takes whole cores.
    #[default]
    Busy,
    /// Sleeps when nothing is due: costs what it costs, but is late by a sleep.
    Adaptive,
}

/// What an end has done in a trial.
pub(crate) struct Done {
    /// What it was to do.
    pub(crate) part: Part,
    /// Frames that the generator's own devices lost.
    pub(crate) device: DeviceCounts,
    /// Frames that were to leave and are still there.
    pub(crate) not_left: u64,
}

/// What a station has done in a trial.
pub(crate) struct StationDone {
    /// Each of its ends, in order.
    pub(crate) ends: Vec<Done>,
    /// Time that its thread was on a processor, while packets counted and until the trial's end.
    pub(crate) cpu_ns: u64,
}

struct Trial {
    parts: Vec<Part>,
    shared: Arc<Shared>,
}

/// A thread at work. It ends when this is dropped.
pub(crate) struct Station {
    trials: Option<Sender<Trial>>,
    results: Receiver<Result<StationDone>>,
    thread: Option<JoinHandle<()>>,
    /// How frames come and go, for each end.
    pub(crate) modes: Vec<String>,
}

impl Station {
    /// Opens the ends on a core.
    pub(crate) fn open(plans: Vec<EndPlan>, core: usize, waiting: Wait) -> Result<Self> {
        let (trials, incoming) = channel::<Trial>();
        let (outgoing, results) = channel();
        let (ready, opened) = channel();
        let body = move || {
            pin(core);
            let mut ends = match open_all(plans) {
                Ok(ends) => ends,
                Err(error) => return drop(ready.send(Err(error))),
            };
            drop(ready.send(Ok(ends.iter().map(End::mode).collect::<Vec<_>>())));
            for trial in incoming {
                if outgoing.send(run(&mut ends, trial, waiting)).is_err() {
                    break;
                }
            }
            // The sockets go with the process at the latest.
            ends.into_iter().for_each(|end| drop(end.close()));
        };
        let thread = thread::Builder::new()
            .name(format!("pktgen-{core}"))
            .spawn(body)
            .map_err(BenchError::kernel("start a thread", "this program"))?;
        let modes = opened.recv().map_err(|_| BenchError::Panicked)??;
        Ok(Self { trials: Some(trials), results, thread: Some(thread), modes })
    }

    /// Begins a trial; [`Station::finished`] tells what came of it.
    pub(crate) fn begin(&self, parts: Vec<Part>, shared: Arc<Shared>) -> Result<()> {
        let trials = self.trials.as_ref().ok_or(BenchError::Panicked)?;
        trials.send(Trial { parts, shared }).map_err(|_| BenchError::Panicked)
    }

    /// What came of the trial, if it is over.
    pub(crate) fn finished(&self, patience: Duration) -> Option<Result<StationDone>> {
        use std::sync::mpsc::RecvTimeoutError;
        match self.results.recv_timeout(patience) {
            Ok(done) => Some(done),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(BenchError::Panicked)),
        }
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        drop(self.trials.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn open_all(plans: Vec<EndPlan>) -> Result<Vec<End>> {
    plans
        .into_iter()
        .map(|plan| {
            plan.interface.namespace.enter()?;
            End::open(plan)
        })
        .collect()
}

fn run(ends: &mut [End], trial: Trial, waiting: Wait) -> Result<StationDone> {
    let Trial { mut parts, shared } = trial;
    let before: Vec<DeviceCounts> = ends.iter().map(End::device_counts).collect();
    let waker = Waker::new()?;
    let mut idle_rounds = 0;
    let mut cpu_before = None;
    loop {
        let now_ns = shared.now_ns();
        let mut busy = false;
        for (end, part) in ends.iter_mut().zip(&mut parts) {
            busy |= end.breathe(part, now_ns, &shared);
        }
        idle_rounds = if busy { 0 } else { idle_rounds + 1 };
        if cpu_before.is_none() && shared.start_ns().is_some() {
            cpu_before = Some(thread_cpu_ns());
        }
        // In busy rounds, too: there need not be an idle one for as long as others send.
        if shared.is_over(now_ns) {
            break;
        }
        if waiting == Wait::Adaptive && idle_rounds >= IDLE_ROUNDS {
            sleep(ends, &parts, &waker, &shared)?;
        }
    }
    let done = |((end, part), before): ((&mut End, Part), &DeviceCounts)| Done {
        part,
        device: end.device_counts().since(before),
        not_left: end.not_left(),
    };
    let ends = ends.iter_mut().zip(parts).zip(&before).map(done).collect();
    let cpu_ns = cpu_before.map_or(0, |before| thread_cpu_ns().saturating_sub(before));
    Ok(StationDone { ends, cpu_ns })
}

/// Until the next packet is due, or one comes. A socket wakes only to the millisecond: for less
/// the clock does.
fn sleep(ends: &[End], parts: &[Part], waker: &Waker, shared: &Shared) -> Result<()> {
    let due = parts.iter().filter_map(|part| part.source.as_ref());
    let due_ns = due.filter(|source| !source.is_over()).map(|source| source.next_due_ns()).min();
    let now_ns = shared.now_ns();
    let left_ns = due_ns.map_or(MAX_SLEEP_NS, |due_ns| due_ns.saturating_sub(now_ns));
    if left_ns >= 2 * NS_PER_MS {
        let queues: Vec<&PortQueue> =
            ends.iter().flat_map(|end| end.queues()).take(MAX_PORTS).collect();
        let ms = left_ns.min(MAX_SLEEP_NS) / NS_PER_MS - 1;
        wait(queues, waker, ms.max(1) as u32)?;
    } else {
        thread::sleep(Duration::from_nanos(left_ns.max(MIN_SLEEP_NS)));
    }
    Ok(())
}
