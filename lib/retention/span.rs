//! Spans of time as people write them for retention.

use jiff::Span;

/// Parses a span of time. `m` alone means months: among years and days nobody means minutes, and the
/// wrong guess would cost backups.
///
/// # Errors
/// It is none, or not longer than nothing; the text says how to write one.
pub fn span(text: &str) -> Result<Span, String> {
    let mut spelled = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let after_digit = spelled.ends_with(|last: char| last.is_ascii_digit() || last == ' ');
        spelled.push(letter);
        if letter == 'm' && after_digit && !letters.peek().is_some_and(char::is_ascii_alphabetic) {
            spelled.push('o');
        }
    }
    match spelled.parse::<Span>() {
        Ok(span) if span.is_positive() => Ok(span),
        _ => Err("write it like 14d, 8w, 1y6m or 36h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::ToSpan;

    #[test]
    fn m_means_months() {
        for (text, expected) in [
            ("14d", 14.days()),
            ("6m", 6.months()),
            ("1y6m", 1.year().months(6)),
            ("1y 6m 2d", 1.year().months(6).days(2)),
            ("36h", 36.hours()),
            ("2 months", 2.months()),
            ("90min", 90.minutes()),
            ("P1Y6M", 1.year().months(6)),
        ] {
            assert_eq!(span(text).unwrap(), expected.fieldwise(), "{text}");
        }
        for text in ["", "0d", "-3d", "3d ago", "soon", "14"] {
            assert!(span(text).is_err(), "{text}");
        }
    }
}
