//! What a restore needs is gone from some moment on: room on the disks, the server. Whatever the moment,
//! all is as it was or all is restored, and what could not be put back is when the fault is mended.

use crate::backup::Shop;
use crate::support::disk::SmallDisk;
use crate::support::postgres::binary;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;

impl Shop {
    /// A restore in which `fault` strikes at the place `at`; none if it came through before.
    fn struck(&self, fault: &str, place: &str, at: u32) -> Option<Output> {
        let struck = self.path("struck");
        let command = format!("touch {}; {fault}", struck.display());
        let environment = [(place, at.to_string()), ("SG_CRASH_BY", command)];
        let output = self.restore_with(&[], &environment);
        // It is there only if the place was come by.
        let is_struck = fs::remove_file(struck).is_ok();
        assert!(
            is_struck || output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        is_struck.then_some(output)
    }

    /// Looks at what a struck restore has left, once the fault is mended.
    fn comes_out_well(&self, output: &Output, at: u32, reasons: &[&str], now: &str, then: &str) {
        let words = String::from_utf8_lossy(&output.stderr);
        let status = output.status.code();
        if status == Some(0) {
            assert_eq!(self.glance(), then, "restored at {at}");
            self.must(&["--rollback"]);
        } else {
            assert!(status.is_some(), "at {at}: {words}");
            assert!(
                reasons.iter().any(|reason| words.contains(reason)),
                "at {at}: {words}"
            );
            let put_back = words.contains("everything is as it was before");
            let in_place = words.contains("all the old data is in its place");
            if put_back || in_place {
                // Roles that are not dropped yet are the only thing that is new.
                let but_roles = |state: &str| state.rsplit_once('|').unwrap().0.to_owned();
                let is = self.glance();
                assert_eq!(but_roles(&is), but_roles(now), "at {at}: {words}");
            }
            let again = self.restore(
                &[if at.is_multiple_of(2) {
                    "--rollback"
                } else {
                    "--resume"
                }],
                None,
            );
            let said = String::from_utf8_lossy(&again.stderr);
            // Before the journal's first line there is nothing to take up; and what is taken back is over.
            let over = "there was no restore";
            let ends = again.status.success()
                || [over, "taken back", "everything is as it was before"]
                    .iter()
                    .any(|end| said.contains(end));
            assert!(ends, "at {at}: {words}\nthen: {said}");
            if again.status.success() && at % 2 == 1 {
                self.must(&["--rollback"]);
            }
        }
        assert_eq!(self.glance(), now, "at {at}: {words}");
        assert_eq!(self.left(), "", "at {at}: {words}");
        self.forget();
    }

    /// The states before a restore and after one.
    fn both_states(&self) -> (String, String) {
        let now = self.glance();
        self.must(&[]);
        let then = self.glance();
        self.must(&["--rollback"]);
        self.forget();
        (now, then)
    }
}

/// Each of them is small.
struct Disks {
    disks: Vec<SmallDisk>,
    _server: tempfile::TempDir,
}

impl Disks {
    /// Puts the volume, the configuration, the journal and the database of `shop` on disks of their own;
    /// none where that is not permitted.
    fn under(shop: &Shop) -> Option<Self> {
        let mut disks = Vec::new();
        for (place, size) in [("srv", "1m"), ("etc/app", "1m"), ("journal", "1m")] {
            let place = shop.path(place);
            fs::create_dir_all(&place).unwrap();
            disks.push(SmallDisk::mount(&place, size)?);
        }
        // Where the server's user may go.
        let server = tempfile::Builder::new()
            .prefix("sg-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in("/var/tmp")
            .unwrap();
        let disk = SmallDisk::mount(server.path(), "40m")?;
        shop.cluster.give_to_server(&disk.0);
        let tablespace = format!("CREATE TABLESPACE small LOCATION '{}'", disk.0.display());
        shop.cluster.sql("postgres", &tablespace);
        shop.cluster
            .sql("postgres", "ALTER DATABASE shop SET TABLESPACE small");
        disks.push(disk);
        Some(Self {
            disks,
            _server: server,
        })
    }

    fn ballast(&self) -> impl Iterator<Item = PathBuf> {
        self.disks.iter().map(|disk| disk.0.join("ballast"))
    }

    /// The command that fills them to the last byte.
    fn fill(&self) -> String {
        let files: Vec<String> = self
            .ballast()
            .map(|file| format!("'{}'", file.display()))
            .collect();
        let files = files.join(" ");
        format!("for file in {files}; do cat /dev/zero >$file; done 2>/dev/null")
    }

    fn free(&self) {
        for file in self.ballast() {
            // Those that the fault did not come to.
            let _ = fs::remove_file(file);
        }
    }
}

#[test]
fn with_full_disks_from_anywhere_on_nothing_is_lost() {
    let shop = Shop::with_units();
    let Some(disks) = Disks::under(&shop) else {
        return;
    };
    shop.furnish();
    shop.backup(&[]);
    shop.live_on();
    let (now, then) = shop.both_states();
    let full = ["No space left", "could not extend", "MiB free"];
    for (place, least) in [("SG_CRASH_AT", 20), ("SG_CRASH_WITHIN", 5)] {
        let mut failed = 0;
        let mut at = 0;
        while let Some(output) = shop.struck(&disks.fill(), place, at + 1) {
            at += 1;
            disks.free();
            failed += u32::from(!output.status.success());
            shop.comes_out_well(&output, at, &full, &now, &then);
        }
        assert!(at > least, "{place}: {at}");
        assert!(failed > least / 4, "{place}: {failed} of {at}");
        // The last one came through.
        shop.must(&["--rollback"]);
        shop.forget();
    }
    // Full before it begins.
    let filled = std::process::Command::new("sh")
        .args(["-c", &disks.fill()])
        .status()
        .unwrap();
    // cat fails, as it should.
    assert!(!filled.success());
    let output = shop.restore(&[], None);
    disks.free();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(full.iter().any(|reason| words.contains(reason)), "{words}");
    assert_eq!(shop.glance(), now, "{words}");
    shop.must(&[]);
    assert_eq!(shop.glance(), then);
}

const GONE: [&str; 6] = [
    "terminat",
    "connection",
    "connect",
    "server",
    "closed",
    "shutting down",
];

#[test]
fn with_connections_cut_anywhere_nothing_is_lost() {
    let shop = Shop::with_units();
    shop.backup(&[]);
    shop.live_on();
    let (now, then) = shop.both_states();
    let cut = format!(
        "{} -Xqc \"SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()\" postgres >&2",
        binary("psql").display()
    );
    for (place, least) in [("SG_CRASH_AT", 20), ("SG_CRASH_WITHIN", 5)] {
        let mut failed = 0;
        let mut at = 0;
        while let Some(output) = shop.struck(&cut, place, at + 1) {
            at += 1;
            failed += u32::from(!output.status.success());
            shop.comes_out_well(&output, at, &GONE, &now, &then);
        }
        assert!(at > least, "{place}: {at}");
        assert!(failed > 0, "{place}");
        // The last one came through.
        shop.must(&["--rollback"]);
        shop.forget();
    }
}

#[test]
fn with_a_server_that_crashes_anywhere_nothing_is_lost() {
    let mut shop = Shop::with_units();
    shop.backup(&[]);
    shop.live_on();
    let (now, then) = shop.both_states();
    // Killed at once, and waited for: it may take its socket along after its last word.
    let pid = shop.cluster.data().join("postmaster.pid");
    let crash = format!(
        "read -r pid <'{}'; kill -QUIT $pid; while [ -e '{}' ]; do sleep 0.02; done",
        pid.display(),
        pid.display()
    );
    let mut failed = 0;
    let mut at = 0;
    while let Some(output) = shop.struck(&crash, "SG_CRASH_AT", at + 1) {
        at += 1;
        failed += u32::from(!output.status.success());
        shop.cluster.stop();
        shop.cluster.run(&[]);
        shop.comes_out_well(&output, at, &GONE, &now, &then);
    }
    assert!(at > 20, "{at}");
    assert!(failed > 10, "{failed} of {at}");
}
