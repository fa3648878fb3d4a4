//! The real `kubectl`, and clients that mean no good, against the program's own API.
//!
//! Most tests have an agent to themselves, in a network namespace that goes with it. Its API
//! listens on the machine's loopback, at a socket that the test passes on as systemd does:
//!
//! ```text
//!   kubectl ── https://127.0.0.1:PORT ──┐
//!   ┌───────────────────────────────────┼──────────┐
//!   │  unshare --net                    v          │
//!   │     maglane agent --standalone  (LISTEN_FDS) │
//!   └──────────────────────────────────────────────┘
//! ```
//!
//! Where Pods have to run there is a lab, one on a machine, for which tests take turns:
//!
//! ```text
//!   kubectl ── https://127.0.0.1:6443 ── maglane lab up
//!   ┌──────────────────────────────────────────────┐
//!   │  maglane-node: agent, API, controllers       │
//!   └───╫──────────────╫──────────────╫────────────┘
//!     client         hello-…        hello-…      each a namespace and a process
//! ```
//!
//! They need root and kubectl, and say so when they skip.

mod bad_input;
mod client;
mod crash;
mod creating;
mod describing;
mod examples;
mod flood;
mod follow;
mod kubectl;
mod lab;
mod python;
mod reading;
mod refusals;
mod rollouts;
mod running;
mod scaling;
mod standalone;
mod tiers;
mod troubleshooting;
#[path = "../network/turn.rs"]
mod turn;
mod writing;
