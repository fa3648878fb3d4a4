//! Word that manifests may have changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// How long an editor may take from its first to its last step of saving.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// How many hints in a row may put off the reading, lest somebody who writes all the time keeps us
/// from it.
const PATIENCE: u32 = 50;

/// Why files cannot be watched.
#[derive(Debug, thiserror::Error)]
#[error("cannot watch {}: {cause}", path.display())]
pub(crate) struct WatchError {
    path: PathBuf,
    cause: notify::Error,
}

/// Watches files and directories. An event is a hint to read again, no more.
pub(crate) struct FileWatch {
    /// Dropping it ends the watch.
    _watcher: RecommendedWatcher,
    hints: mpsc::Receiver<()>,
    /// A hint came, and was not passed on yet.
    heard: bool,
}

impl FileWatch {
    /// Starts to watch. Of a file its directory is watched: editors replace files by others of the
    /// same name, which a watch of the file itself would miss.
    ///
    /// # Errors
    /// A directory that does not exist or cannot be watched.
    pub(crate) fn start(paths: &[PathBuf]) -> Result<Self, WatchError> {
        let (sender, hints) = mpsc::channel(1);
        let files: BTreeSet<PathBuf> =
            paths.iter().filter(|path| !path.is_dir()).map(|path| absolute(path)).collect();
        let directories: BTreeSet<PathBuf> = paths
            .iter()
            .filter(|path| *path != Path::new("-"))
            .map(|path| if path.is_dir() { path.clone() } else { parent(path) })
            .collect();
        let whole: BTreeSet<PathBuf> =
            paths.iter().filter(|path| path.is_dir()).map(|path| absolute(path)).collect();
        let handler = move |event: notify::Result<notify::Event>| {
            // An error (a full queue) means that something may have been missed: look as well.
            let concerns = event.as_ref().map_or(true, |event| concerns(event, &files, &whole));
            if concerns {
                // When a hint waits already, that one is enough.
                let _ = sender.try_send(());
            }
        };
        let failed = |path: &Path| {
            let path = path.to_owned();
            |cause| WatchError { path, cause }
        };
        let mut watcher =
            notify::recommended_watcher(handler).map_err(failed(Path::new("files")))?;
        for directory in &directories {
            watcher.watch(directory, RecursiveMode::NonRecursive).map_err(failed(directory))?;
        }
        Ok(Self { _watcher: watcher, hints, heard: false })
    }

    /// Waits until something may have changed, and then until it is quiet for a moment.
    ///
    /// Cancel safe: a hint that was heard is kept. Never returns when nothing is watched.
    pub(crate) async fn changed(&mut self) {
        if !self.heard && self.hints.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        self.heard = true;
        for _ in 0..PATIENCE {
            if !matches!(tokio::time::timeout(DEBOUNCE, self.hints.recv()).await, Ok(Some(()))) {
                break;
            }
        }
        self.heard = false;
    }
}

fn concerns(event: &notify::Event, files: &BTreeSet<PathBuf>, whole: &BTreeSet<PathBuf>) -> bool {
    if matches!(event.kind, EventKind::Access(access) if !is_close_write(access)) {
        return false;
    }
    event.need_rescan()
        || event.paths.iter().any(|path| {
            let path = absolute(path);
            files.contains(&path)
                || whole.contains(&path)
                || path.parent().is_some_and(|directory| whole.contains(directory))
        })
}

fn is_close_write(access: notify::event::AccessKind) -> bool {
    use notify::event::{AccessKind, AccessMode};
    access == AccessKind::Close(AccessMode::Write)
}

/// The directory that a file stands in.
fn parent(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
