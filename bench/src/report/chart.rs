//! Charts as SVG. Colours are those of the page, light or dark: plotters draws with stand-ins, which
//! become CSS variables.

use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::html::Html;

const WIDTH: u32 = 760;
const ROW_HEIGHT: i32 = 26;
const BAR_HEIGHT: i32 = 14;
const LABEL_WIDTH: i32 = 240;
const VALUE_WIDTH: i32 = 190;
const LINES_HEIGHT: u32 = 320;
const FONT: &str = "system-ui, sans-serif";
const FONT_SIZE: u32 = 13;

/// Series that have a colour of their own; more than these nobody can tell apart.
pub(super) const SERIES: usize = 8;
const INK: RGBColor = RGBColor(1, 1, 1);
const MUTED: RGBColor = RGBColor(2, 2, 2);
const GRID: RGBColor = RGBColor(3, 3, 3);

/// A stand-in for the colour of a series.
fn series(number: usize) -> RGBColor {
    RGBColor(250, 0, (number % SERIES) as u8)
}

/// Drawing fails only when a chart has no room at all; then it is left out.
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// A bar and how far its value goes up and down.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    /// Before the bar.
    pub(super) label: String,
    /// How long it is.
    pub(super) value: f64,
    /// Whether the value is at least that.
    pub(super) is_at_least: bool,
    /// The least and the greatest.
    pub(super) spread: Option<(f64, f64)>,
    /// Its colour.
    pub(super) series: usize,
}

/// A line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// In the legend.
    pub(super) name: String,
    /// Its colour.
    pub(super) series: usize,
    /// In the order of x.
    pub(super) points: Vec<(f64, f64)>,
}

/// What stands at an axis.
#[derive(Clone, Copy)]
pub(super) struct Axis<'a> {
    /// What it shows, with the unit.
    pub(super) title: &'a str,
    /// How a value is written.
    pub(super) format: fn(&f64) -> String,
    /// Whether each step is a factor.
    pub(super) log: bool,
}

/// Parts of a whole.
#[derive(Clone, Debug)]
pub(super) struct Stack {
    /// Before the bar.
    pub(super) label: String,
    /// In order: the part's number among the names, and its size.
    pub(super) parts: Vec<(usize, f64)>,
}

/// Horizontal bars, with their spread as a thin line.
pub(super) fn bars(rows: &[Bar], format: fn(&f64) -> String) -> Html {
    let longest =
        rows.iter().map(|bar| bar.spread.map_or(bar.value, |(_, max)| max.max(bar.value)));
    let longest = longest.fold(0.0, f64::max);
    if longest <= 0.0 {
        return Html::default();
    }
    render(rows.len() as u32 * ROW_HEIGHT as u32 + 4, |area| {
        for (number, bar) in rows.iter().enumerate() {
            let top = 2 + number as i32 * ROW_HEIGHT;
            let x = |value: f64| scale(value, longest);
            let middle = top + ROW_HEIGHT / 2;
            label(area, &bar.label, middle)?;
            let half = BAR_HEIGHT / 2;
            let corners = [(LABEL_WIDTH, middle - half), (x(bar.value), middle + half)];
            area.draw(&Rectangle::new(corners, series(bar.series).filled()))?;
            let mut end = x(bar.value);
            let mut text = if bar.is_at_least { "≥ " } else { "" }.to_owned() + &format(&bar.value);
            if let Some((min, max)) = bar.spread {
                end = end.max(x(max));
                area.draw(&PathElement::new([(x(min), middle), (x(max), middle)], INK))?;
                for edge in [x(min), x(max)] {
                    area.draw(&PathElement::new([(edge, middle - 4), (edge, middle + 4)], INK))?;
                }
                // A dash beside a minus nobody could read.
                let to = if min < 0.0 { " to " } else { "–" };
                text = format!("{text}  ({}{to}{})", format(&min), format(&max));
            }
            write(area, &text, (end + 8, middle), HPos::Left, INK)?;
        }
        Ok(())
    })
}

