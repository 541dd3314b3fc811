//! Draws a recording as an SVG that plays once. Its last picture stays, and is all that readers see who want no animations.

use std::{fmt::Write, time::Duration};

use crate::screen::{COLUMNS, Shown};

/// The size of a character, and the height of a line, in pixels. Browsers have different fonts, so each row is stretched to its width.
const CHARACTER: f64 = 8.4;
const LINE: usize = 20;
const MARGIN: usize = 20;
/// The height of the window's bar.
const BAR: usize = 30;

/// A dark window, readable on a light and on a dark page.
const STYLE: &str = "\
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #d7dce2; white-space: pre; }
.command { fill: #fff; font-weight: bold; }
.failure { fill: #ffb454; }
.window { fill: #16191d; stroke: #59616b; }
@keyframes show { from { visibility: hidden; } to { visibility: visible; } }
@keyframes hide { from { visibility: visible; } to { visibility: hidden; } }
@media (prefers-reduced-motion: reduce) { text { animation: none !important; } .gone { visibility: hidden; } }
";

/// Draws the picture.
pub(crate) fn svg(history: &[Shown]) -> String {
    let rows = history.iter().map(|shown| shown.row + 1).max().unwrap_or_default();
    let width = MARGIN * 2 + pixels(COLUMNS);
    let height = BAR + MARGIN * 2 + rows * LINE;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\">\n<title>i2p-socks demo on a terminal</title>\n<style>\n{STYLE}</style>\n\
         <rect class=\"window\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n",
        width - 1,
        height - 1
    );
    for (index, colour) in ["#ff5f57", "#febc2e", "#28c840"].into_iter().enumerate() {
        line(
            &mut svg,
            format_args!("<circle cx=\"{}\" cy=\"18\" r=\"6\" fill=\"{colour}\"/>", 22 + index * 20),
        );
    }
    for shown in history {
        row(&mut svg, shown);
    }
    svg + "</svg>\n"
}

fn row(svg: &mut String, Shown { row, text, from, until }: &Shown) {
    let y = BAR + MARGIN + row * LINE + LINE / 2;
    let length = pixels(text.chars().count());
    let kind = match text {
        text if text.starts_with("$ ") => "command",
        text if text.starts_with("curl: (") => "failure",
        _ => "",
    };
    let gone = if until.is_some() { " gone" } else { "" };
    let hide = until.map_or_else(String::new, |until| format!(", hide 1ms {} forwards", seconds(until)));
    line(
        svg,
        format_args!(
            "<text class=\"{}\" x=\"{MARGIN}\" y=\"{y}\" textLength=\"{length}\" lengthAdjust=\"spacingAndGlyphs\" \
             style=\"animation: show 1ms {} both{hide}\">{}</text>",
            format!("{kind}{gone}").trim(),
            seconds(*from),
            escaped(text)
        ),
    );
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a few characters"
)]
fn pixels(characters: usize) -> usize {
    (characters as f64 * CHARACTER).ceil() as usize
}

fn seconds(time: Duration) -> String {
    format!("{:.2}s", time.as_secs_f64())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{arguments}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_shown_and_hidden_at_its_times() {
        let shown =
            |text: &str, until| Shown { row: 1, text: text.into(), from: Duration::from_millis(1500), until };
        let svg = svg(&[shown("<a> & b", Some(Duration::from_secs(2))), shown("$ curl", None)]);
        assert!(svg.contains("class=\"gone\""), "{svg}");
        assert!(
            svg.contains("show 1ms 1.50s both, hide 1ms 2.00s forwards\">&lt;a&gt; &amp; b</text>"),
            "{svg}"
        );
        assert!(
            svg.contains("class=\"command\"") && svg.contains("show 1ms 1.50s both\">$ curl</text>"),
            "{svg}"
        );
    }
}
