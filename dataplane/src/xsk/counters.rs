use xsk_rs::socket::XdpStatistics;

/// What happened between a port and the kernel, beyond packets. Plain integers of the worker's.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct PortQueueCounters {
    /// System calls that told the kernel to transmit.
    pub kicks: u64,
    /// Of these, answered EAGAIN: budget used up, completion ring or send buffer full.
    pub kicks_again: u64,
    /// Answered EBUSY: the device dropped one frame, which is completed nevertheless.
    pub kicks_busy: u64,
    /// Answered ENOBUFS: the kernel had no memory for an skb.
    pub kicks_no_buffers: u64,
    /// Answered ENETDOWN: the interface is down.
    pub kicks_net_down: u64,
    /// Answered something else; see [`super::PortQueue::last_error`].
    pub kicks_failed: u64,
    /// System calls that told a zero-copy driver to look at the fill ring.
    pub fill_wakeups: u64,
    /// Descriptors from the kernel that named a chunk it did not have, and were ignored.
    pub alien_descriptors: u64,
}

/// The kernel's own counters of a socket (`XDP_STATISTICS`), since the bind.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct KernelStatistics {
    /// Packets dropped for other reasons than the ones below, such as being too long for a chunk.
    pub rx_dropped: u64,
    /// Packets dropped for a bad descriptor in the fill ring.
    pub rx_invalid_descs: u64,
    /// Packets dropped because the receive ring was full: the worker was too slow.
    pub rx_ring_full: u64,
    /// Times that the fill ring was empty when a packet came.
    pub rx_fill_ring_empty_descs: u64,
    /// Frames not sent for a bad descriptor in the transmit ring.
    pub tx_invalid_descs: u64,
    /// Times that the kernel found the transmit ring empty.
    pub tx_ring_empty_descs: u64,
}

impl From<XdpStatistics> for KernelStatistics {
    fn from(kernel: XdpStatistics) -> Self {
        Self {
            rx_dropped: kernel.rx_dropped(),
            rx_invalid_descs: kernel.rx_invalid_descs(),
            rx_ring_full: kernel.rx_ring_full(),
            rx_fill_ring_empty_descs: kernel.rx_fill_ring_empty_descs(),
            tx_invalid_descs: kernel.tx_invalid_descs(),
            tx_ring_empty_descs: kernel.tx_ring_empty_descs(),
        }
    }
}
