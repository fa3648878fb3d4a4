//! Maglane: Kubernetes ClusterIPs without kube-proxy.
//!
//! | module | what | knows |
//! |---|---|---|
//! | [`model`] | Kubernetes objects in, snapshots out | no I/O, no clock |
//! | [`source`] | manifests and word of their changes | files |
//! | [`net`] | links, addresses, routes, neighbours | netlink |
//! | [`admin`] | how other processes talk to the agent | HTTP over a Unix socket |
//! | [`agent`] | follows manifests and links, and has the dataplane follow | the engine |
//! | [`controllers`] | what makes objects follow from others, as in a cluster | an API server's client |
//! | [`lab`] | a node and its Pods in network namespaces | all of the above but the engine |
//! | [`cli`] | what people type and read | all of these |

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that panics has failed"))]

mod admin;
mod agent;
#[expect(dead_code, reason = "its parts are being put together")]
mod apiserver;
mod cli;
mod controllers;
mod lab;
mod model;
mod net;
mod source;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cli::Cli::parse().run().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
