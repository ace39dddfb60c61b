//! Charts as inline SVG. They stretch to whatever width there is: shapes are in the drawing, in whole
//! units that cost few bytes, and all words stand beside it in HTML.

use jiff::Timestamp;
use std::fmt::Write;

/// The width of each drawing, in its own units.
const WIDTH: f64 = 600.0;
/// The height of a chart.
const HEIGHT: f64 = 100.0;
/// Room above the highest value.
const HEADROOM: f64 = 1.12;
/// Dots that are closer are a thick line, and say nothing.
const APART: f64 = 9.0;
/// With fewer points than this allowed, only the newest has a dot.
const DOTTED: usize = 40;

/// A value at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) at: Timestamp,
    pub(super) value: f64,
    /// Whether it is as it should be.
    pub(super) good: bool,
}

/// At most `most` of `points`, evenly chosen over time; of those that fall together the highest stays,
/// and so does what is not good.
fn thinned(points: &[Point], most: usize) -> Vec<Point> {
    if points.len() <= most {
        return points.to_vec();
    }
    let mut thin: Vec<Point> = Vec::with_capacity(most);
    for at in 0..most {
        let (from, to) = (at * points.len() / most, (at + 1) * points.len() / most);
        let better = |one: &&Point, other: &&Point| {
            other
                .good
                .cmp(&one.good)
                .then(one.value.total_cmp(&other.value))
        };
        thin.extend(points[from..to].iter().max_by(better));
    }
    // The newest is what is written beside the chart.
    if let (Some(last), Some(newest)) = (thin.last_mut(), points.last()) {
        *last = *newest;
    }
    thin
}

/// Values over time as an area with a dot for each, on a scale that begins at zero; `goal` is a line
/// across. `label` says in words what is to be seen.
pub(super) fn area(points: &[Point], most: usize, goal: Option<f64>, label: &str) -> String {
    let points = thinned(points, most);
    let highest = points
        .iter()
        .map(|point| point.value)
        .chain(goal)
        .fold(0.0, f64::max);
    let scale = if highest > 0.0 {
        HEIGHT / (highest * HEADROOM)
    } else {
        0.0
    };
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return String::new();
    };
    let begin = first.at.as_second() as f64;
    let range = (last.at.as_second() as f64 - begin).max(1.0);
    // A little room at both ends, so that dots are whole.
    let x = |at: Timestamp| match points.len() {
        1 => WIDTH / 2.0,
        _ => 6.0 + (at.as_second() as f64 - begin) / range * (WIDTH - 12.0),
    };
    let y = |value: f64| HEIGHT - value * scale;
    let mut line = String::new();
    let (mut dots, mut bad) = (String::new(), String::new());
    let mut dotted = f64::MAX;
    // From the newest on, whose dot must not be missing.
    for point in points.iter().rev() {
        let (x, y) = (x(point.at), y(point.value));
        // Into a string nothing fails.
        let _ = write!(
            line,
            "{}{x:.0} {y:.0}",
            if line.is_empty() { "M" } else { "L" }
        );
        if !point.good {
            let _ = write!(bad, "M{x:.0} {y:.0}h0");
        } else if dotted - x >= APART && (dots.is_empty() || most >= DOTTED) {
            dotted = x;
            let _ = write!(dots, "M{x:.0} {y:.0}h0");
        }
    }
    let mut svg = open("chart", HEIGHT, label);
    if points.len() > 1 {
        let last = x(last.at);
        let _ = write!(
            svg,
            "<path class=f d=\"{line}V100H{last:.0}z\"/><path class=l d=\"{line}\"/>"
        );
    }
    if let Some(goal) = goal {
        let _ = write!(svg, "<path class=g d=\"M0 {:.0}H600\"/>", y(goal));
    }
    let _ = write!(svg, "<path class=d d=\"{dots}\"/>");
    if !bad.is_empty() {
        let _ = write!(svg, "<path class=x d=\"{bad}\"/>");
    }
    svg.push_str("</svg>");
    svg
}

