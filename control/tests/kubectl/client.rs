//! An HTTP/1.1 client over TLS that sends what it is told, sense or nonsense.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::standalone::Standalone;

/// Longer than any answer takes.
const ANSWER: Duration = Duration::from_secs(60);

/// What it takes to talk to one API.
#[derive(Clone)]
pub(crate) struct Access {
    address: std::net::SocketAddr,
    tls: Arc<ClientConfig>,
    token: String,
}

/// One connection.
pub(crate) struct Client {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
    token: String,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Access {
    /// As the kubeconfig says.
    pub(crate) fn to(machine: &Standalone) -> Self {
        let text = std::fs::read_to_string(machine.kubeconfig()).expect("a kubeconfig");
        let config: Value = serde_yaml_ng::from_str(&text).expect("YAML");
        let authority = &config["clusters"][0]["cluster"]["certificate-authority-data"];
        let pem = STANDARD.decode(authority.as_str().expect("a certificate")).expect("base64");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&pem).expect("PEM")).expect("a certificate");
        let provider = tokio_rustls::rustls::crypto::ring::default_provider();
        let tls = ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .expect("TLS")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let token = config["users"][0]["user"]["token"].as_str().expect("a token");
        Self { address: machine.address(), tls: tls.into(), token: token.to_owned() }
    }

    /// With another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    pub(crate) fn tcp(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    pub(crate) fn connect(&self) -> io::Result<Client> {
        let name = ServerName::IpAddress(self.address.ip().into());
        let session = ClientConnection::new(self.tls.clone(), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, self.tcp()?);
        stream.flush()?;
        Ok(Client { stream: BufReader::new(stream), token: self.token.clone() })
    }
}

impl Access {
    /// One connection of HTTP/2, for many requests at once.
    pub(crate) async fn http2(&self) -> http2::SendRequest<Empty<Bytes>> {
        let mut tls = ClientConfig::clone(&self.tls);
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let stream = tokio::net::TcpStream::connect(self.address).await.expect("it listens");
        let name = ServerName::IpAddress(self.address.ip().into());
        let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await.expect("TLS");
        let stream = TokioIo::new(stream);
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), stream).await.expect("HTTP/2");
        tokio::spawn(connection);
        sender
    }

    /// The header that lets it in.
    pub(crate) fn authorization(&self) -> String {
        format!("Bearer {}", self.token)
    }
}

impl Client {
    pub(crate) fn connect(machine: &Standalone) -> io::Result<Self> {
        Access::to(machine).connect()
    }

    /// A request with a body of JSON, if any, and its answer.
    pub(crate) fn ask(&mut self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        self.ask_as(method, path, "application/json", body.as_bytes())
    }

    pub(crate) fn ask_as(
        &mut self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> io::Result<Answer> {
        self.send_head(
            method,
            path,
            &format!("Content-Type: {content_type}\r\nContent-Length: {}\r\n", body.len()),
        )?;
        // A server that has heard enough answers before it has read all.
        let sent = self.send(body);
        self.answer().or_else(|error| sent.and(Err(error)))
    }

    /// The beginning of a request, with more header lines.
    pub(crate) fn send_head(&mut self, method: &str, path: &str, more: &str) -> io::Result<()> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n{more}\r\n",
            self.token
        );
        self.send(head.as_bytes())
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes)?;
        stream.flush()
    }

    /// The status and the headers that matter: `Content-Length`, and whether it is chunked.
    fn head(&mut self) -> io::Result<(u16, Option<usize>, bool)> {
        let mut line = String::new();
        let mut code = 0;
        let (mut length, mut chunked) = (None, false);
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let text = line.trim_end();
            if code == 0 {
                code = text
                    .split(' ')
                    .nth(1)
                    .and_then(|code| code.parse().ok())
                    .ok_or(io::ErrorKind::InvalidData)?;
            } else if text.is_empty() {
                return Ok((code, length, chunked));
            } else if let Some((name, value)) = text.split_once(": ") {
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.parse().ok(),
                    "transfer-encoding" => chunked = value == "chunked",
                    _ => {}
                }
            }
        }
    }

    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        let (code, length, chunked) = self.head()?;
        let mut body = vec![0; length.unwrap_or(0)];
        self.stream.read_exact(&mut body)?;
        if chunked {
            while let Some(chunk) = self.chunk()? {
                body.extend(chunk);
            }
        }
        Ok(Answer { code, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// The next chunk of an answer; `None` after the last one.
    fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let size =
            usize::from_str_radix(line.trim_end(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk)?;
        chunk.truncate(size);
        Ok((size > 0).then_some(chunk))
    }
}
