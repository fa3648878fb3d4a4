//! How other processes talk to the agent: HTTP over a Unix socket, for its owner only.
//!
//! | request | answer |
//! |---|---|
//! | `GET /status` | [`StatusView`] |
//! | `GET /services` | a list of [`ServiceInfo`](crate::model::ServiceInfo) |
//! | `GET /flows?limit=N` | a list of [`FlowView`] |
//! | `GET /generation?after=N` | a number, once a generation after N is in force |
//! | `POST /sync` | [`SyncView`], once what there is now is in force |

mod client;
mod server;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use client::{Client, ClientError};
pub(crate) use server::{Listener, MAX_FLOWS, Request, SocketError, serve};
#[cfg(test)]
pub(crate) use view::WorkerView;
pub(crate) use view::{FlowView, SourceView, StatusView, SyncView, WatchView};

/// Where an agent listens unless it is told otherwise.
pub(crate) const AGENT_SOCKET: &str = "/run/maglane/agent.sock";
