use super::{latency_cells, mpps, percentile, percentiles, us};
use crate::output::grouped;
use crate::pktgen::{PktgenResult, Step};
use crate::report::chart::{Axis, Bar, Line, bars, line_figure};
use crate::report::html::Html;
use crate::report::load::{Named, Saved};
use crate::search::{GoalResult, LatencyResult, SearchResult};

const LATENCY: Axis<'_> = Axis { title: "latency", format: us, log: true };
const PERCENTILES: Axis<'_> =
    Axis { title: "share of packets that were no later", format: percentile, log: true };

/// Throughput at a stated loss.
pub(in crate::report) fn searches(results: &[Named]) -> Html {
    let found: Vec<(&str, &SearchResult)> = results
        .iter()
        .filter_map(|named| match &named.saved {
            Saved::Search(result) => Some((named.name.as_str(), &**result)),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return Html::default();
    }
    let mut html = Html::element("h2", "Throughput at a stated loss");
    let mut rows = Vec::new();
    for (name, result) in &found {
        for (number, goal) in result.goals.iter().enumerate() {
            rows.push(Bar {
                label: format!("{name}: {}", goal.name),
                value: goal.lower_pps.unwrap_or(0.0),
                is_at_least: goal.is_at_least(),
                spread: goal.lower_pps.zip(goal.upper_pps),
                series: number,
            });
        }
        if let Some(bias) = &result.bias {
            rows.push(Bar {
                label: format!("{name}: generator by itself"),
                value: bias.trial.forward.received_pps,
                is_at_least: false,
                spread: None,
                series: 7,
            });
        }
    }
    let title = "Highest load within the goal, and the lowest that fails it";
    html.add(&Html::figure(title, &[], &bars(&rows, mpps)));
    for (name, result) in &found {
        html.add(&search(name, result));
    }
    html
}

fn search(name: &str, result: &SearchResult) -> Html {
    let mut html = Html::element("h3", name);
    html.add(&Html::element(
        "p",
        &format!("{}; {}.", result.path.join(" → "), result.traffic.text()),
    ));
    let rule = result.goals.first().map(GoalResult::rule);
    html.add(&sentences(result.goals.iter().map(GoalResult::text).chain(rule)));
    if let Some(failure) = &result.failure {
        let ended = format!("Ended before its time: {failure}. This is what was found until then.");
        html.add(&Html::element("p", &ended));
    }
    let mut of_load = Vec::new();
    let mut rows = Vec::new();
    for one in &result.latencies {
        for (name, direction) in one.rows() {
            let mut row = vec![name, mpps(&one.load_pps), grouped(direction.lost)];
            row.extend(latency_cells(direction.latency_ns.as_ref()));
            rows.push(row);
        }
        for (direction, result) in one.trial.directions() {
            if let Some(latency) = &result.latency_ns {
                let name = format!("{}, {direction}", one.at);
                of_load.push(percentiles(name, of_load.len(), latency));
            }
        }
    }
    html.add(&line_figure("Latency at shares of it", &of_load, PERCENTILES, LATENCY));
    if !rows.is_empty() {
        let header = ["Load", "Rate", "Lost", "p50 µs", "p90", "p99", "p99.9", "max"];
        html.add(&Html::table(&header, &rows));
    }
    html.add(&sentences(result.latencies.iter().flat_map(LatencyResult::remarks)));
    html
}

/// A list, if there is anything to be said.
fn sentences(texts: impl Iterator<Item = String>) -> Html {
    let mut items = texts.map(|text| Html::text(&text)).peekable();
    if items.peek().is_none() {
        return Html::default();
    }
    Html::list(items)
}

/// Single runs of the generator.
pub(in crate::report) fn pktgen(results: &[Named]) -> Html {
    let mut html = Html::default();
    for named in results {
        let Saved::Pktgen(result) = &named.saved else { continue };
        if html.is_empty() {
            html.add(&Html::element("h2", "Runs of the packet generator"));
        }
        html.add(&run(&named.name, result));
    }
    html
}

fn run(name: &str, result: &PktgenResult) -> Html {
    let mut html = Html::element("h3", name);
    let traffic = result.traffic.as_ref().map_or("a capture".to_owned(), |traffic| traffic.text());
    html.add(&Html::element(
        "p",
        &format!("{}; {traffic}; {}.", result.path.join(" → "), result.pace),
    ));
    let bias = result.bias.as_ref().map(|bias| &bias.trial);
    let mut rows = Vec::new();
    let mut of_direction = Vec::new();
    for (whose, trial) in [("", Some(&result.trial)), ("back to back, ", bias)] {
        let Some(trial) = trial else { continue };
        for (direction, one) in trial.directions() {
            let name = format!("{whose}{direction}");
            let mut row = vec![name.clone()];
            row.extend(
                [one.sent, one.received, one.lost, one.reordered, one.duplicated].map(grouped),
            );
            row.push(grouped(one.corrupted));
            row.push(mpps(&one.received_pps));
            row.extend(latency_cells(one.latency_ns.as_ref()));
            rows.push(row);
            if let Some(latency) = &one.latency_ns {
                of_direction.push(percentiles(name, of_direction.len(), latency));
            }
        }
    }
    let header = [
        "",
        "Sent",
        "Received",
        "Lost",
        "Reordered",
        "Duplicated",
        "Corrupted",
        "Rate",
        "p50 µs",
        "p90",
        "p99",
        "p99.9",
        "max",
    ];
    html.add(&Html::table(&header, &rows));
    html.add(&sentences(result.remarks().into_iter()));
    let title = "Latency from the intended send time";
    html.add(&line_figure(title, &of_direction, PERCENTILES, LATENCY));
    html.add(&timeline(&result.trial.forward.timeline));
    html
}

fn timeline(steps: &[Step]) -> Html {
    // The last one is not whole.
    let whole = steps.split_last().map_or(&[][..], |(_, whole)| whole);
    if whole.len() < 2 {
        return Html::default();
    }
    let each = whole.get(1).map_or(0.1, |step| step.at_s);
    let line = |name: &str, series, of: fn(&Step) -> u64| Line {
        name: name.to_owned(),
        series,
        points: whole.iter().map(|step| (step.at_s, of(step) as f64 / each)).collect(),
    };
    let of_time = [line("sent", 7, |step| step.sent), line("received", 0, |step| step.received)];
    let x = Axis { title: "seconds", format: |s| format!("{s:.1}"), log: false };
    let y = Axis { title: "packets a second", format: super::count, log: false };
    line_figure("By the time at which packets were due", &of_time, x, y)
}
