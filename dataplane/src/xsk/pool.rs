use std::{
    fmt, slice,
    sync::atomic::{AtomicU32, Ordering},
};

use xsk_rs::FrameDesc;

use super::{
    CHUNK_SIZE_BYTES, FRAME_CAPACITY_BYTES, Frame, FramePoolConfig, XskError,
    frame::{PoolId, chunk_of},
    umem::SharedUmem,
};

static NEXT_POOL: AtomicU32 = AtomicU32::new(0);

/// A worker's UMEM and its free frames.
///
/// Made eagerly, so that a machine that cannot do AF_XDP says so at once. When the last port is
/// unbound the UMEM is given up, and the next bind makes another: frames held meanwhile stay valid,
/// what was written in them is lost.
pub struct FramePool {
    pub(super) id: PoolId,
    pub(super) umem: SharedUmem,
    /// The descriptor of every chunk, packet start where the kernel puts it.
    home: Box<[FrameDesc]>,
    /// Last in, first out: a chunk just sent is still in the cache.
    free: Vec<Frame>,
}

impl FramePool {
    /// Allocates and registers the UMEM. Needs CAP_NET_RAW.
    ///
    /// # Errors
    ///
    /// A field out of its range, no AF_XDP in this kernel, no privilege, no memory.
    pub fn new(config: FramePoolConfig) -> Result<Self, XskError> {
        config.check()?;
        let (umem, descriptors) = SharedUmem::new(config)?;
        let id = PoolId(NEXT_POOL.fetch_add(1, Ordering::Relaxed));
        let free = descriptors.iter().rev().map(|home| Frame::new(*home, id)).collect();
        Ok(Self { id, umem, home: descriptors.into_boxed_slice(), free })
    }

    /// A free frame of length 0, if there is one.
    #[inline]
    pub fn allocate(&mut self) -> Option<Frame> {
        self.free.pop()
    }

    /// Takes a frame back. One of another pool is refused, and lost.
    #[inline]
    pub fn free(&mut self, frame: Frame) {
        debug_assert_eq!(frame.pool, self.id, "a frame of another pool");
        if frame.pool == self.id {
            self.take_back(frame.descriptor);
        }
    }

    /// Frames that are free now.
    #[inline]
    pub fn available(&self) -> usize {
        self.free.len()
    }

    /// Frames there are, wherever they may be.
    #[inline]
    pub fn total(&self) -> usize {
        self.home.len()
    }

    /// The packet's bytes and the room behind it: from the packet's start to the chunk's end.
    ///
    /// Many frames' buffers may be borrowed at once. Empty for a frame of another pool, and while
    /// no UMEM is there (between the last unbind and the next bind).
    #[inline]
    pub fn buffer<'a>(&'a self, frame: &'a mut Frame) -> &'a mut [u8] {
        debug_assert_eq!(frame.pool, self.id, "a frame of another pool");
        let Some(umem) = self.umem.get().filter(|_| frame.pool == self.id) else {
            return &mut [];
        };
        // SAFETY: the descriptor is of this pool's UMEM. A frame is the only one of its chunk and
        // the kernel does not have it (`Custody`), so the exclusive borrow of the frame is one of
        // its chunk.
        let mut data = unsafe { umem.data_mut(&mut frame.descriptor) };
        let room = data.cursor().buf_len();
        data.cursor().set_pos(room);
        let start = data.contents_mut().as_mut_ptr();
        // SAFETY: `start` points to `room` bytes of the UMEM, which outlives `&'a self` because
        // only `&mut self` can give it up, and which nobody else reaches while the frame is
        // borrowed for 'a, as above.
        unsafe { slice::from_raw_parts_mut(start, room) }
    }

    /// A descriptor whose chunk is in nobody's hands becomes a free frame.
    #[inline]
    pub(super) fn take_back(&mut self, mut descriptor: FrameDesc) {
        let start = descriptor.addr() % CHUNK_SIZE_BYTES;
        if start != CHUNK_SIZE_BYTES - FRAME_CAPACITY_BYTES {
            descriptor = self.home_of(chunk_of(&descriptor)).unwrap_or(descriptor);
        }
        // The vector was made for every frame there is, and a frame is in it once: no allocation.
        let mut frame = Frame::new(descriptor, self.id);
        frame.set_length(0);
        self.free.push(frame);
    }

    /// Where a packet starts in a chunk. Cold: an XDP program moved the start, or an unbind.
    #[cold]
    pub(super) fn home_of(&self, chunk: usize) -> Option<FrameDesc> {
        self.home.get(chunk).copied()
    }
}

impl fmt::Debug for FramePool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FramePool")
            .field("id", &self.id)
            .field("available", &self.available())
            .field("total", &self.total())
            .finish_non_exhaustive()
    }
}
