//! Draws how cost grows as one SVG with six panels of lines.

use std::fmt::Write;

use crate::{
    measure::{Measure, Results},
    statistics::format_number,
    subject::Subject,
};

/// The size of a panel in pixels, and the margins around its plot.
const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 46.0;
/// The rows, with two panels each.
const ROWS: f64 = 3.0;
/// The height of the legend below the panels.
const LEGEND: f64 = 34.0;
/// About how many ticks a linear axis has.
const TICKS: f64 = 5.0;

/// Colours that are distinct on light and dark backgrounds, also for colour-blind people (Okabe and Ito). Ours is the strongest.
const STYLE: &str = "\
svg { background: #fff; color: #222; font: 12px sans-serif; }
text { fill: currentColor; }
.title { font-weight: bold; }
.axis { stroke: currentColor; fill: none; }
.grid { stroke: currentColor; stroke-opacity: 0.15; }
.line { fill: none; stroke-width: 1.8; }
.ours { stroke: #d55e00; fill: #d55e00; } .line.ours { fill: none; stroke-width: 3; }
.microsocks { stroke: #0072b2; fill: #0072b2; } .line.microsocks { fill: none; }
.dante { stroke: #009e73; fill: #009e73; } .line.dante { fill: none; }
.fast { stroke: #cc79a7; fill: #cc79a7; } .line.fast { fill: none; }
@media (prefers-color-scheme: dark) {
svg { background: #111; color: #ddd; }
.microsocks { stroke: #56b4e9; fill: #56b4e9; }
}
";

/// The scale of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Linear,
    /// Powers of ten.
    Logarithmic,
}

/// An axis, which maps values to places from 0 to 1.
struct Axis {
    scale: Scale,
    min: f64,
    max: f64,
}

/// A panel.
struct Panel {
    title: &'static str,
    x_label: &'static str,
    horizontal: Scale,
    vertical: Scale,
    lines: Vec<(Subject, Vec<(f64, f64)>)>,
}

/// Draws the picture.
pub(crate) fn svg(results: &Results) -> String {
    let panels = panels(results);
    let (width, height) = (2.0 * WIDTH, ROWS * HEIGHT + LEGEND);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\">\n<title>How the cost of SOCKS proxies grows</title>\n<style>\n{STYLE}</style>\n"
    );
    // Two in each row.
    let places = (0_u8..).map(|number| (f64::from(number % 2) * WIDTH, f64::from(number / 2) * HEIGHT));
    for (panel, (x, y)) in panels.iter().zip(places) {
        line(&mut text, format_args!("<g transform=\"translate({x} {y})\">"));
        panel.draw(&mut text);
        text += "</g>\n";
    }
    for (subject, x) in proxies().zip([60.0, 260.0, 460.0, 660.0]) {
        let (class, y) = (class(subject), ROWS * HEIGHT + 12.0);
        line(&mut text, format_args!("<path class=\"line {class}\" d=\"M{x} {y}h30\"/>"));
        let (x, y) = (x + 38.0, y + 4.0);
        line(&mut text, format_args!("<text x=\"{x}\" y=\"{y}\">{}</text>", subject.title()));
    }
    text + "</svg>\n"
}

fn proxies() -> impl Iterator<Item = Subject> {
    Subject::ALL.into_iter().filter(|subject| subject.is_proxy())
}

fn class(subject: Subject) -> &'static str {
    match subject {
        Subject::Ours => "ours",
        Subject::Microsocks => "microsocks",
        Subject::Dante => "dante",
        _ => "fast",
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{arguments}");
}

fn panels(results: &Results) -> [Panel; 6] {
    let lines = |at: fn(Measure) -> Option<usize>| {
        let of = |subject| {
            let point = |measure| Some((at(measure)? as f64, results.spread(measure, subject)?.median));
            let points: Vec<_> = results.measures().into_iter().filter_map(point).collect();
            (subject, points)
        };
        proxies().map(of).filter(|(_, points)| !points.is_empty()).collect()
    };
    let panel =
        |title, x_label, horizontal, vertical, lines| Panel { title, x_label, horizontal, vertical, lines };
    use Scale::{Linear, Logarithmic};
    let (held, sessions, names) = ("connections held", "sessions", "names in the address book");
    [
        panel(
            "resident memory, MiB",
            held,
            Logarithmic,
            Logarithmic,
            lines(|measure| match measure {
                Measure::Memory(count) => Some(count),
                _ => None,
            }),
        ),
        panel(
            "CPU time per message, µs",
            held,
            Logarithmic,
            Linear,
            lines(|measure| match measure {
                Measure::MessageCpu(count) => Some(count),
                _ => None,
            }),
        ),
        panel(
            "resident memory, MiB",
            sessions,
            Linear,
            Linear,
            lines(|measure| match measure {
                Measure::SessionMemory(count) => Some(count),
                _ => None,
            }),
        ),
        panel(
            "CPU time per connection, µs",
            sessions,
            Linear,
            Linear,
            lines(|measure| match measure {
                Measure::SessionCpu(count) => Some(count),
                _ => None,
            }),
        ),
        panel(
            "time to find a name, µs",
            names,
            Linear,
            Linear,
            lines(|measure| match measure {
                Measure::BookFound(count) => Some(count),
                _ => None,
            }),
        ),
        panel(
            "time to look up an unknown name, µs",
            names,
            Linear,
            Linear,
            lines(|measure| match measure {
                Measure::BookMissing(count) => Some(count),
                _ => None,
            }),
        ),
    ]
}

impl Panel {
    fn draw(&self, text: &mut String) {
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let across = Axis::around(self.horizontal, points().map(|(x, _)| *x));
        let upwards = Axis::around(self.vertical, points().map(|(_, y)| *y));
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let at_x = |value| LEFT + across.place(value) * (right - LEFT);
        let at_y = |value| bottom - upwards.place(value) * (bottom - TOP);
        line(
            text,
            format_args!("<text class=\"title\" x=\"{LEFT}\" y=\"{}\">{}</text>", TOP - 12.0, self.title),
        );
        for tick in across.ticks() {
            let (x, label) = (at_x(tick), tick_label(tick));
            line(text, format_args!("<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>"));
            let y = bottom + 16.0;
            line(text, format_args!("<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{label}</text>"));
        }
        for tick in upwards.ticks() {
            let (y, label) = (at_y(tick), tick_label(tick));
            line(text, format_args!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>"));
            let (x, y) = (LEFT - 6.0, y + 4.0);
            line(text, format_args!("<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{label}</text>"));
        }
        line(text, format_args!("<path class=\"axis\" d=\"M{LEFT} {TOP}V{bottom}H{right}\"/>"));
        let (middle, y) = ((LEFT + right) / 2.0, bottom + 34.0);
        line(
            text,
            format_args!("<text x=\"{middle}\" y=\"{y}\" text-anchor=\"middle\">{}</text>", self.x_label),
        );
        for (subject, points) in &self.lines {
            let class = class(*subject);
            let path: Vec<_> =
                points.iter().map(|(x, y)| format!("{:.1},{:.1}", at_x(*x), at_y(*y))).collect();
            line(text, format_args!("<polyline class=\"line {class}\" points=\"{}\"/>", path.join(" ")));
            for (x, y) in points {
                let (at_x, at_y, label) = (at_x(*x), at_y(*y), format_number(*y));
                line(
                    text,
                    format_args!(
                        "<circle class=\"{class}\" cx=\"{at_x:.1}\" cy=\"{at_y:.1}\" r=\"3\"><title>{}, {}: \
                         {label}</title></circle>",
                        subject.title(),
                        tick_label(*x)
                    ),
                );
            }
        }
    }
}

/// The label of a tick.
fn tick_label(value: f64) -> String {
    // A tick is a multiple of a power of ten, but the sum that it was computed as is inexact.
    format!("{}", (value * 1e6).round() / 1e6)
}

impl Axis {
    /// Makes an axis for these values: a linear one from 0, a logarithmic one between powers of ten.
    fn around(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let (mut min, mut max) = (f64::INFINITY, 0.0_f64);
        for value in values {
            (min, max) = (min.min(value), max.max(value));
        }
        let (min, max) = if max > 0.0 { (min, max) } else { (1.0, 1.0) };
        match scale {
            Scale::Linear => Self { scale, min: 0.0, max: max * 1.05 },
            Scale::Logarithmic => {
                let power = |value: f64| 10.0_f64.powf(value);
                let (from, to) = (min.log10().floor(), max.log10().ceil());
                Self { scale, min: power(from), max: power(to.max(from + 1.0)) }
            }
        }
    }

    /// The place of a value: 0 at the minimum, 1 at the maximum.
    fn place(&self, value: f64) -> f64 {
        let Self { scale, min, max } = *self;
        match scale {
            Scale::Linear => (value - min) / (max - min),
            Scale::Logarithmic => (value / min).log10() / (max / min).log10(),
        }
    }

    fn ticks(&self) -> Vec<f64> {
        let next = |tick: f64| match self.scale {
            Scale::Linear => tick + self.step(),
            Scale::Logarithmic => tick * 10.0,
        };
        // A little beyond the end, since the sum is inexact.
        std::iter::successors(Some(self.min), |tick| Some(next(*tick)))
            .take_while(|tick| *tick <= self.max * 1.000_001)
            .collect()
    }

    /// The distance of ticks: 1, 2 or 5 times a power of ten.
    fn step(&self) -> f64 {
        let rough = (self.max - self.min) / TICKS;
        let power = 10.0_f64.powf(rough.log10().floor());
        let times = [1.0, 2.0, 5.0].into_iter().find(|times| times * power >= rough);
        times.unwrap_or(10.0) * power
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_axis_starts_at_zero() {
        let axis = Axis::around(Scale::Linear, [3.0, 40.0].into_iter());
        assert_eq!(axis.ticks(), [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!(axis.place(21.0), 0.5);
    }

    #[test]
    fn a_logarithmic_axis_ends_at_powers_of_ten() {
        let axis = Axis::around(Scale::Logarithmic, [3.0, 400.0].into_iter());
        let ticks: Vec<_> = axis.ticks().into_iter().map(tick_label).collect();
        assert_eq!(ticks, ["1", "10", "100", "1000"]);
        assert!((axis.place(10.0) - 1.0 / 3.0).abs() < 1e-9);
        // A single value, or none, also makes an axis.
        assert_eq!(Axis::around(Scale::Logarithmic, [10.0].into_iter()).ticks().len(), 2);
        assert_eq!(Axis::around(Scale::Linear, std::iter::empty()).place(0.0), 0.0);
    }

    #[test]
    fn all_results_are_drawn() {
        let mut results = Results::default();
        for count in [1, 10] {
            results.record(Measure::Memory(count), Subject::Ours, count as f64).unwrap();
            results.record(Measure::SessionCpu(count), Subject::Ours, count as f64).unwrap();
        }
        for count in [0, 1000] {
            results.record(Measure::BookMissing(count), Subject::Ours, 1.5).unwrap();
        }
        let text = svg(&results);
        assert!(text.contains("<circle class=\"ours\""), "{text}");
        assert_eq!(text.matches("<polyline").count(), 3, "{text}");
        assert!(text.contains("connections held</text>") && text.contains(">i2p-socks, 10: 10.0<"), "{text}");
        assert!(
            text.contains("names in the address book</text>") && text.contains(">i2p-socks, 0: 1.50<"),
            "{text}"
        );
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        for element in ["svg", "g", "text", "style", "title", "circle"] {
            let open =
                text.matches(&format!("<{element}>")).count() + text.matches(&format!("<{element} ")).count();
            assert_eq!(open, text.matches(&format!("</{element}>")).count(), "{element}");
        }
    }
}
