/// Packets that are processed at once.
pub const BATCH: usize = 64;

/// Where a packet came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ingress {
    /// The host port: its Ethernet addresses hold a message of the steering programs.
    HostPort,
    /// An XDP port.
    Port {
        /// Index of the interface.
        interface: u32,
    },
}

/// A packet in the memory of a frame.
pub struct Packet<'a> {
    /// All of the frame, the packet first: an answer may be longer than what it answers.
    pub buffer: &'a mut [u8],
    /// Of the packet, in bytes, its Ethernet header included.
    pub length: usize,
    /// Where it came from.
    pub ingress: Ingress,
    /// Whether another worker passed it on to this one, which then has to decide.
    pub handed_over: bool,
}

impl Packet<'_> {
    /// The packet's own bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }

    /// The packet's own bytes, to be changed in place.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.buffer.get_mut(..self.length).unwrap_or_default()
    }
}
