//! Labs with the real kernel on both ends, through the program's own command line.
//!
//! ```text
//!   maglane-node (192.168.0.2, fd00:192:168::2)
//!   ┌──────────────────────────────────────────────────────────────────────┐
//!   │  agent: workers ── mlg0 ═ mlg1 ── 10.96.0.0/16, fd00:10:96::/112      │
//!   │                                                                      │
//!   │   mlp…          mlp…          mlp…          far ── 10.9.9.0/24 (one  │
//!   └────╫─────────────╫─────────────╫─────────────╫──── test only) ───────┘
//!      eth0          eth0          eth0          eth0
//!    client         web-1         web-2         maglane-far
//!   10.244.0.1     10.244.0.11   10.244.0.12    10.9.9.9
//! ```
//!
//! Pods run no commands: clients and servers are sockets of the test, made inside the Pods'
//! namespaces. There is one lab on a machine, so tests take turns behind a lock. They need root,
//! and say so when they skip.

mod bad_input;
mod balance;
mod bulk;
mod churn;
mod container;
mod crash;
mod datagrams;
mod distinct;
mod http;
mod idle;
mod lab;
mod leftovers;
mod manifest;
mod namespace;
mod output;
mod ping;
mod refusal;
mod requests;
mod turn;
mod untouched;
