//! Metrics, rules and dashboard: promtool is the judge, and the manual knows every metric.

use super::{Host, read};
use sg::status::prometheus::METRICS;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn shipped(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("packaging/monitoring")
        .join(file)
}

fn has_promtool() -> bool {
    let found = Command::new("promtool").arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: no promtool here");
    }
    found
}

#[track_caller]
fn promtool(arguments: &[&str], input: &str) {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    // It tells of what it would name otherwise and is content.
    let clean = output.status.success() && output.stderr.is_empty();
    assert!(clean, "{arguments:?}: {output:?}\n{input}");
}

#[test]
fn promtool_finds_no_fault_with_the_metrics() {
    let host = Host::new("SG_RPO=26h\nSG_RTO=1h");
    host.configure("press", "SG_DATABASE='a\"b\\c'");
    let file = host.path("sg.prom");
    host.output(&["--prometheus", file.to_str().unwrap()]);
    let metrics = read(&file);
    assert!(metrics.contains("name=\"a\\\"b\\\\c\"} 1"), "{metrics}");
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        assert!(METRICS.iter().any(|(known, _)| *known == name), "{name}");
    }
    if has_promtool() {
        promtool(&["check", "metrics"], &metrics);
    }
}

#[test]
fn rules_are_silent_on_good_nights_and_fire_on_bad_ones() {
    let rules = shipped("sg-toolkit.rules.yml");
    let host = Host::new("");
    let play = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/status/rules.yml");
    let play = read(&play).replace("RULES", rules.to_str().unwrap());
    // Each rule is played.
    for rule in read(&rules)
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        assert!(
            play.contains(&format!("alertname: {rule},")),
            "{rule} is not held to silence"
        );
        assert!(
            play.contains(&format!("alertname=\"{rule}\"")),
            "{rule} never fires"
        );
    }
    let file = host.path("play.yml");
    fs::write(&file, play).unwrap();
    if has_promtool() {
        promtool(&["check", "rules", rules.to_str().unwrap()], "");
        promtool(&["test", "rules", file.to_str().unwrap()], "");
    }
}

/// Every expression of the dashboard.
fn expressions(dashboard: &serde_json::Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    targets
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_dashboard_asks_what_prometheus_understands() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&read(&shipped("sg-toolkit.grafana.json"))).unwrap();
    let expressions = expressions(&dashboard);
    assert!(expressions.len() > 15);
    let rules: Vec<serde_json::Value> = expressions
        .iter()
        .enumerate()
        .map(|(at, expression)| serde_json::json!({"record": format!("panel:{at}"), "expr": expression}))
        .collect();
    let rules = serde_json::json!({"groups": [{"name": "panels", "rules": rules}]});
    let host = Host::new("");
    // JSON is YAML.
    let file = host.path("panels.yml");
    fs::write(&file, rules.to_string()).unwrap();
    if has_promtool() {
        promtool(&["check", "rules", file.to_str().unwrap()], "");
    }
    let ids: BTreeSet<i64> = dashboard["panels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|panel| panel["id"].as_i64().unwrap())
        .collect();
    assert_eq!(ids.len(), dashboard["panels"].as_array().unwrap().len());
}

/// The names of metrics in `text`.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| word.starts_with("sg_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn manual_rules_and_dashboard_know_the_metrics_that_there_are() {
    let known: BTreeSet<String> = METRICS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let manual = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("man/sg-status.8"));
    assert_eq!(named(&manual), known, "sg-status.8");
    for file in ["sg-toolkit.rules.yml", "sg-toolkit.grafana.json"] {
        let unknown: Vec<_> = named(&read(&shipped(file)))
            .difference(&known)
            .cloned()
            .collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
}
