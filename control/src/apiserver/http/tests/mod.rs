//! The server over real TCP, TLS and HTTP, at a free port.

mod bad_input;
mod documents;
mod plain;
mod pods;
mod watches;

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::identity::Identity;
use super::listeners::Listen;
use crate::apiserver::registry::Settings;
use crate::apiserver::server::{ApiServer, ApiServerOptions, Inside};

/// A server with a directory of its own.
struct Served {
    server: ApiServer,
    directory: TempDir,
}

/// What came back.
struct Answer {
    code: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{:?}", self.body))
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// Code, reason and message of a Status.
    fn status(&self) -> (u16, String, String) {
        let json = self.json();
        assert_eq!((&json["kind"], &json["apiVersion"]), (&"Status".into(), &"v1".into()));
        assert_eq!(json["code"], self.code);
        let text = |field: &str| json[field].as_str().unwrap().to_owned();
        (self.code, text("reason"), text("message"))
    }
}

impl Served {
    fn start() -> Self {
        Self::start_with(|_| std::future::ready(()))
    }

    fn start_with<F: Future<Output = ()> + 'static>(
        beside: impl FnOnce(Inside) -> F + Send + 'static,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server = start_in(directory.path(), beside);
        Self { server, directory }
    }

    fn identity(&self) -> Identity {
        Identity::load_or_create(self.directory.path()).unwrap()
    }

    /// A connection that trusts the server's authority and nobody else.
    async fn tls(
        &self,
        name: &'static str,
        alpn: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let authority = self.identity().authority_certificate().to_owned();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let stream = TcpStream::connect(self.server.addresses()[0]).await?;
        TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from(name).unwrap(), stream)
            .await
    }

    /// Sends a request as it is.
    async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let stream = self.tls("127.0.0.1", &[b"http/1.1"]).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        connection.abort();
        Answer { code: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// With the token, and this content type (if any) and body.
    async fn request(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = self.builder(method, path);
        if !content_type.is_empty() {
            request = request.header(CONTENT_TYPE, content_type);
        }
        self.send(request.body(Full::new(body.into())).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "", "").await
    }

    async fn get_as(&self, path: &str, accept: &str) -> Answer {
        let request = self.builder("GET", path).header(ACCEPT, accept);
        self.send(request.body(Full::default()).unwrap()).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.request("POST", path, "application/json", body.to_string()).await
    }

    fn builder(&self, method: &str, path: &str) -> hyper::http::request::Builder {
        let bearer = format!("Bearer {}", self.identity().token());
        Request::builder().method(method).uri(path).header(AUTHORIZATION, bearer)
    }

    /// As Rust programs talk to it.
    async fn client(&self) -> kube::Client {
        let file = kube::config::Kubeconfig::read_from(self.server.kubeconfig()).unwrap();
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(file, &options).await.unwrap();
        kube::Client::try_from(config).unwrap()
    }
}

fn start_in<F: Future<Output = ()> + 'static>(
    directory: &std::path::Path,
    beside: impl FnOnce(Inside) -> F + Send + 'static,
) -> ApiServer {
    let listen = Listen { address: "127.0.0.1:0".parse().unwrap(), beyond_loopback: false };
    let options = ApiServerOptions {
        data_directory: directory.to_owned(),
        listeners: listen.open().unwrap(),
        settings: Settings::default(),
    };
    ApiServer::start(options, beside).unwrap()
}

fn config_map(name: &str) -> Value {
    serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": {"a": "b"},
    })
}
