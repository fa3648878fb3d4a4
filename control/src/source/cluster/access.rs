//! From what is known of an API server to a client of it.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ConfigExt};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tokio_rustls::rustls::pki_types::ServerName;
use tower::{BoxError, ServiceBuilder};

use super::options::Access;

/// Where a Pod finds who it is; the names are Kubernetes' own.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// How long a connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How a connection on which nothing comes is asked whether it still lives: HTTP/2 by its own
/// PING, which the server's process answers, not its kernel; HTTP/1.1 by TCP's keep-alive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ping {
    /// How often it is asked.
    pub(super) interval: Duration,
    /// How long it has to answer.
    pub(super) limit: Duration,
}

impl Default for Ping {
    fn default() -> Self {
        Self { interval: Duration::from_secs(10), limit: Duration::from_secs(10) }
    }
}

/// Why there is no client. What is in a file may be right a moment later; then it is read again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    /// The kubeconfig.
    #[error("--kubeconfig {}: {cause}", file.display())]
    Kubeconfig {
        /// As it was given.
        file: PathBuf,
        /// What is wrong with it.
        cause: Box<KubeconfigError>,
    },
    /// A file that a Pod has.
    #[error("cannot read {}: {cause}: give --kubeconfig FILE", path.display())]
    ServiceAccount {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        cause: io::Error,
    },
    /// No URL.
    #[error("the API server's address {url:?} is no URL: {cause}")]
    Url {
        /// As it was found.
        url: String,
        /// What is wrong with it.
        cause: http::uri::InvalidUri,
    },
    /// A ClusterIP is what this agent has to bring about.
    #[error(
        "the API server is known here only by its ClusterIP {0}, which works once this agent \
         forwards and not before: give its own address with --api-server https://HOST:6443 (for \
         most clusters `kubectl config view` shows it), set KUBERNETES_SERVICE_HOST and \
         KUBERNETES_SERVICE_PORT in the Pod to it, or give --kubeconfig FILE"
    )]
    ClusterIp(IpAddr),
    /// Not among what is supported.
    #[error("the kubeconfig asks for a proxy ({0}), which is not supported")]
    Proxy(String),
    /// Certificates, keys, tokens or the plugin that makes them.
    #[error("the credentials cannot be used: {0}")]
    Credentials(String),
}

impl Access {
    /// Reads what is said in files and environment now.
    pub(super) async fn config(&self) -> Result<Config, AccessError> {
        let config = match self {
            Self::Kubeconfig { file, context, api_server } => {
                let failed =
                    |cause| AccessError::Kubeconfig { file: file.clone(), cause: Box::new(cause) };
                let kubeconfig = Kubeconfig::read_from(file).map_err(failed)?;
                let options =
                    KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
                let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
                with_server(config.map_err(failed)?, api_server.as_deref())?
            }
            Self::InCluster { api_server } => in_cluster_config(api_server.as_deref())?,
        };
        match &config.proxy_url {
            Some(proxy) => Err(AccessError::Proxy(proxy.to_string())),
            None => Ok(config),
        }
    }
}

fn with_server(mut config: Config, url: Option<&str>) -> Result<Config, AccessError> {
    if let Some(url) = url {
        config.cluster_url = parse_url(url)?;
    }
    Ok(config)
}

fn parse_url(url: &str) -> Result<http::Uri, AccessError> {
    // Without a scheme a host and a port would be taken for an authority, which is no place.
    let whole = if url.contains("://") { url.to_owned() } else { format!("https://{url}") };
    whole.parse().map_err(|cause| AccessError::Url { url: url.to_owned(), cause })
}

