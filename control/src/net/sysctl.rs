//! Kernel settings under `/proc/sys/net`, which follow the calling thread's network namespace.

use std::io;
use std::path::Path;

use super::error::{NetError, Result};

/// Where the settings are.
const SETTINGS: &str = "/proc/sys/net";
/// Where they are once more and may be written, in a container that is not privileged: its own
/// `/proc/sys` is read-only, and no runtime lets a volume take its place.
const WRITABLE_SETTINGS: &str = "/host/proc/sys/net";

/// Writes `value` to `/proc/sys/net/SETTING` of the calling thread's network namespace.
pub(crate) fn set(setting: &str, value: &'static str) -> Result<()> {
    let path = Path::new(SETTINGS).join(setting);
    match std::fs::write(&path, value) {
        Err(cause) if cause.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            let writable = Path::new(WRITABLE_SETTINGS).join(setting);
            std::fs::write(writable, value).or(Err(cause))
        }
        written => written,
    }
    .map_err(|cause| NetError::Sysctl { path, value, cause })
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
