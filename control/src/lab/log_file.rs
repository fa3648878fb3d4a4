//! What a container has written: the newest of it, since it may write for ever.
//!
//! The process has the file itself, and goes on writing when its agent is gone. So what is old is
//! not cut off but given back to the system as a hole: offsets stay what they are, and nobody who
//! writes or reads loses a line that is kept.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::unistd::{Whence, lseek};

/// As much as a kubelet keeps before it begins a new file (`containerLogMaxSize`).
const KEPT_BYTES: u64 = 10 << 20;
/// How often it is looked whether there is more.
const LOOK: Duration = Duration::from_secs(1);
/// How much is looked through at a time for the beginning of a line.
const CHUNK_BYTES: u64 = 32 << 10;

/// Keeps a log at no more than twice what is to be kept, beside what comes within a second. Ends
/// with the file.
pub(super) async fn bound(path: PathBuf) {
    let mut freed = 0;
    loop {
        tokio::time::sleep(LOOK).await;
        let Ok(metadata) = tokio::fs::metadata(&path).await else { return };
        let old = metadata.len().saturating_sub(KEPT_BYTES);
        if old < freed + KEPT_BYTES {
            continue;
        }
        freed = old;
        let at = path.clone();
        let done = tokio::task::spawn_blocking(move || free(&at, old)).await;
        if let Ok(Err(error)) = done {
            return tracing::warn!("{} grows without bound: {error}", path.display());
        }
    }
}

/// Gives back what the first bytes of a file take.
fn free(path: &Path, bytes: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    let mode = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let bytes = bytes.try_into().unwrap_or(i64::MAX);
    Ok(fallocate(file, mode, 0, bytes)?)
}

/// Reads a log from the oldest line that is kept. At its end there may be more later.
pub(crate) struct LogReader {
    file: File,
    position: u64,
}

impl LogReader {
    /// From the first line.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, position: 0 })
    }

    /// Goes to where the last lines begin, or to the oldest when there are not so many.
    pub(super) fn skip_to_last(&mut self, lines: u64) -> io::Result<()> {
        let end = self.file.metadata()?.len();
        let begin = self.first_kept(0)?.unwrap_or(end);
        // From the very beginning, reading finds the oldest line itself.
        self.position = self.line_from_end(lines, begin, end)?.unwrap_or(0);
        Ok(())
    }

    /// The first byte at or after this one that was not given back; none at the end.
    fn first_kept(&self, position: u64) -> io::Result<Option<u64>> {
        let position = position.try_into().unwrap_or(i64::MAX);
        match lseek(&self.file, position, Whence::SeekData) {
            Ok(first) => Ok(u64::try_from(first).ok()),
            Err(Errno::ENXIO) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn line_from_end(&self, lines: u64, begin: u64, end: u64) -> io::Result<Option<u64>> {
        if lines == 0 {
            return Ok(Some(end));
        }
        let (mut position, mut found) = (end, 0);
        while position > begin {
            let length = (position - begin).min(CHUNK_BYTES);
            position -= length;
            let mut chunk = vec![0; length as usize];
            self.file.read_exact_at(&mut chunk, position)?;
            for (index, byte) in chunk.iter().enumerate().rev() {
                // A newline at the very end closes the last line.
                let is_last = position + index as u64 + 1 == end;
                if *byte == b'\n' && !is_last {
                    found += 1;
                    if found == lines {
                        return Ok(Some(position + index as u64 + 1));
                    }
                }
            }
        }
        Ok(None)
    }
}

impl Read for LogReader {
    /// What was given back meanwhile is passed over.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(first) = self.first_kept(self.position)? else { return Ok(0) };
        if first > self.position {
            // Of the line in which it begins the first part is gone.
            let mut chunk = vec![0; CHUNK_BYTES as usize];
            let length = self.file.read_at(&mut chunk, first)?;
            let newline = chunk[..length].iter().position(|byte| *byte == b'\n');
            self.position = first + newline.map_or(0, |index| index as u64 + 1);
        }
        let length = self.file.read_at(buffer, self.position)?;
        self.position += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_last_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let long = "x".repeat(2 * CHUNK_BYTES as usize);
        for (text, lines, expected) in [
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc", 2, "b\nc"),
            ("a\nb\n", 5, "a\nb\n"),
            ("a\nb\n", 0, ""),
            ("", 3, ""),
            ("\n\n\n", 2, "\n\n"),
            (&format!("a\n{long}\nb\n"), 2, &format!("{long}\nb\n")),
        ] {
            std::fs::write(&path, text).unwrap();
            let mut reader = LogReader::open(&path).unwrap();
            reader.skip_to_last(lines).unwrap();
            assert_eq!(io::read_to_string(reader).unwrap(), expected, "{lines}");
        }
    }

    #[test]
    fn what_was_given_back_is_passed_over() {
        use std::os::unix::fs::MetadataExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut file = File::create(&path).unwrap();
        let line = |number: u32| format!("{number:09}\n");
        (0..100_000).for_each(|number| file.write_all(line(number).as_bytes()).unwrap());
        let mut slow = LogReader::open(&path).unwrap();
        let mut first = [0; 10];
        slow.read_exact(&mut first).unwrap();
        free(&path, 900_005).unwrap();
        assert!(file.metadata().unwrap().blocks() * 512 < 200_000, "it is given back");
        file.write_all(line(100_000).as_bytes()).unwrap();
        for reader in [slow, LogReader::open(&path).unwrap()] {
            let text = io::read_to_string(reader).unwrap();
            let mut lines = text.lines();
            let oldest: u32 = lines.next().unwrap().parse().unwrap();
            assert!((90_000..91_000).contains(&oldest), "{oldest}");
            assert_eq!(lines.next_back(), Some("000100000"));
            assert_eq!(lines.count() as u32, 100_000 - oldest - 1, "whole lines, and all of them");
        }
        let mut reader = LogReader::open(&path).unwrap();
        reader.skip_to_last(1_000_000).unwrap();
        assert!(!io::read_to_string(reader).unwrap().starts_with('\0'));
    }
}
