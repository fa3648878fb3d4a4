use super::count;
use crate::engine::EngineResult;
use crate::output::{INTERRUPTED, grouped};
use crate::report::chart::{Axis, Line, Stack, line_figure, stacks};
use crate::report::html::Html;
use crate::report::load::{Named, Saved};

const NS: Axis<'_> = Axis { title: "ns a packet", format: |ns| format!("{ns:.0}"), log: false };
/// Apart, because one is many times the other.
const CASES: [(&str, &[&str]); 2] = [
    ("packets of known flows", &["established", "reply"]),
    ("packets that open a flow, or are refused", &["new", "expired", "reject"]),
];

/// What a result's point lies at on an axis.
type At = fn(&EngineResult) -> f64;

/// The pipeline in memory.
pub(in crate::report) fn engine(results: &[Named]) -> Html {
    let mut html = Html::default();
    for named in results {
        let Saved::Engine(results) = &named.saved else { continue };
        html.add(&Html::element("h2", "The engine itself, in memory"));
        html.add(&Html::element(
            "p",
            "From parsing to the finished frame, without rings and kernel: medians of all rounds.",
        ));
        let axes: [(&str, &str, At, bool); 4] = [
            ("Over flows", "established flows", |one| f64::from(one.flows), true),
            ("Over Services", "Services", |one| f64::from(one.services), true),
            ("Over backends", "backends of a Service", |one| f64::from(one.backends), true),
            ("Over packet size", "bytes of a frame", |one| one.packet_bytes as f64, false),
        ];
        for (number, (title, axis, at, log)) in axes.into_iter().enumerate() {
            let others = axes_but(number);
            for (kind, cases) in CASES {
                let x = Axis { title: axis, format: count, log };
                html.add(&over(results, &format!("{title}: {kind}"), cases, x, (at, &others)));
            }
        }
        html.add(&stages(results));
        html.add(&Html::details("All figures", &table(results)));
        if named.is_cut_short() {
            html.add(&Html::element("p", INTERRUPTED));
        }
    }
    html
}

/// The axes that have to stay the same.
fn axes_but(number: usize) -> Vec<At> {
    let all: [At; 4] = [
        |one| f64::from(one.flows),
        |one| f64::from(one.services),
        |one| f64::from(one.backends),
        |one| one.packet_bytes as f64,
    ];
    all.into_iter().enumerate().filter(|(at, _)| *at != number).map(|(_, at)| at).collect()
}

/// One line for each case and family, of the largest group of results that differ in one axis only.
fn over(
    results: &[EngineResult],
    title: &str,
    cases: &[&str],
    x: Axis<'_>,
    (at, others): (At, &[At]),
) -> Html {
    let mut of_axis = Vec::new();
    for family in [4, 6] {
        for case in cases {
            let of = |one: &&EngineResult| one.case == *case && one.family == family;
            let candidates: Vec<&EngineResult> = results.iter().filter(of).collect();
            let alike = |one: &EngineResult, other: &EngineResult| {
                others.iter().all(|at| at(one) == at(other))
            };
            let group = |one: &EngineResult| -> Vec<(f64, f64)> {
                let like = candidates.iter().filter(|other| alike(one, other));
                let mut points: Vec<(f64, f64)> =
                    like.map(|one| (at(one), one.ns_per_packet)).collect();
                points.sort_by(|one, other| one.0.total_cmp(&other.0));
                points
            };
            let largest = candidates.iter().map(|one| group(one)).max_by_key(Vec::len);
            if let Some(points) = largest.filter(|points| points.len() > 1) {
                let name = if family == 6 { format!("{case}, IPv6") } else { (*case).to_owned() };
                of_axis.push(Line { name, series: of_axis.len(), points });
            }
        }
    }
    line_figure(title, &of_axis, x, NS)
}

/// A bar for each number of flows and Services, with the size of frames, the backends and the family
/// of the first result that has stages.
fn stages(results: &[EngineResult]) -> Html {
    let mut html = Html::default();
    for (case, title) in [
        ("established", "Where the time of an established flow's packet goes"),
        ("new", "Where the time of a new flow's first packet goes"),
    ] {
        let of_case = results.iter().filter(|one| one.case == case && !one.stages.is_empty());
        let common = |one: &EngineResult| (one.packet_bytes, one.backends, one.family);
        let Some((bytes, backends, family)) = of_case.clone().next().map(common) else { continue };
        let title = format!("{title}: {bytes} bytes, {backends} backends, IPv{family}");
        let mut names: Vec<String> = Vec::new();
        let mut rows: Vec<Stack> = Vec::new();
        for one in of_case.filter(|one| common(one) == (bytes, backends, family)) {
            let label = format!(
                "{} flows, {} Services",
                count(&f64::from(one.flows)),
                count(&f64::from(one.services))
            );
            if rows.iter().any(|row| row.label == label) {
                continue;
            }
            let parts = one.stages.iter().map(|stage| {
                let known = names.iter().position(|name| *name == stage.name);
                let number = known.unwrap_or_else(|| {
                    names.push(stage.name.clone());
                    names.len() - 1
                });
                (number, stage.ns)
            });
            let parts = parts.collect();
            rows.push(Stack { label, parts });
        }
        let legend: Vec<(&str, usize)> =
            names.iter().enumerate().map(|(series, name)| (name.as_str(), series)).collect();
        html.add(&Html::figure(&title, &legend, &stacks(&rows, |ns| format!("{ns:.0} ns"))));
    }
    html
}

fn table(results: &[EngineResult]) -> Html {
    let optional =
        |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.1}"));
    let rows = results.iter().map(|one| {
        vec![
            one.case.clone(),
            grouped(one.flows.into()),
            grouped(one.services.into()),
            grouped(one.backends.into()),
            one.packet_bytes.to_string(),
            format!("IPv{}", one.family),
            format!("{:.1}", one.ns_per_packet),
            format!("{:.1}–{:.1}", one.ns_spread[0], one.ns_spread[1]),
            format!("{}", one.allocations_per_packet),
            optional(one.instructions_per_packet),
            optional(one.cache_misses_per_packet),
        ]
    });
    let header = [
        "Case",
        "Flows",
        "Services",
        "Backends",
        "Bytes",
        "Family",
        "ns a packet",
        "Spread",
        "Allocations",
        "Instructions",
        "Cache misses",
    ];
    Html::table(&header, &rows.collect::<Vec<_>>())
}
