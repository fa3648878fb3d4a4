//! Objects on disk.

/// Why objects cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {}
