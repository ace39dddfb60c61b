//! Access control lists between the two forms they have: the kernel's attribute and the text that
//! tar archives carry as `SCHILY.acl.*`.
//!
//! The text is written as star and bsdtar do, entries separated by commas and each name with its number
//! behind it, as `user:nobody:r-x:65534`: GNU tar reads that too, and the number serves where the name
//! means nobody, or somebody else.
//!
//! The crates for this link libacl; the formats are small and fixed.

use super::names::Names;
use crate::error::{Error, Result};

/// The attribute that holds a file's access control list.
pub(super) const ACCESS: &str = "system.posix_acl_access";
/// The attribute that holds a directory's default list.
pub(super) const DEFAULT: &str = "system.posix_acl_default";

const VERSION: u32 = 2;
const NOBODY: u32 = u32::MAX;

const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// The text form of the attribute `value`, with names where `names` knows them.
///
/// # Errors
/// It is no access control list.
pub(super) fn to_text(value: &[u8], names: &mut Names) -> Result<Vec<u8>> {
    let damaged = || Error::damaged("an access control list is damaged");
    let (version, entries) = value.split_first_chunk::<4>().ok_or_else(damaged)?;
    if u32::from_le_bytes(*version) != VERSION || entries.len() % 8 != 0 {
        return Err(damaged());
    }
    let mut text = Vec::new();
    for entry in entries.chunks_exact(8) {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        let bits = u16::from_le_bytes([entry[2], entry[3]]);
        let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
        let (word, name) = match tag {
            USER_OBJ => (&b"user"[..], None),
            USER => (&b"user"[..], Some(names.user(id))),
            GROUP_OBJ => (&b"group"[..], None),
            GROUP => (&b"group"[..], Some(names.group(id))),
            MASK => (&b"mask"[..], None),
            OTHER => (&b"other"[..], None),
            _ => return Err(damaged()),
        };
        if !text.is_empty() {
            text.push(b',');
        }
        let number = id.to_string().into_bytes();
        let who = match name {
            None => &[][..],
            Some([]) => &number,
            Some(name) => name,
        };
        let rights = [(4, b'r'), (2, b'w'), (1, b'x')]
            .map(|(bit, letter)| if bits & bit == 0 { b'-' } else { letter });
        let fields: &[&[u8]] = match name {
            Some([_, ..]) => &[word, who, &rights, &number],
            _ => &[word, who, &rights],
        };
        text.extend_from_slice(&fields.join(&b':'));
    }
    Ok(text)
}

/// The attribute for the text form; entries are separated by newlines (GNU tar's) or commas. A number
/// behind a name counts where the name is unknown here, or always if `numeric`.
///
/// # Errors
/// It is no access control list, or names someone unknown here.
pub(super) fn from_text(text: &[u8], numeric: bool, names: &mut Names) -> Result<Vec<u8>> {
    let mut entries = text
        .split(|&byte| byte == b'\n' || byte == b',')
        .map(|line| {
            line.split(|&byte| byte == b'#')
                .next()
                .unwrap_or(&[])
                .trim_ascii()
        })
        .filter(|line| !line.is_empty())
        .map(|line| one(line, numeric, names))
        .collect::<Result<Vec<_>>>()?;
    // The kernel wants them sorted.
    entries.sort_unstable();
    let mut value = VERSION.to_le_bytes().to_vec();
    for (tag, id, bits) in entries {
        value.extend_from_slice(&tag.to_le_bytes());
        value.extend_from_slice(&bits.to_le_bytes());
        value.extend_from_slice(&id.to_le_bytes());
    }
    Ok(value)
}

