//! `kubectl exec`: a command in a Pod, beside its containers.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use super::Context;
use super::process::{self, Beside};
use super::record::{PodRecord, specification};
use super::target::{self, Target};
use crate::apiserver::pods::{Container, ExecRequest, TerminalSize};
use crate::apiserver::status::Refusal;

/// How long output may come after its command has ended, from what that has left running.
const AFTERWARDS: Duration = Duration::from_secs(1);
const CHUNK_BYTES: usize = 16 << 10;

/// Answers a request.
pub(super) async fn answer(context: &Context, mut request: ExecRequest) {
    let result = match find(context, &request.container).await {
        Ok(target) if request.tty => in_terminal(&target, &mut request).await,
        Ok(target) => with_pipes(&target, &mut request).await,
        Err(refusal) => Err(refusal),
    };
    let _ = request.exit.send(result);
}

/// Where the command is to run.
async fn find(context: &Context, asked: &Container) -> Result<Target, Refusal> {
    let not_running = || {
        let message = format!("container not found (\"{}\")", asked.name);
        Refusal::new(500, "InternalError", format!("Internal error occurred: {message}"))
    };
    let record = PodRecord::load(&context.site, &asked.uid).map_err(failed)?;
    let record = record.ok_or_else(not_running)?;
    let container = record.containers.iter().find(|one| one.name == asked.name && one.runs());
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &asked.namespace);
    let pod = api.get(&asked.pod).await.map_err(failed)?;
    let container = container.and_then(|one| specification(&pod, one)).cloned();
    let container = container.ok_or_else(not_running)?;
    Ok(target::again(context, &pod, &record, container).await)
}

fn failed(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(500, "InternalError", format!("Internal error occurred: {error}"))
}

async fn with_pipes(target: &Target, request: &mut ExecRequest) -> Result<i32, Refusal> {
    let wants = [request.stdin.is_some(), request.stdout.is_some(), request.stderr.is_some()];
    let stdio = |wanted: bool| if wanted { Stdio::piped() } else { Stdio::null() };
    let [stdin, stdout, stderr] = wants.map(stdio);
    let mut command = spawn(target, &request.command, |command| {
        command.stdin(stdin).stdout(stdout).stderr(stderr).process_group(0);
    })
    .await?;
    let input = copy_in(request.stdin.take(), command.child.stdin.take());
    let stdout = copy_out(command.child.stdout.take(), request.stdout.take());
    let stderr = copy_out(command.child.stderr.take(), request.stderr.take());
    // The output ends with the last process that has it; what is not read of the input is lost.
    let streams = async {
        let mut output = std::pin::pin!(async { tokio::join!(stdout, stderr) });
        tokio::select! {
            _ = &mut output => {}
            () = input => drop(output.await),
        }
    };
    finish(&mut command, streams, &mut request.exit).await
}

/// Waits for the command while its streams flow, and for what is left of its output after that.
async fn finish<T>(
    command: &mut Beside,
    streams: impl Future<Output = T>,
    exit: &mut tokio::sync::oneshot::Sender<Result<i32, Refusal>>,
) -> Result<i32, Refusal> {
    let mut streams = std::pin::pin!(streams);
    let mut flowing = true;
    let status = loop {
        tokio::select! {
            status = command.wait() => break status.map_err(failed)?,
            _ = &mut streams, if flowing => flowing = false,
            () = exit.closed() => return Err(failed("the client has gone")),
        }
    };
    if flowing {
        let _ = tokio::time::timeout(AFTERWARDS, streams).await;
    }
    Ok(process::exit_code(status))
}

async fn copy_in(from: Option<mpsc::Receiver<Bytes>>, to: Option<impl AsyncWrite + Unpin>) {
    let (Some(mut from), Some(mut to)) = (from, to) else { return };
    while let Some(chunk) = from.recv().await {
        // A command that reads no further is none of the client's mistakes.
        if to.write_all(&chunk).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

async fn copy_out(from: Option<impl AsyncRead + Unpin>, to: Option<mpsc::Sender<Bytes>>) {
    let (Some(mut from), Some(to)) = (from, to) else { return };
    loop {
        let mut chunk = vec![0; CHUNK_BYTES];
        match from.read(&mut chunk).await {
            Ok(length) if length > 0 => {
                chunk.truncate(length);
                if to.send(chunk.into()).await.is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}

async fn spawn(
    target: &Target,
    words: &[String],
    configure: impl FnOnce(&mut Command),
) -> Result<Beside, Refusal> {
    let network_namespace = &target.network_namespace;
    process::spawn_beside(
        words,
        &target.container,
        &target.environment,
        network_namespace,
        configure,
    )
    .await
    .map_err(failed)
}

async fn in_terminal(target: &Target, request: &mut ExecRequest) -> Result<i32, Refusal> {
    let (terminal, inside) = open_terminal().map_err(failed)?;
    let streams = [inside.try_clone(), inside.try_clone(), Ok(inside)];
    let [stdin, stdout, stderr] = streams.map(|file| file.map(Stdio::from));
    let (stdin, stdout, stderr) =
        (stdin.map_err(failed)?, stdout.map_err(failed)?, stderr.map_err(failed)?);
    // A session of its own, with the terminal for its own: that takes a call between fork and exec,
    // which setsid(1) makes. It would fork once more if it led a group already.
    let mut words = ["setsid", "--ctty"].map(str::to_owned).to_vec();
    words.extend(request.command.iter().cloned());
    let mut command = spawn(target, &words, |command| {
        command.stdin(stdin).stdout(stdout).stderr(stderr).env("TERM", "xterm");
    })
    .await?;
    let (from, to, terminal) = halves(terminal).map_err(failed)?;
    let stdin = copy_in(request.stdin.take(), Some(to));
    let stdout = copy_out(Some(from), request.stdout.take());
    let (_, no_sizes) = mpsc::channel(1);
    let sizes = std::mem::replace(&mut request.resize, no_sizes);
    // The output ends with the last process that has the terminal; the others go on until then.
    let streams = async {
        let mut stdout = std::pin::pin!(stdout);
        tokio::select! {
            () = &mut stdout => {}
            _ = async { tokio::join!(stdin, resize(&terminal, sizes)) } => stdout.await,
        }
    };
    finish(&mut command, streams, &mut request.exit).await
}

/// Both ends of a new terminal, the first of them without blocking.
fn open_terminal() -> io::Result<(OwnedFd, File)> {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&terminal)?;
    unlockpt(&terminal)?;
    let name = ptsname(&terminal, Vec::new())?;
    let name = name.to_str().map_err(io::Error::other)?;
    let mut options = OpenOptions::new();
    let inside = options.read(true).write(true).custom_flags(nix::libc::O_NOCTTY).open(name)?;
    rustix::io::ioctl_fionbio(&terminal, true)?;
    Ok((terminal, inside))
}

/// What comes out of a terminal, what goes in, and the terminal itself. No pipes, but read and
/// written like them.
fn halves(terminal: OwnedFd) -> io::Result<(pipe::Receiver, pipe::Sender, OwnedFd)> {
    let from = pipe::Receiver::from_owned_fd_unchecked(terminal.try_clone()?)?;
    let to = pipe::Sender::from_owned_fd_unchecked(terminal.try_clone()?)?;
    Ok((from, to, terminal))
}

async fn resize(terminal: &OwnedFd, mut sizes: mpsc::Receiver<TerminalSize>) {
    while let Some(TerminalSize { width, height }) = sizes.recv().await {
        let size = Winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
        let _ = tcsetwinsize(terminal, size);
    }
}
