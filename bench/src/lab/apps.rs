//! Real clients and servers, whose kernels speak TCP: iperf3, nginx, wrk.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::measure::Metric;
use super::place::{BACKENDS, Place, SERVICE_PORT, TCP_PORT, service};
use super::subject::{Kind, Subject};
use crate::error::{BenchError, Result};
use crate::rig::run_command;

/// Connections that wrk keeps.
const CONNECTIONS: &str = "16";
const GBIT: f64 = 1e9;
/// How long a connection may take to open, which nobody may answer.
const CONNECT_MS: &str = "3000";
/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(5);
const NGINX: &str = "\
worker_processes 1;
daemon off;
pid DIRECTORY/pid;
error_log DIRECTORY/error crit;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path DIRECTORY/body; proxy_temp_path DIRECTORY/proxy;
  fastcgi_temp_path DIRECTORY/fastcgi; uwsgi_temp_path DIRECTORY/uwsgi;
  scgi_temp_path DIRECTORY/scgi;
  server { listen PORT reuseport; location / { return 200 \"ok\\n\"; } }
}
";

/// A program that is not on this machine.
pub(super) type Missing = String;

/// One figure of real connections; or which program is missing.
pub(super) fn measure(
    place: &Place,
    subject: &Subject,
    metric: Metric,
    seconds: f64,
) -> Result<std::result::Result<f64, Missing>> {
    let needed: &[&str] = if metric == Metric::Bulk { &["iperf3"] } else { &["nginx", "wrk"] };
    for program in needed {
        if !is_there(program) {
            return Ok(Err(format!("{metric:?}: {program} is not installed")));
        }
    }
    // wrk and iperf3 count in whole seconds.
    let seconds = format!("{}", seconds.ceil() as u64);
    let (address, port) = match subject.kind {
        Kind::Kernel => (BACKENDS[0], TCP_PORT),
        _ => (service(0), SERVICE_PORT),
    };
    match metric {
        Metric::Bulk => bulk(place, address, port, &seconds).map(Ok),
        _ => requests(place, address, port, &seconds, metric == Metric::Connections).map(Ok),
    }
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    places.push("/usr/sbin".into());
    places.iter().any(|place| place.join(program).is_file())
}

fn bulk(place: &Place, address: Ipv4Addr, port: u16, seconds: &str) -> Result<f64> {
    let mut server = Command::new("iperf3");
    server.args(["-s", "-p", &TCP_PORT.to_string()]);
    let _server = Server::start(place, server)?;
    let text = place.client.run(|| {
        let mut client = Command::new("iperf3");
        client.args(["-J", "-c", &address.to_string(), "-p", &port.to_string(), "-t", seconds]);
        client.args(["--connect-timeout", CONNECT_MS]);
        run_command(&mut client)
    })?;
    let unexpected = |what: &str| BenchError::Unexpected {
        command: "iperf3 -J".to_owned(),
        what: what.to_owned(),
    };
    let result: Value = serde_json::from_str(&text).map_err(|_| unexpected("no JSON"))?;
    let bits = result.pointer("/end/sum_received/bits_per_second").and_then(Value::as_f64);
    bits.map(|bits| bits / GBIT).ok_or_else(|| unexpected("no bits a second"))
}

fn requests(
    place: &Place,
    address: Ipv4Addr,
    port: u16,
    seconds: &str,
    short: bool,
) -> Result<f64> {
    let directory = std::env::temp_dir().join(format!("maglane-bench-{}", std::process::id()));
    let prepared = fs::create_dir_all(&directory).and_then(|()| {
        let config = NGINX
            .replace("DIRECTORY", &directory.to_string_lossy())
            .replace("PORT", &TCP_PORT.to_string());
        fs::write(directory.join("nginx.conf"), config)
    });
    prepared
        .map_err(BenchError::kernel("write nginx's configuration", "the temporary directory"))?;
    let mut server = Command::new("nginx");
    server.arg("-p").arg(&directory).arg("-c").arg(directory.join("nginx.conf"));
    let served = Server::start(place, server);
    let text = served.and_then(|_server| {
        place.client.run(|| {
            let mut client = Command::new("wrk");
            client.args(["-t", "1", "-c", CONNECTIONS, "-d", seconds]);
            if short {
                client.args(["-H", "Connection: close"]);
            }
            run_command(client.arg(format!("http://{address}:{port}/")))
        })
    });
    let _ = fs::remove_dir_all(&directory);
    let text = text?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    line.and_then(|number| number.trim().parse().ok())
        .ok_or_else(|| BenchError::Unexpected { command: "wrk".to_owned(), what: text })
}

/// A server in the server's namespace, until it is dropped.
struct Server(Child);

impl Server {
    fn start(place: &Place, mut command: Command) -> Result<Self> {
        let text = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        place.server.run(|| {
            let failed = |cause| BenchError::Run { command: text.clone(), cause };
            let server = Self(command.spawn().map_err(failed)?);
            let deadline = Instant::now() + PATIENCE;
            while !is_listening(TCP_PORT) {
                if Instant::now() >= deadline {
                    let seconds = PATIENCE.as_secs();
                    return Err(BenchError::TooSlow { what: format!("{text} to listen"), seconds });
                }
                thread::sleep(Duration::from_millis(10));
            }
            Ok(server)
        })
    }
}

/// Whether somebody listens on a port of the calling thread's namespace. Not found out by a
/// connection: iperf3 would take it for a client.
fn is_listening(port: u16) -> bool {
    let tables = ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"];
    tables.iter().any(|table| {
        let text = fs::read_to_string(table).unwrap_or_default();
        text.lines().any(|line| is_listener(line, port))
    })
}

/// `sl local_address rem_address st …`, proc_net_tcp(5): 0A is LISTEN.
fn is_listener(line: &str, port: u16) -> bool {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = fields.next().unwrap_or_default();
    local.ends_with(&format!(":{port:04X}")) && fields.nth(1) == Some("0A")
}

impl Drop for Server {
    fn drop(&mut self) {
        use nix::sys::signal::{Signal, kill};
        use nix::unistd::Pid;
        // nginx takes its workers with it only when it is asked.
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.0.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                let _ = self.0.kill();
                let _ = self.0.wait();
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_listener;

    #[test]
    fn listeners_are_told_from_connections() {
        let line = "   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000";
        assert!(is_listener(line, 8080));
        assert!(!is_listener(line, 80));
        assert!(!is_listener(&line.replace(" 0A ", " 01 "), 8080));
    }
}
