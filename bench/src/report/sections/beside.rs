//! Who wins, where, and by how much: the first that a reader wants to know.

use crate::lab::{LabRatio, LabResult, Winner, times, wins};
use crate::output::grouped;
use crate::report::html::Html;

/// Beside colours, for who does not see them.
const MAGLANE: &str = "▲";
const KERNEL: &str = "▼";
const NEITHER: &str = "≈";

/// Of one run.
pub(super) fn beside(result: &LabResult) -> Html {
    let ratios: Vec<&LabRatio> = result.ratios.iter().collect();
    let of = |is: fn(&LabRatio) -> bool| -> Vec<&LabRatio> {
        ratios.iter().copied().filter(|ratio| is(ratio)).collect()
    };
    let kernel = of(LabRatio::is_beside_kernel);
    let mut html = Html::default();
    if let Some(first) = kernel.first() {
        html.add(&matrix(&kernel, &first.subject));
        let sides = [
            ("Where the kernel's path wins", Winner::Beside),
            ("Where Maglane wins", Winner::Subject),
        ];
        for (title, winner) in sides {
            html.add(&Html::element("h3", title));
            let sentences = wins(&kernel, winner);
            if sentences.is_empty() {
                html.add(&Html::element("p", "Nowhere in every round."));
            } else {
                html.add(&Html::list(sentences.iter().map(|sentence| Html::text(sentence))));
            }
        }
    }
    let tables = [
        (
            "Beside a bare AF_XDP forwarder, which looks at nothing",
            "Maglane / bare (least–greatest)",
            of(LabRatio::is_beside_bare),
        ),
        (
            "Busy, and with two workers",
            "Over one adaptive worker (least–greatest)",
            of(|ratio| !ratio.is_beside_kernel() && !ratio.is_beside_bare()),
        ),
    ];
    for (title, corner, ratios) in tables {
        if !ratios.is_empty() {
            html.add(&Html::element("h3", title));
            html.add(&ratio_table(corner, &ratios));
        }
    }
    if !ratios.is_empty() {
        html.add(&Html::details(
            "All ratios, and the commands that repeat them",
            &commands(&ratios),
        ));
    }
    html
}

/// Rows of figures, columns of who has them; which the others are, the title says.
fn ratio_table(corner: &str, ratios: &[&LabRatio]) -> Html {
    let mut metrics: Vec<&str> = Vec::new();
    let mut subjects: Vec<&str> = Vec::new();
    for ratio in ratios {
        if !metrics.contains(&ratio.metric.as_str()) {
            metrics.push(&ratio.metric);
        }
        if !subjects.contains(&ratio.subject.as_str()) {
            subjects.push(&ratio.subject);
        }
    }
    let cell = |metric: &str, subject: &str| {
        let of = |ratio: &&&LabRatio| ratio.metric == metric && ratio.subject == subject;
        ratios.iter().find(of).map_or(String::new(), |ratio| show(ratio))
    };
    let rows = metrics.iter().map(|metric| {
        let cells = subjects.iter().map(|subject| cell(metric, subject));
        std::iter::once((*metric).to_owned()).chain(cells).collect()
    });
    let mut header = vec![corner];
    header.extend(&subjects);
    Html::table(&header, &rows.collect::<Vec<_>>())
}

/// Least and greatest stand beside the median.
fn show(ratio: &LabRatio) -> String {
    let of = ratio.remark().map(|of| format!(", {of}")).unwrap_or_default();
    ratio.rounds.figure.map_or("none".to_owned(), |figure| figure.show(1.0, 2) + &of)
}

fn commands(ratios: &[&LabRatio]) -> Html {
    let rows = ratios.iter().map(|ratio| {
        vec![
            ratio.metric.clone(),
            ratio.subject.clone(),
            ratio.beside.clone(),
            grouped(ratio.services.into()),
            show(ratio),
            ratio.command.clone(),
        ]
    });
    let header = ["What", "Of", "To", "Services", "Median (least–greatest)", "Command"];
    Html::table(&header, &rows.collect::<Vec<_>>())
}

/// Rows of figures, columns of others: how many times better the better one is.
fn matrix(ratios: &[&LabRatio], subject: &str) -> Html {
    let mut metrics: Vec<&str> = Vec::new();
    let mut others: Vec<(&str, Vec<u32>)> = Vec::new();
    for ratio in ratios {
        if !metrics.contains(&ratio.metric.as_str()) {
            metrics.push(&ratio.metric);
        }
        match others.iter_mut().find(|(beside, _)| *beside == ratio.beside) {
            Some((_, services)) if services.contains(&ratio.services) => {}
            Some((_, services)) => services.push(ratio.services),
            None => others.push((&ratio.beside, vec![ratio.services])),
        }
    }
    let mut head = format!("<tr><th rowspan=\"2\">{}, beside</th>", Html::text(subject));
    for (beside, services) in &others {
        let columns = services.len();
        let services =
            if services.iter().any(|services| *services > 0) { ", Services:" } else { "" };
        head += &format!("<th colspan=\"{columns}\">{}{services}</th>", Html::text(beside));
    }
    head += "</tr>\n<tr>";
    let columns = others
        .iter()
        .flat_map(|(beside, all)| all.iter().map(move |services| (*beside, *services)));
    let columns: Vec<(&str, u32)> = columns.collect();
    for (_, services) in &columns {
        head += &match services {
            0 => "<th></th>".to_owned(),
            services => format!("<th>{}</th>", grouped((*services).into())),
        };
    }
    head += "</tr>\n";
    let mut body = String::new();
    for metric in metrics {
        body += &format!("<tr><td>{}</td>", Html::text(metric));
        for (beside, services) in &columns {
            let of = |ratio: &&&LabRatio| {
                ratio.metric == metric && ratio.beside == *beside && ratio.services == *services
            };
            body += &ratios.iter().find(of).map_or("<td></td>".to_owned(), |ratio| cell(ratio));
        }
        body += "</tr>\n";
    }
    Html::trusted(format!(
        "<div class=\"scroll\"><table class=\"matrix\"><thead>{head}</thead><tbody>{body}</tbody>\
         </table></div>\n<p class=\"note\">How many times better the better one is, median and \
         spread over the rounds that can be compared, all of them where nothing else is said: <b class=\"ours\">{MAGLANE} Maglane</b>, \
         <b class=\"theirs\">{KERNEL} the kernel's path</b>, or \
         <b class=\"even\">{NEITHER} not the same one in every round</b>.</p>\n"
    ))
}

fn cell(ratio: &LabRatio) -> String {
    let (class, who) = match ratio.winner() {
        Winner::Subject => ("ours", MAGLANE),
        Winner::Beside => ("theirs", KERNEL),
        Winner::Neither => ("even", NEITHER),
    };
    let Some(advantage) = ratio.advantage() else {
        // Either both are nothing, or one of them is.
        let how = if ratio.winner() == Winner::Neither { "" } else { " beyond measure" };
        return format!("<td class=\"{class}\">{who}{how}</td>");
    };
    let [median, min, max] = [advantage.median, advantage.min, advantage.max].map(times);
    let min = min.trim_end_matches('×');
    let of = ratio.remark().map(|of| format!("<br>{of}")).unwrap_or_default();
    format!("<td class=\"{class}\">{who} {median}<small>{min}–{max}{of}</small></td>")
}
