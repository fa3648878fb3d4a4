use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::measure::Table;
use super::published::Published;
use crate::output::{grouped, table};
use crate::result::Origin;

const NS_PER_MS: f64 = 1e6;
const KIB: f64 = 1_024.0;

/// Result of `maglev`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MaglevResult {
    /// Where it comes from.
    #[serde(flatten)]
    pub(crate) origin: Origin,
    /// Every table.
    pub(crate) tables: Vec<Table>,
    /// What others have published.
    pub(crate) published: Vec<Published>,
    /// Whether a signal ended it before its time.
    pub(crate) interrupted: bool,
}

impl MaglevResult {
    /// For people.
    pub(super) fn text(&self) -> String {
        let mut rows = table([
            "BACKENDS",
            "SLOTS",
            "",
            "BUILD ms",
            "MIN",
            "MAX",
            "KIB",
            "IMBALANCE %",
            "LEAVE %",
            "JOIN %",
            "RESIZE %",
        ]);
        let percent = |share: f64| format!("{:.2}", share * 100.0);
        let or_none = |share: Option<f64>| share.map_or("-".to_owned(), percent);
        for one in &self.tables {
            let ms = |ns: f64| format!("{:.3}", ns / NS_PER_MS);
            rows.add_row([
                grouped(one.backends as u64),
                grouped(one.size as u64),
                if one.chosen { "ours" } else { "" }.to_owned(),
                ms(one.build_ns),
                ms(one.build_spread_ns[0]),
                ms(one.build_spread_ns[1]),
                format!("{:.1}", one.memory_bytes as f64 / KIB),
                percent(one.imbalance),
                or_none(one.moved_on_leave),
                percent(one.moved_on_join),
                or_none(one.moved_on_resize),
            ]);
        }
        let mut text = format!(
            "Maglev tables on {}\n\
             Imbalance: the fullest backend beyond an even share. Leave, join, resize: slots that \
             change hands although neither backend came nor went.\n\n{}\n\nPublished:\n",
            self.origin.machine.show(),
            rows.trim_fmt()
        );
        for one in &self.published {
            let _ = writeln!(text, "  {}: {}\n    {}", one.source, one.figure, one.link);
        }
        text
    }
}
