//! One breath: take back what was sent, receive, process, send.

use arrayvec::ArrayVec;

use super::{Port, Running};
use crate::pipeline::{BATCH, DropReason, Ingress, Packet, Pipeline, Verdict, Via};
use crate::xsk::{Frame, FramePool};

impl Running {
    /// Serves every port once, then what other workers handed over. Returns whether there was
    /// anything to do.
    pub(super) fn breathe(&mut self) -> bool {
        let worker = &mut self.worker;
        self.now_ms = worker.started.elapsed().as_millis() as u64;
        if worker.mailbox().generation() != worker.snapshot.generation
            && let Some(snapshot) = worker.mailbox().fetch_snapshot()
        {
            worker.mailbox().acknowledge(snapshot.generation);
            worker.snapshot = snapshot;
        }
        let mut active = false;
        for index in 0..self.ports.len() {
            active |= self.serve(index);
        }
        active | self.serve_inbox()
    }

    fn serve(&mut self, index: usize) -> bool {
        let mut frames = ArrayVec::<Frame, BATCH>::new();
        let Some(port) = self.ports.get_mut(index) else { return false };
        port.queue.reclaim(&mut self.worker.pool);
        port.queue.refill(&mut self.worker.pool);
        if port.queue.receive(&mut frames) == 0 {
            // What the kernel did not take last time.
            port.queue.kick();
            return false;
        }
        let ingress = port.ingress;
        let mut verdicts = ArrayVec::<Verdict, BATCH>::new();
        let mut lengths = ArrayVec::<usize, BATCH>::new();
        {
            let worker = &mut self.worker;
            let pool = &worker.pool;
            let mut packets: ArrayVec<Packet<'_>, BATCH> = frames
                .iter_mut()
                .map(|frame| Packet {
                    length: frame.length(),
                    buffer: pool.buffer(frame),
                    ingress,
                    handed_over: false,
                })
                .collect();
            worker.pipeline.process(&mut packets, &worker.snapshot, self.now_ms, &mut verdicts);
            lengths.extend(packets.iter().map(|packet| packet.length));
        }
        for ((mut frame, verdict), length) in frames.into_iter().zip(verdicts).zip(lengths) {
            frame.set_length(length);
            self.dispose(frame, verdict, ingress);
        }
        self.send();
        true
    }

    /// Brings a frame to where its verdict says.
    #[inline]
    fn dispose(&mut self, mut frame: Frame, verdict: Verdict, ingress: Ingress) {
        let worker = &mut self.worker;
        match verdict {
            Verdict::Forward(via) | Verdict::Answer(via) | Verdict::Kernel(via) => {
                return self.enqueue(frame, via);
            }
            Verdict::HandOver(owner) => {
                let length = frame.length();
                let bytes = worker.pool.buffer(&mut frame).get(..length).unwrap_or_default();
                let owner = worker.mailboxes.get(owner as usize);
                match owner.filter(|owner| owner.inbox.put(bytes, ingress)) {
                    Some(owner) => owner.wake_if_asleep(),
                    None => worker.pipeline.count_drop(DropReason::HandOverRingFull),
                }
            }
            Verdict::Drop(_) | Verdict::Malformed(_) => {}
        }
        worker.pool.free(frame);
    }

    #[inline]
    fn enqueue(&mut self, frame: Frame, via: Via) {
        let ingress = match via {
            Via::HostPort => Ingress::HostPort,
            Via::Port(interface) => Ingress::Port { interface: interface.get() },
        };
        let worker = &mut self.worker;
        let Some(port) = self.ports.iter_mut().find(|port| port.ingress == ingress) else {
            worker.pipeline.count_drop(DropReason::PortGone);
            return worker.pool.free(frame);
        };
        port.outgoing.push(frame);
        if port.outgoing.is_full() {
            port.send(&mut worker.pool, &mut worker.pipeline);
        }
    }

    fn send(&mut self) {
        for port in self.ports.iter_mut().filter(|port| !port.outgoing.is_empty()) {
            port.send(&mut self.worker.pool, &mut self.worker.pipeline);
        }
    }

    fn serve_inbox(&mut self) -> bool {
        let inbox = &self.worker.mailbox().inbox;
        let mut parcels = ArrayVec::<_, BATCH>::new();
        while !parcels.is_full()
            && let Some(parcel) = inbox.fetch()
        {
            parcels.push(parcel);
        }
        if parcels.is_empty() {
            return false;
        }
        let mut verdicts = ArrayVec::<Verdict, BATCH>::new();
        let mut lengths = ArrayVec::<usize, BATCH>::new();
        {
            let worker = &mut self.worker;
            let mut packets: ArrayVec<Packet<'_>, BATCH> =
                parcels.iter_mut().map(|parcel| parcel.packet()).collect();
            worker.pipeline.process(&mut packets, &worker.snapshot, self.now_ms, &mut verdicts);
            lengths.extend(packets.iter().map(|packet| packet.length));
        }
        for ((parcel, verdict), length) in parcels.into_iter().zip(verdicts).zip(lengths) {
            if let Verdict::Forward(via) | Verdict::Answer(via) | Verdict::Kernel(via) = verdict {
                match framed(&mut self.worker.pool, parcel.bytes(length)) {
                    Some(frame) => self.enqueue(frame, via),
                    None => self.worker.pipeline.count_drop(DropReason::NoFrame),
                }
            }
            self.worker.mailbox().inbox.give_back(parcel);
        }
        self.send();
        true
    }
}

impl Port {
    /// Sends what is outgoing. The ring is as long as the receive ring, so it is full only when
    /// the kernel takes nothing; then there is one more try before the rest is dropped.
    fn send(&mut self, pool: &mut FramePool, pipeline: &mut Pipeline) {
        self.queue.transmit(&mut self.outgoing);
        self.queue.kick();
        if self.outgoing.is_empty() {
            return;
        }
        self.queue.reclaim(pool);
        self.queue.transmit(&mut self.outgoing);
        self.queue.kick();
        for frame in self.outgoing.drain(..) {
            pipeline.count_drop(DropReason::TransmitRingFull);
            pool.free(frame);
        }
    }
}

/// A frame of our own with these bytes.
fn framed(pool: &mut FramePool, bytes: &[u8]) -> Option<Frame> {
    let mut frame = pool.allocate()?;
    if let Some(room) = pool.buffer(&mut frame).get_mut(..bytes.len()) {
        room.copy_from_slice(bytes);
    }
    frame.set_length(bytes.len());
    Some(frame)
}
