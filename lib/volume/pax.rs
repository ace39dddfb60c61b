//! The records of PAX extended headers: `LENGTH KEY=VALUE\n`, where LENGTH counts the whole record.
//!
//! They are read by their length and not by lines: values hold newlines (access control lists do,
//! binary attributes may), and a reader that splits at them loses attributes without a word.

use super::entry::Time;
use crate::error::{Error, Result};
use std::io::Write;

/// Appends one record to `out`.
pub(super) fn push(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let body = key.len() + value.len() + 3;
    let mut length = body + 1;
    // The length counts its own digits, of which it may need one more for that.
    while length != body + digits(length) {
        length = body + digits(length);
    }
    // Writing to memory can't fail.
    let _ = write!(out, "{length} ");
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// Splits the content of an extended header into keys and values.
///
/// # Errors
/// A record's length is no number or does not fit, or a record has no `=` or newline.
pub fn records(mut bytes: &[u8]) -> Result<Vec<(&[u8], &[u8])>> {
    let damaged = || Error::damaged("a PAX header is damaged");
    let mut records = Vec::new();
    while !bytes.is_empty() {
        // Some writers fill the block with zeros.
        if bytes.iter().all(|&byte| byte == 0) {
            break;
        }
        let space = memchr::memchr(b' ', &bytes[..bytes.len().min(21)]).ok_or_else(damaged)?;
        let length = decimal(&bytes[..space])
            .and_then(|length| usize::try_from(length).ok())
            .filter(|&length| length > space + 1 && length <= bytes.len())
            .ok_or_else(damaged)?;
        let (record, rest) = bytes.split_at(length);
        let body = record[space + 1..]
            .strip_suffix(b"\n")
            .ok_or_else(damaged)?;
        let equals = memchr::memchr(b'=', body).ok_or_else(damaged)?;
        records.push((&body[..equals], &body[equals + 1..]));
        bytes = rest;
    }
    Ok(records)
}

/// A decimal number without sign.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Writes a time as PAX has it: seconds with a fraction.
pub(super) fn time_text(time: Time) -> String {
    let (sign, seconds, nanoseconds) = if time.seconds < 0 && time.nanoseconds > 0 {
        (
            "-",
            (time.seconds + 1).unsigned_abs(),
            1_000_000_000 - time.nanoseconds,
        )
    } else if time.seconds < 0 {
        ("-", time.seconds.unsigned_abs(), 0)
    } else {
        ("", time.seconds.unsigned_abs(), time.nanoseconds)
    };
    if nanoseconds == 0 {
        return format!("{sign}{seconds}");
    }
    let text = format!("{sign}{seconds}.{nanoseconds:09}");
    text.trim_end_matches('0').to_owned()
}

/// Reads a time as PAX has it; digits behind the ninth are dropped.
pub(super) fn time(text: &[u8]) -> Option<Time> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let (whole, fraction) = match memchr::memchr(b'.', text) {
        Some(point) => (&text[..point], &text[point + 1..]),
        None => (text, &[][..]),
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = i64::try_from(decimal(whole)?).ok()?;
    let nanoseconds = (0..9).fold(0, |sum, at| {
        sum * 10 + fraction.get(at).map_or(0, |digit| u32::from(digit - b'0'))
    });
    Some(match (negative, nanoseconds) {
        (false, _) => Time {
            seconds,
            nanoseconds,
        },
        (true, 0) => Time {
            seconds: -seconds,
            nanoseconds,
        },
        (true, _) => Time {
            seconds: -seconds - 1,
            nanoseconds: 1_000_000_000 - nanoseconds,
        },
    })
}

/// The name of an extended attribute as part of a key: GNU tar's escapes for `=` and `%`.
pub(super) fn escape(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'%' => out.extend_from_slice(b"%25"),
            b'=' => out.extend_from_slice(b"%3D"),
            _ => out.push(byte),
        }
    }
    out
}

/// The reverse of [`escape`].
pub(super) fn unescape(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let [first, tail @ ..] = rest {
        if let Some(tail) = rest.strip_prefix(b"%25") {
            out.push(b'%');
            rest = tail;
        } else if let Some(tail) = rest.strip_prefix(b"%3D") {
            out.push(b'=');
            rest = tail;
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_counts_its_own_length() {
        let mut out = Vec::new();
        push(&mut out, b"path", b"a");
        assert_eq!(out, b"9 path=a\n");
        out.clear();
        push(&mut out, b"path", b"");
        assert_eq!(out, b"8 path=\n");
        out.clear();
        push(&mut out, b"a", &[b'x'; 94]);
        assert_eq!(&out[..4], b"101 ", "{}", out.len());
        assert_eq!(out.len(), 101);
    }

    #[test]
    fn times_before_1970_have_their_fraction_in_the_right_direction() {
        let time_before = Time {
            seconds: -2,
            nanoseconds: 500_000_000,
        };
        assert_eq!(time_text(time_before), "-1.5");
        assert_eq!(time(b"-1.5"), Some(time_before));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            &b"x path=a\n"[..],
            b"100 path=a\n",
            b"8 path=a\n",
            b"9 path a\n",
            b"0 \n",
            b"9path=a\n",
        ] {
            assert!(records(text).is_err(), "{}", text.escape_ascii());
        }
        for text in [
            &b"1.-5"[..],
            b"",
            b"1e3",
            b"--1",
            b".",
            b"99999999999999999999",
        ] {
            assert_eq!(time(text), None, "{}", text.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn records_come_back_whatever_their_values(
            pairs in prop::collection::vec(("[a-zA-Z.]{1,40}", prop::collection::vec(any::<u8>(), 0..200)), 0..8)
        ) {
            let mut out = Vec::new();
            for (key, value) in &pairs {
                push(&mut out, key.as_bytes(), value);
            }
            let read = records(&out).unwrap();
            prop_assert_eq!(read.len(), pairs.len());
            for ((key, value), (wanted_key, wanted)) in read.into_iter().zip(&pairs) {
                prop_assert_eq!(key, wanted_key.as_bytes());
                prop_assert_eq!(value, wanted.as_slice());
            }
        }

        #[test]
        fn times_come_back(seconds in -1_000_000_000_000i64..1_000_000_000_000, nanoseconds in 0u32..1_000_000_000) {
            let point = Time { seconds, nanoseconds };
            prop_assert_eq!(time(time_text(point).as_bytes()), Some(point));
        }

        #[test]
        fn attribute_names_come_back(name in prop::collection::vec(any::<u8>(), 0..30)) {
            prop_assert_eq!(unescape(&escape(&name)), name);
        }
    }
}
