//! The page's parts, one a measurement. A part without results is not there.

mod beside;
mod engine;
mod lab;
mod maglev;
mod traffic;

pub(super) use engine::engine;
pub(super) use lab::{lab, lab_bars};
pub(super) use maglev::maglev;
pub(super) use traffic::{pktgen, searches};

use super::chart::Line;
use super::html::Html;
use super::load::Named;
use crate::output::INTERRUPTED;
use crate::pktgen::Latency;

const US: f64 = 1e3;

/// Which command made which result, where and when.
pub(super) fn origins(results: &[Named]) -> Html {
    let mut html = Html::element("h2", "Machines, versions, commands");
    for named in results {
        let Some(origin) = named.origin() else { continue };
        html.add(&Html::element("h3", &named.name));
        let machine = &origin.machine;
        html.add(&Html::element(
            "p",
            &format!(
                "maglane-bench {}, {}; {} cores, {}, Linux {}, load before it {}.",
                origin.version,
                origin.began,
                machine.cores,
                machine.processor,
                machine.kernel,
                machine.load_before
            ),
        ));
        if let Some(tools) = &origin.tools {
            let versions: Vec<&str> = tools.values().map(String::as_str).collect();
            html.add(&Html::element("p", &format!("Beside it: {}.", versions.join("; "))));
        }
        html.add(&Html::element("pre", &origin.command));
        if named.is_cut_short() {
            html.add(&Html::element("p", INTERRUPTED));
        }
    }
    html
}

/// A latency's percentiles as a line: how many packets in one that is later, and how late.
pub(super) fn percentiles(name: String, series: usize, latency: &Latency) -> Line {
    let points = latency.percentiles.iter().filter(|(percentile, _)| *percentile < 100.0);
    let one_in = |percentile: f64| 100.0 / (100.0 - percentile);
    Line {
        name,
        series,
        points: points.map(|(percentile, ns)| (one_in(*percentile), *ns as f64 / US)).collect(),
    }
}

/// `99.9%`, of one in a thousand.
pub(super) fn percentile(one_in: &f64) -> String {
    let percent = 100.0 - 100.0 / one_in;
    let nines = (one_in.log10().ceil() as usize).saturating_sub(2);
    format!("{percent:.nines$}%")
}

/// Microseconds, as short as they can be told.
pub(super) fn us(us: &f64) -> String {
    match *us {
        us if us >= 1e6 => format!("{:.0} s", us / 1e6),
        us if us >= 1e3 => format!("{:.0} ms", us / 1e3),
        us => format!("{us:.0} µs"),
    }
}

/// Millions of packets a second.
pub(super) fn mpps(pps: &f64) -> String {
    format!("{:.3} Mpps", pps / 1e6)
}

/// A table's cells of a latency.
pub(super) fn latency_cells(latency: Option<&Latency>) -> Vec<String> {
    latency.map_or_else(|| vec![String::new(); 5], Latency::cells)
}

/// 1,000,000 as 1M.
pub(super) fn count(number: &f64) -> String {
    match *number {
        number if number >= 1e6 => format!("{}M", (number / 1e5).round() / 10.0),
        number if number >= 1e3 => format!("{}k", (number / 1e2).round() / 10.0),
        number => format!("{number:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_written_as_people_say_it() {
        assert_eq!(
            [1.0, 2.0, 10.0, 100.0, 1e3, 1e5].map(|x| percentile(&x)),
            ["0%", "50%", "90%", "99%", "99.9%", "99.999%"]
        );
        assert_eq!([5.0, 1_500.0, 65_536.0, 4e6].map(|x| count(&x)), ["5", "1.5k", "65.5k", "4M"]);
        assert_eq!([5.0, 1_500.0, 2e6].map(|x| us(&x)), ["5 µs", "2 ms", "2 s"]);
    }
}
