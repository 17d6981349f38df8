//! Plots as SVG: bars and lines, as much as the documents need.

use std::fmt::Write as _;

const WIDTH: u32 = 760;
const FONT: &str = "font-family=\"sans-serif\" font-size=\"12\"";
/// Told apart by people who see few colours, too (Okabe and Ito).
const COLOURS: [&str; 6] = ["#0072b2", "#56b4e9", "#009e73", "#d55e00", "#cc79a7", "#e69f00"];

/// Horizontal bars on a linear scale, each with its figure.
pub fn bars(title: &str, unit: &str, bars: &[(String, f64)]) -> String {
    const LABEL: u32 = 260;
    const STEP: u32 = 22;
    let most = bars.iter().map(|(_, figure)| *figure).fold(0.0, f64::max);
    let mut svg = head(title, rows(bars.len()) * STEP + 48);
    for (row, (label, figure)) in (0..).zip(bars) {
        let y = 40 + row * STEP;
        let length = if most > 0.0 { figure / most * 380.0 } else { 0.0 };
        // Writing to a string does not fail.
        let _infallible = write!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" {FONT}>{}</text>\n\
             <rect x=\"{LABEL}\" y=\"{y}\" width=\"{length:.1}\" height=\"16\" fill=\"{}\"/>\n\
             <text x=\"{:.1}\" y=\"{}\" {FONT}>{} {unit}</text>\n",
            LABEL - 8,
            y + 13,
            escaped(label),
            COLOURS[0],
            f64::from(LABEL) + length + 6.0,
            y + 13,
            short(*figure),
        );
    }
    svg + "</svg>\n"
}

/// Lines over the same few points. A line may end early.
pub fn lines(title: &str, unit: &str, points: &[String], lines: &[(String, Vec<Option<f64>>)]) -> String {
    const LEFT: f64 = 60.0;
    const TOP: f64 = 44.0;
    const HEIGHT: f64 = 220.0;
    const SPAN: f64 = 420.0;
    let figures = lines.iter().flat_map(|(_, line)| line.iter().flatten());
    let most = figures.copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let step = SPAN / f64::from(rows(points.len()).saturating_sub(1).max(1));
    let x = |at: u32| LEFT + f64::from(at) * step;
    let y = |figure: f64| TOP + HEIGHT - figure / most * HEIGHT;
    let mut svg = head(title, 310);
    for part in 0..=4 {
        let figure = most * f64::from(part) / 4.0;
        let _infallible = write!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\n\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" {FONT}>{} {unit}</text>\n",
            LEFT + SPAN,
            LEFT - 6.0,
            y(figure) + 4.0,
            short(figure),
            y = y(figure),
        );
    }
    for (at, point) in (0..).zip(points) {
        let _infallible = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\" {FONT}>{}</text>",
            x(at),
            TOP + HEIGHT + 20.0,
            escaped(point)
        );
    }
    for (number, (label, line)) in (0..).zip(lines) {
        let colour = COLOURS[number % COLOURS.len()];
        // Those that lie upon each other stay visible.
        let thickness = 2.0 + 1.5 * f64::from(rows(lines.len() - number)) / f64::from(rows(lines.len()));
        let path: Vec<_> = (0..)
            .zip(line)
            .filter_map(|(at, figure)| figure.map(|figure| format!("{:.1},{:.1}", x(at), y(figure))))
            .collect();
        let legend = TOP + 8.0 + 20.0 * f64::from(rows(number));
        let _infallible = write!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{thickness:.1}\"/>\n\
             <rect x=\"{:.1}\" y=\"{:.1}\" width=\"14\" height=\"4\" fill=\"{colour}\"/>\n\
             <text x=\"{:.1}\" y=\"{legend:.1}\" {FONT}>{}</text>\n",
            path.join(" "),
            LEFT + SPAN + 24.0,
            legend - 6.0,
            LEFT + SPAN + 44.0,
            escaped(label),
        );
    }
    svg + "</svg>\n"
}

fn head(title: &str, height: u32) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"16\" y=\"24\" font-weight=\"bold\" {FONT}>{}</text>\n",
        escaped(title)
    )
}

fn rows(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Three digits or so.
fn short(figure: f64) -> String {
    if figure >= 100.0 {
        format!("{figure:.0}")
    } else if figure >= 1.0 {
        format!("{figure:.1}")
    } else {
        format!("{figure:.2}")
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::{bars, lines};

    #[test]
    fn a_bar_is_as_long_as_its_share_of_the_longest() {
        let svg = bars("t", "ns", &[("a<b".into(), 10.0), ("c".into(), 5.0)]);
        assert!(svg.contains("width=\"380.0\"") && svg.contains("width=\"190.0\""));
        assert!(svg.contains("a&lt;b"));
    }

    #[test]
    fn a_line_leaves_out_what_was_not_measured() {
        let points = ["1".to_owned(), "2".to_owned()];
        let svg = lines("t", "%", &points, &[("a".into(), vec![Some(100.0), None])]);
        assert!(svg.contains("points=\"60.0,44.0\""));
    }
}
