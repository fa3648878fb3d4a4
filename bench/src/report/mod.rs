//! One page of all saved results, with everything in it: to be looked at, kept and printed.

mod chart;
mod html;
mod load;
mod picture;
mod sections;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::{BenchError, Result};
use crate::output::progress;
use crate::result::Origin;
use html::Html;
use load::{Named, load};

/// Light and dark.
const COLOURS: &str = include_str!("colours.css");
const STYLE: &str = include_str!("style.css");
const FILE: &str = "report.html";

/// Options of `report`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReportArgs {
    /// Where results were saved, one a .json file.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The page [default: report.html in the directory].
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// The comparison's first charts beside it, as one SVG for a README.
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
}

/// Writes the page.
///
/// # Errors
/// A file that is not ours, or cannot be read or written.
pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<()> {
    let results = load(&args.directory)?;
    let to = args.to.clone().unwrap_or_else(|| args.directory.join(FILE));
    write(&to, &page(&results))?;
    let count =
        if results.len() == 1 { "1 result".into() } else { format!("{} results", results.len()) };
    progress(&format!("{count} in {}", to.display()));
    if let Some(file) = &args.picture {
        let charts = sections::lab_bars(&results);
        anyhow::ensure!(
            !charts.is_empty(),
            "--picture {}: no result of `maglane-bench lab` is in {}",
            file.display(),
            args.directory.display()
        );
        write(file, &picture::picture(&occasion(&results), &charts, COLOURS))?;
    }
    Ok(())
}

fn write(to: &Path, page: &str) -> Result<()> {
    fs::write(to, page)
        .map_err(|error| BenchError::Result { path: to.to_owned(), message: error.to_string() })
}

fn page(results: &[Named]) -> String {
    let mut body = Html::default();
    body.add(&Html::element("h1", "Maglane, measured"));
    body.add(&Html::trusted(format!("<p class=\"lead\">{}</p>\n", Html::text(&lead(results)))));
    for section in [
        sections::lab(results),
        sections::searches(results),
        sections::pktgen(results),
        sections::engine(results),
        sections::maglev(results),
        sections::origins(results),
    ] {
        body.add(&section);
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Maglane, measured</title>\n<style>\n{COLOURS}{STYLE}</style>\n</head>\n<body>\n<main>\n\
         {body}</main>\n</body>\n</html>\n"
    )
}

/// When, and on which machines; and how to take it.
fn lead(results: &[Named]) -> String {
    format!(
        "{}. Every figure was measured by maglane-bench; the commands stand at the end. Compare \
         figures of one machine and one run only.",
        occasion(results)
    )
}

/// When, and on which machines.
fn occasion(results: &[Named]) -> String {
    let origins: Vec<&Origin> = results.iter().filter_map(Named::origin).collect();
    let day = |origin: &&Origin| origin.began.split('T').next().unwrap_or_default().to_owned();
    let mut days: Vec<String> = origins.iter().map(day).collect();
    days.sort();
    let when = match (days.first(), days.last()) {
        (Some(first), Some(last)) if first == last => first.clone(),
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => String::new(),
    };
    let describe = |origin: &&Origin| {
        let machine = &origin.machine;
        format!("{} cores, {}, Linux {}", machine.cores, machine.processor, machine.kernel)
    };
    let mut machines: Vec<String> = origins.iter().map(describe).collect();
    machines.sort();
    machines.dedup();
    format!("{when}, on {}", machines.join("; "))
}
