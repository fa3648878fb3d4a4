use std::collections::BTreeMap;

use super::beside::beside;
use super::{count, percentile, percentiles, us};
use crate::lab::{Kind, LabFigure, LabResult};
use crate::output::{INTERRUPTED, grouped, short};
use crate::report::chart::{Axis, Bar, Line, bars, line_figure};
use crate::report::html::Html;
use crate::report::load::{Named, Saved};

/// Lines that differ by less than this factor are told apart without a logarithmic axis.
const LOG_FROM: f64 = 20.0;

/// The comparisons, one after the other: figures of two runs do not stand beside one another.
pub(in crate::report) fn lab(results: &[Named]) -> Html {
    let mut html = Html::default();
    let mut said: Vec<&str> = Vec::new();
    for named in results {
        let Saved::Lab(result) = &named.saved else { continue };
        let title = format!("Maglane beside the kernel, in one lab: {}", named.name);
        html.add(&Html::element("h2", &title));
        for condition in &result.conditions {
            if !said.contains(&condition.as_str()) {
                said.push(condition);
                html.add(&Html::element("p", condition));
            }
        }
        html.add(&beside(result));
        html.add(&one(result));
    }
    html
}

/// The bars of the comparison, each with its title.
pub(in crate::report) fn lab_bars(results: &[Named]) -> Vec<(String, Html)> {
    let results = results.iter().filter_map(|named| match &named.saved {
        Saved::Lab(result) => Some(result),
        _ => None,
    });
    results.flat_map(|result| metrics(result)).map(|(of, figures)| bars_of(of, &figures)).collect()
}

/// Figures by what they are of, in the order in which they come.
fn metrics(result: &LabResult) -> Vec<(&str, Vec<&LabFigure>)> {
    let mut metrics: Vec<(&str, Vec<&LabFigure>)> = Vec::new();
    for figure in &result.figures {
        match metrics.iter_mut().find(|(metric, _)| *metric == figure.metric) {
            Some((_, figures)) => figures.push(figure),
            None => metrics.push((&figure.metric, vec![figure])),
        }
    }
    metrics
}

fn one(result: &LabResult) -> Html {
    let mut html = Html::default();
    for (metric, figures) in metrics(result) {
        html.add(&metric_charts(metric, &figures));
    }
    html.add(&latencies(result));
    html.add(&Html::details("All figures, and the commands that repeat them", &table(result)));
    for skipped in &result.skipped {
        html.add(&Html::element("p", &format!("Not measured: {skipped}")));
    }
    if result.interrupted {
        html.add(&Html::element("p", INTERRUPTED));
    }
    html
}

/// One colour for all that are alike, however many workers they have and however these wait.
fn colour(kind: Kind) -> usize {
    match kind {
        Kind::HostPort => 0,
        Kind::Kernel => 1,
        Kind::Nftables => 2,
        Kind::Iptables => 3,
        Kind::Generator => 4,
        Kind::XdpPorts => 5,
        Kind::BarePorts => 6,
        Kind::BareHostPort => 7,
    }
}

/// Everybody as bars, with the fewest Services; and over Services as lines.
fn metric_charts(metric: &str, figures: &[&LabFigure]) -> Html {
    let (unit, scale) = unit(figures);
    if figures.iter().all(|figure| figure.figure.max <= 0.0) {
        return Html::element("p", &format!("{metric}: 0 {unit} of everybody, in every round."));
    }
    let (title, bars) = bars_of(metric, figures);
    let mut html = Html::figure(&title, &[], &bars);
    html.add(&over_services(metric, unit, scale, figures));
    html
}

/// The unit that people read, and how many of the figures' own it is.
fn unit<'f>(figures: &[&'f LabFigure]) -> (&'f str, f64) {
    match figures.first().map(|figure| figure.unit.as_str()) {
        Some("pps") => ("million packets a second", 1e6),
        Some(unit) => (unit, 1.0),
        None => ("", 1.0),
    }
}

