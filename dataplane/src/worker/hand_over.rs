//! Packets on their way to the worker that owns their flow.
//!
//! On an XDP port the NIC chooses the queue, by a hash of its own, so a packet can reach a worker
//! that does not know its flow. It is copied (no UMEM is shared) into a parcel of the owner's, of
//! which there is a fixed number.

use crossbeam::queue::ArrayQueue;

use crate::pipeline::{Ingress, Packet};
use crate::xsk::FRAME_CAPACITY_BYTES;

/// A packet, out of its frame.
pub(super) struct Parcel {
    buffer: [u8; FRAME_CAPACITY_BYTES],
    length: usize,
    ingress: Ingress,
}

impl Parcel {
    pub(super) fn packet(&mut self) -> Packet<'_> {
        Packet {
            buffer: &mut self.buffer,
            length: self.length,
            ingress: self.ingress,
            handed_over: true,
        }
    }

    /// The first `length` bytes.
    pub(super) fn bytes(&self, length: usize) -> &[u8] {
        self.buffer.get(..length).unwrap_or_default()
    }
}

/// Where one worker receives what is handed over to it.
pub(super) struct Inbox {
    full: ArrayQueue<Box<Parcel>>,
    empty: ArrayQueue<Box<Parcel>>,
}

impl Inbox {
    /// An inbox for so many packets at once; 0 where there is no other worker.
    pub(super) fn new(parcels: u32) -> Self {
        let size = (parcels as usize).max(1);
        let inbox = Self { full: ArrayQueue::new(size), empty: ArrayQueue::new(size) };
        for _ in 0..parcels {
            inbox.give_back(Box::new(Parcel {
                buffer: [0; FRAME_CAPACITY_BYTES],
                length: 0,
                ingress: Ingress::HostPort,
            }));
        }
        inbox
    }

    /// Whether there is nothing to fetch.
    pub(super) fn is_empty(&self) -> bool {
        self.full.is_empty()
    }

    /// Copies a packet in; `false` when the inbox is full.
    pub(super) fn put(&self, bytes: &[u8], ingress: Ingress) -> bool {
        let Some(mut parcel) = self.empty.pop() else { return false };
        let Some(room) = parcel.buffer.get_mut(..bytes.len()) else {
            self.give_back(parcel);
            return false;
        };
        room.copy_from_slice(bytes);
        parcel.length = bytes.len();
        parcel.ingress = ingress;
        self.full.push(parcel).is_ok()
    }

    pub(super) fn fetch(&self) -> Option<Box<Parcel>> {
        self.full.pop()
    }

    pub(super) fn give_back(&self, parcel: Box<Parcel>) {
        // There is room: the queue was made for every parcel there is.
        let _ = self.empty.push(parcel);
    }
}
