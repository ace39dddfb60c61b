//! The files that others read: written whole or not at all, and a page that a browser draws.

use super::{Host, read};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

#[test]
fn files_are_replaced_in_one_step() {
    let host = Host::new("");
    let (page, metrics) = (host.path("index.html"), host.path("sg.prom"));
    let arguments = [
        "--html",
        page.to_str().unwrap(),
        "--prometheus",
        metrics.to_str().unwrap(),
    ];
    for _ in 0..2 {
        let output = host.output(&arguments);
        assert!(
            output.status.success() && output.stdout.is_empty(),
            "{output:?}"
        );
    }
    assert!(read(&page).starts_with("<!doctype html>"));
    assert!(
        read(&metrics)
            .contains("\nsg_backup_size_bytes{app=\"shop\",kind=\"db\",name=\"shop\"} 8\n")
    );
    for path in [&page, &metrics] {
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o644, "{}: others are to read it", path.display());
    }
    // Whoever opened it goes on with the old one, whole: it is another file.
    let before = fs::File::open(&metrics).unwrap();
    host.backup(Some("shop"), "db", "shop", super::hours(1));
    host.output(&arguments);
    assert_ne!(std::io::read_to_string(before).unwrap(), read(&metrics));
    let left: Vec<_> = fs::read_dir(host.0.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 6, "nothing is left beside them: {left:?}");
}

#[test]
fn a_file_that_can_not_be_written_is_a_failure_and_the_old_one_stays() {
    let host = Host::new("");
    let missing = host.path("none/index.html");
    let output = host.output(&["--html", missing.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(74), "{output:?}");
    let line = super::answer(
        &host.output(&["--check", "--html", missing.to_str().unwrap()]),
        3,
        "SG UNKNOWN: cannot write",
    );
    assert!(line.contains("none/index.html"), "{line}");
    // A directory stands in the way of the last step.
    fs::create_dir(host.path("page")).unwrap();
    let output = host.output(&["--html", host.path("page").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(74), "{output:?}");
    assert!(fs::read_dir(host.0.path()).unwrap().all(|entry| {
        !entry
            .unwrap()
            .file_name()
            .to_str()
            .unwrap()
            .starts_with('.')
    }));
}

#[test]
fn the_page_tells_what_the_screen_does() {
    let host = Host::new("SG_KEEP_DAILY=7\nSG_MAX_AGE=1h");
    let page = host.path("index.html");
    host.output(&["--html", page.to_str().unwrap()]);
    let page = read(&page);
    for words in [
        "<title>The application needs you today – backups of ",
        "<a href=#a0>shop</a>: db shop: the newest backup is 2 h",
        "<code>systemctl start --wait sg-backup@shop</code>",
        "<h4>volume shop-files ",
        "Kept until",
        "aria-label=\"Size from ",
        "prefers-color-scheme:dark",
    ] {
        assert!(page.contains(words), "'{words}' in {page}");
    }
}

/// A browser, if there is one that can take a picture here.
fn browser(scratch: &Path) -> Option<&'static str> {
    let trial = scratch.join("trial.html");
    fs::write(&trial, "<!doctype html><p>x").unwrap();
    let known = ["chromium", "chromium-browser", "google-chrome"];
    known
        .into_iter()
        .find(|program| picture(program, &trial, scratch, (500, 400), 1).is_some())
}

/// The browser, with a profile in `scratch`, a window of this size, by day (`scheme` 1) or by night (0). It asks
/// nobody for anything but the page.
fn browse(program: &str, scratch: &Path, (width, height): (u32, u32), scheme: u8) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu"])
        .args(["--no-first-run", "--hide-scrollbars"])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
        ])
        .args(["--disable-sync", "--disable-quic"])
        .arg(format!(
            "--user-data-dir={}",
            scratch.join("profile").display()
        ))
        .arg(format!("--window-size={width},{height}"))
        .arg(format!("--blink-settings=preferredColorScheme={scheme}"));
    command
}

/// A picture of `page` in PNG.
fn picture(
    program: &str,
    page: &Path,
    scratch: &Path,
    size: (u32, u32),
    scheme: u8,
) -> Option<Vec<u8>> {
    let file = scratch.join("picture.png");
    // It may not be there.
    let _ = fs::remove_file(&file);
    browse(program, scratch, size, scheme)
        .arg(format!("--screenshot={}", file.display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .ok()?;
    fs::read(&file).ok()
}

#[test]
fn a_browser_draws_the_page_by_day_and_by_night() {
    let host = Host::new("SG_KEEP_DAILY=7");
    let Some(program) = browser(host.0.path()) else {
        eprintln!("skipped: no chromium that can take a picture here");
        return;
    };
    let page = host.path("index.html");
    host.output(&["--html", page.to_str().unwrap()]);
    for size in [(1280, 900), (500, 900)] {
        let [dark, light] =
            [0, 1].map(|scheme| picture(program, &page, host.0.path(), size, scheme).unwrap());
        for picture in [&dark, &light] {
            assert!(picture.starts_with(b"\x89PNG"));
            // Bytes 16 to 24 are width and height.
            assert_eq!(picture[16..20], size.0.to_be_bytes());
            assert!(
                picture.len() > 10_000,
                "an empty page: {} bytes",
                picture.len()
            );
        }
        assert_ne!(dark, light, "night looks like day");
    }
}

/// What looks for what some people can't use: axe-core, as `install-needs check` lays it there.
const AXE: &str = "/usr/local/lib/axe.min.js";

/// Runs it over the page, and leaves what it found in the page's place.
const LOOK: &str = "axe.run(document).then(found => {
    const text = document.createElement('pre');
    text.textContent = 'passed ' + found.passes.length + '\\n' + found.violations.concat(found.incomplete)
        .flatMap(rule => rule.nodes.map(node => rule.id + ': ' + node.html + '\\n')).join('');
    document.body.replaceChildren(text);
});";

#[test]
fn everybody_can_use_the_page() {
    let host = Host::new("SG_KEEP_DAILY=7\nSG_MAX_AGE=1h\nSG_RTO=1h");
    let (Some(program), Ok(axe)) = (browser(host.0.path()), fs::read_to_string(AXE)) else {
        eprintln!("skipped: no chromium here, or no {AXE}");
        return;
    };
    let page = host.path("index.html");
    host.output(&["--html", page.to_str().unwrap()]);
    // Everything unfolded; the page itself lets no script run.
    let page = read(&page)
        .replacen("http-equiv", "data-was", 1)
        .replace("<details", "<details open");
    let page = format!("{page}<script>{axe}</script><script>{LOOK}</script>");
    let file = host.path("looked-at.html");
    fs::write(&file, page).unwrap();
    for (size, scheme) in [((1280, 900), 1), ((500, 900), 0)] {
        let output = browse(program, host.0.path(), size, scheme)
            .args(["--virtual-time-budget=60000", "--dump-dom"])
            .arg(format!("file://{}", file.display()))
            .output()
            .unwrap();
        let found = String::from_utf8_lossy(&output.stdout).into_owned();
        let Some((_, found)) = found.split_once("<pre>passed ") else {
            eprintln!("skipped: chromium did not come to an end of it");
            return;
        };
        let found = found.split("</pre>").next().unwrap_or_default();
        let (passed, wrong) = found.split_once('\n').unwrap_or_default();
        assert!(passed.parse::<u32>().unwrap() > 20, "{passed}");
        assert_eq!(wrong, "", "{size:?}");
    }
}
