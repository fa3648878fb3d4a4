use std::io::{self, Write};

use anyhow::Context;
use comfy_table::Table;
use serde::Serialize;

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, clap::ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// Prints a result in the wanted format.
///
/// # Errors
/// When standard output takes no more, unless that is because nobody reads on.
pub(super) fn print<T: Serialize>(
    format: Format,
    value: &T,
    table: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    let text = match format {
        Format::Json => serde_json::to_string_pretty(value).context("cannot write JSON")? + "\n",
        Format::Table => table(value),
    };
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// Columns as kubectl prints them: upper-case names, no borders, three blanks between.
pub(super) fn columns<const N: usize>(
    names: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::NOTHING).set_header(names);
    table.add_rows(rows);
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 3));
    });
    let lines = table.to_string();
    lines.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// `3d4h`, `2m5s`, `12s`: the two largest units.
pub(super) fn duration(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let mut rest = seconds;
    let parts = units.map(|(unit, size)| {
        let count = rest / size;
        rest %= size;
        (count, unit)
    });
    let first = parts.iter().position(|(count, _)| *count > 0).unwrap_or(3);
    let parts = parts[first..].iter().take(2).filter(|(count, _)| *count > 0 || seconds == 0);
    parts.map(|(count, unit)| format!("{count}{unit}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let cases = [(0, "0s"), (59, "59s"), (60, "1m"), (125, "2m5s"), (90_061, "1d1h")];
        for (seconds, expect) in cases {
            assert_eq!(duration(seconds), expect);
        }
    }

    #[test]
    fn columns_align_without_borders() {
        let row = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        let text = columns(["NAME", "PORT"], [row("a", "80/TCP"), row("longer", "1")]);
        assert_eq!(text, "NAME     PORT\na        80/TCP\nlonger   1\n");
    }
}
