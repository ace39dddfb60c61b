//! Points in time as people write them.

use crate::error::{Error, Kind, Result};
use jiff::civil::{Date, DateTime};
use jiff::{Span, Timestamp, ToSpan, Zoned};

/// Which end of a day a date without a time of day means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Its first moment.
    Begin,
    /// Its last second.
    End,
}

/// The time that `text` says, seen from `now` and its time zone: `2026-11-21T02:30:00Z`,
/// `2026-11-21 02:30`, `2026-11-21` (by `bound` the begin or the end of that day), `2h ago`.
///
/// # Errors
/// It is no time, or impossible.
pub fn moment(text: &str, now: &Zoned, bound: Bound) -> Result<Timestamp> {
    let text = text.trim();
    parse(text, now, bound).ok_or_else(|| {
        Error::new(Kind::Usage, format!("'{text}' is no time")).with_hint(
            "Write it like 2026-11-21T02:30:00Z, '2026-11-21 02:30', 2026-11-21 or '2h ago'.",
        )
    })
}

fn parse(text: &str, now: &Zoned, bound: Bound) -> Option<Timestamp> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp);
    }
    // A date alone is a date and time to jiff, too: of midnight.
    let is_date = !text.contains([':', 'T', ' ']);
    let civil = match text.parse::<Date>() {
        Ok(date) if is_date => Some(match bound {
            Bound::Begin => date.at(0, 0, 0, 0),
            Bound::End => date.at(23, 59, 59, 0),
        }),
        _ => text.parse::<DateTime>().ok(),
    };
    if let Some(civil) = civil {
        let zoned = civil.to_zoned(now.time_zone().clone()).ok()?;
        return Some(zoned.timestamp());
    }
    if text == "now" {
        return Some(now.timestamp());
    }
    let span: Span = text.parse().ok()?;
    // "2h" alone would be the future, which no backup is from.
    (span.is_negative() || span.fieldwise() == 0.seconds())
        .then(|| now.checked_add(span).ok())
        .flatten()
        .map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_times_in_many_ways() {
        let now: Zoned = "2026-11-21T12:00:00+01:00[Europe/Berlin]".parse().unwrap();
        for (text, bound, expected) in [
            ("2026-11-20T02:30:00Z", Bound::End, "2026-11-20T02:30:00Z"),
            ("2026-11-20T02:30+02:00", Bound::End, "2026-11-20T00:30:00Z"),
            ("2026-11-20 02:30", Bound::End, "2026-11-20T01:30:00Z"),
            ("2026-07-20 02:30:15", Bound::End, "2026-07-20T00:30:15Z"),
            ("2026-11-20", Bound::Begin, "2026-11-19T23:00:00Z"),
            ("2026-11-20", Bound::End, "2026-11-20T22:59:59Z"),
            ("2h ago", Bound::End, "2026-11-21T09:00:00Z"),
            ("1 day ago", Bound::End, "2026-11-20T11:00:00Z"),
            ("1 month 2 days ago", Bound::End, "2026-10-19T10:00:00Z"),
            ("now", Bound::End, "2026-11-21T11:00:00Z"),
        ] {
            let expected: Timestamp = expected.parse().unwrap();
            assert_eq!(moment(text, &now, bound).unwrap(), expected, "{text}");
        }
        for text in ["", "soon", "2h", "2026-13-01", "2026-11-20 25:00"] {
            assert!(moment(text, &now, Bound::End).is_err(), "{text}");
        }
    }
}
