use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use anyhow::Context;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

/// One connection to an agent's socket, for one question after another.
pub(super) struct Ask {
    sender: SendRequest<Empty<Bytes>>,
}

/// Of `GET /status`.
#[derive(Deserialize)]
pub(super) struct Status {
    pub(super) services: usize,
    pub(super) table_bytes: u64,
    pub(super) problems: Vec<String>,
}

/// Of `GET /services`.
#[derive(Deserialize)]
struct Service {
    name: String,
    backends: Vec<Backend>,
}

#[derive(Deserialize)]
struct Backend {
    address: IpAddr,
}

impl Ask {
    pub(super) async fn connect(socket: &Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(socket).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// Waits until a generation after this one is in force.
    pub(super) async fn generation_after(&mut self, generation: u32) -> anyhow::Result<u32> {
        self.get(&format!("/generation?after={generation}")).await
    }

    pub(super) async fn status(&mut self) -> anyhow::Result<Status> {
        self.get("/status").await
    }

    /// Who answers for each Service.
    pub(super) async fn in_force(&mut self) -> anyhow::Result<BTreeMap<String, Vec<Ipv4Addr>>> {
        let services: Vec<Service> = self.get("/services").await?;
        let backends = |service: &Service| {
            let ipv4 = |backend: &Backend| match backend.address {
                IpAddr::V4(address) => Some(address),
                IpAddr::V6(_) => None,
            };
            let mut all: Vec<_> = service.backends.iter().filter_map(ipv4).collect();
            all.sort();
            all
        };
        Ok(services.iter().map(|service| (service.name.clone(), backends(service))).collect())
    }

    async fn get<T: DeserializeOwned>(&mut self, path: &str) -> anyhow::Result<T> {
        let request = hyper::Request::get(path).header("host", "maglane").body(Empty::new())?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let body = response.into_body().collect().await?.to_bytes();
        serde_json::from_slice(&body)
            .with_context(|| format!("{path}: {}", String::from_utf8_lossy(&body)))
    }
}
