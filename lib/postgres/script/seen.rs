//! Where a statement ends depends on what has been seen of it: a semicolon in parentheses or in the body
//! of a function does not end it, and rows follow a `COPY … FROM stdin`.

/// What has been seen of the statement at hand.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) begun: bool,
    pub(super) parens: usize,
    /// Depth of `BEGIN … END` in the body of a function.
    pub(super) blocks: usize,
    pub(super) words: usize,
    /// Initials of the first words, as psql keeps them to tell `CREATE FUNCTION` from the rest.
    initials: [u8; 4],
    copy: bool,
    from: bool,
    stdin: bool,
}

impl Seen {
    /// Whether rows follow its semicolon.
    pub(super) fn is_followed_by_rows(&self) -> bool {
        self.copy && self.stdin
    }

    /// Takes the next word.
    pub(super) fn word(&mut self, word: &[u8]) {
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword.as_bytes());
        if self.words == 0 {
            self.copy = is("copy");
        }
        if self.copy && self.parens == 0 {
            self.stdin |= self.from && is("stdin");
            self.from = is("from");
        }
        if self.words < 4
            && ["create", "function", "procedure", "or", "replace"]
                .into_iter()
                .any(is)
        {
            self.initials[self.words] = word[0].to_ascii_lowercase();
        }
        self.words += 1;
        let routine = matches!(
            self.initials,
            [b'c', b'f' | b'p', ..] | [b'c', b'o', b'r', b'f' | b'p']
        );
        if routine && self.parens == 0 {
            if is("begin") || (is("case") && self.blocks > 0) {
                self.blocks += 1;
            } else if is("end") {
                self.blocks = self.blocks.saturating_sub(1);
            }
        }
    }
}
