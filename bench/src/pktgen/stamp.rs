//! What every packet carries, so that whoever receives it knows which one it is, when it was meant
//! to be sent, and whether it came through unharmed.
//!
//! ```text
//!   0        2        5            10             16      18
//!   +--------+--------+------------+--------------+--------+
//!   | run,   | flow   | sequence   | ns since the | check  |
//!   | flags  |        | number     | run's epoch  |        |
//!   +--------+--------+------------+--------------+--------+
//! ```
//!
//! 18 bytes are what the smallest Ethernet frame has left beside IPv4 and UDP. A segment of TCP
//! that has no data (SYN, FIN) has the stamp in an experimental option (RFC 4727, RFC 6994).

/// Bytes of a stamp.
pub(crate) const STAMP_BYTES: usize = 18;
/// Flows that a stamp can tell apart.
pub(crate) const MAX_FLOWS: u32 = 1 << 24;
/// Packets that it can number.
pub(crate) const MAX_SEQUENCE: u64 = (1 << 40) - 1;
const MAX_TIME_NS: u64 = (1 << 48) - 1;

const REPLY: u16 = 1;
const FIRST: u16 = 1 << 1;
const ODD: u16 = 1 << 2;
const COUNTS: u16 = 1 << 3;
const RUN_SHIFT: u16 = 4;
const RUNS: u16 = u16::MAX >> RUN_SHIFT;

/// Tells one run's packets from those of any other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Run(u16);

impl Run {
    /// From any number.
    pub(crate) fn new(number: u64) -> Self {
        Self(number as u16 & RUNS)
    }
}

/// Which way a packet goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    /// From the sender.
    Forward,
    /// From the responder.
    Reply,
}

/// One packet's stamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    /// Which way it goes.
    pub(crate) direction: Direction,
    /// Whether it is the first packet of its flow.
    pub(crate) first: bool,
    /// Changes with every flow that takes the place of another.
    pub(crate) odd: bool,
    /// Whether it counts: what is sent before a trial to open flows, and after it to close them,
    /// does not.
    pub(crate) counts: bool,
    /// The flow's place, below [`MAX_FLOWS`].
    pub(crate) flow: u32,
    /// Counts packets of a direction.
    pub(crate) sequence: u64,
    /// When it was to be sent, since the run's epoch.
    pub(crate) time_ns: u64,
}

/// What was found where a stamp should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// A stamp of this run.
    Ours(Stamp),
    /// One of this run, once.
    Corrupted,
    /// Something else.
    Foreign,
}

impl Stamp {
    /// As it travels.
    #[inline]
    pub(crate) fn bytes(&self, run: Run) -> [u8; STAMP_BYTES] {
        let flag = |set: bool, bit: u16| if set { bit } else { 0 };
        let tag = run.0 << RUN_SHIFT
            | flag(self.direction == Direction::Reply, REPLY)
            | flag(self.first, FIRST)
            | flag(self.odd, ODD)
            | flag(self.counts, COUNTS);
        let mut bytes = [0; STAMP_BYTES];
        let high = u128::from(tag) << 112
            | u128::from(self.flow & (MAX_FLOWS - 1)) << 88
            | u128::from(self.sequence & MAX_SEQUENCE) << 48
            | u128::from(self.time_ns.min(MAX_TIME_NS));
        bytes[..16].copy_from_slice(&high.to_be_bytes());
        bytes[16..].copy_from_slice(&check(high).to_be_bytes());
        bytes
    }

    /// Reads what may be a stamp.
    #[inline]
    pub(crate) fn read(bytes: &[u8; STAMP_BYTES], run: Run) -> Found {
        let (content, sum) = bytes.split_at(16);
        let mut high = [0; 16];
        high.copy_from_slice(content);
        let high = u128::from_be_bytes(high);
        let tag = (high >> 112) as u16;
        if tag >> RUN_SHIFT != run.0 {
            return Found::Foreign;
        }
        if sum != check(high).to_be_bytes() {
            return Found::Corrupted;
        }
        Found::Ours(Self {
            direction: if tag & REPLY == 0 { Direction::Forward } else { Direction::Reply },
            first: tag & FIRST != 0,
            odd: tag & ODD != 0,
            counts: tag & COUNTS != 0,
            flow: (high >> 88) as u32 & (MAX_FLOWS - 1),
            sequence: (high >> 48) as u64 & MAX_SEQUENCE,
            time_ns: high as u64 & MAX_TIME_NS,
        })
    }
}

/// Not the Internet checksum, which a dataplane mends as it changes a packet: whoever changes both
/// a byte here and that sum is still found out.
#[inline]
fn check(content: u128) -> u16 {
    let mixed = (content as u64 ^ 0x9e37_79b9_7f4a_7c15)
        .wrapping_mul(0xff51_afd7_ed55_8ccd)
        .rotate_left(31)
        .wrapping_add((content >> 64) as u64)
        .wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (mixed >> 48) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp {
        direction: Direction::Reply,
        first: true,
        odd: false,
        counts: true,
        flow: MAX_FLOWS - 1,
        sequence: MAX_SEQUENCE - 1,
        time_ns: 3_600_000_000_000,
    };

    #[test]
    fn what_was_written_is_read() {
        for direction in [Direction::Forward, Direction::Reply] {
            for bits in 0..8 {
                let [first, odd, counts] = [1, 2, 4].map(|bit| bits & bit != 0);
                let stamp = Stamp { direction, first, odd, counts, ..STAMP };
                let run = Run::new(0xbeef);
                assert_eq!(Stamp::read(&stamp.bytes(run), run), Found::Ours(stamp));
            }
        }
    }

    #[test]
    fn another_runs_stamp_is_foreign() {
        let bytes = STAMP.bytes(Run::new(7));
        assert_eq!(Stamp::read(&bytes, Run::new(8)), Found::Foreign);
        assert_eq!(Stamp::read(&[0; STAMP_BYTES], Run::new(8)), Found::Foreign);
    }

    #[test]
    fn no_changed_bit_goes_unnoticed() {
        let run = Run::new(7);
        for bit in 0..8 * STAMP_BYTES {
            let mut bytes = STAMP.bytes(run);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let found = Stamp::read(&bytes, run);
            assert!(!matches!(found, Found::Ours(_)), "bit {bit}: {found:?}");
        }
    }
}