/// Horizontal bars of parts.
pub(super) fn stacks(rows: &[Stack], format: fn(&f64) -> String) -> Html {
    let whole = |stack: &Stack| stack.parts.iter().map(|(_, size)| size).sum::<f64>();
    let longest = rows.iter().map(whole).fold(0.0, f64::max);
    if longest <= 0.0 {
        return Html::default();
    }
    render(rows.len() as u32 * ROW_HEIGHT as u32 + 4, |area| {
        for (number, stack) in rows.iter().enumerate() {
            let middle = 2 + number as i32 * ROW_HEIGHT + ROW_HEIGHT / 2;
            label(area, &stack.label, middle)?;
            let mut before = 0.0;
            for (part, size) in &stack.parts {
                let from = scale(before, longest);
                before += size;
                // A pixel between neighbours tells them apart without colour.
                let to = (scale(before, longest) - 1).max(from);
                let half = BAR_HEIGHT / 2 + 2;
                let corners = [(from, middle - half), (to, middle + half)];
                area.draw(&Rectangle::new(corners, series(*part).filled()))?;
            }
            let end = scale(before, longest) + 8;
            write(area, &format(&before), (end, middle), HPos::Left, INK)?;
        }
        Ok(())
    })
}

fn scale(value: f64, longest: f64) -> i32 {
    let room = f64::from(WIDTH as i32 - LABEL_WIDTH - VALUE_WIDTH);
    // A difference that noise made negative has no bar; its figure is written all the same.
    LABEL_WIDTH + (value.max(0.0) / longest * room) as i32
}

/// Lines over two axes, with a title and a legend.
pub(super) fn line_figure(title: &str, of: &[Line], x: Axis<'_>, y: Axis<'_>) -> Html {
    let legend: Vec<(&str, usize)> =
        of.iter().map(|line| (line.name.as_str(), line.series)).collect();
    Html::figure(title, &legend, &lines(of, x, y))
}

fn lines(lines: &[Line], x: Axis<'_>, y: Axis<'_>) -> Html {
    let points = || lines.iter().flat_map(|line| line.points.iter().copied());
    let Some((x_from, x_to)) = extent(points().map(|(x, _)| x), x.log, true) else {
        return Html::default();
    };
    let Some((y_from, y_to)) = extent(points().map(|(_, y)| y), y.log, false) else {
        return Html::default();
    };
    render(LINES_HEIGHT, |area| match (x.log, y.log) {
        (true, true) => {
            draw_lines(area, lines, (x_from..x_to).log_scale(), (y_from..y_to).log_scale(), x, y)
        }
        (true, false) => draw_lines(area, lines, (x_from..x_to).log_scale(), y_from..y_to, x, y),
        (false, true) => draw_lines(area, lines, x_from..x_to, (y_from..y_to).log_scale(), x, y),
        (false, false) => draw_lines(area, lines, x_from..x_to, y_from..y_to, x, y),
    })
}

/// From where to where an axis goes. One that is not logarithmic begins at nothing, if that is a
/// value's and not a place's.
fn extent(values: impl Iterator<Item = f64>, log: bool, tight: bool) -> Option<(f64, f64)> {
    let values: Vec<f64> = values.filter(|value| !log || *value > 0.0).collect();
    let from = values.iter().copied().reduce(f64::min)?;
    let to = values.iter().copied().reduce(f64::max)?;
    Some(match (log, tight) {
        (true, true) => (from * 0.9, to * 1.1),
        (true, false) => (from / 1.5, to * 1.5),
        (false, true) => (from, if to > from { to } else { from + 1.0 }),
        // Nothing but zeros is no line to look at.
        (false, false) if to <= 0.0 => return None,
        (false, false) => (0.0, to * 1.1),
    })
}

