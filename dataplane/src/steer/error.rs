use std::io;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;
use thiserror::Error;

/// What can go wrong with the steering programs.
#[derive(Debug, Error)]
pub enum SteerError {
    /// The kernel refused the programs or their maps.
    #[error("cannot load the steering programs: {0}; they need root (CAP_BPF, CAP_NET_ADMIN)")]
    Load(#[from] EbpfError),
    /// One program was refused.
    #[error("cannot load the steering program {name}: {source}")]
    Program {
        /// Of the program.
        name: &'static str,
        /// The kernel's reason.
        source: ProgramError,
    },
    /// A program could not be attached.
    #[error("cannot attach {name} to interface {interface}: {source}")]
    Attach {
        /// Of the program.
        name: &'static str,
        /// To which it was to be attached.
        interface: String,
        /// The kernel's reason.
        source: ProgramError,
    },
    /// Another XDP program sits on the interface.
    #[error(
        "interface {interface} has an XDP program of somebody else, which is left alone; \
         remove it (ip link set dev {interface} xdp off) or choose another interface"
    )]
    ForeignXdp {
        /// The interface.
        interface: String,
    },
    /// An interface is not there.
    #[error("interface {0} does not exist; `ip link` lists those of this network namespace")]
    NoInterface(String),
    /// A map refused a change.
    #[error("cannot change the steering map {map}: {source}")]
    Map {
        /// Of the map.
        map: &'static str,
        /// The kernel's reason.
        source: MapError,
    },
    /// More than the map of Service addresses holds.
    #[error("{wanted} Service addresses are more than the {limit} that the steering map holds")]
    TooManyAddresses {
        /// How many there are.
        wanted: usize,
        /// How many fit.
        limit: usize,
    },
    /// More XDP ports than there are slots.
    #[error("more than {limit} XDP ports")]
    TooManyPorts {
        /// How many fit.
        limit: u32,
    },
    /// The flow fingerprints could not be mapped.
    #[error("cannot map the flow fingerprints: {0}")]
    FingerprintMemory(io::Error),
    /// A device's offloads could not be turned off.
    #[error("cannot turn {offload} off on interface {interface}: {source}")]
    Offload {
        /// As ethtool calls it.
        offload: &'static str,
        /// Of the device.
        interface: String,
        /// The kernel's reason.
        source: io::Error,
    },
}
