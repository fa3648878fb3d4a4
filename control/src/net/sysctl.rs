//! Kernel settings under `/proc/sys/net`, which follow the calling thread's network namespace.

use std::path::Path;

use super::error::{NetError, Result};

/// Writes `value` to `/proc/sys/net/SETTING` of the calling thread's network namespace.
pub(crate) fn set(setting: &str, value: &'static str) -> Result<()> {
    let path = Path::new("/proc/sys/net").join(setting);
    std::fs::write(&path, value).map_err(|cause| NetError::Sysctl { path, value, cause })
}

/// Whether this kernel has IPv6 at all.
pub(crate) fn has_ipv6() -> bool {
    Path::new("/proc/sys/net/ipv6").exists()
}

/// Whether an interface that is made in this namespace now takes IPv6 routes.
pub(crate) fn new_links_have_ipv6() -> bool {
    let disabled = std::fs::read_to_string("/proc/sys/net/ipv6/conf/default/disable_ipv6");
    disabled.is_ok_and(|text| text.trim() == "0")
}
