//! Plain text for people: no line longer than a mail reader on a telephone or a terminal shows.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// The longest line.
pub(super) const WIDTH: usize = 78;

/// Writes `text` into `out`, broken at words; the first line begins with `first`, others with `next`.
/// A word longer than a line is cut.
pub(super) fn wrap(out: &mut String, first: &str, next: &str, text: &str) {
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        let mut word = word;
        loop {
            let used = line.chars().count();
            let gap = usize::from(!empty);
            let room = WIDTH.saturating_sub(used + gap).max(1);
            let length = word.chars().count();
            if length <= room {
                if !empty {
                    line.push(' ');
                }
                line.push_str(word);
                empty = false;
                break;
            }
            if empty {
                let cut = word
                    .char_indices()
                    .nth(room)
                    .map_or(word.len(), |(cut, _)| cut);
                line.push_str(&word[..cut]);
                word = &word[cut..];
            }
            end(out, &line);
            line = next.to_owned();
            empty = true;
        }
    }
    end(out, &line);
}

fn end(out: &mut String, line: &str) {
    out.push_str(line.trim_end());
    out.push('\n');
}

/// A time as the host's clock shows it, e.g. `Sat 2026-11-21 03:30:02 CET`.
pub(super) fn time(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system())
        .strftime("%a %Y-%m-%d %H:%M:%S %Z")
        .to_string()
}

/// The time of day alone.
pub(super) fn time_of_day(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system())
        .strftime("%H:%M:%S")
        .to_string()
}

/// A span of time in its two greatest units, e.g. `3 h 12 min`.
pub(super) fn span(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let Some(first) = units.iter().position(|(length, _)| seconds >= *length) else {
        return "less than 1 s".to_owned();
    };
    let (length, name) = units[first];
    let mut text = format!("{} {name}", seconds / length);
    if let Some((next, name)) = units.get(first + 1) {
        let rest = seconds % length / next;
        if rest > 0 {
            text.push_str(&format!(" {rest} {name}"));
        }
    }
    text
}

/// At most `most` characters of `text`.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(3)).collect();
    format!("{}...", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_too_long_and_no_word_is_lost() {
        let text = format!("one two {} three", "x".repeat(200));
        let mut out = String::new();
        wrap(&mut out, "  ", "      ", &text);
        assert!(
            out.lines().all(|line| line.chars().count() <= WIDTH),
            "{out}"
        );
        let squeezed: String = out.split_whitespace().collect();
        assert_eq!(squeezed, text.replace(' ', ""));
    }

    #[test]
    fn spans_are_short() {
        for (seconds, text) in [
            (0, "less than 1 s"),
            (59, "59 s"),
            (60, "1 min"),
            (11_520, "3 h 12 min"),
            (86_400 * 3 + 59, "3 d"),
        ] {
            assert_eq!(span(SignedDuration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_cut_counts_characters() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüäöü", 5), "äö...");
    }
}
