use super::count;
use crate::maglev::{Published, Table};
use crate::output::grouped;
use crate::report::chart::{Axis, Line, line_figure};
use crate::report::html::Html;
use crate::report::load::{Named, Saved};

const NS_PER_MS: f64 = 1e6;

/// Lookup tables.
pub(in crate::report) fn maglev(results: &[Named]) -> Html {
    let mut html = Html::default();
    for named in results {
        let Saved::Maglev(result) = &named.saved else { continue };
        html.add(&Html::element("h2", "Maglev tables"));
        let mut sizes: Vec<usize> = result.tables.iter().map(|table| table.size).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let line = |name: String, series, of: &dyn Fn(&Table) -> bool| Line {
            name,
            series,
            points: result
                .tables
                .iter()
                .filter(|table| of(table))
                .map(|table| (table.backends as f64, table.build_ns / NS_PER_MS))
                .collect(),
        };
        let mut over_backends =
            vec![line("as the dataplane sizes it".to_owned(), 0, &|one| one.chosen)];
        for size in sizes {
            let name = format!("{} slots", grouped(size as u64));
            let of_size = line(name, over_backends.len(), &|one| one.size == size);
            if of_size.points.len() > 2 {
                over_backends.push(of_size);
            }
        }
        let x = Axis { title: "backends", format: count, log: true };
        let y = Axis { title: "ms to build", format: |ms| format!("{ms}"), log: true };
        html.add(&line_figure("Time to build", &over_backends, x, y));
        html.add(&Html::element("p", "What others have published, each of their own machine:"));
        html.add(&Html::list(result.published.iter().map(published)));
        html.add(&maglev_table(&result.tables));
    }
    html
}

fn published(one: &Published) -> Html {
    let mut html = Html::text(&format!("{}: {}. ", one.source, one.figure));
    html.add(&Html::link(&one.link));
    html
}

fn maglev_table(tables: &[Table]) -> Html {
    let percent = |share: f64| format!("{:.2}", share * 100.0);
    let optional = |share: Option<f64>| share.map_or("–".to_owned(), percent);
    let rows = tables.iter().map(|one| {
        vec![
            grouped(one.backends as u64),
            format!("{}{}", grouped(one.size as u64), if one.chosen { " *" } else { "" }),
            format!("{:.3}", one.build_ns / NS_PER_MS),
            grouped(one.memory_bytes as u64),
            percent(one.imbalance),
            optional(one.moved_on_leave),
            percent(one.moved_on_join),
            optional(one.moved_on_resize),
        ]
    });
    let header = [
        "Backends",
        "Slots (* ours)",
        "Build ms",
        "Bytes",
        "Imbalance %",
        "Moved on leave %",
        "On join %",
        "On resize %",
    ];
    Html::table(&header, &rows.collect::<Vec<_>>())
}
