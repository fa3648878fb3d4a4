//! The XDP program that takes packets off an interface for the generator's sockets.

use std::os::fd::RawFd;
use std::thread;
use std::time::{Duration, Instant};

use aya::maps::XskMap;
use aya::programs::xdp::{XdpLink, XdpMode};
use aya::programs::{ProgramError, Xdp as Program};
use aya::{Ebpf, EbpfLoader};
use clap::ValueEnum;
use serde::Serialize;

use crate::error::{BenchError, Result};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/take.bpf.o"));
const PROGRAM: &str = "take";
const SOCKETS: &str = "SOCKETS";
/// How long the link of a process that has just ended may still hold the device.
const BUSY_RETRY: Duration = Duration::from_secs(2);

/// What is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Taken {
    /// UDP and TCP.
    Transports,
    /// All IP but neighbour discovery.
    AllIp,
}

/// Where XDP runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Xdp {
    /// In the driver, or in the kernel where the driver has no XDP.
    #[default]
    Auto,
    /// In the driver.
    Native,
    /// In the kernel's receive path. Slower, but it also sees what another namespace's tc program
    /// hands over (`bpf_redirect_peer`), which no driver does.
    Generic,
}

/// Takes packets until it is dropped.
pub(crate) struct Taking {
    _programs: Ebpf,
    _link: XdpLink,
    /// Whether the driver does it, or the kernel before its own receive path.
    pub(crate) native: bool,
}

impl Taking {
    /// Attaches to an interface of the calling thread's namespace: queue *i* to socket *i*.
    ///
    /// # Errors
    /// When the kernel refuses, or somebody else's program is there.
    pub(crate) fn attach(
        interface: &str,
        sockets: &[RawFd],
        what: Taken,
        xdp: Xdp,
    ) -> Result<Self> {
        let failed = |operation| {
            move |source: Box<dyn std::error::Error + Send + Sync>| BenchError::Xdp {
                operation,
                interface: interface.to_owned(),
                source,
            }
        };
        let take_all = u32::from(what == Taken::AllIp);
        let mut programs = EbpfLoader::new()
            .override_global("TAKE_ALL_IP", &take_all, true)
            .load(OBJECT)
            .map_err(|error| failed("load")(error.into()))?;
        if let Some(map) = programs.map_mut(SOCKETS) {
            let mut map: XskMap<_> = map
                .try_into()
                .map_err(|error: aya::maps::MapError| failed("fill the map of")(error.into()))?;
            for (queue, socket) in sockets.iter().enumerate() {
                map.set(queue as u32, *socket, 0)
                    .map_err(|error| failed("fill the map of")(error.into()))?;
            }
        }
        let program: &mut Program = programs
            .program_mut(PROGRAM)
            .ok_or(ProgramError::NotLoaded)
            .and_then(TryInto::try_into)
            .map_err(|error: ProgramError| failed("find")(error.into()))?;
        program.load().map_err(|error| failed("load")(error.into()))?;
        let (link, native) = attach(program, interface, xdp)
            .map_err(|error| failed("attach")(error.into()))?
            .ok_or_else(|| BenchError::ForeignXdp { interface: interface.to_owned() })?;
        let link = program.take_link(link).map_err(|error| failed("attach")(error.into()))?;
        Ok(Self { _programs: programs, _link: link, native })
    }
}

type Attached = (aya::programs::xdp::XdpLinkId, bool);

/// In the driver, or where that cannot be, in the kernel. `None` when the device is taken.
fn attach(
    program: &mut Program,
    interface: &str,
    xdp: Xdp,
) -> std::result::Result<Option<Attached>, ProgramError> {
    let give_up = Instant::now() + BUSY_RETRY;
    loop {
        let mode = if xdp == Xdp::Generic { XdpMode::Skb } else { XdpMode::Driver };
        match program.attach(interface, mode) {
            Ok(link) => return Ok(Some((link, xdp != Xdp::Generic))),
            Err(error) if is_busy(&error) && Instant::now() < give_up => {
                thread::sleep(Duration::from_millis(50));
            }
            Err(error) if is_busy(&error) => return Ok(None),
            Err(_) if xdp == Xdp::Auto => {
                return Ok(Some((program.attach(interface, XdpMode::Skb)?, false)));
            }
            Err(error) => return Err(error),
        }
    }
}

fn is_busy(error: &ProgramError) -> bool {
    let ProgramError::SyscallError(error) = error else { return false };
    // EBUSY from a link, EEXIST from a program that netlink attached.
    matches!(
        error.io_error.kind(),
        std::io::ErrorKind::ResourceBusy | std::io::ErrorKind::AlreadyExists
    )
}
