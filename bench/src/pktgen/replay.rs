//! A capture, sent as it is: no byte is changed, so there is no stamp, and only how many packets
//! came can be told.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::PcapNgReader;

use super::meter::count_step;
use super::sender::{Load, STALLED_NS, SenderReport};
use crate::error::{BenchError, Result};

const OPTION: &str = "--pcap";
/// Frames of one capture.
const MAX_FRAMES: usize = 1 << 22;
const PCAPNG_MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
const MIN_FRAME_BYTES: usize = 14;

/// A captured frame, and when it came after the first.
type Captured = (Vec<u8>, u64);

/// Frames of a capture.
#[derive(Clone, Debug)]
pub(crate) struct Capture(Arc<Vec<Captured>>);

impl Capture {
    /// Reads a pcap or pcapng file of Ethernet frames.
    ///
    /// # Errors
    /// [`BenchError::Usage`] when it is none.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let usage = |message: String| BenchError::Usage {
            option: OPTION,
            message: format!("{}: {message}", path.display()),
        };
        let head = std::fs::read(path).map_err(|error| usage(error.to_string()))?;
        let file = File::open(path).map_err(|error| usage(error.to_string()))?;
        let frames = match head.get(..4) {
            Some(magic) if magic == PCAPNG_MAGIC => read_pcapng(file),
            _ => read_pcap(file),
        };
        let frames = frames.map_err(usage)?;
        if frames.is_empty() {
            return Err(usage("there is no packet in it".to_owned()));
        }
        if frames.len() > MAX_FRAMES {
            return Err(usage(format!("more than {MAX_FRAMES} packets")));
        }
        if let Some(at) = frames.iter().position(|(frame, _)| frame.len() < MIN_FRAME_BYTES) {
            return Err(usage(format!("packet {} is shorter than an Ethernet header", at + 1)));
        }
        let first = frames.first().map_or(Duration::ZERO, |(_, time)| *time);
        let since = |time: Duration| time.saturating_sub(first).as_nanos() as u64;
        Ok(Self(Arc::new(frames.into_iter().map(|(frame, time)| (frame, since(time))).collect())))
    }

    /// How many frames there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// From the first frame to the last.
    pub(crate) fn span_ns(&self) -> u64 {
        self.0.last().map_or(0, |(_, time)| *time)
    }

    /// Bytes of the longest frame.
    pub(crate) fn longest(&self) -> usize {
        self.0.iter().map(|(frame, _)| frame.len()).max().unwrap_or(0)
    }
}

type Frames = std::result::Result<Vec<(Vec<u8>, Duration)>, String>;

fn read_pcap(file: File) -> Frames {
    let mut reader = PcapReader::new(file).map_err(|_| "this is no pcap file".to_owned())?;
    if reader.header().datalink != DataLink::ETHERNET {
        return Err("it holds no Ethernet frames".to_owned());
    }
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.map_err(|error| error.to_string())?;
        if packet.orig_len as usize != packet.data.len() {
            return Err(format!("packet {} was not captured whole", frames.len() + 1));
        }
        frames.push((packet.data.into_owned(), packet.timestamp));
    }
    Ok(frames)
}

fn read_pcapng(file: File) -> Frames {
    let mut reader = PcapNgReader::new(file).map_err(|_| "this is no pcapng file".to_owned())?;
    let mut frames = Vec::new();
    while let Some(block) = reader.next_block() {
        let block = block.map_err(|error| error.to_string())?.into_owned();
        let Some(packet) = block.into_enhanced_packet() else { continue };
        if packet.original_len as usize != packet.data.len() {
            return Err(format!("packet {} was not captured whole", frames.len() + 1));
        }
        frames.push((packet.data.into_owned(), packet.timestamp));
    }
    if reader.interfaces().iter().any(|one| one.linktype != DataLink::ETHERNET) {
        return Err("it holds more than Ethernet frames".to_owned());
    }
    Ok(frames)
}

/// One frame to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReplayJob(u64);

/// The sending side of a trial with a capture. It is sent once, or as often as the load says.
pub(crate) struct Replay {
    capture: Capture,
    load: Load,
    /// As it was captured, if no pace is asked for.
    as_captured: bool,
    start_ns: u64,
    /// Packets that are to be sent, if that is known.
    planned: Option<u64>,
    sent: u64,
    /// When the last packet was sent.
    progress_ns: u64,
    over: bool,
    report: SenderReport,
}

impl Replay {
    /// Begins at `now_ns`.
    pub(crate) fn new(capture: Capture, load: Load, as_captured: bool, now_ns: u64) -> Self {
        let report = SenderReport::default();
        let mut replay = Self {
            capture,
            load,
            as_captured,
            start_ns: now_ns,
            planned: None,
            sent: 0,
            progress_ns: now_ns,
            over: false,
            report,
        };
        replay.planned = load.count.or_else(|| replay.due_before(load.duration_ns));
        replay
    }

    /// All packets count.
    pub(crate) fn start_ns(&self) -> Option<u64> {
        Some(self.start_ns)
    }

    /// Packets so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether all was sent.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// There is no room for a packet: it ends with its time, or when it has none and nothing could
    /// leave for too long.
    pub(crate) fn blocked(&mut self, now_ns: u64) {
        let stalled = self.load.count.is_some() && now_ns >= self.progress_ns + STALLED_NS;
        if stalled || self.is_sent(now_ns) {
            self.end(self.planned, now_ns);
        }
    }

    /// Ends it before its time.
    pub(crate) fn stop(&mut self, now_ns: u64) {
        let since_ns = now_ns.saturating_sub(self.start_ns);
        let due = self.due_before(since_ns.saturating_sub(self.load.grace_ns()));
        let most = self.load.count.unwrap_or(u64::MAX);
        self.end(due.map(|due| due.min(most)), now_ns);
    }

