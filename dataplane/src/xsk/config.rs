use super::{BATCH, XskError};

/// Smallest and largest ring, in frames.
const RING_RANGE: std::ops::RangeInclusive<u32> = BATCH as u32..=32_768;
/// Smallest and largest pool, in frames (4 GiB).
const FRAMES_RANGE: std::ops::RangeInclusive<u32> = BATCH as u32..=1_048_576;

/// How frames pass between the driver and the UMEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyMode {
    /// The kernel copies every packet, in both directions. Works with every driver.
    Copy,
    /// The device reads and writes the UMEM itself. Not on veth.
    ZeroCopy,
}

/// What a [`super::FramePool`] is made of.
#[derive(Debug, Clone, Copy)]
pub struct FramePoolConfig {
    /// Chunks of the UMEM, 64 to 1,048,576 and no fewer than `ring_size_frames`. A port takes
    /// `ring_size_frames` for its fill ring and up to as many again for frames received or sent.
    pub frames: u32,
    /// Size of every port's fill and completion ring: a power of two, 64 to 32,768.
    pub ring_size_frames: u32,
    /// Back the UMEM with huge pages, which must have been reserved (`vm.nr_hugepages`).
    pub huge_pages: bool,
}

impl FramePoolConfig {
    pub(super) fn check(&self) -> Result<(), XskError> {
        check_ring("ring_size_frames", self.ring_size_frames)?;
        if !FRAMES_RANGE.contains(&self.frames) {
            return Err(XskError::InvalidConfig {
                field: "frames",
                value: self.frames.into(),
                expected: "64 to 1,048,576",
            });
        }
        if self.frames < self.ring_size_frames {
            return Err(XskError::InvalidConfig {
                field: "frames",
                value: self.frames.into(),
                expected: "at least ring_size_frames, or no fill ring is ever full",
            });
        }
        Ok(())
    }
}

/// One queue of one port.
#[derive(Debug, Clone)]
pub struct PortQueueConfig {
    /// Name of the interface in the calling thread's network namespace.
    pub interface: String,
    /// Queue of the interface, from 0.
    pub queue: u32,
    /// `None`: zero-copy where the driver has it, else copy; under generic XDP only a copy will do.
    /// Any other port of the same pool gets what the first one got, and asking for something else
    /// is an error.
    pub copy: Option<CopyMode>,
    /// Size of the receive and the transmit ring: a power of two, 64 to 32,768. Rings of 1,024
    /// lost a tenth of bursts of 8,000 datagrams on veth, rings of 4,096 none.
    pub ring_size_frames: u32,
}

impl PortQueueConfig {
    pub(super) fn check(&self) -> Result<(), XskError> {
        check_ring("ring_size_frames", self.ring_size_frames)
    }
}

fn check_ring(field: &'static str, frames: u32) -> Result<(), XskError> {
    if frames.is_power_of_two() && RING_RANGE.contains(&frames) {
        return Ok(());
    }
    Err(XskError::InvalidConfig {
        field,
        value: frames.into(),
        expected: "a power of two from 64 to 32,768",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(config: FramePoolConfig, message: &str) {
        assert_eq!(config.check().expect_err("refused").to_string(), message);
    }

    #[test]
    fn a_bad_pool_is_named_with_field_value_and_range() {
        let good = FramePoolConfig { frames: 4_096, ring_size_frames: 1_024, huge_pages: false };
        good.check().expect("good");
        let ring = "a power of two from 64 to 32,768";
        for bad in [0, 32, 1_000, 65_536] {
            refused(
                FramePoolConfig { ring_size_frames: bad, ..good },
                &format!("ring_size_frames is {bad}, expected {ring}"),
            );
        }
        refused(
            FramePoolConfig { frames: 2_000_000, ..good },
            "frames is 2000000, expected 64 to 1,048,576",
        );
        refused(
            FramePoolConfig { frames: 512, ..good },
            "frames is 512, expected at least ring_size_frames, or no fill ring is ever full",
        );
    }
}