fn draw_lines<X, Y>(
    area: &Area<'_>,
    lines: &[Line],
    x_range: X,
    y_range: Y,
    x: Axis<'_>,
    y: Axis<'_>,
) -> Drawn
where
    X: AsRangedCoord<Value = f64>,
    Y: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(32)
        .x_label_area_size(42)
        .y_label_area_size(64)
        .build_cartesian_2d(x_range, y_range)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(MUTED)
        .label_style((FONT, FONT_SIZE).into_font().color(&MUTED))
        .axis_desc_style((FONT, FONT_SIZE).into_font().color(&MUTED))
        .x_desc(x.title)
        .y_desc(y.title)
        .x_label_formatter(&x.format)
        .y_label_formatter(&y.format)
        .draw()?;
    for line in lines {
        let colour = series(line.series);
        chart.draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)))?;
        let dots = line.points.iter().map(|point| Circle::new(*point, 3, colour.filled()));
        chart.draw_series(dots)?;
    }
    Ok(())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn render(height: u32, draw: impl FnOnce(&Area<'_>) -> Drawn) -> Html {
    let mut svg = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        draw(&area).and_then(|()| Ok(area.present()?))
    };
    if drawn.is_err() {
        return Html::default();
    }
    Html::trusted(themed(svg))
}

fn label(area: &Area<'_>, text: &str, middle: i32) -> Drawn {
    write(area, text, (LABEL_WIDTH - 10, middle), HPos::Right, INK)
}

fn write(area: &Area<'_>, text: &str, at: (i32, i32), side: HPos, colour: RGBColor) -> Drawn {
    let style = (FONT, FONT_SIZE).into_font().color(&colour).pos(Pos::new(side, VPos::Center));
    Ok(area.draw(&Text::new(text.to_owned(), at, style))?)
}

/// Puts the page's colours in the place of the stand-ins.
fn themed(mut svg: String) -> String {
    let mut colours = vec![(INK, "ink".to_owned()), (MUTED, "muted".to_owned())];
    colours.push((GRID, "grid".to_owned()));
    colours.extend((0..SERIES).map(|number| (series(number), format!("series-{number}"))));
    for (RGBColor(red, green, blue), name) in colours {
        let stand_in = format!("#{red:02X}{green:02X}{blue:02X}");
        for attribute in ["fill", "stroke"] {
            let found = format!("{attribute}=\"{stand_in}\"");
            svg = svg.replace(&found, &format!("style=\"{attribute}:var(--{name})\""));
        }
    }
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(value: &f64) -> String {
        format!("{value:.0}")
    }

    #[test]
    fn colours_are_the_pages() {
        let bar = |series| Bar {
            label: "a".into(),
            value: 3.0,
            is_at_least: true,
            spread: Some((2.0, 4.0)),
            series,
        };
        let svg = bars(&[bar(0), bar(7)], format).to_string();
        assert!(svg.contains("fill:var(--series-0)") && svg.contains("fill:var(--series-7)"));
        assert!(svg.contains("fill:var(--ink)") && svg.contains("≥ 3  (2–4)"), "{svg}");
        assert!(!svg.contains("#FA00") && !svg.contains("#010101"), "{svg}");
    }

    #[test]
    fn axes_take_any_values() {
        let axis = |log| Axis { title: "x", format, log };
        let line =
            |points: &[(f64, f64)]| Line { name: "a".into(), series: 0, points: points.to_vec() };
        for (x, y) in [(false, false), (true, false), (false, true), (true, true)] {
            let svg = lines(&[line(&[(1.0, 10.0), (1e6, 1e3)])], axis(x), axis(y)).to_string();
            assert!(svg.contains("<svg") && svg.contains("var(--series-0)"), "{x} {y}: {svg}");
            // One point has no extent.
            assert!(lines(&[line(&[(5.0, 5.0)])], axis(x), axis(y)).to_string().contains("<svg"));
        }
        assert_eq!(lines(&[], axis(false), axis(false)).to_string(), "");
    }
}
