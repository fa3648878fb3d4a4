//! Real clients and servers, whose kernels speak TCP: iperf3, nginx, wrk.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::metric::Metric;
use super::place::{BACKENDS, Place, SERVICE_PORT, TCP_PORT, service};
use super::server::Server;
use super::subject::{Kind, Subject};
use crate::error::{BenchError, Result};
use crate::rig::run_until;

/// Connections that wrk keeps.
const CONNECTIONS: &str = "16";
const GBIT: f64 = 1e9;
/// How long a connection may take to open, which nobody may answer.
const CONNECT_MS: &str = "3000";
const NGINX: &str = "\
worker_processes 1;
daemon off;
pid DIRECTORY/pid;
error_log stderr crit;
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

/// Why there is no such figure.
pub(super) type Missing = String;

/// One figure of real connections; or that a program is missing, or met errors.
pub(super) fn measure(
    place: &Place,
    subject: &Subject,
    metric: Metric,
    seconds: f64,
) -> Result<std::result::Result<f64, Missing>> {
    let needed: &[&str] = if metric == Metric::Bulk { &["iperf3"] } else { &["nginx", "wrk"] };
    for program in needed {
        if !is_there(program) {
            let why = "is not on the PATH; scripts/setup.sh --measuring installs it";
            return Ok(Err(format!("{}: {program} {why}", metric.name())));
        }
    }
    // wrk and iperf3 count in whole seconds.
    let seconds = format!("{}", seconds.ceil() as u64);
    let (address, port) = match subject.kind {
        Kind::Kernel => (BACKENDS[0], TCP_PORT),
        _ => (service(0), SERVICE_PORT),
    };
    let figure = match metric {
        Metric::Bulk => bulk(place, address, port, &seconds),
        _ => requests(place, address, port, &seconds, metric == Metric::Connections),
    };
    match figure {
        Err(error @ BenchError::Faulty { .. }) => {
            Ok(Err(format!("{} of {}: {error}", metric.name(), subject.with_services())))
        }
        figure => figure.map(Ok),
    }
}

/// Whether a program is installed.
pub(super) fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|place| place.join(program).is_file())
}

fn bulk(place: &Place, address: Ipv4Addr, port: u16, seconds: &str) -> Result<f64> {
    let mut server = Command::new("iperf3");
    server.args(["-s", "-p", &TCP_PORT.to_string()]);
    let mut client = Command::new("iperf3");
    client.args(["-J", "-c", &address.to_string(), "-p", &port.to_string(), "-t", seconds]);
    client.args(["--connect-timeout", CONNECT_MS]);
    gbit_per_s(&talk(place, server, client)?)
}

fn requests(
    place: &Place,
    address: Ipv4Addr,
    port: u16,
    seconds: &str,
    short: bool,
) -> Result<f64> {
    let failed = BenchError::kernel("write nginx's configuration", "the temporary directory");
    let (directory, config) = nginx_config().map_err(failed)?;
    let mut server = Command::new("nginx");
    server.arg("-p").arg(directory.path()).arg("-c").arg(config);
    let mut client = Command::new("wrk");
    client.args(["-t", "1", "-c", CONNECTIONS, "-d", seconds]);
    if short {
        client.args(["-H", "Connection: close"]);
    }
    client.arg(format!("http://{address}:{port}/"));
    requests_per_s(&talk(place, server, client)?)
}

fn nginx_config() -> io::Result<(TempDir, PathBuf)> {
    let directory = tempfile::tempdir()?;
    let text = NGINX
        .replace("DIRECTORY", &directory.path().to_string_lossy())
        .replace("PORT", &TCP_PORT.to_string());
    let path = directory.path().join("nginx.conf");
    fs::write(&path, text)?;
    Ok((directory, path))
}

/// What the client says when it is done.
fn talk(place: &Place, server: Command, mut client: Command) -> Result<String> {
    let mut server = Server::start(place, server)?;
    let said = place.client.run(|| run_until(&place.interrupt, &mut client, ""));
    // A client whose server has gone knows less of why.
    server.check()?;
    said
}

/// What iperf3 received. It reports errors as results, and then succeeds.
fn gbit_per_s(json: &str) -> Result<f64> {
    let command = || "iperf3".to_owned();
    let unexpected = |what: &str| BenchError::Unexpected { command: command(), what: what.into() };
    let result: Value = serde_json::from_str(json).map_err(|_| unexpected("no JSON"))?;
    if let Some(error) = result["error"].as_str() {
        return Err(BenchError::Faulty { command: command(), what: error.to_owned() });
    }
    let bits = result.pointer("/end/sum_received/bits_per_second").and_then(Value::as_f64);
    bits.map(|bits| bits / GBIT).ok_or_else(|| unexpected("no bits a second"))
}

/// What wrk counted; requests with errors are among them.
fn requests_per_s(text: &str) -> Result<f64> {
    let command = || "wrk".to_owned();
    let faults = ["Socket errors:", "Non-2xx or 3xx responses:"];
    let is_fault = |line: &&str| faults.iter().any(|fault| line.starts_with(fault));
    let faults: Vec<&str> = text.lines().map(str::trim).filter(is_fault).collect();
    if !faults.is_empty() {
        return Err(BenchError::Faulty { command: command(), what: faults.join("; ") });
    }
    let line = text.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    line.and_then(|number| number.trim().parse().ok())
        .ok_or_else(|| BenchError::Unexpected { command: command(), what: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_with_errors_is_none() {
        let text = "  203256 requests in 1.10s, 29.08MB read\nRequests/sec: 184622.09\n";
        assert_eq!(requests_per_s(text).expect("a figure"), 184_622.09);
        let faulty = "  Socket errors: connect 0, read 7, write 0, timeout 2\n  \
                      Non-2xx or 3xx responses: 9\n"
            .to_owned();
        let error = requests_per_s(&(faulty + text)).expect_err("errors").to_string();
        assert_eq!(
            error,
            "wrk met errors, so that there is no figure: Socket errors: connect 0, read 7, \
             write 0, timeout 2; Non-2xx or 3xx responses: 9"
        );
        assert!(requests_per_s("").is_err());
        let json = r#"{"end": {"sum_received": {"bits_per_second": 2.5e9}}}"#;
        assert_eq!(gbit_per_s(json).expect("a figure"), 2.5);
        let json = r#"{"end": {}, "error": "unable to connect to server"}"#;
        let error = gbit_per_s(json).expect_err("an error").to_string();
        assert_eq!(
            error,
            "iperf3 met errors, so that there is no figure: unable to connect to server"
        );
    }
}
