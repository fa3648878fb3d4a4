//! Saved results: read, and refused when they are not ours.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::engine::EngineResult;
use crate::error::{BenchError, Result};
use crate::lab::LabResult;
use crate::maglev::MaglevResult;
use crate::output::progress;
use crate::pktgen::PktgenResult;
use crate::result::{FORMAT, Origin};
use crate::search::SearchResult;

/// One file's.
#[derive(Clone, Debug)]
pub(super) enum Saved {
    /// Of `pktgen`.
    Pktgen(Box<PktgenResult>),
    /// Of `search`.
    Search(Box<SearchResult>),
    /// Of `engine`.
    Engine(Vec<EngineResult>),
    /// Of `maglev`.
    Maglev(Box<MaglevResult>),
    /// Of `lab`.
    Lab(Box<LabResult>),
}

/// A saved result.
#[derive(Clone, Debug)]
pub(super) struct Named {
    /// The file's name without its end.
    pub(super) name: String,
    /// What is in it.
    pub(super) saved: Saved,
}

impl Named {
    /// Whether it was cut short.
    pub(super) fn is_cut_short(&self) -> bool {
        match &self.saved {
            Saved::Pktgen(result) => result.trial.interrupted,
            Saved::Search(result) => result.interrupted,
            Saved::Engine(results) => results.iter().any(|result| result.interrupted),
            Saved::Maglev(result) => result.interrupted,
            Saved::Lab(result) => result.interrupted,
        }
    }

    /// Where it comes from.
    pub(super) fn origin(&self) -> Option<&Origin> {
        match &self.saved {
            Saved::Pktgen(result) => Some(&result.origin),
            Saved::Search(result) => Some(&result.origin),
            Saved::Engine(results) => results.first().map(|result| &result.origin),
            Saved::Maglev(result) => Some(&result.origin),
            Saved::Lab(result) => Some(&result.origin),
        }
    }
}

/// Reads every `.json` file of a directory, in the order of their names.
///
/// # Errors
/// [`BenchError::Result`] for a file that is not ours, or is too old or too new.
pub(super) fn load(directory: &Path) -> Result<Vec<Named>> {
    let refuse =
        |path: &Path, message: String| BenchError::Result { path: path.to_owned(), message };
    let entries = fs::read_dir(directory).map_err(|error| refuse(directory, error.to_string()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "json"));
    paths.sort();
    if paths.is_empty() {
        let message = "no result is there; save one with `maglane-bench … -o json > NAME.json`";
        return Err(refuse(directory, message.to_owned()));
    }
    let mut results = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).map_err(|error| refuse(&path, error.to_string()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        match read(&text).map_err(|message| refuse(&path, message))? {
            Some(saved) => results.push(Named { name, saved }),
            None => progress(&format!("{}: has no place on the page, left out", path.display())),
        }
    }
    if results.is_empty() {
        let message = "the page shows results of engine, lab, maglev, pktgen and search";
        return Err(refuse(directory, message.to_owned()));
    }
    Ok(results)
}

/// None of a benchmark of ours that the page does not show.
fn read(text: &str) -> std::result::Result<Option<Saved>, String> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| format!("this is no result of maglane-bench: {error}"))?;
    let head = value.get(0).unwrap_or(&value);
    let not_ours = || "this is no result of maglane-bench".to_owned();
    let benchmark = head.get("benchmark").and_then(Value::as_str).ok_or_else(not_ours)?.to_owned();
    match head.get("format").and_then(Value::as_u64) {
        Some(format) if format == u64::from(FORMAT) => {}
        Some(format) => {
            return Err(format!(
                "it has format {format}, and this maglane-bench reads {FORMAT}; measure it again, \
                 or move the file away"
            ));
        }
        None => return Err(not_ours()),
    }
    let saved = match benchmark.as_str() {
        "pktgen" => typed(value).map(|result| Saved::Pktgen(Box::new(result))),
        "search" => typed(value).map(|result| Saved::Search(Box::new(result))),
        "engine" => typed(value).map(Saved::Engine),
        "maglev" => typed(value).map(|result| Saved::Maglev(Box::new(result))),
        "lab" => typed(value).map(|result| Saved::Lab(Box::new(result))),
        // They are looked at on their own.
        "control" | "direct" | "host-port" => return Ok(None),
        other => Err(format!("nobody knows the benchmark {other}")),
    };
    saved.map(Some)
}

fn typed<T: for<'a> Deserialize<'a>>(value: Value) -> std::result::Result<T, String> {
    serde_json::from_value(value).map_err(|error| format!("it is damaged: {error}"))
}
