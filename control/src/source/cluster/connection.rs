use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::Client;

use super::access::{self, AccessError, Ping};
use super::options::Access;

/// How long a client is new: whoever failed a moment ago may have failed with the one before.
const NEW: Duration = Duration::from_secs(1);

/// The way to an API server. Certificates, tokens and addresses stand in files that change: after
/// a failure the files are read again.
pub(super) struct Connection {
    origin: Origin,
    current: Mutex<(Client, Instant)>,
}

enum Origin {
    Files(Access, Ping),
    /// The API of this process; there is nothing to read again.
    InProcess,
}

impl Connection {
    /// The way that files and environment say now, and the server's URL.
    pub(super) async fn open(access: Access, ping: Ping) -> Result<(Self, http::Uri), AccessError> {
        let (client, url) = make(&access, ping).await?;
        let current = Mutex::new((client, Instant::now()));
        Ok((Self { origin: Origin::Files(access, ping), current }, url))
    }

    /// The way of a client that never changes.
    pub(super) fn of(client: Client) -> Self {
        Self { origin: Origin::InProcess, current: Mutex::new((client, Instant::now())) }
    }

    /// The client of now.
    pub(super) fn client(&self) -> Client {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Makes a new client of what the files say now. The one before stays when that fails.
    pub(super) async fn renew(&self) -> Result<(), AccessError> {
        let Origin::Files(access, ping) = &self.origin else { return Ok(()) };
        let made = self.current.lock().unwrap_or_else(PoisonError::into_inner).1;
        if made.elapsed() < NEW {
            return Ok(());
        }
        let (client, _) = make(access, *ping).await?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = (client, Instant::now());
        Ok(())
    }
}

async fn make(access: &Access, ping: Ping) -> Result<(Client, http::Uri), AccessError> {
    let config = access.config().await?;
    let url = config.cluster_url.clone();
    // A kubeconfig may name a program that makes the credentials, which takes its time.
    let made = tokio::task::spawn_blocking(move || access::client(&config, ping)).await;
    let client = made.map_err(|error| AccessError::Credentials(error.to_string()))??;
    Ok((client, url))
}
