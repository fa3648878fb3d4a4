//! All that a packet of a Kubernetes Service touches, from the bytes on a ring to the bytes on
//! another.
//!
//! The crate is built in floors; a module imports only from floors below it:
//!
//! | floor | modules | knows |
//! |---|---|---|
//! | 0 | [`wire`] | bytes: views, in-place rewriting, checksums |
//! | 1 | [`maglev`], [`flow`], [`service`] | tables; time is an argument |
//! | 2 | [`pipeline`] | frames in, verdicts out; no I/O |
//! | 3 | [`xsk`], [`steer`] | AF_XDP sockets; the BPF programs. The only `unsafe` |
//! | 4 | [`worker`], [`engine`] | the pinned loop; start, attach, publish, read out, stop |

pub mod engine;
pub mod flow;
pub mod maglev;
pub mod pipeline;
pub mod service;
pub mod steer;
pub mod wire;
pub mod worker;
pub mod xsk;
