//! Floor 3: AF_XDP sockets, their UMEM and rings, and the frames that travel through them.
//!
//! One worker owns one [`FramePool`] (a UMEM and its free chunks) and, through it, queue *i* of
//! every port it serves, each a [`PortQueue`]. Nothing here is shared between workers and nothing
//! on the packet path locks, allocates or formats.
//!
//! ```text
//!                    FramePool (user space)
//!      allocate/free  ^   |             ^
//!                     |   | refill      | reclaim
//!   receive           |   v             |              transmit
//!   <---- rx ring   User  fill ring   completion ring   tx ring <----
//!            \            |             ^                 /
//!             `----------- the kernel ---------------- --'
//! ```
//!
//! A chunk is in one place at a time. In user space it is a [`Frame`], which cannot be copied; in
//! the kernel it is a bit in the port's `Custody`. A `Frame` is made only where a bit is cleared or
//! where the pool gave one, so two of them never describe the same chunk, whatever address the
//! kernel writes into a ring. That is what the `unsafe` of this module rests on, and what lets
//! [`PortQueue::unbind`] return every frame that the kernel still held.
//!
//! Per frame, in bursts of 2,000 over a veth, release build: receive 8 ns, buffer 1, transmit 6,
//! reclaim 7, refill 5; the kernel's part of a kick is 1,400.
//!
//! Traps that shaped the code, all of them of the kernel's or libxdp's making:
//!
//! - Flags of the second and later sockets on a UMEM are ignored: copy or zero-copy is decided by
//!   the first, so a pool refuses a port that asks for the other.
//! - libxdp never closes the first socket of a UMEM while the UMEM lives, so its device would stay
//!   taken after an unbind. [`FramePool`] hands that descriptor on to another port's socket, or
//!   gives up the UMEM when no port is left and makes a new one at the next bind.
//! - libxdp's sockets are inherited by child processes, which would keep the device: a bind marks
//!   them close-on-exec, so start no child between a pool's making and its first bind. Duplicates
//!   of [`PortQueue::fd`] keep the device too; make none.
//! - Ring handles (some 200 bytes) of every port ever bound stay as long as the UMEM does.
//! - The kernel allocates about 120 B per UMEM chunk for every port bound to it.
#![expect(unsafe_code, reason = "rings shared with the kernel; each block names its invariant")]

mod bind;
mod config;
mod counters;
mod custody;
mod error;
mod frame;
mod huge_pages;
mod pool;
mod port;
mod socket;
mod umem;
mod unbind;
mod wait;

pub use config::{CopyMode, FramePoolConfig, PortQueueConfig};
pub use counters::{KernelStatistics, PortQueueCounters};
pub use error::XskError;
pub use frame::{Frame, MIN_FRAME_LENGTH_BYTES};
pub use huge_pages::prefer_huge_pages;
pub use pool::FramePool;
pub use port::PortQueue;
pub use unbind::Unbound;
pub use wait::{Waker, Wakeup, wait};

/// Frames that one call to [`PortQueue::receive`] or [`PortQueue::transmit`] moves at most.
pub use crate::pipeline::BATCH;

/// Bytes of a UMEM chunk: one page, the only size that native XDP on veth takes.
pub const CHUNK_SIZE_BYTES: usize = 4_096;

/// What a packet may have at most, Ethernet header included: a chunk without the 256 bytes that
/// the kernel keeps in front for XDP programs (`XDP_PACKET_HEADROOM`).
pub const FRAME_CAPACITY_BYTES: usize = CHUNK_SIZE_BYTES - 256;

/// The largest MTU of a veth's *other* end while this end has a native XDP program without
/// fragments: a page without XDP's headroom (256), `skb_shared_info` (320) and the Ethernet header
/// (14). Beyond it the kernel refuses to attach ("Peer MTU is too large to set XDP"), and refuses
/// to raise the MTU afterwards. Seen exact on Linux 6.18 with 4 KiB pages; the MTU of the end that
/// carries the program is not limited by the kernel.
pub const MAX_MTU: usize = 3_506;

/// Ports that one pool serves at most.
pub const MAX_PORTS: usize = 64;
