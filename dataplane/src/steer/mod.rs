//! Floor 3: the BPF programs (`bpf/steer.bpf.c`) that bring packets to the workers and take them
//! back, the maps that these programs read, and the device settings that they rely on.
//!
//! All links are `bpf_link`s of this process: they vanish with it, and the kernel's own path is
//! back. On kernels before 6.6 the tc programs are netlink filters under `clsact`; those outlive
//! a killed process, and the next start removes them.

mod counters;
mod error;
mod fingerprint_memory;
mod offload;
mod programs;

pub use counters::STEERING_COUNTERS;
pub use error::SteerError;
pub use fingerprint_memory::FingerprintMemory;
pub use offload::{disable_transmit_offloads, receive_queues};
pub use programs::{
    HostPortLinks, MAX_PORTS, PodLinks, PortLinks, Steering, SteeringConfig, UplinkLink, XdpMode,
};
