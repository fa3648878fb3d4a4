//! How other processes talk to the agent: HTTP over a Unix socket, for its owner only.
//!
//! | request | answer |
//! |---|---|
//! | `GET /status` | [`StatusView`] |
//! | `GET /services` | a list of [`ServiceInfo`](crate::model::ServiceInfo) |
//! | `GET /flows?limit=N` | a list of [`FlowView`] |
//! | `POST /sync` | [`SyncView`], once what lies in the manifests now is in force |

mod client;
mod server;
#[cfg(test)]
mod tests;
mod view;

use std::path::PathBuf;

pub(crate) use client::{Client, ClientError};
pub(crate) use server::{Listener, Request, SocketError, serve};
#[cfg(test)]
pub(crate) use view::WorkerView;
pub(crate) use view::{FlowView, StatusView, SyncView};

/// Where an agent listens unless it is told otherwise.
pub(crate) const AGENT_SOCKET: &str = "/run/maglane/agent.sock";
/// Where the lab's agent listens.
pub(crate) const LAB_SOCKET: &str = "/run/maglane/lab/agent.sock";

/// Where to look for an agent: where we were told, else its own place, else the lab's.
pub(crate) fn socket_candidates(told: Option<PathBuf>) -> Vec<PathBuf> {
    told.map_or_else(|| vec![AGENT_SOCKET.into(), LAB_SOCKET.into()], |path| vec![path])
}
