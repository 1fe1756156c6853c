//! The curve of one or two sets of policies as a picture: how many clones lived, and what they cost an hour.
//!
//! Contract: SVG without scripts, styles from elsewhere or fonts of its own; texts are escaped. Lines are told apart by their dashes too,
//! not by colour alone.

use super::{
    curve::{Curve, Point},
    report::{Outcome, moment},
};
use jiff::tz::TimeZone;
use rust_decimal::prelude::ToPrimitive;
use std::{borrow::Cow, fmt::Write};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 940.0;
/// The height of each of the two panels.
const PANEL: f64 = 190.0;
/// Where each panel begins.
const TOPS: [f64; 2] = [86.0, 336.0];
const HEIGHT: f64 = 576.0;
/// So much room a label under a panel needs to each side of its tick.
const HALF: f64 = 40.0;
/// So many letters have room in the title, and beside a line of the legend.
const LONGEST: [usize; 2] = [88, 52];
/// Colour and dashes of each set, to be told apart by people who see few colours, and on paper.
const LINES: [(&str, &str); 2] = [("#0b62a4", "none"), ("#c2410c", "6 3")];

/// One panel: what it shows, and how that is read off a point.
struct Panel {
    title: &'static str,
    value: fn(&Point, i64) -> f64,
}

const PANELS: [Panel; 2] = [
    Panel { title: "clones that live, on average", value: |point, width| point.living(width).to_f64().unwrap_or_default() },
    Panel { title: "what they cost, USD an hour", value: |point, width| point.per_hour(width).to_f64().unwrap_or_default() },
];

/// The picture of one set of policies or two.
#[must_use]
pub fn svg(title: &str, outcomes: &[Outcome]) -> String {
    let mut out = String::new();
    let curves: Vec<&Curve> = outcomes.iter().map(|outcome| &outcome.figures.curve).collect();
    let start = curves.iter().map(|curve| curve.start).min().unwrap_or_default();
    let end = curves.iter().map(|curve| ends(curve)).max().unwrap_or_default().max(start.saturating_add(1));
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" font-family=\"sans-serif\" font-size=\"12\">"
    );
    let _ = writeln!(out, "<title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>", escaped(title));
    let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{}</text>", escaped(&shortened(title, LONGEST[0])));
    for (number, (outcome, (colour, dash))) in outcomes.iter().zip(LINES).enumerate() {
        let x = LEFT + number as f64 * 420.0;
        let _ = writeln!(out, "<path d=\"M{x:.0} 42h30\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>");
        let _ = writeln!(out, "<text x=\"{:.0}\" y=\"46\">{}</text>", x + 38.0, escaped(&shortened(&outcome.folder, LONGEST[1])));
    }
    for (panel, top) in PANELS.iter().zip(TOPS) {
        let highest = curves.iter().flat_map(|curve| curve.points.iter().map(|point| (panel.value)(point, curve.width))).fold(0.0, f64::max);
        let step = nice(highest / 4.0);
        let ceiling = (highest / step).ceil().max(1.0) * step;
        let height = |value: f64| top + PANEL - value / ceiling * PANEL;
        let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{:.0}\" fill=\"#444\">{}</text>", top - 6.0, panel.title);
        let mut line = 0.0;
        while line <= ceiling + step / 2.0 {
            let y = height(line);
            let _ = writeln!(out, "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#ddd\"/>");
            let _ = writeln!(out, "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#444\">{}</text>", LEFT - 6.0, y + 4.0, number(line));
            line += step;
        }
        for (at, label) in ticks(start, end) {
            let x = across(at, start, end);
            let _ = writeln!(out, "<path d=\"M{x:.1} {:.1}v5\" stroke=\"#444\"/>", top + PANEL);
            // At the edge it would be cut.
            let (x, anchor) = if x + HALF > WIDTH { (RIGHT, "end") } else { (x, "middle") };
            let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\" fill=\"#444\">{label}</text>", top + PANEL + 19.0);
        }
        for (curve, (colour, dash)) in curves.iter().zip(LINES) {
            let mut path = String::new();
            for (point, number) in curve.points.iter().zip(0_i64..) {
                let from = curve.start.saturating_add(number.saturating_mul(curve.width));
                let y = height((panel.value)(point, curve.width));
                let begin = if path.is_empty() { 'M' } else { 'L' };
                let to = across(from.saturating_add(curve.width), start, end);
                let _ = write!(path, "{begin}{:.1} {y:.1}H{to:.1}", across(from, start, end));
            }
            let _ = writeln!(out, "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" stroke-dasharray=\"{dash}\"/>");
        }
    }
    let _ = writeln!(out, "<text x=\"{RIGHT}\" y=\"{:.0}\" text-anchor=\"end\" fill=\"#444\">time in UTC</text>\n</svg>", HEIGHT - 8.0);
    out
}

