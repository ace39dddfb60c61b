//! Each program has its place in every document, and every document's references lead somewhere.

use super::commands;
use super::page::Page;
use crate::support::{child, program, scratch};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The programs, by their directories.
fn programs() -> BTreeSet<String> {
    fs::read_dir(root().join("bins"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}

#[test]
fn every_program_is_in_every_document() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let overview = Page::read("sg-toolkit.7").source();
    let defined: BTreeSet<String> = commands::all()
        .iter()
        .map(|command| command.get_name().to_owned())
        .collect();
    assert_eq!(defined, programs(), "bins/commands.rs");
    for name in programs() {
        let page = Page::read(&format!("{name}.8")).source();
        assert!(page.contains(&format!(".Nm {name}\n")), "{name}.8");
        assert!(
            readme.contains(&format!("\n| `{name}` |")),
            "{name}: README"
        );
        let mention = format!(".Xr {name} 8");
        assert!(
            overview.contains(&format!(".It {}", &mention[1..])),
            "{name}: sg-toolkit.7"
        );
        let after = overview.split_once(".Sh SEE ALSO").unwrap().1;
        assert!(after.contains(&mention), "{name}: SEE ALSO of sg-toolkit.7");
    }
}

#[test]
fn every_program_is_in_the_one_file_of_the_packages() {
    let toolkit = || {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("sg-toolkit"));
        // Help shows what a variable is set to, and this one is set for every program in a test.
        command.env("SG_NO_AUDIT", "yes");
        command
    };
    let introduction = toolkit().output().unwrap();
    assert!(introduction.status.success());
    let text = String::from_utf8(introduction.stdout).unwrap();
    let named: BTreeSet<String> = text.lines().skip(1).map(str::to_owned).collect();
    assert_eq!(named, programs(), "bins/toolkit.rs");
    for name in programs() {
        // Help shows what variables are set to: both must see the same ones.
        let mut alike = child(&name);
        let environment: Vec<_> = alike
            .get_envs()
            .map(|(variable, value)| (variable.to_owned(), value.map(ToOwned::to_owned)))
            .collect();
        let mut together = toolkit();
        for (variable, value) in environment {
            match value {
                Some(value) => together.env(variable, value),
                None => together.env_remove(variable),
            };
        }
        let alone = alike.arg("--help").output().unwrap();
        together.arg0(format!("/usr/bin/{name}")).arg("--help");
        let together = together.output().unwrap();
        assert!(together.status.success(), "{name}");
        assert_eq!(together.stdout, alone.stdout, "{name}");
    }
}

#[test]
fn pages_refer_to_pages_that_exist() {
    let pages = Page::all();
    let files: BTreeSet<&str> = pages.iter().map(|page| page.file.as_str()).collect();
    for page in &pages {
        let source = page.source();
        for reference in source.lines().filter_map(|line| line.split_once("Xr sg")) {
            let mut words = reference.1.split_whitespace();
            let file = format!("sg{}.{}", words.next().unwrap(), words.next().unwrap());
            assert!(files.contains(file.as_str()), "{}: {file}", page.file);
        }
    }
}

#[test]
fn relative_links_lead_somewhere() {
    for entry in fs::read_dir(root()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1) {
            let target = link.split(')').next().unwrap();
            let target = target.split('#').next().unwrap();
            if !target.is_empty() && !target.contains("://") {
                assert!(root().join(target).exists(), "{}: {target}", path.display());
            }
        }
    }
}

#[test]
fn programs_tell_what_they_are_and_print_no_error_to_standard_output() {
    for name in programs() {
        let version = program(&name).arg("--version").output().unwrap();
        let expected = format!("{name} {}\n", env!("CARGO_PKG_VERSION"));
        assert!(version.status.success(), "{name}");
        assert_eq!(String::from_utf8_lossy(&version.stdout), expected);
        for flag in ["-h", "--help"] {
            let help = program(&name).arg(flag).output().unwrap();
            assert!(
                help.status.success() && help.stderr.is_empty(),
                "{name} {flag}"
            );
            let text = String::from_utf8_lossy(&help.stdout);
            assert!(text.contains(&format!("Usage: {name}")), "{name}: {text}");
        }
        let wrong = program(&name).arg("--no-such-option").output().unwrap();
        assert_eq!(wrong.status.code(), Some(2), "{name}");
        assert!(wrong.stdout.is_empty(), "{name}");
        let message = String::from_utf8_lossy(&wrong.stderr);
        assert!(message.contains("--no-such-option"), "{name}: {message}");
    }
}

#[test]
fn variables_are_understood_as_people_write_them() {
    let store = scratch();
    let prune = |settings: &[(&str, &str)]| {
        let mut command = program("sg-prune");
        command.env("SG_DIRECTORY", store.path()).arg("--app=shop");
        let output = command.envs(settings.iter().copied()).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap(), words)
    };
    for yes in ["1", "yes", "true", "on"] {
        let (status, words) = prune(&[("SG_KEEP_DAILY", "7"), ("SG_DRY_RUN", yes)]);
        assert!(
            status == 3 && words.contains("would remove"),
            "{yes}: {words}"
        );
    }
    for no in ["0", "no", "false", "off", ""] {
        let (status, words) = prune(&[("SG_KEEP_DAILY", "7"), ("SG_DRY_RUN", no)]);
        assert!(
            status == 3 && !words.contains("would remove"),
            "{no}: {words}"
        );
    }
    // An empty one takes back what was said before, and is no wrong number.
    let (status, words) = prune(&[("SG_KEEP_DAILY", ""), ("SG_LOG", ""), ("SG_KEEP_LAST", "1")]);
    assert_eq!(status, 3, "{words}");
    let (status, words) = prune(&[("SG_KEEP_DAILY", "")]);
    assert!(status == 2 && words.contains("no rule"), "{words}");
    let (status, words) = prune(&[("SG_KEEP_DAILY", "many")]);
    assert!(status == 2 && words.contains("many"), "{words}");
}

#[test]
fn every_shell_completes_every_option() {
    let directory = scratch();
    program("completions")
        .arg(directory.path())
        .assert()
        .success();
    for command in commands::all() {
        let name = command.get_name();
        for file in [
            format!("bash-completion/completions/{name}"),
            format!("zsh/site-functions/_{name}"),
            format!("fish/vendor_completions.d/{name}.fish"),
        ] {
            let text = fs::read_to_string(directory.path().join(&file)).unwrap();
            let subcommands = command.get_subcommands();
            let arguments = subcommands
                .chain([&command])
                .flat_map(clap::Command::get_arguments);
            for long in arguments.filter_map(|argument| argument.get_long()) {
                assert!(text.contains(long), "{file}: --{long}");
            }
        }
    }
}
