//! Huge pages for tables that are read at random: with a million flows every packet misses the
//! translation cache, too, and each such miss is a walk through page tables.

use std::ops::Range;

use nix::libc;

/// Asks the kernel to put memory that is in use already on huge pages, as far as whole ones fit
/// into it (`MADV_COLLAPSE`, Linux 6.1; before that its own thread does it sooner or later).
/// Content and addresses stay; where the kernel has no huge page to give, nothing changes.
pub fn prefer_huge_pages(ranges: impl IntoIterator<Item = Range<*const u8>>) {
    let page_bytes = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
    let page_bytes = page_bytes.ok().flatten().unwrap_or(4_096) as usize;
    for range in ranges {
        let start = range.start.addr().next_multiple_of(page_bytes);
        let end = range.end.addr() / page_bytes * page_bytes;
        for advice in [libc::MADV_HUGEPAGE, libc::MADV_COLLAPSE] {
            let length = end.saturating_sub(start);
            // SAFETY: neither advice changes what memory holds or whether it may be accessed
            // (madvise(2)), so any range will do; one that is not mapped is an error.
            // Errors mean that pages stay as they are.
            let _ =
                unsafe { libc::madvise(range.start.with_addr(start) as *mut _, length, advice) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_stays_and_any_range_is_taken() {
        let numbers: Vec<u64> = (0..1_000_000).collect();
        prefer_huge_pages([numbers.as_ptr_range().start.cast()..numbers.as_ptr_range().end.cast()]);
        assert!(numbers.iter().enumerate().all(|(at, number)| at as u64 == *number));
        let nowhere = std::ptr::null::<u8>();
        prefer_huge_pages([nowhere..nowhere, nowhere..nowhere.wrapping_add(10_000)]);
    }
}
