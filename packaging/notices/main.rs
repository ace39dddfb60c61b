//! Writes who else made what is in the programs, and on which terms: `notices HEAD TRIPLE OUTPUT`.
//!
//! The program is one file in which all crates that it is built from are linked, so each of their notices
//! has to come with it. HEAD is the copyright file of our own part, in Debian's format; a paragraph for each
//! text of a licence follows, with the crates that are under it. It is made when the package is built, so it
//! names what is in that package.
//!
//! Of a choice of licences with the MIT licence among them, that one is taken. A crate of which no text can
//! be found stops the build.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

/// How files with a licence or a notice are called.
const CALLED: [&str; 6] = [
    "license",
    "licence",
    "copying",
    "copyright",
    "notice",
    "unlicense",
];
/// Licences that a choice can be made against, as the names of files have them.
const OTHERS: [&str; 7] = ["apache", "unlicense", "zlib", "bsd", "cc0", "boost", "isc"];
/// The sources that a crate brings of others lie so deep.
const DEPTH: usize = 2;
/// No part of what is linked.
const ASIDE: [&str; 5] = ["tests", "examples", "benches", "fuzz", "target"];
/// The first and the last words of the terms of the Apache License.
const APACHE: (&str, &str) = (
    "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION",
    "END OF TERMS AND CONDITIONS",
);
const APACHE_IS_AT: &str = "(its terms are in /usr/share/common-licenses/Apache-2.0, and beside this file where that is not)";
const MIT: &str = include_str!("../../LICENSE-MIT");

struct Crate {
    name: String,
    version: String,
    license: String,
    authors: Vec<String>,
    home: String,
    directory: PathBuf,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [head, triple, output] = arguments.as_slice() else {
        bail!("usage: notices HEAD TRIPLE OUTPUT");
    };
    let mut text = fs::read_to_string(head).with_context(|| format!("cannot read '{head}'"))?;
    // The crates that share their texts share a paragraph.
    let mut paragraphs = BTreeMap::<Vec<String>, Vec<Crate>>::new();
    for one in linked(triple)? {
        let texts = texts(&one)?;
        paragraphs.entry(texts).or_default().push(one);
    }
    let mut paragraphs: Vec<_> = paragraphs.into_iter().collect();
    paragraphs.sort_by(|(_, one), (_, other)| one[0].name.cmp(&other[0].name));
    for (texts, crates) in &paragraphs {
        paragraph(&mut text, texts, crates)?;
    }
    fs::write(output, text).with_context(|| format!("cannot write '{output}'"))
}

/// The crates whose code is in the program, by name and version.
fn linked(triple: &str) -> Result<Vec<Crate>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--locked", "--format-version=1"])
        .arg(format!("--filter-platform={triple}"))
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", output.status);
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let by_id = |list: &Value| -> BTreeMap<String, Value> {
        let entries = list.as_array().into_iter().flatten();
        entries
            .map(|entry| (text(&entry["id"]), entry.clone()))
            .collect()
    };
    let packages = by_id(&metadata["packages"]);
    let nodes = by_id(&metadata["resolve"]["nodes"]);
    let root = text(&metadata["resolve"]["root"]);
    let mut seen = BTreeSet::from([root.clone()]);
    let mut open = vec![root.clone()];
    while let Some(id) = open.pop() {
        for dependency in nodes[&id]["deps"].as_array().into_iter().flatten() {
            let kinds = dependency["dep_kinds"].as_array();
            let is_linked =
                kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()));
            let id = text(&dependency["pkg"]);
            // What only writes code for the compiler is not in what it compiles.
            if is_linked && !writes_code(&packages[&id]) && seen.insert(id.clone()) {
                open.push(id);
            }
        }
    }
    seen.remove(&root);
    let mut crates: Vec<Crate> = seen.iter().map(|id| read(&packages[id])).collect();
    crates.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
    Ok(crates)
}

fn writes_code(package: &Value) -> bool {
    let targets = package["targets"].as_array().into_iter().flatten();
    let mut kinds = targets.flat_map(|target| target["kind"].as_array().into_iter().flatten());
    kinds.any(|kind| kind == "proc-macro")
}