/// The last values, without a scale: how it goes, at a glance.
pub(super) fn sparkline(values: &[f64]) -> String {
    let highest = values.iter().copied().fold(f64::MIN, f64::max);
    let lowest = values.iter().copied().fold(f64::MAX, f64::min);
    if values.len() < 2 || highest <= 0.0 {
        return String::new();
    }
    // What hardly changes is flat.
    let range = (highest - lowest).max(highest / 5.0);
    let floor = highest - range;
    let mut line = String::new();
    let (mut x, mut y) = (0.0, 0.0);
    for (at, value) in values.iter().enumerate() {
        x = 3.0 + at as f64 / (values.len() - 1) as f64 * 94.0;
        y = 21.0 - (value - floor) / range * 18.0;
        let _ = write!(
            line,
            "{}{x:.0} {y:.0}",
            if line.is_empty() { "M" } else { "L" }
        );
    }
    format!(
        "<svg class=spark viewBox=\"0 0 100 24\" preserveAspectRatio=none aria-hidden=true><path class=l d=\"{line}\"/><path class=d d=\"M{x:.0} {y:.0}h0\"/></svg>"
    )
}

/// How long a backup stays.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub(super) from: Timestamp,
    /// `None`: longer than can be foreseen.
    pub(super) to: Option<Timestamp>,
    pub(super) good: bool,
}

/// A chart of lives, and where on it the present is, in percent from the left.
pub(super) struct Lives {
    pub(super) svg: String,
    /// The height that suits it, in pixels.
    pub(super) height: usize,
    pub(super) now: f64,
    /// The right end.
    pub(super) end: Timestamp,
}

/// A line for each backup from its begin to its end, for at most `most` of them.
pub(super) fn lives(lives: &[Life], most: usize, now: Timestamp, label: &str) -> Option<Lives> {
    let first = lives.first()?.from;
    let last = lives.iter().filter_map(|life| life.to).max();
    let past = now.duration_since(first).as_secs().max(86_400);
    let future = last
        .map_or(past / 3, |last| last.duration_since(now).as_secs())
        .max(past / 6);
    let range = (past + future) as f64;
    let x = |at: Timestamp| at.duration_since(first).as_secs() as f64 / range * WIDTH;
    let step = lives.len().div_ceil(most).max(1);
    // From the newest on, so that this is drawn for sure.
    let drawn: Vec<&Life> = lives.iter().rev().step_by(step).collect();
    let height = drawn.len() as f64 * 5.0;
    let (mut ends, mut stays, mut bad) = (String::new(), String::new(), String::new());
    for (at, life) in drawn.iter().enumerate() {
        let y = at as f64 * 5.0 + 2.5;
        let to = life.to.map_or(WIDTH, x).max(x(life.from) + 1.0);
        let path = match (life.good, life.to) {
            (false, _) => &mut bad,
            (true, None) => &mut stays,
            (true, Some(_)) => &mut ends,
        };
        let _ = write!(path, "M{:.0} {y}H{to:.0}", x(life.from));
    }
    let mut svg = open("lives", height, label);
    for (class, path) in [("e", ends), ("s", stays), ("b", bad)] {
        if !path.is_empty() {
            let _ = write!(svg, "<path class={class} d=\"{path}\"/>");
        }
    }
    let present = x(now);
    let _ = write!(svg, "<path class=n d=\"M{present:.0} 0V{height}\"/></svg>");
    let seconds = jiff::SignedDuration::from_secs(future);
    Some(Lives {
        height: drawn.len() * 5,
        svg,
        now: present / WIDTH * 100.0,
        end: now.checked_add(seconds).unwrap_or(now),
    })
}

