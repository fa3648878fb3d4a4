//! `kubectl logs`: what containers have written, from the files that it goes to.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::Context;
use super::record::{ContainerRecord, PodRecord, RunState};
use crate::apiserver::pods::{CHUNKS_WAITING, Container, LogOptions, LogRequest};
use crate::apiserver::status::Refusal;
use crate::lab::Site;
use crate::lab::log_file::LogReader;

/// How often a log is looked at for more.
const LOOK: Duration = Duration::from_millis(100);
const CHUNK_BYTES: usize = 32 << 10;

/// Answers a request.
pub(super) async fn answer(context: &Context, request: LogRequest) {
    let LogRequest { container, options, reply } = request;
    match open(&context.site, &container, &options).await {
        Ok((log, run)) => {
            let (sender, receiver) = mpsc::channel(CHUNKS_WAITING);
            if reply.send(Ok(receiver)).is_ok()
                && let Err(error) = send(context, &container, log, run, &options, &sender).await
            {
                tracing::debug!("{}/{}: {error}", container.namespace, container.pod);
            }
        }
        Err(refusal) => drop(reply.send(Err(refusal))),
    }
}

/// The log of a run, and which run that is.
async fn open(
    site: &Site,
    asked: &Container,
    options: &LogOptions,
) -> Result<(LogReader, u32), Refusal> {
    if options.timestamps || options.since.is_some() {
        let message = "a lab does not keep when containers wrote what: ask without --timestamps, \
                       --since and --since-time";
        return Err(Refusal::bad_request(message));
    }
    let Container { pod, name, .. } = asked;
    let waiting = |reason: &str| {
        let message = format!("container {name:?} in pod {pod:?} is waiting to start: {reason}");
        Refusal::bad_request(message)
    };
    let failed = |error: &dyn std::fmt::Display| {
        Refusal::new(500, "InternalError", format!("Internal error occurred: {error}"))
    };
    let record = PodRecord::load(site, &asked.uid).map_err(|error| failed(&error))?;
    let record = record.ok_or_else(|| waiting("ContainerCreating"))?;
    let container = find(&record, name).ok_or_else(|| waiting("ContainerCreating"))?;
    let run = match newest_run(container) {
        Newest::None(reason) => return Err(waiting(reason)),
        Newest::Run(run) => run,
    };
    let run = if options.previous { run.checked_sub(1) } else { Some(run) };
    let missing = || {
        let message = format!("previous terminated container {name:?} in pod {pod:?} not found");
        Refusal::bad_request(message)
    };
    let run = run.ok_or_else(missing)?;
    let path = record.log(site, container, run);
    match LogReader::open(&path) {
        Ok(log) => Ok((log, run)),
        Err(_) if options.previous => Err(missing()),
        // It has no command, and so writes nothing.
        Err(_) if !container.has_command => LogReader::open(Path::new("/dev/null"))
            .map(|log| (log, run))
            .map_err(|error| failed(&error)),
        Err(error) => Err(failed(&error)),
    }
}

enum Newest<'a> {
    Run(u32),
    None(&'a str),
}

fn newest_run(container: &ContainerRecord) -> Newest<'_> {
    match &container.state {
        RunState::Waiting { reason, .. } if container.last.is_none() => Newest::None(reason),
        _ => Newest::Run(container.restarts),
    }
}

fn find<'r>(record: &'r PodRecord, name: &str) -> Option<&'r ContainerRecord> {
    record.containers.iter().find(|container| container.name == name)
}

async fn send(
    context: &Context,
    asked: &Container,
    mut log: LogReader,
    run: u32,
    options: &LogOptions,
    sender: &mpsc::Sender<Bytes>,
) -> io::Result<()> {
    if let Some(lines) = options.tail_lines {
        log = spawn_blocking(move || log.skip_to_last(lines).map(|()| log)).await??;
    }
    let mut goes_on = options.follow;
    loop {
        let chunk;
        (log, chunk) = spawn_blocking(move || next_chunk(log)).await??;
        if !chunk.is_empty() {
            if sender.send(chunk).await.is_err() {
                return Ok(());
            }
        } else if goes_on {
            tokio::select! {
                () = sender.closed() => return Ok(()),
                () = tokio::time::sleep(LOOK) => {}
            }
            // What was written before the end is read once more.
            goes_on = runs(&context.site, asked, run);
        } else {
            return Ok(());
        }
    }
}

fn next_chunk(mut log: LogReader) -> io::Result<(LogReader, Bytes)> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let length = log.read(&mut chunk)?;
    chunk.truncate(length);
    Ok((log, chunk.into()))
}

/// Whether this run of the container goes on.
fn runs(site: &Site, asked: &Container, run: u32) -> bool {
    let record = PodRecord::load(site, &asked.uid).ok().flatten();
    let container = record.as_ref().and_then(|record| find(record, &asked.name));
    container.is_some_and(|container| container.runs() && container.restarts == run)
}
