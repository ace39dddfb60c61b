//! Spans of time as people type them.

use std::time::Duration;

/// A span of time such as `24h`, `90m`, `2d`; a day has 24 hours.
///
/// # Errors
/// It is none, or nothing.
pub fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::Span = text
        .parse()
        .map_err(|_| "not a span of time such as 24h, 90m or 2d".to_owned())?;
    let length = span
        .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
        .map_err(|_| "use days, hours, minutes and seconds only".to_owned())?;
    match Duration::try_from(length) {
        Ok(length) if !length.is_zero() => Ok(length),
        _ => Err("must be longer than nothing".to_owned()),
    }
}
