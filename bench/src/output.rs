use std::io::{self, Write};

use anyhow::Context;
use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde::Serialize;

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// Prints a result on standard output.
///
/// # Errors
/// When standard output takes no more.
pub(crate) fn print<T: Serialize>(
    format: Format,
    report: &T,
    text: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    let text = match format {
        Format::Json => serde_json::to_string_pretty(report).context("cannot write JSON")?,
        Format::Table => text(report),
    };
    writeln!(io::stdout(), "{text}").context("cannot write to standard output")
}

/// Tells on standard error how far it is.
pub(crate) fn progress(line: &str) {
    // A closed standard error is nobody to tell.
    let _ = writeln!(io::stderr(), "{line}");
}

/// A table without borders.
pub(crate) fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    table
}

/// A number as people read it: `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_stand_in_threes() {
        let texts = [0, 999, 1_000, 65_535, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "65,535", "1,234,567"]);
    }
}
