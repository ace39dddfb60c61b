//! The words of a statement, taken one after the other: what all of its readers need to find their way.

use super::relation::{Relation, quote};
use super::token::{Token, token};

/// The tokens of a statement that mean something.
pub(super) struct Parser<'a> {
    pub(super) tokens: Vec<(Token, &'a [u8])>,
    pub(super) at: usize,
}

/// No summary needs more tokens than this; what is longer is the body of something.
const TOKENS: usize = 2000;

impl<'a> Parser<'a> {
    pub(super) fn new(statement: &'a [u8]) -> Self {
        let mut tokens = Vec::new();
        let mut at = 0;
        while at < statement.len() && tokens.len() < TOKENS {
            let found = token(&statement[at..], true);
            let length = found.length();
            if length == 0 {
                break;
            }
            if !matches!(
                found,
                Token::Space(_) | Token::LineComment(_) | Token::BlockComment(_)
            ) {
                tokens.push((found, &statement[at..at + length]));
            }
            at += length;
        }
        Self { tokens, at: 0 }
    }

    pub(super) fn accept(&mut self, keyword: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some((Token::Word(_), word))
            if word.eq_ignore_ascii_case(keyword.as_bytes()));
        self.at += usize::from(found);
        found
    }

    pub(super) fn accept_all(&mut self, keywords: &[&str]) -> bool {
        let from = self.at;
        if keywords.iter().all(|keyword| self.accept(keyword)) {
            return true;
        }
        self.at = from;
        false
    }

    pub(super) fn symbol(&mut self, symbol: u8) -> bool {
        let found = matches!(self.tokens.get(self.at), Some((Token::Symbol(b), _)) if *b == symbol);
        self.at += usize::from(found);
        found
    }

    /// Goes behind the next `keyword` outside of parentheses.
    pub(super) fn seek(&mut self, keyword: &str) -> Option<()> {
        let mut depth = 0usize;
        while let Some(&(kind, _)) = self.tokens.get(self.at) {
            match kind {
                Token::Symbol(b'(') => depth += 1,
                Token::Symbol(b')') => depth = depth.saturating_sub(1),
                _ if depth == 0 && self.accept(keyword) => return Some(()),
                _ => {}
            }
            self.at += 1;
        }
        None
    }

    pub(super) fn name(&mut self) -> Option<String> {
        let (kind, text) = self.tokens.get(self.at)?;
        let text = String::from_utf8_lossy(text);
        let name = match kind {
            Token::Word(_) => text.to_lowercase(),
            Token::Name(_) => text[1..text.len() - 1].replace("\"\"", "\""),
            _ => return None,
        };
        self.at += 1;
        Some(name)
    }

    pub(super) fn relation(&mut self) -> Option<Relation> {
        let schema = self.name()?;
        if !self.symbol(b'.') {
            return None;
        }
        Some(Relation::new(schema, self.name()?))
    }

    /// Roles in a list, PUBLIC and the keywords behind it left out.
    pub(super) fn roles(&mut self) -> Vec<String> {
        let mut roles = Vec::new();
        loop {
            let quoted = matches!(self.tokens.get(self.at), Some((Token::Name(_), _)));
            let _ = self.accept("group");
            match self.name() {
                Some(role)
                    if quoted
                        || !matches!(
                            role.as_str(),
                            "public" | "current_user" | "session_user" | "current_role"
                        ) =>
                {
                    roles.push(role);
                }
                Some(_) => {}
                None => break,
            }
            if !self.symbol(b',') {
                break;
            }
        }
        roles
    }

    pub(super) fn authorization(&mut self) -> Option<String> {
        match self.tokens.get(self.at)? {
            (Token::Text(n), text) => {
                Some(String::from_utf8_lossy(&text[1..n - 1]).replace("''", "'"))
            }
            (Token::Word(_), word) if word.eq_ignore_ascii_case(b"default") => None,
            _ => self.name(),
        }
    }

    pub(super) fn only_relation(&mut self) -> Option<Relation> {
        let _ = self.accept_all(&["if", "exists"]);
        let _ = self.accept("only");
        self.relation()
    }

    /// `(a, b)` if that and a semicolon is all that is left.
    pub(super) fn columns(&mut self) -> Option<String> {
        if !self.symbol(b'(') {
            return None;
        }
        let mut columns = Vec::new();
        loop {
            columns.push(quote(&self.name()?));
            if !self.symbol(b',') {
                break;
            }
        }
        let whole = self.symbol(b')') && self.symbol(b';') && self.at == self.tokens.len();
        whole.then(|| format!("({})", columns.join(", ")))
    }
}