/// Tag, number and permissions of one entry in text form.
fn one(line: &[u8], numeric: bool, names: &mut Names) -> Result<(u16, u32, u16)> {
    let damaged = || {
        Error::damaged(format!(
            "'{}' is no entry of an access control list",
            line.escape_ascii()
        ))
    };
    let fields: Vec<&[u8]> = line.split(|&byte| byte == b':').collect();
    let (word, who, bits, number) = match fields.as_slice() {
        [word, who, bits] => (*word, *who, *bits, None),
        [word, who, bits, number] => (*word, *who, *bits, Some(*number)),
        // star's short form of mask and other
        [word @ (b"mask" | b"m" | b"other" | b"o"), bits] => (*word, &[][..], *bits, None),
        _ => return Err(damaged()),
    };
    let number = number.and_then(super::pax::decimal);
    let by_number = numeric && number.is_some();
    let (tag, id) = match (word, who.is_empty()) {
        (b"user" | b"u", true) => (USER_OBJ, NOBODY),
        (b"group" | b"g", true) => (GROUP_OBJ, NOBODY),
        (b"mask" | b"m", true) => (MASK, NOBODY),
        (b"other" | b"o", true) => (OTHER, NOBODY),
        (b"user" | b"u", false) => (
            USER,
            qualifier(names.uid(who).filter(|_| !by_number), who, number)?,
        ),
        (b"group" | b"g", false) => (
            GROUP,
            qualifier(names.gid(who).filter(|_| !by_number), who, number)?,
        ),
        _ => return Err(damaged()),
    };
    let bits = bits.iter().try_fold(0, |sum, letter| match letter {
        b'r' => Some(sum | 4),
        b'w' => Some(sum | 2),
        b'x' => Some(sum | 1),
        b'-' => Some(sum),
        _ => None,
    });
    Ok((tag, id, bits.ok_or_else(damaged)?))
}

fn qualifier(known: Option<u32>, who: &[u8], number: Option<u64>) -> Result<u32> {
    known
        .or_else(|| u32::try_from(number.or_else(|| super::pax::decimal(who))?).ok())
        .ok_or_else(|| {
            Error::damaged(format!(
                "an access control list names '{}', who is unknown here",
                who.escape_ascii()
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] =
        b"user::rwx,user:root:r-x:0,user:4000000001:r-x,group::r--,mask::r-x,other::---";

    #[test]
    fn a_list_comes_back() {
        let mut names = Names::default();
        let value = from_text(TEXT, false, &mut names).unwrap();
        assert_eq!(value.len(), 4 + 6 * 8);
        assert_eq!(to_text(&value, &mut names).unwrap(), TEXT);
    }

    #[test]
    fn the_forms_of_other_tools_are_read() {
        let mut names = Names::default();
        let value = from_text(TEXT, false, &mut names).unwrap();
        for text in [
            &b"user::rwx\nuser:root:r-x\nuser:4000000001:r-x\ngroup::r--\nmask::r-x\nother::---\n"[..],
            b"other::---\nuser::rwx\nuser:0:r-x\nuser:nobody-known:r-x:4000000001\t#effective:r-x\ngroup::r--\nmask:r-x\n",
        ] {
            assert_eq!(from_text(text, false, &mut names).unwrap(), value);
        }
    }

    #[test]
    fn the_number_counts_if_that_is_wanted() {
        let mut names = Names::default();
        let moved = b"user:root:r-x:77";
        let wanted = |text: &[u8], names: &mut Names| from_text(text, true, names).unwrap();
        assert_eq!(
            wanted(moved, &mut names),
            wanted(b"user:77:r-x", &mut names)
        );
        assert_eq!(
            from_text(moved, false, &mut names).unwrap(),
            wanted(b"user:0:r-x", &mut names)
        );
    }

    #[test]
    fn nonsense_is_refused() {
        let mut names = Names::default();
        for text in [
            &b"user:rwx"[..],
            b"user::rwz",
            b"owner::rwx",
            b"user:no such user:rwx",
            b"mask:x:rwx",
        ] {
            assert!(
                from_text(text, false, &mut names).is_err(),
                "{}",
                text.escape_ascii()
            );
        }
        for value in [
            &b""[..],
            b"\x02\0\0",
            b"\x03\0\0\0",
            b"\x02\0\0\0\x01\0\0",
            b"\x02\0\0\0\x03\0\0\0\0\0\0\0",
        ] {
            assert!(to_text(value, &mut names).is_err());
        }
    }
}