fn read(package: &Value) -> Crate {
    let authors = package["authors"].as_array().into_iter().flatten();
    Crate {
        name: text(&package["name"]),
        version: text(&package["version"]),
        license: text(&package["license"]),
        authors: authors.map(text).collect(),
        home: text(&package["repository"]),
        directory: PathBuf::from(text(&package["manifest_path"])).with_file_name(""),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The texts that go with a crate.
fn texts(one: &Crate) -> Result<Vec<String>> {
    let mut files = Vec::new();
    find(&one.directory, DEPTH, &mut files)?;
    files.sort();
    let called = |file: &Path| file.file_name().map_or_else(String::new, lower);
    let is_choice = (one.license.contains(" OR ") || one.license.contains('/'))
        && !one.license.contains(" AND ");
    if is_choice && files.iter().any(|file| called(file).contains("mit")) {
        files.retain(|file| !OTHERS.iter().any(|other| called(file).contains(other)));
    }
    let mut texts = BTreeSet::new();
    for file in &files {
        let bytes = fs::read(file).with_context(|| format!("cannot read '{}'", file.display()))?;
        texts.insert(tidy(&String::from_utf8_lossy(&bytes)));
    }
    texts.remove("");
    if texts.is_empty() {
        if !one.license.contains("MIT") {
            bail!(
                "{} {} ({}) has no text of its licence",
                one.name,
                one.version,
                one.license
            );
        }
        let terms = MIT.split_once("\n\n").map_or(MIT, |(_, terms)| terms);
        let terms = terms
            .split_once("\n\n")
            .filter(|(first, _)| first.starts_with("Copyright"))
            .map_or(terms, |(_, terms)| terms);
        texts.insert(tidy(&format!("Copyright {}\n\n{terms}", owners(one))));
    }
    Ok(texts.into_iter().collect())
}

fn find(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let unreadable = || format!("cannot read '{}'", directory.display());
    let mut here = Vec::new();
    for entry in fs::read_dir(directory).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let name = lower(&entry.file_name());
        if entry.file_type().with_context(unreadable)?.is_dir() {
            if depth > 0 && !ASIDE.contains(&name.as_str()) {
                find(&entry.path(), depth - 1, files)?;
            }
        } else if CALLED.iter().any(|called| name.starts_with(called)) && !name.ends_with(".rs") {
            here.push((name, entry.path()));
        }
    }
    // Where both are there, the second is the one of the GNU project, and another choice.
    let chosen = here.iter().any(|(name, _)| name.starts_with("license"));
    here.retain(|(name, _)| !(chosen && name.starts_with("copying")));
    files.extend(here.into_iter().map(|(_, path)| path));
    Ok(())
}

fn lower(name: &std::ffi::OsStr) -> String {
    name.to_string_lossy().to_lowercase()
}

/// The same text for all who have only broken it otherwise, and without what every host has already.
fn tidy(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let mut text = lines.join("\n");
    while let Some(begin) = text.find(APACHE.0)
        && let Some(length) = text[begin..].find(APACHE.1)
    {
        text.replace_range(begin..begin + length + APACHE.1.len(), APACHE_IS_AT);
    }
    text.trim_matches('\n').to_owned()
}

fn owners(one: &Crate) -> String {
    if one.authors.is_empty() {
        format!("the authors of {}", one.name)
    } else {
        one.authors.join(", ")
    }
}

fn paragraph(out: &mut String, texts: &[String], crates: &[Crate]) -> Result<()> {
    let files: Vec<String> = crates
        .iter()
        .map(|one| format!("crates/{}-{}/*", one.name, one.version))
        .collect();
    let mut copyright: Vec<String> = Vec::new();
    for line in texts.iter().flat_map(|text| text.lines()).map(str::trim) {
        let said = line.to_lowercase();
        let is_one = said.starts_with("copyright ")
            && (said.contains("(c)")
                || said.contains('©')
                || said.contains(|c: char| c.is_ascii_digit()));
        if is_one && !copyright.iter().any(|known| known == line) {
            copyright.push(line.to_owned());
        }
    }
    if copyright.is_empty() {
        copyright = crates.iter().map(owners).collect();
        copyright.dedup();
    }
    let comment: Vec<String> = crates
        .iter()
        .map(|one| {
            format!(
                "{} {}: {}, {}",
                one.name, one.version, one.license, one.home
            )
        })
        .collect();
    let first = &crates[0];
    write!(
        out,
        "\nFiles: {}\nCopyright: {}\nComment:\n {}\nLicense: of-{}-{}\n",
        files.join("\n "),
        copyright.join("\n "),
        comment.join("\n "),
        first.name,
        first.version,
    )?;
    for line in texts.join("\n\n").lines() {
        match line {
            "" => out.push_str(" .\n"),
            line => writeln!(out, " {line}")?,
        }
    }
    Ok(())
}
