#![expect(unsafe_code, reason = "the workers write the BPF array through a mapping of their own")]

use std::ffi::c_void;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::AtomicU64;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::SteerError;

/// The `BPF_F_MMAPABLE` array of flow fingerprints, mapped: 64-bit words in host byte order.
pub struct FingerprintMemory {
    start: NonNull<c_void>,
    length_bytes: NonZeroUsize,
}

// SAFETY: the mapping belongs to no thread, and it is only given out as atomics.
unsafe impl Send for FingerprintMemory {}
// SAFETY: as above.
unsafe impl Sync for FingerprintMemory {}

impl FingerprintMemory {
    /// Maps the array behind `map`, which holds `words` 64-bit words.
    ///
    /// # Errors
    /// The kernel's reason to refuse the mapping.
    pub(super) fn map(map: impl AsFd, words: usize) -> Result<Self, SteerError> {
        let length_bytes = NonZeroUsize::new(words * size_of::<AtomicU64>())
            .ok_or_else(|| SteerError::FingerprintMemory(io::ErrorKind::InvalidInput.into()))?;
        // SAFETY: a new shared mapping at an address of the kernel's choice touches no memory of
        // ours; the kernel refuses a length that the array does not have.
        let start = unsafe {
            mmap(
                None,
                length_bytes,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
                map,
                0,
            )
        }
        .map_err(|errno| SteerError::FingerprintMemory(errno.into()))?;
        Ok(Self { start, length_bytes })
    }
}

impl AsRef<[AtomicU64]> for FingerprintMemory {
    fn as_ref(&self) -> &[AtomicU64] {
        let words = self.length_bytes.get() / size_of::<AtomicU64>();
        // SAFETY: the mapping is page aligned, this long, zeroed by the kernel, and lives as long
        // as `self`; all access to it is atomic.
        unsafe { slice::from_raw_parts(self.start.as_ptr().cast::<AtomicU64>(), words) }
    }
}

impl Drop for FingerprintMemory {
    fn drop(&mut self) {
        // SAFETY: made by `map` with this length, and nobody holds a reference any more.
        let _ = unsafe { munmap(self.start, self.length_bytes.get()) };
    }
}
