//! The tokens of SQL as psql sees them: just enough to know where a statement ends, and where a
//! backslash is one of psql's own commands and not part of a literal.
//!
//! The rules are those of psql's scanner. Of a literal only its end matters, never its value.

/// What begins at a place in the text, and how many bytes it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// Blanks and line ends.
    Space(usize),
    /// `-- …`, without the line end.
    LineComment(usize),
    /// `/* … */`, nested as SQL allows.
    BlockComment(usize),
    /// A literal: `'…'`, `E'…'` or `$tag$…$tag$`.
    Text(usize),
    /// A quoted identifier.
    Name(usize),
    /// A keyword or an identifier without quotes.
    Word(usize),
    /// A number.
    Number(usize),
    /// One other character.
    Symbol(u8),
    /// Something that has no end in the text: what it is.
    Open(&'static str),
}

impl Token {
    /// Its length in bytes; that of an open one is not known.
    pub fn length(self) -> usize {
        match self {
            Self::Space(n)
            | Self::LineComment(n)
            | Self::BlockComment(n)
            | Self::Text(n)
            | Self::Name(n)
            | Self::Word(n)
            | Self::Number(n) => n,
            Self::Symbol(_) => 1,
            Self::Open(_) => 0,
        }
    }
}

/// The token that `text`, which is not empty, begins with. Whoever reads a stream must come again
/// with more text if the token reaches to the end of `text`, or is open, and the stream goes on.
///
/// `conforming` is the server's `standard_conforming_strings`: a backslash in `'…'` is a character
/// like any other.
pub fn token(text: &[u8], conforming: bool) -> Token {
    match text[0] {
        b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c' => {
            Token::Space(run(text, |b| matches!(b, b' ' | b'\t'..=b'\r')))
        }
        b'-' if text.get(1) == Some(&b'-') => {
            Token::LineComment(memchr::memchr(b'\n', text).unwrap_or(text.len()))
        }
        b'/' if text.get(1) == Some(&b'*') => block_comment(text),
        b'\'' if conforming => match quoted(text, b'\'') {
            Some(n) => Token::Text(n),
            None => Token::Open("a literal"),
        },
        b'\'' => escaped(text),
        b'e' | b'E' if text.get(1) == Some(&b'\'') => match escaped(&text[1..]) {
            Token::Text(n) => Token::Text(n + 1),
            open => open,
        },
        b'"' => match quoted(text, b'"') {
            Some(n) => Token::Name(n),
            None => Token::Open("a quoted name"),
        },
        b'$' => dollar(text),
        b'0'..=b'9' => Token::Number(run(
            text,
            |b| matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'.'),
        )),
        b if starts_word(b) => Token::Word(run(text, |b| {
            starts_word(b) || b.is_ascii_digit() || b == b'$'
        })),
        b => Token::Symbol(b),
    }
}

/// Whether nothing but blanks and comments lies in `text`, so that what comes behind it decides
/// whether an escaped literal goes on.
pub(super) fn only_blanks(text: &[u8]) -> bool {
    let mut at = 0;
    while at < text.len() {
        match token(&text[at..], true) {
            Token::Space(n) | Token::LineComment(n) => at += n,
            Token::Symbol(b'-') if at + 1 == text.len() => return true,
            _ => return false,
        }
    }
    true
}

fn starts_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn run(text: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|&b| !belongs(b)).unwrap_or(text.len())
}

/// Length of a literal in which only the doubled `quote` is special.
fn quoted(text: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr::memchr(quote, &text[at..])? + 1;
        if text.get(at) != Some(&quote) {
            return Some(at);
        }
        at += 1;
    }
}

/// A literal with backslash escapes; it goes on in a further literal on a later line.
fn escaped(text: &[u8]) -> Token {
    let mut at = 1;
    loop {
        match memchr::memchr2(b'\'', b'\\', &text[at..]) {
            None => return Token::Open("a literal"),
            Some(n) if text[at + n] == b'\\' => at = (at + n + 2).min(text.len()),
            Some(n) => {
                at += n + 1;
                if text.get(at) == Some(&b'\'') {
                    at += 1;
                } else if let Some(more) = continuation(&text[at..]) {
                    at += more;
                } else {
                    return Token::Text(at);
                }
            }
        }
    }
}

/// Whether a literal that ended before `text` goes on in it: behind blanks and comments with a line
/// end among them. Yields how many bytes lie before the new part, its quote included.
fn continuation(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut line_end = false;
    while at < text.len() {
        match token(&text[at..], true) {
            Token::Space(n) => {
                line_end |= text[at..at + n].iter().any(|b| matches!(b, b'\n' | b'\r'));
                at += n;
            }
            Token::LineComment(n) => at += n,
            _ => return (line_end && text[at] == b'\'').then_some(at + 1),
        }
    }
    None
}

/// `$tag$ … $tag$`, or a lone dollar (a parameter).
fn dollar(text: &[u8]) -> Token {
    let tag = 1 + run(&text[1..], |b| starts_word(b) || b.is_ascii_digit());
    match text.get(tag) {
        Some(b'$') if !text[1].is_ascii_digit() => {
            let delimiter = &text[..=tag];
            match memchr::memmem::find(&text[tag + 1..], delimiter) {
                Some(n) => Token::Text(tag + 1 + n + delimiter.len()),
                None => Token::Open("a dollar-quoted literal"),
            }
        }
        // The tag may go on in the text that is still to come.
        None if !text.get(1).is_some_and(u8::is_ascii_digit) => {
            Token::Open("a dollar-quoted literal")
        }
        _ => Token::Symbol(b'$'),
    }
}

fn block_comment(text: &[u8]) -> Token {
    let mut depth = 1;
    let mut at = 2;
    loop {
        match memchr::memchr2(b'*', b'/', &text[at..]) {
            None => return Token::Open("a comment"),
            Some(n) => at += n,
        }
        match (text[at], text.get(at + 1)) {
            (b'*', Some(b'/')) => {
                depth -= 1;
                at += 2;
            }
            (b'/', Some(b'*')) => {
                depth += 1;
                at += 2;
            }
            _ => at += 1,
        }
        if depth == 0 {
            return Token::BlockComment(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str) -> Token {
        token(text.as_bytes(), true)
    }

    #[test]
    fn literals_end_where_psql_sees_their_end() {
        assert_eq!(first("'a''b' x"), Token::Text(6));
        assert_eq!(first(r"'a\' x"), Token::Text(4));
        assert_eq!(first(r"E'a\'b' x"), Token::Text(7));
        assert_eq!(token(br"'a\'b' x", false), Token::Text(6));
        assert_eq!(first("E'a'\n  -- c\n 'b\\'c' x"), Token::Text(19));
        assert_eq!(first("E'a' 'b'"), Token::Text(4));
        assert_eq!(first("$$a'b$$ x"), Token::Text(7));
        assert_eq!(first("$a$ $b$ $$ $a$x"), Token::Text(14));
        assert_eq!(first("$1"), Token::Symbol(b'$'));
        assert_eq!(first("a$b$c$b$"), Token::Word(8));
        assert_eq!(first("\"a\"\"b\"."), Token::Name(6));
        assert_eq!(first("'a"), Token::Open("a literal"));
    }

    #[test]
    fn comments_nest() {
        assert_eq!(first("/* a /* b */ c */ d"), Token::BlockComment(17));
        assert_eq!(first("/*/ */"), Token::BlockComment(6));
        assert_eq!(first("/* a /* b */ c"), Token::Open("a comment"));
        assert_eq!(first("-- a\nb"), Token::LineComment(4));
        assert_eq!(first("- a"), Token::Symbol(b'-'));
    }
}
