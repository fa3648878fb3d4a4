//! Which files a set of paths means, and what stands in them now.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use super::manifest::{Manifest, merge, parse};
use crate::model::Problem;

/// Largest manifest file that is read, in bytes.
const FILE_LIMIT_BYTES: u64 = 64 << 20;

/// A set of files and directories, and the last good content of each file.
#[derive(Default)]
pub(crate) struct Files {
    paths: Vec<PathBuf>,
    known: BTreeMap<PathBuf, Known>,
    stdin: Option<String>,
}

struct Known {
    text: String,
    manifest: Manifest,
    /// What is wrong with the newest text, when `manifest` is of an older one.
    broken: Vec<Problem>,
}

impl Files {
    /// Files, directories, or `-` for standard input, which is read once.
    pub(crate) fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { paths: paths.into_iter().collect(), ..Self::default() }
    }

    /// The paths as they were given.
    pub(crate) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Whether every path leads somewhere.
    ///
    /// # Errors
    /// The first that does not, and why.
    pub(crate) fn check(&self) -> Result<(), (PathBuf, io::Error)> {
        for path in &self.paths {
            self.list(path).map_err(|cause| (path.clone(), cause))?;
        }
        Ok(())
    }

    /// Reads what is there now. A file that cannot be parsed counts as it was when it could, and a
    /// problem says so; one that has gone is forgotten.
    pub(crate) fn read(&mut self) -> Manifest {
        let mut unreadable = Vec::new();
        let mut order = Vec::new();
        for path in self.paths.clone() {
            match self.list(&path) {
                Ok(files) => order.extend(files),
                Err(error) => unreadable.push(read_problem(&path, &error)),
            }
        }
        let mut unique = std::collections::BTreeSet::new();
        order.retain(|path| unique.insert(path.clone()));
        self.known.retain(|path, _| unique.contains(path));
        for path in &order {
            match self.text(path) {
                Ok(text) => self.take(path, text),
                // Listed a moment ago, deleted since.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    drop(self.known.remove(path))
                }
                Err(error) => unreadable.push(read_problem(path, &error)),
            }
        }
        let known = || order.iter().filter_map(|path| self.known.get(path));
        let mut manifest = merge(known().map(|known| &known.manifest));
        manifest.problems.extend(known().flat_map(|known| known.broken.iter().cloned()));
        manifest.problems.extend(unreadable);
        manifest
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        if path == Path::new("-") || !fs::metadata(path)?.is_dir() {
            return Ok(vec![path.to_owned()]);
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(path)? {
            let file = entry?.path();
            // A symbolic link may lead nowhere; then it is not a file yet.
            if is_manifest(&file) && fs::metadata(&file).is_ok_and(|of| of.is_file()) {
                files.push(file);
            }
        }
        files.sort();
        Ok(files)
    }

    fn text(&mut self, path: &Path) -> io::Result<String> {
        if path != Path::new("-") {
            return read_limited(fs::File::open(path)?);
        }
        if self.stdin.is_none() {
            self.stdin = Some(read_limited(io::stdin().lock())?);
        }
        Ok(self.stdin.clone().unwrap_or_default())
    }

    fn take(&mut self, path: &Path, text: String) {
        if self.known.get(path).is_some_and(|known| known.text == text) {
            return;
        }
        let manifest = parse(&text, &origin(path));
        match self.known.get_mut(path) {
            Some(known) if manifest.broken => {
                known.text = text;
                known.broken = manifest.problems;
                for problem in &mut known.broken {
                    problem.message.push_str("; the file's last good version stays in force");
                }
            }
            _ => {
                let known = Known { text, manifest, broken: Vec::new() };
                self.known.insert(path.to_owned(), known);
            }
        }
    }
}

/// The texts of files, directories and standard input (`-`), each once, with where it stands; and
/// what cannot be read.
pub(crate) fn texts(paths: &[PathBuf]) -> (Vec<(Arc<str>, String)>, Vec<Problem>) {
    let mut files = Files::new(paths.iter().cloned());
    let (mut texts, mut problems) = (Vec::new(), Vec::new());
    let mut seen = std::collections::BTreeSet::new();
    for path in paths {
        match files.list(path) {
            Ok(listed) => {
                for file in listed.into_iter().filter(|file| seen.insert(file.clone())) {
                    match files.text(&file) {
                        Ok(text) => texts.push((origin(&file), text)),
                        Err(error) => problems.push(read_problem(&file, &error)),
                    }
                }
            }
            Err(error) => problems.push(read_problem(path, &error)),
        }
    }
    (texts, problems)
}

/// Whether a directory's entry is read. Editors' temporary and hidden files are not.
fn is_manifest(path: &Path) -> bool {
    let hidden = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yaml" | "yml" | "json")) && !path.file_name().is_some_and(hidden)
}

fn origin(path: &Path) -> Arc<str> {
    if path == Path::new("-") { "stdin".into() } else { path.display().to_string().into() }
}

fn read_limited(reader: impl Read) -> io::Result<String> {
    let mut text = String::new();
    if reader.take(FILE_LIMIT_BYTES + 1).read_to_string(&mut text)? as u64 > FILE_LIMIT_BYTES {
        let message = format!("larger than {} MiB", FILE_LIMIT_BYTES >> 20);
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(text)
}

fn read_problem(path: &Path, error: &io::Error) -> Problem {
    Problem::new(format_args!("cannot be read: {error}")).origin(origin(path))
}