fn ends(curve: &Curve) -> i64 {
    curve.start.saturating_add(curve.width.saturating_mul(i64::try_from(curve.points.len()).unwrap_or(i64::MAX)))
}

fn across(at: i64, start: i64, end: i64) -> f64 {
    LEFT + at.saturating_sub(start) as f64 / end.saturating_sub(start) as f64 * (RIGHT - LEFT)
}

/// The next of 1, 2, 5, 10, … above a number.
fn nice(least: f64) -> f64 {
    if least <= 0.0 || !least.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= least).unwrap_or(least)
}

/// Moments to write under a panel, five or so.
fn ticks(start: i64, end: i64) -> Vec<(i64, String)> {
    let steps = [3_600, 3 * 3_600, 6 * 3_600, 12 * 3_600, 86_400, 7 * 86_400, 30 * 86_400, 90 * 86_400];
    let length = end.saturating_sub(start);
    let step = steps.into_iter().find(|step| length.div_euclid(*step) <= 7).unwrap_or(365 * 86_400);
    let first = start.saturating_add(step.saturating_sub(start.rem_euclid(step)).rem_euclid(step));
    let label = |at: i64| {
        let time = moment(at).to_zoned(TimeZone::UTC);
        if step < 86_400 { time.strftime("%m-%d %H:%M").to_string() } else { time.strftime("%Y-%m-%d").to_string() }
    };
    (0..=7).map(|number| first.saturating_add(step.saturating_mul(number))).take_while(|at| *at <= end).map(|at| (at, label(at))).collect()
}

fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A text with its end, which tells one folder from another, and as much of what comes before as has room.
fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    match text.chars().count().checked_sub(most) {
        None | Some(0) => Cow::Borrowed(text),
        Some(more) => Cow::Owned(std::iter::once('…').chain(text.chars().skip(more.saturating_add(1))).collect()),
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::Figures;

    fn outcome(folder: &str, living: u32) -> Outcome {
        let mut curve = Curve::from(1_770_000_000);
        curve.add(1_770_000_000, 1_770_000_000 + 40 * 3_600, living, 5_000_000);
        Outcome { folder: folder.to_owned(), revision: String::new(), figures: Figures { curve, ..Figures::default() } }
    }

    #[test]
    fn a_picture_is_a_document_with_axes_a_legend_and_a_line_for_each() {
        let text = svg("a & b", &[outcome("policies", 7), outcome("<else>", 3)]);
        let document = roxmltree::Document::parse(&text).unwrap();
        let texts: Vec<&str> = document.descendants().filter_map(|node| node.text()).collect();
        for said in ["a & b", "policies", "<else>", "clones that live, on average", "what they cost, USD an hour", "time in UTC", "8", "02-02 06:00"]
        {
            assert!(texts.contains(&said), "{said}: {texts:?}");
        }
        let lines = document.descendants().filter(|node| node.attribute("fill") == Some("none")).count();
        assert_eq!(lines, 4);
        assert!(!text.contains("NaN") && !text.contains("inf"));
    }

    #[test]
    fn what_has_no_room_is_not_cut_off_at_the_edge() {
        let long = format!("/home/{}/proposal", "x".repeat(200));
        let text = svg(&long, &[outcome(&long, 7), outcome("policies", 3)]);
        let document = roxmltree::Document::parse(&text).unwrap();
        let texts: Vec<_> = document.descendants().filter(|node| node.has_tag_name("text")).collect();
        let lengths = texts.iter().filter_map(|node| node.text()).filter(|text| text.ends_with("/proposal")).map(|text| text.chars().count());
        assert_eq!(lengths.collect::<Vec<_>>(), LONGEST);
        for node in texts.iter().filter(|node| node.attribute("text-anchor") == Some("middle")) {
            assert!(node.attribute("x").unwrap().parse::<f64>().unwrap() + HALF <= WIDTH, "{node:?}");
        }
        assert_eq!(shortened("policies", 8), "policies");
        assert_eq!(shortened("policies", 7), "…licies");
    }

    #[test]
    fn nobody_makes_a_picture_too() {
        let text = svg("none", &[Outcome { folder: "p".to_owned(), revision: String::new(), figures: Figures::default() }]);
        assert!(roxmltree::Document::parse(&text).is_ok() && !text.contains("NaN"));
    }

    #[test]
    fn steps_are_round() {
        for (least, step) in [(0.0, 1.0), (0.9, 1.0), (1.1, 2.0), (3.0, 5.0), (7.0, 10.0), (0.00012, 0.0002)] {
            assert!((nice(least) - step).abs() < 1e-9, "{least}");
        }
    }
}
