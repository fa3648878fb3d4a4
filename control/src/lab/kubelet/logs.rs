//! `kubectl logs`: what containers have written, from the files that it goes to.

use std::io::SeekFrom;

use std::time::Duration;

use bytes::Bytes;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::mpsc;

use super::Context;
use super::record::{ContainerRecord, PodRecord, RunState};
use crate::apiserver::pods::{CHUNKS_WAITING, Container, LogOptions, LogRequest};
use crate::apiserver::status::Refusal;
use crate::lab::Site;

/// How often a log is looked at for more.
const LOOK: Duration = Duration::from_millis(100);
const CHUNK_BYTES: usize = 32 << 10;

/// Answers a request.
pub(super) async fn answer(context: &Context, request: LogRequest) {
    let LogRequest { container, options, reply } = request;
    match open(&context.site, &container, &options).await {
        Ok((file, run)) => {
            let (sender, receiver) = mpsc::channel(CHUNKS_WAITING);
            if reply.send(Ok(receiver)).is_ok()
                && let Err(error) = send(context, &container, file, run, &options, &sender).await
            {
                tracing::debug!("{}/{}: {error}", container.namespace, container.pod);
            }
        }
        Err(refusal) => drop(reply.send(Err(refusal))),
    }
}

/// The file of a run, and which run that is.
async fn open(
    site: &Site,
    asked: &Container,
    options: &LogOptions,
) -> Result<(File, u32), Refusal> {
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
    match File::open(&path).await {
        Ok(file) => Ok((file, run)),
        Err(_) if options.previous => Err(missing()),
        // It has no command, and so writes nothing.
        Err(_) if !container.has_command => {
            File::open("/dev/null").await.map(|file| (file, run)).map_err(|error| failed(&error))
        }
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
    mut file: File,
    run: u32,
    options: &LogOptions,
    sender: &mpsc::Sender<Bytes>,
) -> std::io::Result<()> {
    if let Some(lines) = options.tail_lines {
        let start = last_lines(&mut file, lines).await?;
        file.seek(SeekFrom::Start(start)).await?;
    }
    let mut goes_on = options.follow;
    loop {
        let mut chunk = vec![0; CHUNK_BYTES];
        let length = file.read(&mut chunk).await?;
        if length > 0 {
            chunk.truncate(length);
            if sender.send(chunk.into()).await.is_err() {
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

/// Whether this run of the container goes on.
fn runs(site: &Site, asked: &Container, run: u32) -> bool {
    let record = PodRecord::load(site, &asked.uid).ok().flatten();
    let container = record.as_ref().and_then(|record| find(record, &asked.name));
    container.is_some_and(|container| container.runs() && container.restarts == run)
}

/// Where the last lines of a file begin.
async fn last_lines(file: &mut File, lines: u64) -> std::io::Result<u64> {
    let end = file.seek(SeekFrom::End(0)).await?;
    if lines == 0 {
        return Ok(end);
    }
    let (mut position, mut found) = (end, 0);
    while position > 0 {
        let length = position.min(CHUNK_BYTES as u64);
        position -= length;
        file.seek(SeekFrom::Start(position)).await?;
        let mut chunk = vec![0; length as usize];
        file.read_exact(&mut chunk).await?;
        for (index, byte) in chunk.iter().enumerate().rev() {
            // A newline at the very end closes the last line.
            let is_last = position + index as u64 + 1 == end;
            if *byte == b'\n' && !is_last {
                found += 1;
                if found == lines {
                    return Ok(position + index as u64 + 1);
                }
            }
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let long = "x".repeat(2 * CHUNK_BYTES);
        for (text, lines, expected) in [
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc", 2, "b\nc"),
            ("a\nb\n", 5, "a\nb\n"),
            ("a\nb\n", 0, ""),
            ("", 3, ""),
            ("\n\n\n", 2, "\n\n"),
            (&format!("a\n{long}\nb\n"), 2, &format!("{long}\nb\n")),
        ] {
            std::fs::write(&path, text).unwrap();
            let mut file = File::open(&path).await.unwrap();
            let start = last_lines(&mut file, lines).await.unwrap();
            assert_eq!(&text[start as usize..], expected, "{lines}");
        }
    }
}
