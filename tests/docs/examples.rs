//! What the pages and the README tell to type is typed, block by block, as it stands.

use super::host::Host;
use super::page::Page;
use super::recovery::RECOVERY;
use std::fs;
use std::path::Path;

/// What can't be run here, by how the line begins, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("cd sg-toolkit", "the tests run in it"),
    ("make", "make runs the tests"),
    ("systemctl", "there is no booted systemd"),
    ("apt install", "the host tests install the package"),
    ("runuser", "the host tests create the role"),
    ("install -m", "the host tests install the configuration"),
    ("sg-alert --test", "there is no mail server"),
];

/// What the README leaves to the reader.
const PLACEHOLDERS: &[(&str, &str)] = &[
    (
        "restore db FILE",
        "restore db \"$(sg-list --app shop --kind db --newest)\"",
    ),
    (
        "restore volume FILE",
        "restore volume \"$(sg-list --app shop --kind volume --newest)\"",
    ),
    (
        "db_shop_….sql.gz",
        "/mnt/disk/db_shop_20261121_033000.sql.gz",
    ),
    (
        "volume_shop-files_….tar.gz",
        "/mnt/disk/volume_shop-files_20261121_033004.tar.gz",
    ),
    ("NEW_DATABASE", "new"),
    ("DIRECTORY", "/mnt/disk/new"),
];

/// What an example takes for granted, by a word of it.
const GIVEN: &[(&str, &str)] = &[
    (
        "--table orders",
        "psql -Xq -c 'DROP TABLE IF EXISTS orders' shop",
    ),
    ("NEW_DATABASE", "createdb new"),
    ("-C DIRECTORY", "mkdir /mnt/disk/new"),
];

/// The lines of a block that can be run here.
pub(super) fn lines_to_run(block: &str) -> impl Iterator<Item = &str> {
    let is_run = |line: &&str| !NOT_RUN.iter().any(|(begin, _)| line.starts_with(begin));
    block.lines().filter(is_run)
}

/// What is to be run of a block of commands.
fn runnable(block: &str) -> String {
    let mut script = String::new();
    for line in lines_to_run(block) {
        for (word, given) in GIVEN {
            if line.contains(word) {
                script.push_str(given);
                script.push('\n');
            }
        }
        let line = PLACEHOLDERS
            .iter()
            .fold(line.to_owned(), |line, (word, here)| {
                line.replace(word, here)
            });
        script.push_str(&line);
        script.push('\n');
    }
    script
}

/// Types `blocks` of commands one after the other.
#[track_caller]
fn all_work(host: &Host, document: &str, blocks: &[String]) {
    for script in blocks.iter().map(|block| runnable(block)) {
        let output = host.run(&script);
        assert!(
            output.status.success(),
            "{document}: {}\n{script}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn the_examples_of_the_pages_work_as_typed() {
    let host = Host::new();
    // What is lost comes back in a test of its own, which also looks at what came back.
    let pages = Page::all().into_iter();
    for page in pages.filter(|page| page.file != RECOVERY) {
        let examples = page.examples();
        assert!(!examples.is_empty(), "{} has no examples", page.file);
        host.reset();
        all_work(&host, &page.file, &examples);
    }
}

#[test]
fn the_commands_of_the_readme_work_as_typed() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let blocks: Vec<String> = readme
        .split("```")
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    let host = Host::new();
    // It tells the story from its beginning.
    fs::remove_dir_all(host.path("store")).unwrap();
    // Which the night would have brought along.
    host.set_up(
        "sg-archive-volume -q --app shop --config '/etc/sg /srv/shop/.env' | sg-verify -q
         sg-dump-db -q --app shop --database shop --globals | sg-verify -q
         rm $SG_DIRECTORY/db_*",
    );
    all_work(&host, "README.md", &blocks);
}
