//! Why objects cannot be kept, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why objects cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The directory or the file cannot be made or opened.
    #[error("cannot use {path}: {cause}", path = path.display())]
    Directory {
        /// Of the directory or the file.
        path: PathBuf,
        /// The system's.
        cause: io::Error,
    },
    /// Somebody else has it open.
    #[error(
        "{path} is in use by another process: end that one, or choose another directory",
        path = path.display()
    )]
    InUse {
        /// Of the directory or the file.
        path: PathBuf,
    },
    /// The file is not as it was written.
    #[error(
        "{path} is damaged or no file of ours ({cause}): nothing in it was changed; put a copy of \
         it back, or move it away to begin without objects",
        path = path.display()
    )]
    Damaged {
        /// Of the file.
        path: PathBuf,
        /// What was found.
        cause: String,
    },
    /// Another version of the program wrote the file.
    #[error(
        "{path} has format {found}, and this version reads format 1: nothing in it was changed; \
         use the version that wrote it, or move it away to begin without objects",
        path = path.display()
    )]
    Format {
        /// Of the file.
        path: PathBuf,
        /// What it says.
        found: u64,
    },
    /// The disk refused.
    #[error("cannot write {path}: {cause}", path = path.display())]
    Write {
        /// Of the file.
        path: PathBuf,
        /// redb's.
        cause: redb::Error,
    },
}

impl StoreError {
    /// The file is not as it was written.
    pub(super) fn damaged(path: &Path, cause: String) -> Self {
        Self::Damaged { path: path.to_owned(), cause }
    }

    /// The file is a database, but of something else.
    pub(super) fn foreign(path: &Path) -> Self {
        Self::damaged(path, "it holds something else".to_owned())
    }
}
