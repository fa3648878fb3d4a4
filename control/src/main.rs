//! Maglane: Kubernetes ClusterIPs without kube-proxy.
//!
//! | module | what | knows |
//! |---|---|---|
//! | [`model`] | Kubernetes objects in, snapshots out | no I/O, no clock |
//! | [`source`] | where objects come from: manifests, an API server; word of their changes | files, HTTP |
//! | [`net`] | links, addresses, routes, neighbours | netlink |
//! | [`admin`] | how other processes talk to the agent | HTTP over a Unix socket |
//! | [`apiserver`] | a small Kubernetes API server of our own | redb, HTTP and TLS |
//! | [`agent`] | follows a source and links, and has the dataplane follow | the engine |
//! | [`controllers`] | what makes objects follow from others, as in a cluster | an API server's client |
//! | [`lab`] | a node and its Pods in network namespaces | all of the above but the engine |
//! | [`cli`] | what people type and read | all of these |

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that panics has failed"))]

mod admin;
mod agent;
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
