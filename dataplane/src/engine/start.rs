use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use crossbeam::channel::bounded;
use nix::net::if_::if_nametoindex;

use super::{Engine, EngineConfig, EngineError, HostPort, PollMode};
use crate::flow::{Fingerprints, FingerprintsMemory, FlowConfig, FlowTable};
use crate::pipeline::{Ingress, Pipeline, PipelineConfig};
use crate::service::{ServiceTable, Snapshot};
use crate::steer::{Steering, SteeringConfig, disable_transmit_offloads};
use crate::wire::HashKeys;
use crate::worker::{Bound, Command, Mailbox, Worker};
use crate::xsk::{
    CopyMode, FramePool, FramePoolConfig, MAX_MTU, PortQueueConfig, XskError, prefer_huge_pages,
};

/// The host port's slot among the sockets of the steering programs.
const HOST_PORT_SLOT: u32 = 0;
/// Ethernet and one VLAN tag.
const LINK_HEADER_BYTES: u32 = 18;

impl Engine {
    /// Starts the workers, and attaches to the host port if there is one. Services, Pods and XDP
    /// ports come later.
    ///
    /// # Errors
    /// A limit out of range, a missing privilege or kernel feature, an interface that is not
    /// there or is somebody else's.
    pub fn start(config: &EngineConfig) -> Result<Self, EngineError> {
        config.check()?;
        let inner_interface = config.host_port.as_ref().map(prepare_host_port).transpose()?;
        let keys = HashKeys::new(rand::random());
        let buckets_per_worker = Fingerprints::buckets_for(config.flow_capacity);
        let steering = Steering::load(&SteeringConfig {
            workers: config.workers,
            keys,
            buckets_per_worker,
            inner_interface: inner_interface.unwrap_or(0),
            max_frame_bytes: MAX_MTU as u32 + LINK_HEADER_BYTES,
        })?;
        let words = config.workers as usize * Fingerprints::words_for(buckets_per_worker);
        let memory: FingerprintsMemory = Arc::new(steering.fingerprint_memory(words)?);
        let mut mailboxes = Vec::new();
        let mut receivers = Vec::new();
        for _ in 0..config.workers {
            let parcels = if config.workers > 1 { config.handover_ring_frames } else { 0 };
            let (mailbox, commands) = Mailbox::new(parcels)?;
            mailboxes.push(mailbox);
            receivers.push(commands);
        }
        let mut engine = Self {
            config: config.clone(),
            steering,
            host_port: None,
            pods: HashMap::new(),
            uplinks: HashMap::new(),
            ports: HashMap::new(),
            mailboxes: mailboxes.into(),
            threads: Vec::new(),
            cores: assign_cores(config),
            published: vec![Arc::new(Snapshot::default())],
            steered: Some(ServiceTable::default()),
            started: Instant::now(),
        };
        for (number, commands) in receivers.into_iter().enumerate() {
            let flows = FlowTable::new(
                FlowConfig { capacity_flows: config.flow_capacity, timeouts: config.timeouts },
                keys,
            )?;
            prefer_huge_pages(flows.memory());
            let fingerprints =
                Fingerprints::new(memory.clone(), number as u32, buckets_per_worker)?;
            let pipeline_config = PipelineConfig {
                worker: number as u32,
                workers: config.workers,
                host_port: config.host_port.is_some(),
            };
            let pipeline = Pipeline::new(pipeline_config, flows, fingerprints);
            engine.spawn(number, pipeline, commands)?;
        }
        engine.open_host_port()?;
        Ok(engine)
    }

    /// Starts a worker on its core. It makes its UMEM itself: that belongs to the thread's
    /// network namespace.
    fn spawn(
        &mut self,
        number: usize,
        pipeline: Pipeline,
        commands: crossbeam::channel::Receiver<Command>,
    ) -> Result<(), EngineError> {
        let pool_config = FramePoolConfig {
            frames: self.config.frames_per_worker,
            ring_size_frames: self.config.ring_size_frames,
            huge_pages: false,
        };
        let core = self.cores[number];
        let mailboxes = self.mailboxes.clone();
        let busy_poll = self.config.poll == PollMode::Busy;
        let snapshot = self.published[0].clone();
        let started = self.started;
        let (sender, pool_made) = bounded::<Result<(), XskError>>(1);
        let body = move || {
            if let Some(id) = core {
                core_affinity::set_for_current(core_affinity::CoreId { id: id as usize });
            }
            let pool = match FramePool::new(pool_config) {
                Ok(pool) => pool,
                Err(error) => return drop(sender.send(Err(error))),
            };
            drop(sender.send(Ok(())));
            let worker = Worker {
                pipeline,
                pool,
                snapshot,
                mailboxes,
                number,
                commands,
                busy_poll,
                started,
            };
            worker.run();
        };
        let thread = thread::Builder::new()
            .name(format!("maglane-w{number}"))
            .spawn(body)
            .map_err(|source| EngineError::Thread { worker: number, source })?;
        self.threads.push(thread);
        pool_made.recv().map_err(|_| EngineError::WorkerGone { worker: number })??;
        Ok(())
    }

    /// Binds every worker's queue of the host port, then lets packets come.
    fn open_host_port(&mut self) -> Result<(), EngineError> {
        let Some(HostPort { outer, inner }) = self.config.host_port.clone() else {
            return Ok(());
        };
        for worker in 0..self.mailboxes.len() {
            let bound = self.bind(worker, &outer, Ingress::HostPort, Some(CopyMode::Copy))?;
            self.steering.set_socket(HOST_PORT_SLOT, worker as u32, bound.socket)?;
        }
        self.host_port = Some(self.steering.attach_host_port(&outer, &inner)?);
        Ok(())
    }

    /// Makes a worker serve its queue of an interface.
    pub(super) fn bind(
        &self,
        worker: usize,
        interface: &str,
        ingress: Ingress,
        copy: Option<CopyMode>,
    ) -> Result<Bound, EngineError> {
        let config = PortQueueConfig {
            interface: interface.to_owned(),
            queue: worker as u32,
            copy,
            ring_size_frames: self.config.ring_size_frames,
        };
        let (answer, bound) = bounded(1);
        self.mailboxes[worker].send(Command::Bind { config, ingress, answer });
        Ok(bound.recv().map_err(|_| EngineError::WorkerGone { worker })??)
    }
}

/// Turns the offloads off that would hand workers unfinished packets. Returns the index of the
/// kernel's end.
fn prepare_host_port(host_port: &HostPort) -> Result<u32, EngineError> {
    if_nametoindex(host_port.outer.as_str())
        .map_err(|_| EngineError::NoInterface(host_port.outer.clone()))?;
    let index = if_nametoindex(host_port.inner.as_str())
        .map_err(|_| EngineError::NoInterface(host_port.inner.clone()))?;
    disable_transmit_offloads(&host_port.inner)?;
    Ok(index)
}

/// One core a worker, the last ones first: the first one has most of the machine's other work.
fn assign_cores(config: &EngineConfig) -> Vec<Option<u32>> {
    let available: Vec<u32> = if config.cores.is_empty() {
        let ids = core_affinity::get_core_ids().unwrap_or_default();
        ids.iter().rev().map(|core| core.id as u32).collect()
    } else {
        config.cores.clone()
    };
    let mut cycle = available.iter().copied().cycle();
    (0..config.workers).map(|_| cycle.next()).collect()
}