fn in_cluster_config(api_server: Option<&str>) -> Result<Config, AccessError> {
    let url = match api_server {
        Some(url) => parse_url(url)?,
        None => {
            let variable = |name| std::env::var(name).unwrap_or_default();
            let host = variable("KUBERNETES_SERVICE_HOST");
            if let Some(ip) = cluster_ip(&host, &variable("KUBERNETES_PORT")) {
                return Err(AccessError::ClusterIp(ip));
            }
            let port = variable("KUBERNETES_SERVICE_PORT");
            let host = if host.contains(':') { format!("[{host}]") } else { host };
            parse_url(&format!("https://{host}:{}", if port.is_empty() { "443" } else { &port }))?
        }
    };
    let file = |name| Path::new(SERVICE_ACCOUNT).join(name);
    let readable = |path: PathBuf| match std::fs::File::open(&path) {
        Ok(_) => Ok(path),
        Err(cause) => Err(AccessError::ServiceAccount { path, cause }),
    };
    let mut config = Config::new(url);
    config.auth_info.token_file = Some(readable(file("token"))?.display().to_string());
    config.root_cert_file = Some(readable(file("ca.crt"))?);
    Ok(config)
}

/// The kubelet tells every Pod the ClusterIP of the Service `kubernetes`, twice: in
/// `KUBERNETES_SERVICE_HOST`, which a manifest may set to something better, and in
/// `KUBERNETES_PORT` (`tcp://10.96.0.1:443`), which nobody sets.
fn cluster_ip(host: &str, port: &str) -> Option<IpAddr> {
    let told: http::Uri = port.replacen("tcp://", "http://", 1).parse().ok()?;
    let told = told.host()?.trim_matches(['[', ']']);
    let (host, told) = (host.parse::<IpAddr>().ok()?, told.parse::<IpAddr>().ok()?);
    (host == told).then_some(host)
}

/// A client that notices within half a minute when the connection has died.
///
/// Runs the kubeconfig's credential plugin, if there is one: not on a thread that must not wait.
pub(super) fn client(config: &Config, ping: Ping) -> Result<Client, AccessError> {
    let refused = |error: kube::Error| AccessError::Credentials(super::failure::chain(&error));
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_LIMIT));
    http.set_keepalive(Some(ping.interval));
    http.set_keepalive_interval(Some(ping.interval / 2));
    http.set_tcp_user_timeout(Some(ping.interval + ping.limit));
    let tls = config.rustls_client_config().map_err(refused)?;
    let builder = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    let builder = match &config.tls_server_name {
        Some(name) => {
            let name = ServerName::try_from(name.clone())
                .map_err(|error| AccessError::Credentials(format!("tls-server-name: {error}")))?;
            builder.with_server_name_resolver(hyper_rustls::FixedServerNameResolver::new(name))
        }
        None => builder,
    };
    let connector = builder.enable_all_versions().wrap_connector(http);
    let hyper: hyper_util::client::legacy::Client<_, Body> =
        hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .http2_keep_alive_interval(ping.interval)
            .http2_keep_alive_timeout(ping.limit)
            .build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(refused)?)
        .layer(config.extra_headers_layer().map_err(refused)?)
        .map_err(BoxError::from)
        .service(hyper);
    Ok(Client::new(service, config.default_namespace.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_ip_is_told_from_an_address_of_its_own() {
        let cases = [
            ("10.96.0.1", "tcp://10.96.0.1:443", Some("10.96.0.1")),
            ("fd00::1", "tcp://[fd00::1]:443", Some("fd00::1")),
            ("192.168.0.2", "tcp://10.96.0.1:443", None),
            ("control-plane", "tcp://10.96.0.1:443", None),
            ("10.96.0.1", "", None),
        ];
        for (host, port, expect) in cases {
            let expect = expect.map(|ip| ip.parse().expect("an IP address"));
            assert_eq!(cluster_ip(host, port), expect, "{host} {port}");
        }
    }

    #[test]
    fn an_address_without_a_scheme_is_reached_by_tls() {
        let parsed = parse_url("10.0.0.1:6443").expect("an address");
        assert_eq!(parsed.to_string(), "https://10.0.0.1:6443/");
        assert!(parse_url("https://").is_err());
    }
}
