//! Medians and spreads: a machine that others use too has no use for means.

use serde::{Deserialize, Serialize};

use crate::output::short;

/// One figure over several rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// The one in the middle; of two, the mean of both.
    pub(crate) median: f64,
    /// The least.
    pub(crate) min: f64,
    /// The greatest.
    pub(crate) max: f64,
}

impl Figure {
    /// Of all rounds; all zero when there is none.
    pub(crate) fn of(rounds: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = rounds.collect();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let at = |index: usize| sorted.get(index).copied().unwrap_or(0.0);
        let median = match sorted.len() % 2 {
            1 => at(middle),
            _ => (at(middle.wrapping_sub(1)) + at(middle)) / 2.0,
        };
        Self { median, min: at(0), max: at(sorted.len().wrapping_sub(1)) }
    }

    /// `median (min–max)`, scaled, with so many decimals.
    pub(crate) fn show(&self, scale: f64, decimals: usize) -> String {
        let [median, min, max] = [self.median, self.min, self.max].map(|value| value / scale);
        format!("{median:.decimals$} ({min:.decimals$}–{max:.decimals$})")
    }

    /// The same, with as many decimals as tell something.
    pub(crate) fn show_short(&self, scale: f64) -> String {
        let [median, min, max] = [self.median, self.min, self.max].map(|one| short(&(one / scale)));
        format!("{median} ({min}–{max})")
    }
}

/// `part / whole`; 0 when there is no whole.
pub(crate) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rounds: &[f64], median: f64, min: f64, max: f64) {
        assert_eq!(Figure::of(rounds.iter().copied()), Figure { median, min, max });
    }

    #[test]
    fn the_median_is_in_the_middle_whatever_the_order() {
        check(&[3.0, 1.0, 100.0], 3.0, 1.0, 100.0);
        check(&[4.0, 1.0, 2.0, 3.0], 2.5, 1.0, 4.0);
        check(&[7.0], 7.0, 7.0, 7.0);
        check(&[], 0.0, 0.0, 0.0);
    }

    #[test]
    fn figures_are_shown_with_their_spread() {
        let figure = Figure { median: 1.5e6, min: 1e6, max: 2e6 };
        assert_eq!(figure.show(1e6, 2), "1.50 (1.00–2.00)");
        assert_eq!(figure.show_short(1e5), "15.0 (10.0–20.0)");
    }
}
