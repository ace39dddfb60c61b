//! A man page as its tests see it. No more of mdoc(7) is understood than our pages are written in:
//! one `.It` for each option, with its value's name and its variable, then its text.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A page's source.
pub(super) struct Page {
    pub(super) file: String,
    lines: Vec<String>,
}

/// What a page says of one option or operand.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// `-d`, `--directory`; none for an operand.
    pub(super) flags: Vec<String>,
    /// The name of its value.
    pub(super) value: Option<String>,
    /// The variable that sets it.
    pub(super) variable: Option<String>,
    /// The words that it is explained by.
    pub(super) text: String,
}

impl Entry {
    /// What follows "The default is".
    pub(super) fn stated_default(&self) -> Option<&str> {
        let after = self.text.split_once("The default is ")?.1;
        after.split_whitespace().next()
    }

    /// How it is called in messages.
    pub(super) fn name(&self) -> String {
        match self.flags.last() {
            Some(flag) => flag.clone(),
            None => self.value.clone().unwrap_or_default(),
        }
    }
}

impl Page {
    /// The page `file` in `man/`.
    pub(super) fn read(file: &str) -> Self {
        let path = manual().join(file);
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|cause| panic!("{} has no page: {cause}", path.display()));
        Self {
            file: file.to_owned(),
            lines: text.lines().map(str::to_owned).collect(),
        }
    }

    /// All pages there are.
    pub(super) fn all() -> Vec<Self> {
        let mut files: Vec<String> = fs::read_dir(manual())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        files.iter().map(|file| Self::read(file)).collect()
    }

    /// The lines of a section, `.Sh` or `.Ss`, up to the next of its kind.
    pub(super) fn section(&self, name: &str) -> &[String] {
        let is = |line: &String, mark: &str| line.strip_prefix(mark) == Some(name);
        let Some(start) = self
            .lines
            .iter()
            .position(|line| is(line, ".Sh ") || is(line, ".Ss "))
        else {
            return &[];
        };
        let rest = &self.lines[start + 1..];
        let sub = self.lines[start].starts_with(".Ss ");
        let end = rest
            .iter()
            .position(|line| line.starts_with(".Sh ") || sub && line.starts_with(".Ss "));
        &rest[..end.unwrap_or(rest.len())]
    }

    /// What `lines` of this page say, item by item.
    pub(super) fn entries(lines: &[String]) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for line in lines {
            if let Some(head) = line.strip_prefix(".It ") {
                entries.push(entry(head));
            } else if line.starts_with(".El") || line.starts_with(".Ss") {
                // What follows belongs to no item.
                entries.push(Entry::default());
            } else if let Some(entry) = entries.last_mut() {
                entry.text.push_str(&plain(line));
                entry.text.push(' ');
            }
        }
        entries.retain(|entry| !entry.flags.is_empty() || entry.value.is_some());
        entries
    }

    /// Every option that is spoken of, anywhere.
    pub(super) fn flags(&self) -> BTreeSet<String> {
        self.lines
            .iter()
            .filter(|line| line.starts_with('.'))
            .flat_map(|line| entry(line).flags)
            .collect()
    }

    /// Every `SG_…` word.
    pub(super) fn variables(&self) -> BTreeSet<String> {
        self.lines.iter().flat_map(|line| variables(line)).collect()
    }

    /// The commands of EXAMPLES: each literal block by itself.
    pub(super) fn examples(&self) -> Vec<String> {
        let recipes = self.recipes().into_iter();
        recipes.flat_map(|(_, blocks)| blocks).collect()
    }

    /// The same by the titles that they stand under.
    pub(super) fn recipes(&self) -> Vec<(String, Vec<String>)> {
        let mut recipes = vec![(String::new(), Vec::new())];
        let mut block: Option<String> = None;
        for line in self.section("EXAMPLES") {
            if let Some(title) = line.strip_prefix(".Ss ") {
                recipes.push((title.to_owned(), Vec::new()));
            } else if line.starts_with(".Bd ") {
                block = Some(String::new());
            } else if line.starts_with(".Ed") {
                if let Some((_, blocks)) = recipes.last_mut() {
                    blocks.extend(block.take());
                }
            } else if let Some(block) = &mut block {
                assert!(!line.starts_with('.'), "{}: {line}", self.file);
                block.push_str(&line.replace("\\e", "\\").replace("\\&", ""));
                block.push('\n');
            }
        }
        recipes
    }

    /// The page as one text, with the macros in it.
    pub(super) fn source(&self) -> String {
        self.lines.join("\n")
    }
}

/// The directory of the pages.
pub(super) fn manual() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("man")
}

/// Every `SG_…` word of `text`.
pub(super) fn variables(text: &str) -> Vec<String> {
    text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
        .filter(|word| word.starts_with("SG_") && word.len() > 3)
        .map(str::to_owned)
        .collect()
}

/// Reads the head of an item, or another macro line: `Fl d , Fl -directory Ar DIR Pq Ev SG_DIRECTORY`.
fn entry(line: &str) -> Entry {
    let mut entry = Entry::default();
    let mut words = line.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let mut argument = || {
            words
                .next_if(|next| !matches!(*next, "," | "|"))
                .map(str::to_owned)
        };
        match word.trim_start_matches('.') {
            "Fl" => {
                let flag = argument().unwrap_or_default();
                match flag.strip_prefix('-') {
                    Some(long) => entry.flags.push(format!("--{long}")),
                    // `-a0q`: several in one.
                    None => entry
                        .flags
                        .extend(flag.chars().map(|short| format!("-{short}"))),
                }
            }
            "Ar" => entry.value = argument(),
            "Ev" => entry.variable = argument(),
            _ => {}
        }
    }
    entry
}

/// A line without its macros.
fn plain(line: &str) -> String {
    let Some(rest) = line.strip_prefix('.') else {
        return line.to_owned();
    };
    let words: Vec<&str> = rest
        .split_whitespace()
        .filter(|word| !(word.len() == 2 && word.starts_with(|c: char| c.is_ascii_uppercase())))
        .collect();
    words.join(" ")
}
