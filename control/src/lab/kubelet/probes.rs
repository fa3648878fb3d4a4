//! Probes: whether a container has started, may be sent requests, still lives.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::process;
use super::target::Target;
use crate::lab::state::Process;
use crate::model::container_ports;
use crate::net::namespace;

/// How often declared ports are looked for: at first, and when they take long.
const LOOK: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(500)];
/// What is long.
const LONG: Duration = Duration::from_secs(5);
/// The most of what a command says that is told on.
const OUTPUT_BYTES: usize = 1_024;

/// What a probe is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Until it succeeds the others wait.
    Startup,
    /// Whether requests may be sent.
    Readiness,
    /// Whether to go on at all.
    Liveness,
}

impl Purpose {
    /// As an Event begins.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }
}

/// What a probe found.
#[derive(Debug)]
pub(super) struct Finding {
    /// What it was for.
    pub(super) purpose: Purpose,
    /// What was found so often in a row that it counts from now on.
    pub(super) verdict: Option<bool>,
    /// What was wrong this time.
    pub(super) failure: Option<String>,
}

/// Probes for as long as somebody listens.
pub(super) async fn follow(
    probe: Probe,
    purpose: Purpose,
    target: Target,
    findings: mpsc::Sender<Finding>,
) {
    let seconds = |value: Option<i32>, default: u64| {
        Duration::from_secs(value.and_then(|value| u64::try_from(value).ok()).unwrap_or(default))
    };
    let period = seconds(probe.period_seconds, 10).max(Duration::from_secs(1));
    let patience = seconds(probe.timeout_seconds, 1).max(Duration::from_secs(1));
    let threshold = |value: Option<i32>, default| value.unwrap_or(default).max(1);
    let enough = [threshold(probe.failure_threshold, 3), threshold(probe.success_threshold, 1)];
    sleep(seconds(probe.initial_delay_seconds, 0)).await;
    let (mut last, mut in_row) = (None, 0);
    loop {
        let begun = Instant::now();
        let failure = match timeout(patience, once(&probe, &target)).await {
            Ok(result) => result.err(),
            Err(_) => Some(format!("no answer within {} s", patience.as_secs())),
        };
        let healthy = failure.is_none();
        in_row = if last == Some(healthy) { in_row + 1 } else { 1 };
        last = Some(healthy);
        let verdict = (in_row == enough[usize::from(healthy)]).then_some(healthy);
        if verdict.is_some() || failure.is_some() {
            let finding = Finding { purpose, verdict, failure };
            if findings.send(finding).await.is_err() {
                return;
            }
        }
        sleep(period.saturating_sub(begun.elapsed())).await;
    }
}

/// Waits until all TCP ports that a container declares are listened on.
pub(super) async fn ports_open(process: Process, ports: Vec<u16>, findings: mpsc::Sender<Finding>) {
    let begun = Instant::now();
    loop {
        let look = tokio::task::spawn_blocking(move || process::listening_ports(process));
        let open = look.await.unwrap_or_default();
        if ports.iter().all(|port| open.contains(port)) {
            break;
        }
        sleep(LOOK[usize::from(begun.elapsed() > LONG)]).await;
    }
    let finding = Finding { purpose: Purpose::Startup, verdict: Some(true), failure: None };
    let _ = findings.send(finding).await;
}

async fn once(probe: &Probe, target: &Target) -> Result<(), String> {
    if let Some(action) = &probe.exec {
        return command(action.command.as_deref().unwrap_or_default(), target).await;
    }
    if let Some(action) = &probe.tcp_socket {
        return connect(action.host.as_deref(), &action.port, target).await.map(drop);
    }
    if let Some(action) = &probe.http_get {
        return http_get(action, target).await;
    }
    Err("a lab probes with exec, httpGet and tcpSocket only".to_owned())
}

async fn command(words: &[String], target: &Target) -> Result<(), String> {
    let spawned = process::spawn_beside(
        words,
        &target.container,
        &target.environment,
        &target.network_namespace,
        |command| {
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.process_group(0);
        },
    );
    let mut command = spawned.await?;
    let (out, err) = (command.child.stdout.take(), command.child.stderr.take());
    let (out, err, status) = tokio::join!(beginning(out), beginning(err), command.wait());
    if status.map_err(|error| error.to_string())?.success() {
        return Ok(());
    }
    let said = [out, err].concat();
    let said = &said[..said.len().min(OUTPUT_BYTES)];
    Err(String::from_utf8_lossy(said).trim_end().to_owned())
}

