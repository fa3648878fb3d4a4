use std::{thread, time::Duration};

use xsk_rs::{
    FrameDesc, Socket, Umem,
    config::{BindFlags, Interface, LibxdpFlags, QueueSize, SocketConfig},
};

use super::{
    BATCH, CopyMode, FramePool, PortQueue, PortQueueConfig, PortQueueCounters, XskError,
    custody::Custody, port::Rings, socket, umem::Place,
};

/// A process that was killed gives its queue up a little later: the kernel frees it from a work
/// queue. So a busy queue is tried again, this often and in these steps.
const BUSY_RETRIES: u32 = 20;
const BUSY_RETRY_STEP: Duration = Duration::from_millis(100);

impl PortQueue {
    /// Binds a queue of an interface of the calling thread's network namespace, which may differ
    /// from that of the pool's other ports. Its fill ring is empty: [`PortQueue::refill`] it.
    ///
    /// Blocks up to two seconds while another process holds the queue.
    ///
    /// # Errors
    ///
    /// Each names the interface, the queue and what to do about it: see [`XskError`].
    pub fn bind(pool: &mut FramePool, config: &PortQueueConfig) -> Result<Self, XskError> {
        config.check()?;
        let (interface, queue) = (config.interface.clone(), config.queue);
        if pool.umem.is_full() {
            return Err(XskError::TooManyPorts { interface });
        }
        if let (Some(asked), Some(actual)) = (config.copy, pool.umem.copy_mode())
            && asked != actual
        {
            return Err(XskError::CopyModeDiffers { interface, queue, asked, actual });
        }
        let Ok(place) = Place::find(&interface, queue) else {
            return Err(XskError::NoSuchInterface { interface, queue });
        };
        if pool.umem.has(place) {
            return Err(XskError::AlreadyBound { interface, queue });
        }
        let umem = pool.umem.for_bind()?;
        let bound = open(config, &umem)
            .and_then(|rings| Self::register(pool, config, place, rings, umem.clone()));
        if bound.is_err() {
            drop(umem);
            pool.umem.abandon();
        }
        bound
    }

    fn register(
        pool: &mut FramePool,
        config: &PortQueueConfig,
        place: Place,
        rings: Rings,
        umem: Umem,
    ) -> Result<Self, XskError> {
        let (interface, queue) = (config.interface.clone(), config.queue);
        let failed = |operation, source| XskError::Socket {
            operation,
            interface: interface.clone(),
            queue,
            source,
        };
        let copy_mode =
            socket::copy_mode(rings.fd()).map_err(|error| failed("reading XDP_OPTIONS", error))?;
        socket::close_on_exec(rings.fd())
            .map_err(|error| failed("setting FD_CLOEXEC", error.into()))?;
        if copy_mode == CopyMode::Copy {
            // Where the kernel does not know the option, `kick` calls more often.
            socket::raise_transmit_budget(rings.fd(), config.ring_size_frames);
        }
        let id = pool
            .umem
            .register(place, rings.fd(), copy_mode)
            .map_err(|error| failed("duplicating the socket", error))?;
        Ok(Self {
            id,
            pool: pool.id,
            interface,
            queue,
            copy_mode,
            rings,
            umem,
            custody: Custody::new(pool.total()),
            outstanding: 0,
            counters: PortQueueCounters::default(),
            last_error: None,
            scratch: [FrameDesc::default(); BATCH],
        })
    }
}

fn open(config: &PortQueueConfig, umem: &Umem) -> Result<Rings, XskError> {
    let (interface, queue) = (config.interface.as_str(), config.queue);
    let no_such = || XskError::NoSuchInterface { interface: interface.to_owned(), queue };
    // A name with a NUL in it.
    let device: Interface = interface.parse().map_err(|_| no_such())?;
    let socket_config = socket_config(config)?;
    let mut retries = BUSY_RETRIES;
    let (transmit, receive, own_rings) = loop {
        // SAFETY: the XDP program's loading is inhibited, which is what this call asks for.
        match unsafe { Socket::new(socket_config, umem, &device, queue) } {
            Ok(queues) => break queues,
            Err(error) => match XskError::bind(interface, queue, error) {
                XskError::QueueBusy { .. } if retries > 0 => {
                    retries -= 1;
                    thread::sleep(BUSY_RETRY_STEP);
                }
                other => return Err(other),
            },
        }
    };
    let Some((fill, completion)) = own_rings else {
        return Err(XskError::AlreadyBound { interface: interface.to_owned(), queue });
    };
    let transmit_size = config.ring_size_frames;
    Ok(Rings { receive, transmit, fill, completion, transmit_size })
}

fn socket_config(config: &PortQueueConfig) -> Result<SocketConfig, XskError> {
    let ring = QueueSize::new(config.ring_size_frames).map_err(|_| XskError::InvalidConfig {
        field: "ring_size_frames",
        value: config.ring_size_frames.into(),
        expected: "a power of two",
    })?;
    let copy = match config.copy {
        Some(CopyMode::Copy) => BindFlags::XDP_COPY,
        Some(CopyMode::ZeroCopy) => BindFlags::XDP_ZEROCOPY,
        None => BindFlags::empty(),
    };
    Ok(SocketConfig::builder()
        .rx_queue_size(ring)
        .tx_queue_size(ring)
        .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
        .bind_flags(copy | BindFlags::XDP_USE_NEED_WAKEUP)
        .build())
}
