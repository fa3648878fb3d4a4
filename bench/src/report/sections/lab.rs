use std::collections::BTreeMap;

use super::{latency_cells, percentile, percentiles, us};
use crate::lab::{LabFigure, LabResult};
use crate::output::grouped;
use crate::report::chart::{Axis, Bar, Line, SERIES, bars, lines};
use crate::report::html::Html;
use crate::report::load::{Named, Saved};

/// The comparison, as far as it was measured.
pub(in crate::report) fn lab(results: &[Named]) -> Html {
    let mut html = Html::default();
    for named in results {
        if let Saved::Lab(result) = &named.saved {
            html.add(&one(result));
        }
    }
    html
}

fn one(result: &LabResult) -> Html {
    let mut html = Html::element("h2", "Who forwards best, in one lab");
    for condition in &result.conditions {
        html.add(&Html::element("p", condition));
    }
    if !result.ratios.is_empty() {
        let rows =
            result.ratios.iter().map(|ratio| vec![ratio.what.clone(), ratio.figure.show(1.0, 3)]);
        html.add(&Html::table(&["Beside one another", "Ratio"], &rows.collect::<Vec<_>>()));
    }
    // In the order in which they come.
    let mut metrics: Vec<&str> = Vec::new();
    for figure in &result.figures {
        if !metrics.contains(&figure.metric.as_str()) {
            metrics.push(&figure.metric);
        }
    }
    for metric in metrics {
        let of = result.figures.iter().filter(|figure| figure.metric == metric);
        html.add(&metric_chart(metric, &of.collect::<Vec<_>>()));
    }
    html.add(&latencies(result));
    html.add(&Html::details("All figures", &table(result)));
    for skipped in &result.skipped {
        html.add(&Html::element("p", &format!("Not measured: {skipped}")));
    }
    if result.interrupted {
        html.add(&Html::element("p", "Interrupted: this is what was measured until then."));
    }
    html
}

/// One colour for all that are alike: Maglane, bare forwarders, the kernel, kube-proxy.
fn family(subject: &str) -> usize {
    const BEGINNINGS: [(&str, usize); 4] =
        [("Maglane", 0), ("bare", 7), ("kernel", 1), ("kube-proxy, nftables", 2)];
    let found = BEGINNINGS.iter().find(|(beginning, _)| subject.starts_with(beginning));
    found.map_or(3, |(_, colour)| *colour)
}

fn label(figure: &LabFigure) -> String {
    match figure.services {
        1 => format!("{}, 1 Service", figure.subject),
        0 => figure.subject.clone(),
        services => format!("{}, {} Services", figure.subject, grouped(services.into())),
    }
}

fn metric_chart(metric: &str, figures: &[&LabFigure]) -> Html {
    let scale = if figures.iter().all(|figure| figure.unit == "pps") { 1e6 } else { 1.0 };
    let rows = figures.iter().map(|figure| Bar {
        label: label(figure),
        value: figure.figure.median / scale,
        spread: Some((figure.figure.min / scale, figure.figure.max / scale)),
        series: family(&figure.subject),
    });
    let unit = match figures.first().map(|figure| figure.unit.as_str()) {
        Some("pps") => "million packets a second",
        Some(unit) => unit,
        None => "",
    };
    let rows: Vec<Bar> = rows.collect();
    let small = rows.iter().all(|bar| bar.value < 100.0);
    let format: fn(&f64) -> String =
        if small { |value| format!("{value:.3}") } else { |value| format!("{value:.0}") };
    Html::figure(&format!("{metric} ({unit})"), &[], &bars(&rows, format))
}

fn latencies(result: &LabResult) -> Html {
    let mut by_load: BTreeMap<&str, Vec<Line>> = BTreeMap::new();
    for latency in &result.latencies {
        let of_load = by_load.entry(&latency.at).or_default();
        // The first of each name has the fewest Services; busy workers and second ones, as all
        // others, stand in the table.
        let known = of_load.iter().any(|line| line.name == latency.subject);
        let variant = latency.subject.contains("busy") || latency.subject.contains("2 workers");
        if !known && !variant && of_load.len() < SERIES {
            of_load.push(percentiles(latency.subject.clone(), &latency.latency_ns));
        }
    }
    let mut html = Html::default();
    for (at, of_load) in by_load {
        let legend: Vec<String> = of_load.iter().map(|line| line.name.clone()).collect();
        let x =
            Axis { title: "share of packets that were no later", format: percentile, log: true };
        let y = Axis { title: "latency", format: us, log: true };
        html.add(&Html::figure(&format!("Latency, {at}"), &legend, &lines(&of_load, x, y)));
    }
    html
}

fn table(result: &LabResult) -> Html {
    let rows = result.figures.iter().map(|figure| {
        let command = figure.command.clone();
        vec![
            figure.subject.clone(),
            figure.metric.clone(),
            grouped(figure.services.into()),
            figure.figure.show(1.0, 1),
            figure.unit.clone(),
            command,
        ]
    });
    let header = ["Who", "What", "Services", "Median (least–greatest)", "Unit", "Command"];
    let mut html = Html::table(&header, &rows.collect::<Vec<_>>());
    let rows = result.latencies.iter().map(|latency| {
        let mut row = vec![latency.subject.clone(), latency.at.clone()];
        row.push(grouped(latency.services.into()));
        row.extend(latency_cells(Some(&latency.latency_ns)));
        row
    });
    let header = ["Who", "When", "Services", "p50 µs", "p90", "p99", "p99.9", "max"];
    html.add(&Html::table(&header, &rows.collect::<Vec<_>>()));
    html
}
