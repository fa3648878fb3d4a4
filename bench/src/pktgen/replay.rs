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
use super::schedule::Pace;
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
        Self {
            capture,
            load,
            as_captured,
            start_ns: now_ns,
            sent: 0,
            progress_ns: now_ns,
            over: false,
            report,
        }
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
        let since_ns = now_ns.saturating_sub(self.start_ns);
        let stalled = self.load.count.is_some() && now_ns >= self.progress_ns + STALLED_NS;
        if stalled || since_ns >= self.load.duration_ns {
            self.stop(now_ns);
        }
    }

    /// Ends it before its time.
    pub(crate) fn stop(&mut self, now_ns: u64) {
        if !self.over {
            self.over = true;
            self.report.elapsed_ns = now_ns.saturating_sub(self.start_ns).max(1);
        }
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
        let whole = self.capture.0.last().map_or(0, |(_, time)| *time);
        let rounds = self.sent / self.capture.len() as u64;
        self.frame(self.sent).map(|(_, time)| rounds * whole + time)
    }

    /// The next packet, if one is due.
    pub(crate) fn next(&mut self, now_ns: u64) -> Option<ReplayJob> {
        let since_ns = now_ns.saturating_sub(self.start_ns);
        let all_sent = self.load.count.is_some_and(|count| self.sent >= count);
        if self.over || all_sent || since_ns >= self.load.duration_ns {
            self.over = true;
            self.report.elapsed_ns = match (self.as_captured, self.load.pace) {
                (false, Pace::Even { .. }) => self.due_ns().unwrap_or(since_ns).max(1),
                _ => self.report.elapsed_ns.max(1),
            };
            return None;
        }
        let due_ns = self.due_ns().unwrap_or(since_ns);
        if due_ns > since_ns {
            return None;
        }
        count_step(&mut self.report.steps, due_ns);
        let job = ReplayJob(self.sent);
        self.sent += 1;
        self.report.sent += 1;
        self.report.elapsed_ns = since_ns;
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
