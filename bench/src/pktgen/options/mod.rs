//! What people type (`given`), and whether that can be (`checked`, `cores`).

mod checked;
mod cores;
mod given;

pub(crate) use checked::TrafficInfo;
pub(crate) use given::{PktgenArgs, Protocol, TrafficArgs, ns, seconds};
