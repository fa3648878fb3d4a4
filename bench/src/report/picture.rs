//! A few charts as one SVG: what a README or a slide shows of a page. It is light or dark as whoever
//! looks at it likes.

use super::html::Html;

const WIDTH: u32 = 800;
const MARGIN: u32 = 20;
const TITLE_HEIGHT: u32 = 34;
/// Between one chart and the next.
const GAP: u32 = 14;

/// Charts below each other, each with its title; `occasion` says when and where.
pub(super) fn picture(occasion: &str, charts: &[(String, Html)], style: &str) -> String {
    let mut inside = String::new();
    let mut y = MARGIN + TITLE_HEIGHT;
    inside.push_str(&line(MARGIN + 16, "lead", occasion));
    for (title, chart) in charts {
        let svg = chart.to_string();
        let Some(height) = height(&svg) else { continue };
        inside.push_str(&line(y + 16, "title", title));
        y += TITLE_HEIGHT;
        let placed = svg.replacen("<svg ", &format!("<svg x=\"{MARGIN}\" y=\"{y}\" "), 1);
        inside.push_str(&placed);
        y += height + GAP;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" \
         viewBox=\"0 0 {WIDTH} {y}\">\n<style>\n{style}\
         .lead {{ font: 13px system-ui, sans-serif; fill: var(--muted); }}\n\
         .title {{ font: 600 14px system-ui, sans-serif; fill: var(--ink); }}\n</style>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" style=\"fill:var(--card)\"/>\n{inside}</svg>\n"
    )
}

fn line(y: u32, class: &str, text: &str) -> String {
    format!("<text x=\"{MARGIN}\" y=\"{y}\" class=\"{class}\">{}</text>\n", Html::text(text))
}

fn height(svg: &str) -> Option<u32> {
    let (_, rest) = svg.split_once("height=\"")?;
    rest.split('"').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_stand_below_each_other() {
        let chart = |height: u32| {
            let svg = format!("<svg width=\"760\" height=\"{height}\"><path/></svg>");
            (format!("a < {height}"), Html::trusted(svg))
        };
        let svg = picture("now & here", &[chart(100), chart(50)], ":root {}\n");
        let second = MARGIN + TITLE_HEIGHT * 3 + 100 + GAP;
        assert!(svg.contains(&format!("<svg x=\"20\" y=\"{second}\" width=\"760\"")), "{svg}");
        assert!(svg.contains(&format!("height=\"{}\"", second + 50 + GAP)), "{svg}");
        assert!(svg.contains("now &amp; here") && svg.contains("a &lt; 100"), "{svg}");
    }
}