/// Everybody as bars, with the fewest Services, and what they show.
fn bars_of(metric: &str, figures: &[&LabFigure]) -> (String, Html) {
    let (unit, scale) = unit(figures);
    let known = figures.iter().map(|figure| figure.services).filter(|services| *services > 0);
    let fewest = known.min().unwrap_or(0);
    let of_fewest = figures.iter().filter(|figure| [0, fewest].contains(&figure.services));
    let rows: Vec<Bar> = of_fewest
        .map(|figure| Bar {
            label: figure.subject.clone(),
            value: figure.figure.median / scale,
            is_at_least: figure.is_at_least(),
            spread: Some((figure.figure.min / scale, figure.figure.max / scale)),
            series: colour(figure.kind),
        })
        .collect();
    let title = match fewest {
        0 => format!("{metric} ({unit})"),
        1 => format!("{metric}, 1 Service ({unit})"),
        services => format!("{metric}, {} Services ({unit})", grouped(services.into())),
    };
    (title, bars(&rows, short))
}

fn over_services(metric: &str, unit: &str, scale: f64, figures: &[&LabFigure]) -> Html {
    let mut of_subject: Vec<Line> = Vec::new();
    for figure in figures.iter().filter(|figure| figure.services > 0) {
        let point = (f64::from(figure.services), figure.figure.median / scale);
        match of_subject.iter_mut().find(|line| line.name == figure.subject) {
            Some(line) => line.points.push(point),
            None => of_subject.push(Line {
                name: figure.subject.clone(),
                series: colour(figure.kind),
                points: vec![point],
            }),
        }
    }
    of_subject.retain(|line| line.points.len() > 1);
    if of_subject.is_empty() {
        return Html::default();
    }
    for line in &mut of_subject {
        line.points.sort_by(|one, other| one.0.total_cmp(&other.0));
    }
    let values = || of_subject.iter().flat_map(|line| line.points.iter().map(|(_, value)| *value));
    let (least, most) = (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
    let log = least > 0.0 && most / least >= LOG_FROM;
    let x = Axis { title: "Services", format: count, log: true };
    let y = Axis { title: unit, format: short, log };
    line_figure(&format!("{metric}, over Services"), &of_subject, x, y)
}

fn latencies(result: &LabResult) -> Html {
    let mut by_load: BTreeMap<&str, Vec<Line>> = BTreeMap::new();
    for latency in &result.latencies {
        let of_load = by_load.entry(&latency.at).or_default();
        // The first of each kind has the fewest Services and one adaptive worker; all others stand
        // in the table.
        let series = colour(latency.kind);
        if !of_load.iter().any(|line| line.series == series) {
            of_load.push(percentiles(latency.subject.clone(), series, &latency.latency_ns));
        }
    }
    let mut html = Html::default();
    for (at, of_load) in by_load {
        let x =
            Axis { title: "share of packets that were no later", format: percentile, log: true };
        let y = Axis { title: "latency", format: us, log: true };
        html.add(&line_figure(&format!("Latency, {at}, all rounds together"), &of_load, x, y));
    }
    html
}

fn table(result: &LabResult) -> Html {
    let rows = result.figures.iter().map(|figure| {
        vec![
            figure.subject.clone(),
            figure.metric.clone(),
            grouped(figure.services.into()),
            figure.show(&figure.figure.show_short(1.0)),
            figure.unit.clone(),
            figure.command.clone(),
        ]
    });
    let header = ["Who", "What", "Services", "Median (least–greatest)", "Unit", "Command"];
    let mut html = Html::table(&header, &rows.collect::<Vec<_>>());
    if result.latencies.is_empty() {
        return html;
    }
    let rows = result.latencies.iter().map(|latency| {
        let mut row = vec![latency.subject.clone(), latency.at.clone()];
        row.push(grouped(latency.services.into()));
        row.extend(latency.cells());
        row.push(latency.command.clone());
        row
    });
    let header = ["Who", "Which packets", "Services", "p50 µs", "p90", "p99", "p99.9", "Command"];
    html.add(&Html::table(&header, &rows.collect::<Vec<_>>()));
    html
}
