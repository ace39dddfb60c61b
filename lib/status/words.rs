//! Lengths of time, points in time and sizes, as people read them at a glance.

pub(super) use crate::words::count;
use indicatif::HumanBytes;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A length of time in its largest unit, e.g. `5h` or `12d`; what is negative counts as nothing.
pub(super) fn brief(length: SignedDuration) -> String {
    let seconds = length.as_secs().max(0);
    match seconds {
        0..MINUTE => format!("{seconds}s"),
        MINUTE..HOUR => format!("{}min", seconds / MINUTE),
        HOUR..172_800 => format!("{}h", seconds / HOUR),
        _ => format!("{}d", seconds / DAY),
    }
}

/// A length of time in its two largest units, e.g. `4 min 12 s`.
pub(super) fn exact(length: SignedDuration) -> String {
    let seconds = length.as_secs().max(0);
    let two = |large: i64, name: &str, small: i64, other: &str| match seconds % large / small {
        0 => format!("{} {name}", seconds / large),
        rest => format!("{} {name} {rest} {other}", seconds / large),
    };
    match seconds {
        0 if length.is_positive() => format!("{:.1} s", length.as_secs_f64()),
        0..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => two(MINUTE, "min", 1, "s"),
        HOUR..DAY => two(HOUR, "h", MINUTE, "min"),
        _ => two(DAY, "d", HOUR, "h"),
    }
}

/// Seconds as measured, in their two largest units.
pub(super) fn seconds(seconds: f64) -> String {
    SignedDuration::try_from_secs_f64(seconds).map_or_else(|_| "?".to_owned(), exact)
}

/// How long ago `time` was, briefly.
pub(super) fn age(time: Timestamp, now: Timestamp) -> String {
    brief(now.duration_since(time))
}

/// A point in time on the reader's clock, to the minute, e.g. `2026-11-21 03:30`.
pub(super) fn minute(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone())
        .strftime("%Y-%m-%d %H:%M")
        .to_string()
}

/// A day on the reader's calendar, e.g. `2026-11-21`.
pub(super) fn day(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d").to_string()
}

/// A size, e.g. `1.20 GiB`.
pub(super) fn size(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

/// Text without what a terminal would act upon, or that would end a line.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_told_in_units_of_their_size() {
        for (seconds, briefly, exactly) in [
            (-5, "0s", "0 s"),
            (0, "0s", "0 s"),
            (59, "59s", "59 s"),
            (252, "4min", "4 min 12 s"),
            (3600, "1h", "1 h"),
            (47 * 3600, "47h", "1 d 23 h"),
            (48 * 3600, "2d", "2 d"),
            (90_060, "25h", "1 d 1 h"),
        ] {
            let length = SignedDuration::from_secs(seconds);
            assert_eq!(brief(length), briefly);
            assert_eq!(exact(length), exactly);
        }
        assert_eq!(exact(SignedDuration::from_millis(840)), "0.8 s");
        assert_eq!(seconds(f64::NAN), "?");
    }
}
