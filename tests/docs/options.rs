//! What a page says of a program's options is what the program's parser knows, word for word.

use super::commands;
use super::page::{Entry, Page, variables};
use clap::{Arg, Command};
use sg::program::Exit;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Variables that are no option's, and where they are read.
const OTHER_VARIABLES: &[(&str, &str)] = &[
    ("SG_UNITS", "lib/system/plan.rs"),
    ("SG_HEALTH_URL", "lib/system/health.rs"),
    ("SG_HEALTH_COMMAND", "lib/system/health.rs"),
    ("SG_HEALTH_TIMEOUT", "lib/system/health.rs"),
    ("SG_MAX_AGE", "units/sg-freshness@.service"),
    ("SG_RPO", "lib/status/gather.rs"),
    ("SG_RTO", "lib/status/gather.rs"),
    ("SG_PG_BINDIR", "lib/postgres/programs.rs"),
    ("SG_SMTP_PASSWORD", "bins/sg-alert/channels.rs"),
    ("SG_ALERT_WEBHOOK_URL", "bins/sg-alert/channels.rs"),
    ("SG_PING_URL", "bins/sg-alert/channels.rs"),
    ("SG_DRILL_PING_URL", "bins/sg-alert/channels.rs"),
];

/// Each program with its page; those that have subcommands come once for each, with the section of
/// OPTIONS that is theirs.
fn each(mut check: impl FnMut(&Command, &Page, &[Entry])) {
    for mut program in commands::all() {
        program.build();
        let page = Page::read(&format!("{}.8", program.get_name()));
        let options = page.section("OPTIONS");
        let subcommands: Vec<&Command> = program
            .get_subcommands()
            .filter(|subcommand| subcommand.get_name() != "help")
            .collect();
        if subcommands.is_empty() {
            check(&program, &page, &Page::entries(options));
        }
        let common = options.iter().position(|line| line.starts_with(".Ss "));
        for subcommand in subcommands {
            let title = format!("{} {}", program.get_name(), subcommand.get_name());
            let own = page.section(&title);
            assert!(!own.is_empty(), "{}: no section '{title}'", page.file);
            let mut entries = Page::entries(&options[..common.unwrap_or(options.len())]);
            entries.extend(Page::entries(own));
            // The program's alone, not its subcommands'.
            entries.retain(|entry| !entry.flags.contains(&"--version".to_owned()));
            check(subcommand, &page, &entries);
        }
    }
}

fn flags(arg: &Arg) -> Vec<String> {
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    short.into_iter().chain(long).collect()
}

fn value(arg: &Arg) -> Option<String> {
    let named = arg.get_action().takes_values();
    let names = arg.get_value_names().filter(|_| named)?;
    names.first().map(ToString::to_string)
}

#[test]
fn pages_document_each_option_and_no_other() {
    let mut wrong = Vec::new();
    each(|command, page, entries| {
        for arg in command.get_arguments() {
            let (flags, value) = (flags(arg), value(arg));
            let entry = entries
                .iter()
                .find(|entry| entry.flags == flags && (!flags.is_empty() || entry.value == value));
            let Some(entry) = entry else {
                wrong.push(format!("{}: nothing about {flags:?} {value:?}", page.file));
                continue;
            };
            let mut differs = |what: &str, says: Option<&str>, is: Option<&str>| {
                if says != is {
                    let name = entry.name();
                    wrong.push(format!("{}: {name}: {what} {says:?}, is {is:?}", page.file));
                }
            };
            let env = arg.get_env().and_then(|name| name.to_str());
            differs("value", entry.value.as_deref(), value.as_deref());
            differs("variable", entry.variable.as_deref(), env);
            let default = arg.get_default_values().first();
            let default = default
                .filter(|_| arg.get_action().takes_values() && !arg.is_hide_default_value_set());
            let default = default.and_then(|default| default.to_str());
            differs("default", entry.stated_default(), default);
            for possible in arg.get_possible_values() {
                let name = possible.get_name();
                if value.as_deref() != Some(name) && arg.get_action().takes_values() {
                    let mut words = entry.text.split_whitespace();
                    let said = words.any(|word| word == name);
                    differs("choice", said.then_some(name), Some(name));
                }
            }
        }
        for entry in entries {
            let known = command.get_arguments().any(|arg| {
                flags(arg) == entry.flags && (!entry.flags.is_empty() || value(arg) == entry.value)
            });
            if !known {
                wrong.push(format!("{}: {} is no option", page.file, entry.name()));
            }
        }
    });
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn pages_speak_of_no_option_that_does_not_exist() {
    for mut program in commands::all() {
        program.build();
        let of = |command: &Command| -> Vec<String> {
            command.get_arguments().flat_map(flags).collect()
        };
        let known: BTreeSet<String> = of(&program)
            .into_iter()
            .chain(program.get_subcommands().flat_map(of))
            .collect();
        let page = Page::read(&format!("{}.8", program.get_name()));
        let unknown: Vec<_> = page.flags().difference(&known).cloned().collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", page.file);
    }
}

/// Every variable that something reads.
fn known_variables() -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    each(|command, _, _| {
        let names = command.get_arguments().filter_map(Arg::get_env);
        known.extend(names.filter_map(|name| Some(name.to_str()?.to_owned())));
    });
    for (name, reader) in OTHER_VARIABLES {
        let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join(reader);
        assert!(fs::read_to_string(reader).unwrap().contains(name), "{name}");
        known.insert((*name).to_owned());
    }
    known
}

#[test]
fn every_variable_that_is_written_of_is_read_and_the_other_way_round() {
    let known = known_variables();
    let mut files: Vec<(String, BTreeSet<String>)> = Page::all()
        .into_iter()
        .map(|page| (page.file.clone(), page.variables()))
        .collect();
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(readme).unwrap();
    files.push(("README.md".into(), variables(&readme).into_iter().collect()));
    for (file, variables) in &files {
        let unknown: Vec<_> = variables.difference(&known).collect();
        assert!(unknown.is_empty(), "nothing reads {unknown:?} of {file}");
    }
    let conf = Page::read("sg.conf.5").variables();
    let missing: Vec<_> = known.difference(&conf).collect();
    assert!(
        missing.is_empty(),
        "sg.conf.5 has nothing about {missing:?}"
    );
}

#[test]
fn every_page_has_the_one_table_of_exit_statuses() {
    let expected: Vec<(String, String)> = Exit::TABLE
        .iter()
        .map(|(exit, words)| ((*exit as u8).to_string(), (*words).to_owned()))
        .collect();
    let pages = Page::all();
    let speaks_of_it = |page: &&Page| !page.section("EXIT STATUS").is_empty();
    let with_it: Vec<&Page> = pages.iter().filter(speaks_of_it).collect();
    let programs = pages.iter().filter(|page| page.file.ends_with(".8"));
    assert_eq!(with_it.len(), programs.count() + 1, "and sg-toolkit.7");
    let pages = with_it;
    for page in pages {
        let section = page.section("EXIT STATUS");
        let end = section.iter().position(|line| line == ".El").unwrap_or(0);
        let table: Vec<(String, String)> = section[..end]
            .split(|line| line.starts_with(".It "))
            .zip(section.iter().filter(|line| line.starts_with(".It ")))
            .map(|(_, number)| number[4..].to_owned())
            .zip(
                section[..end]
                    .split(|line| line.starts_with(".It "))
                    .skip(1)
                    .map(|words| words.join(" ")),
            )
            .collect();
        assert_eq!(table, expected, "{}", page.file);
    }
}
