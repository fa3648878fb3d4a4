//! Where objects come from: an API server, manifest files and directories; and word of their
//! changes.

pub(crate) mod cluster;
mod document;
pub(crate) mod files;
pub(crate) mod manifest;
pub(crate) mod objects;
pub(crate) mod watch;

#[cfg(test)]
mod tests;
