use std::io::{self, Write};

use anyhow::Context;
use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde::Serialize;

/// Of a run that a signal cut short.
pub(crate) const INTERRUPTED: &str = "Interrupted: this is what was measured until then.";

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

/// A figure in as many digits as tell something: 0.064, 3.21, 42.0, 1,234.
pub(crate) fn short(value: &f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 99.95 => {
            let sign = if *value < 0.0 { "−" } else { "" };
            format!("{sign}{}", grouped(size.round() as u64))
        }
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.9995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_threes() {
        let texts = [0, 999, 1_000, 65_535, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "65,535", "1,234,567"]);
    }

    #[test]
    fn figures_have_as_many_digits_as_tell_something() {
        assert_eq!(
            [0.0, 0.0642, 3.214, 42.03, 25_382.3, -1_124.9].map(|x| short(&x)),
            ["0", "0.064", "3.21", "42.0", "25,382", "−1,125"]
        );
    }
}