    /// No more is sent, of so many packets that were due.
    fn end(&mut self, due: Option<u64>, now_ns: u64) {
        if self.over {
            return;
        }
        self.over = true;
        self.report.missed = due.unwrap_or(0).saturating_sub(self.sent);
        // Who was late took longer than the schedule says.
        let since_ns = now_ns.saturating_sub(self.start_ns);
        self.report.elapsed_ns = self.due_ns().unwrap_or(0).max(since_ns).max(1);
    }

    /// When the next packet is due.
    pub(crate) fn next_due_ns(&self) -> u64 {
        self.start_ns + self.due_ns().unwrap_or(0)
    }

    /// What was sent.
    pub(crate) fn finish(self) -> SenderReport {
        self.report
    }

    fn frame(&self, number: u64) -> Option<&Captured> {
        self.capture.0.get((number % self.capture.len() as u64) as usize)
    }

    /// Since the beginning; `None` for "now".
    fn due_ns(&self) -> Option<u64> {
        if !self.as_captured {
            return self.load.pace.due_ns(self.sent);
        }
        let rounds = self.sent / self.capture.len() as u64;
        self.frame(self.sent).map(|(_, time)| rounds * self.capture.span_ns() + time)
    }

    /// Packets that are due before so many nanoseconds are over; `None` for "as many as go".
    fn due_before(&self, ns: u64) -> Option<u64> {
        if !self.as_captured {
            return self.load.pace.due_before(ns);
        }
        let span_ns = self.capture.span_ns().max(1);
        let begun = self.capture.0.partition_point(|(_, time)| *time < ns % span_ns);
        Some(ns / span_ns * self.capture.len() as u64 + begun as u64)
    }

    /// Whether all packets were sent, or their time is over.
    fn is_sent(&self, now_ns: u64) -> bool {
        let load = &self.load;
        if self.planned.is_some_and(|planned| self.sent >= planned) {
            return true;
        }
        let grace_ns = if self.planned.is_some() { load.grace_ns() } else { 0 };
        let since_ns = now_ns.saturating_sub(self.start_ns);
        load.count.is_none() && since_ns >= load.duration_ns + grace_ns
    }

    /// The next packet, if one is due.
    pub(crate) fn next(&mut self, now_ns: u64) -> Option<ReplayJob> {
        if self.over {
            return None;
        }
        if self.is_sent(now_ns) {
            self.end(self.planned, now_ns);
            return None;
        }
        let since_ns = now_ns.saturating_sub(self.start_ns);
        let due_ns = self.due_ns().unwrap_or(since_ns);
        if due_ns > since_ns {
            return None;
        }
        count_step(&mut self.report.steps, due_ns);
        let job = ReplayJob(self.sent);
        self.sent += 1;
        self.report.sent += 1;
        self.progress_ns = now_ns;
        Some(job)
    }

    /// Writes it. Returns its length.
    pub(crate) fn write(&mut self, job: &ReplayJob, buffer: &mut [u8]) -> usize {
        let Some((frame, _)) = self.frame(job.0) else { return 0 };
        let Some(place) = buffer.get_mut(..frame.len()) else { return 0 };
        place.copy_from_slice(frame);
        let length = frame.len();
        self.report.bytes += length as u64;
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pktgen::schedule::{Pace, Rate};

    const MS: u64 = 1_000_000;

    /// Ten frames 2 ms apart, sent while a clock runs in such steps, one at a time.
    fn replayed(pps: Option<f64>, duration_ns: Option<u64>, step_ns: u64) -> SenderReport {
        let capture = Capture(Arc::new((0..10).map(|at| (vec![0; 60], at * 2 * MS)).collect()));
        let load = Load {
            pace: pps.map_or(Pace::Max, |pps| Pace::Even { pps: Rate::new(pps) }),
            duration_ns: duration_ns.unwrap_or(u64::MAX),
            count: if duration_ns.is_some() { None } else { Some(10) },
            warm_up_ns: 0,
            open_rate: Rate::new(1.0),
            new_flows: None,
        };
        let mut replay = Replay::new(capture, load, pps.is_none(), 0);
        let mut now_ns = 0;
        while !replay.is_over() {
            replay.next(now_ns);
            now_ns += step_ns;
        }
        replay.finish()
    }

    #[test]
    fn a_rate_that_is_not_reached_is_not_reported() {
        let once = replayed(Some(1e8), None, MS);
        assert_eq!((once.sent, once.missed, once.elapsed_ns), (10, 0, 10 * MS));
        let long = replayed(Some(1e4), Some(100 * MS), MS);
        assert_eq!((long.sent, long.missed, long.elapsed_ns), (101, 899, 101 * MS));
        let reached = replayed(Some(1e3), Some(100 * MS), MS / 4);
        assert_eq!((reached.sent, reached.missed, reached.elapsed_ns), (100, 0, 100 * MS));
    }

    #[test]
    fn its_own_times_are_kept_as_often_as_it_is_sent() {
        let once = replayed(None, None, MS / 4);
        assert_eq!((once.sent, once.missed), (10, 0));
        assert!((18 * MS..20 * MS).contains(&once.elapsed_ns), "{once:?}");
        let again = replayed(None, Some(36 * MS), MS / 4);
        assert_eq!((again.sent, again.missed), (20, 0));
        let slow = replayed(None, Some(36 * MS), 4 * MS);
        assert_eq!(slow.sent + slow.missed, 20);
        assert!(slow.missed > 5, "{slow:?}");
    }
}