/// A ring of shares.
pub(super) fn ring(shares: &[(&str, usize)]) -> String {
    let all: usize = shares.iter().map(|(_, number)| number).sum();
    let mut svg = "<svg class=ring viewBox=\"0 0 42 42\" aria-hidden=true><circle class=r cx=21 cy=21 r=16 />".to_owned();
    let mut offset = 0.0;
    for (class, number) in shares.iter().filter(|(_, number)| *number > 0) {
        let share = *number as f64 / all as f64 * 100.0;
        // A gap between two, none in a ring of one.
        let drawn = if *number == all {
            share
        } else {
            (share - 1.5).max(0.5)
        };
        let _ = write!(
            svg,
            "<circle class={class} cx=21 cy=21 r=16 pathLength=100 stroke-dasharray=\"{drawn:.1} {:.1}\" stroke-dashoffset=\"{:.1}\" />",
            // Once around: else a share that begins before the path does would lose its end.
            100.0 - drawn,
            25.0 - offset
        );
        offset += share;
    }
    svg.push_str("</svg>");
    svg
}

fn open(class: &str, height: f64, label: &str) -> String {
    format!(
        "<svg class={class} viewBox=\"0 0 600 {height}\" preserveAspectRatio=none role=img aria-label=\"{}\">",
        super::escaped(label)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[f64]) -> Vec<Point> {
        let point = |(at, value): (usize, &f64)| Point {
            at: Timestamp::from_second(at as i64 * 86_400).unwrap(),
            value: *value,
            good: *value < 90.0,
        };
        values.iter().enumerate().map(point).collect()
    }

    #[test]
    fn thinning_keeps_the_newest_the_highest_and_the_bad() {
        let mut values = vec![1.0; 1000];
        values[400] = 95.0;
        values[401] = 50.0;
        values[999] = 3.0;
        let thin = thinned(&points(&values), 40);
        assert_eq!(thin.len(), 40);
        assert!(thin.iter().any(|point| !point.good));
        assert!((thin[39].value - 3.0).abs() < f64::EPSILON);
        assert_eq!(thinned(&points(&[1.0, 2.0]), 40).len(), 2);
    }

    #[test]
    fn whatever_comes_is_drawn_within_the_frame() {
        for values in [
            vec![],
            vec![0.0],
            vec![5.0],
            vec![0.0, 0.0],
            vec![1e18, 1.0, 95.0],
        ] {
            let svg = area(&points(&values), 40, Some(2.0), "a \"label\" <");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            assert!(!svg.contains("L-") && !svg.contains("M-"), "{svg}");
            assert_eq!(svg.is_empty(), values.is_empty());
        }
        for values in [vec![], vec![1.0], vec![0.0, 0.0], vec![3.0, 1.0, 2.0]] {
            assert!(!sparkline(&values).contains("NaN"));
        }
    }

    /// A pattern that is longer than the path loses what reaches over its end.
    #[test]
    fn each_share_of_a_ring_is_drawn_whole() {
        let ring = ring(&[("ok", 1), ("warning", 0), ("critical", 4)]);
        let patterns: Vec<Vec<f64>> = ring
            .split("stroke-dasharray=\"")
            .skip(1)
            .map(|rest| {
                let pattern = rest.split('"').next().unwrap().split(' ');
                pattern.map(|length| length.parse().unwrap()).collect()
            })
            .collect();
        assert_eq!(patterns, [[18.5, 81.5], [78.5, 21.5]]);
    }

    #[test]
    fn lives_end_where_they_do() {
        let day = |day: i64| Timestamp::from_second(day * 86_400).unwrap();
        let life = |from, to: Option<i64>| Life {
            from: day(from),
            to: to.map(day),
            good: true,
        };
        let drawn = lives(
            &[life(0, Some(75)), life(50, Some(100)), life(50, None)],
            40,
            day(50),
            "x",
        )
        .unwrap();
        assert!(
            drawn.svg.contains("M300 7.5H600M0 12.5H450"),
            "{}",
            drawn.svg
        );
        assert!((drawn.now - 50.0).abs() < 0.1);
        assert_eq!(drawn.end, day(100));
        assert!(lives(&[], 40, day(50), "x").is_none());
    }
}
