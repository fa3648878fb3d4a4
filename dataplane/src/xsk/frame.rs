use xsk_rs::FrameDesc;

use super::CHUNK_SIZE_BYTES;

/// The shortest frame that may be sent: an Ethernet header. The kernel drops a descriptor of
/// length 0 without completing it, and its chunk would be lost until the port is unbound.
pub const MIN_FRAME_LENGTH_BYTES: usize = 14;

/// A chunk of a UMEM in user space's hands, and the packet in it.
///
/// It cannot be copied, so a chunk is never in two rings. Dropping one loses its chunk until the
/// pool is gone: give it back with [`super::FramePool::free`] or send it.
#[derive(Debug)]
#[must_use = "a dropped frame is a chunk lost: free or transmit it"]
pub struct Frame {
    /// Its address stays that of the packet's first byte; its length is not used.
    pub(super) descriptor: FrameDesc,
    length: u32,
    pub(super) pool: PoolId,
}

/// Tells apart the pools of a process, so that a frame is refused by any pool but its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PoolId(pub(super) u32);

impl Frame {
    pub(super) fn new(descriptor: FrameDesc, pool: PoolId) -> Self {
        // A chunk holds 4,096 bytes, so its lengths fit.
        Self { descriptor, length: descriptor.lengths().data() as u32, pool }
    }

    /// Bytes of the packet in it, Ethernet header included; 0 after an allocation.
    #[inline]
    pub fn length(&self) -> usize {
        self.length as usize
    }

    /// Sets the packet's length, at most the room from the packet's start to the chunk's end.
    #[inline]
    pub fn set_length(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.room(), "{bytes} bytes in a room of {}", self.room());
        self.length = bytes.min(self.room()) as u32;
    }

    /// Bytes from the packet's start to the chunk's end.
    #[inline]
    pub fn room(&self) -> usize {
        CHUNK_SIZE_BYTES - self.descriptor.addr() % CHUNK_SIZE_BYTES
    }

    #[inline]
    pub(super) fn is_sendable(&self) -> bool {
        self.length() >= MIN_FRAME_LENGTH_BYTES
    }
}

/// Which chunk of the UMEM a descriptor lies in.
#[inline]
pub(super) fn chunk_of(descriptor: &FrameDesc) -> usize {
    descriptor.addr() / CHUNK_SIZE_BYTES
}
