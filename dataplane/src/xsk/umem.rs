use std::{
    mem::ManuallyDrop,
    num::NonZeroU32,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        linux::fs::MetadataExt,
    },
};

use arrayvec::ArrayVec;
use nix::{errno::Errno, fcntl::OFlag, net::if_::if_nametoindex, unistd::dup3};
use xsk_rs::{
    FrameDesc, Umem,
    config::{FrameSize, QueueSize, UmemConfig},
};

use super::{CHUNK_SIZE_BYTES, CopyMode, FramePoolConfig, MAX_PORTS, XskError};

/// One of the ports ever bound to a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PortId(u32);

/// Where a port's socket is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    namespace: Option<u64>,
    interface_index: u32,
    queue: u32,
}

impl Place {
    /// ENODEV if the calling thread's network namespace has no such interface.
    pub(super) fn find(interface: &str, queue: u32) -> nix::Result<Self> {
        let interface_index = if_nametoindex(interface)?;
        Ok(Self { namespace: network_namespace(), interface_index, queue })
    }
}

struct Port {
    id: PortId,
    place: Place,
    /// A duplicate of the socket: valid even if the port is dropped without an unbind.
    socket: OwnedFd,
}

/// A UMEM and the sockets bound to it, so that each of them can be let go.
///
/// libxdp registers the UMEM with a socket that becomes the first port's, binds later ones through
/// that descriptor's number, and closes it only with the UMEM. So when the first port goes, another
/// port's socket is put under that number (any bound socket of a UMEM will do for the kernel); and
/// when the last one goes, so does the UMEM. A bind after that makes a new one, in the network
/// namespace of the thread that binds: the UMEM's socket would otherwise stay in the old one, and
/// the interface's index would mean another device there.
pub(super) struct SharedUmem {
    config: FramePoolConfig,
    umem: Option<Umem>,
    namespace: Option<u64>,
    ports: ArrayVec<Port, MAX_PORTS>,
    /// The number of libxdp's descriptor and the port whose socket it stands for.
    anchor: Option<(RawFd, PortId)>,
    copy_mode: Option<CopyMode>,
    next_port: u32,
}

impl SharedUmem {
    /// Makes the UMEM; also the descriptors of its chunks, which are the same every time.
    pub(super) fn new(config: FramePoolConfig) -> Result<(Self, Vec<FrameDesc>), XskError> {
        let (umem, descriptors) = create(&config)?;
        let shared = Self {
            config,
            umem: Some(umem),
            namespace: network_namespace(),
            ports: ArrayVec::new(),
            anchor: None,
            copy_mode: None,
            next_port: 0,
        };
        Ok((shared, descriptors))
    }

    #[inline]
    pub(super) fn get(&self) -> Option<&Umem> {
        self.umem.as_ref()
    }

    /// What the first port's socket became; none while no port is bound.
    pub(super) fn copy_mode(&self) -> Option<CopyMode> {
        self.copy_mode
    }

    pub(super) fn has(&self, place: Place) -> bool {
        self.ports.iter().any(|port| port.place == place)
    }

    pub(super) fn is_full(&self) -> bool {
        self.ports.is_full()
    }

    /// The UMEM for the next bind, made anew if this would be the first port and there is none, or
    /// one of another network namespace.
    pub(super) fn for_bind(&mut self) -> Result<Umem, XskError> {
        let here = network_namespace();
        if self.ports.is_empty() && here != self.namespace {
            self.umem = None;
        }
        match &self.umem {
            Some(umem) => Ok(umem.clone()),
            None => {
                let (umem, _same_as_ever) = create(&self.config)?;
                self.namespace = here;
                Ok(self.umem.insert(umem).clone())
            }
        }
    }

    /// A socket was bound.
    pub(super) fn register(
        &mut self,
        place: Place,
        socket: BorrowedFd<'_>,
        copy_mode: CopyMode,
    ) -> std::io::Result<PortId> {
        let id = PortId(self.next_port);
        self.ports.push(Port { id, place, socket: socket.try_clone_to_owned()? });
        self.next_port += 1;
        if self.anchor.is_none() {
            self.anchor = Some((socket.as_raw_fd(), id));
            self.copy_mode = Some(copy_mode);
        }
        Ok(id)
    }

    /// A bind failed half-way: libxdp may have bound the first socket, and would keep it.
    pub(super) fn abandon(&mut self) {
        if self.ports.is_empty() {
            self.umem = None;
        }
    }

    /// A port's rings were dropped: closes what else holds its socket, and gives up the UMEM with
    /// the last one.
    pub(super) fn release(&mut self, port: PortId) -> Result<(), Errno> {
        self.ports.retain(|held| held.id != port);
        let Some(heir) = self.ports.first() else {
            self.umem = None;
            self.anchor = None;
            self.copy_mode = None;
            return Ok(());
        };
        if let Some((number, holder)) = &mut self.anchor
            && *holder == port
        {
            // SAFETY: libxdp keeps this number open as long as the UMEM, which `self.umem` holds;
            // it is not closed here, because it stays libxdp's.
            let mut anchor = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(*number) });
            dup3(&heir.socket, &mut anchor, OFlag::O_CLOEXEC)?;
            *holder = heir.id;
        }
        Ok(())
    }
}

fn create(config: &FramePoolConfig) -> Result<(Umem, Vec<FrameDesc>), XskError> {
    let invalid = |field, value: u32| XskError::InvalidConfig {
        field,
        value: value.into(),
        expected: "more",
    };
    let ring = QueueSize::new(config.ring_size_frames)
        .map_err(|_| invalid("ring_size_frames", config.ring_size_frames))?;
    let chunk = CHUNK_SIZE_BYTES as u32;
    let layout = FrameSize::new(chunk)
        .ok()
        .and_then(|size| {
            let mut builder = UmemConfig::builder();
            builder.frame_size(size).fill_queue_size(ring).comp_queue_size(ring).build().ok()
        })
        .ok_or_else(|| invalid("frame size", chunk))?;
    let frames = NonZeroU32::new(config.frames).ok_or_else(|| invalid("frames", config.frames))?;
    Umem::new(layout, frames, config.huge_pages)
        .map_err(|error| XskError::umem(config.frames, error))
}

/// Identifies the calling thread's network namespace; none where /proc is not to be had.
fn network_namespace() -> Option<u64> {
    std::fs::metadata("/proc/thread-self/ns/net").ok().map(|namespace| namespace.st_ino())
}