/// Reads a stream to its end, so that nobody waits to be read, and keeps its beginning.
async fn beginning(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else { return kept };
    let _ = (&mut stream).take(OUTPUT_BYTES as u64).read_to_end(&mut kept).await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    kept
}

/// Connects from the node, as the kubelet does.
async fn connect(
    host: Option<&str>,
    port: &IntOrString,
    target: &Target,
) -> Result<TcpStream, String> {
    let ip = match host.filter(|host| !host.is_empty()) {
        Some(host) => host.parse().map_err(|_| format!("host {host:?} is not an IP address"))?,
        None => target.address.ok_or("the Pod has no address")?,
    };
    let address = SocketAddr::new(ip, port_number(port, &target.container)?);
    let node = target.node_namespace.clone();
    let socket = tokio::task::spawn_blocking(move || {
        let new = if ip.is_ipv4() { TcpSocket::new_v4 } else { TcpSocket::new_v6 };
        namespace::run_in(&node, new)
    });
    let socket = socket.await.map_err(|error| error.to_string())?;
    let socket = socket.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let refused = |error: std::io::Error| format!("dial tcp {address}: {}", plain(&error));
    socket.connect(address).await.map_err(refused)
}

/// Without the number that Rust puts behind it.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

fn port_number(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => u16::try_from(*number).ok(),
        IntOrString::String(name) => container_ports(container)
            .find(|(port_name, ..)| *port_name == Some(name))
            .map(|(_, _, number)| number)
            .or_else(|| name.parse().ok()),
    };
    number.ok_or_else(|| format!("the container has no port {port:?}"))
}

async fn http_get(action: &HTTPGetAction, target: &Target) -> Result<(), String> {
    if action.scheme.as_deref().is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")) {
        return Err("a lab probes with the scheme HTTP only".to_owned());
    }
    let stream = connect(action.host.as_deref(), &action.port, target).await?;
    let to = stream.peer_addr().map_err(|error| error.to_string())?;
    let text = |error: hyper::Error| format!("Get \"http://{to}\": {error}");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    let connection = tokio::spawn(connection);
    let path = action.path.as_deref().filter(|path| path.starts_with('/')).unwrap_or("/");
    let mut request = hyper::Request::get(path).header("user-agent", "kube-probe/maglane");
    let headers = action.http_headers.iter().flatten();
    let named_host = headers.clone().any(|header| header.name.eq_ignore_ascii_case("host"));
    if !named_host {
        request = request.header("host", to.to_string());
    }
    for header in headers {
        request = request.header(&header.name, &header.value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(text);
    connection.abort();
    match response?.status().as_u16() {
        200..=399 => Ok(()),
        code => Err(format!("HTTP probe failed with statuscode: {code}")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::lab::environment::Environment;

    fn target() -> Target {
        let text = "{name: c, ports: [{name: web, containerPort: 8080}]}";
        let container: Container = serde_yaml_ng::from_str(text).unwrap();
        Target {
            container: Arc::new(container),
            environment: Arc::new(Environment::default()),
            network_namespace: String::new(),
            node_namespace: String::new(),
            address: None,
        }
    }

    #[test]
    fn ports_by_number_and_by_name() {
        let of = |port| port_number(&port, &target().container);
        assert_eq!(of(IntOrString::Int(80)), Ok(80));
        assert_eq!(of(IntOrString::String("web".to_owned())), Ok(8080));
        assert_eq!(of(IntOrString::String("81".to_owned())), Ok(81));
        assert!(of(IntOrString::String("other".to_owned())).is_err());
        assert!(of(IntOrString::Int(70_000)).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_verdict_needs_its_number_of_findings() {
        // Nothing to do is a failure each time.
        let probe =
            Probe { failure_threshold: Some(3), period_seconds: Some(2), ..Probe::default() };
        let (sender, mut findings) = mpsc::channel(1);
        tokio::spawn(follow(probe, Purpose::Readiness, target(), sender));
        for expected in [None, None, Some(false), None] {
            let finding = findings.recv().await.unwrap();
            assert_eq!(finding.verdict, expected);
            assert!(finding.failure.is_some());
        }
    }
}
