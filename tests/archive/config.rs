//! The configuration of an application: everything of it but the secrets, and of these the names.

use super::run;
use crate::support::{program, scratch};
use serde_json::Value;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

const SECRET: &str = "hunter2-is-the-password";

/// A host's configuration below `top`; returns the paths that are it.
fn configure(top: &Path) -> String {
    for (path, mode, text) in [
        ("sg/sg.conf", 0o640, "SG_KEEP_DAILY=7\n".to_owned()),
        ("sg/shop.conf", 0o640, "SG_DATABASE=shop\n".to_owned()),
        ("sg/webhook-url", 0o600, format!("https://x/{SECRET}\n")),
        (
            "units/shop.service",
            0o644,
            "[Service]\nEnvironmentFile=/srv/shop/.env\n".to_owned(),
        ),
        (
            "srv/.env",
            0o644,
            format!("PORT=3000\nexport DB_PASSWORD='{SECRET}'\n"),
        ),
        (
            "srv/compose.yaml",
            0o644,
            "environment:\n  DB_PASSWORD: ${DB_PASSWORD}\n".to_owned(),
        ),
        (
            "srv/old.yaml",
            0o644,
            format!("environment:\n  DB_PASSWORD: {SECRET}\n"),
        ),
    ] {
        let path = top.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
    let top = top.display();
    format!(
        "{top}/sg {top}/units/shop.service {top}/srv/.env {top}/srv/compose.yaml {top}/srv/old.yaml"
    )
}

fn archive(paths: &str, store: &Path, settings: &[(&str, &str)]) -> Output {
    program("sg-archive-volume")
        .env("SG_APP", "shop")
        .env("SG_CONFIG_PATHS", paths)
        .env("SG_DIRECTORY", store)
        .envs(settings.iter().copied())
        .output()
        .unwrap()
}

fn made(output: &Output) -> String {
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words}");
    String::from_utf8(output.stdout.clone())
        .unwrap()
        .trim_end()
        .to_owned()
}

#[test]
fn the_configuration_comes_along_and_its_secrets_do_not() {
    let scratch = scratch();
    let top = scratch.path().canonicalize().unwrap();
    let paths = configure(&top);
    let store = top.join("store");
    let path = made(&archive(&paths, &store, &[]));
    assert!(path.contains("/config_shop_2"), "{path}");

    let out = top.join("out");
    fs::create_dir(&out).unwrap();
    run("tar", &["-xpzf", &path], &out);
    let found = run("find", &[".", "-type", "f", "-printf", "%f\n"], &out);
    let mut found: Vec<&str> = found.lines().collect();
    found.sort_unstable();
    assert_eq!(
        found,
        ["compose.yaml", "sg.conf", "shop.conf", "shop.service"]
    );
    let back = out
        .join(top.strip_prefix("/").unwrap())
        .join("sg/shop.conf");
    assert_eq!(fs::read(&back).unwrap(), b"SG_DATABASE=shop\n");
    assert_eq!(
        fs::metadata(back).unwrap().permissions().mode() & 0o777,
        0o640
    );

    let manifest = fs::read_to_string(format!("{path}.json")).unwrap();
    assert!(!manifest.contains(SECRET), "{manifest}");
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let withheld = manifest["content"]["withheld"].as_array().unwrap();
    let told: Vec<(String, String)> = withheld
        .iter()
        .map(|file| {
            let path = file["path"].as_str().unwrap();
            let inside = path.strip_prefix(top.to_str().unwrap()).unwrap().to_owned();
            (inside, file["names"].to_string())
        })
        .collect();
    let told: Vec<(&str, &str)> = told.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(
        told,
        [
            ("/sg/webhook-url", "null"),
            ("/srv/.env", r#"["PORT","DB_PASSWORD"]"#),
            ("/srv/old.yaml", r#"["DB_PASSWORD"]"#),
        ]
    );
    assert_eq!(withheld[0]["mode"], "0600");
    program("sg-verify").arg(&path).assert().success();
}

#[test]
fn whoever_asks_for_secrets_gets_them() {
    let scratch = scratch();
    let top = scratch.path().canonicalize().unwrap();
    let paths = configure(&top);
    let path = made(&archive(
        &paths,
        &top.join("store"),
        &[("SG_CONFIG_SECRETS", "yes")],
    ));
    let text = run("tar", &["-xzOf", &path], &top);
    assert_eq!(text.matches(SECRET).count(), 3);
}

#[test]
fn a_path_that_is_gone_is_told_and_the_rest_is_archived() {
    let scratch = scratch();
    let top = scratch.path().canonicalize().unwrap();
    let paths = configure(&top);
    let volumes = format!("files={}", top.join("srv").display());
    let output = archive(
        &format!("{paths} {}/gone", top.display()),
        &top.join("store"),
        &[("SG_VOLUMES", &volumes)],
    );
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{words}");
    assert!(words.contains("/gone: is not there"), "{words}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let kinds: Vec<&str> = lines
        .lines()
        .map(|line| line.rsplit('/').next().unwrap().split('_').next().unwrap())
        .collect();
    assert_eq!(kinds, ["volume", "config"]);
}

#[test]
fn a_configuration_of_nothing_but_secrets_is_no_failure() {
    let scratch = scratch();
    let top = scratch.path().canonicalize().unwrap();
    configure(&top);
    let path = made(&archive(
        &format!("{}/srv/.env", top.display()),
        &top.join("store"),
        &[],
    ));
    assert_eq!(run("tar", &["-tzf", &path], &top), "");
    let nobody = program("sg-archive-volume")
        .args(["--config", "/etc/hostname", "--directory"])
        .arg(top.join("store"))
        .output()
        .unwrap();
    assert_eq!(nobody.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("--app"));
}
