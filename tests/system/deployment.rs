//! A deployment by the script that is shipped as an example: it goes on only after a verified backup, and
//! what it did can be taken back.

use crate::backup::Shop;
use crate::support::program;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const MARKER: &str = "code/.last-deployment-backup";

impl Shop {
    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=x", "-c", "user.email=x@x", "-C"])
            .arg(self.path("code"))
            .args(arguments)
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A release whose migration is `migrate`.
    fn release(&self, name: &str, migrate: &str) {
        self.write("code/migrate", &format!("#!/bin/sh\nset -eu\n{migrate}\n"));
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path("code/migrate"), executable).unwrap();
        self.git(&["add", "migrate"]);
        self.git(&["commit", "-q", "-m", name]);
        self.git(&["tag", name]);
    }

    fn deploy(&self, release: &str) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/examples/deploy");
        let programs = program("sg-backup");
        let programs = Path::new(programs.get_program()).parent().unwrap();
        let psql = crate::support::postgres::binary("psql");
        let path = [
            programs.display().to_string(),
            psql.parent().unwrap().display().to_string(),
            std::env::var("PATH").unwrap(),
        ];
        Command::new("sh")
            .arg(script)
            .arg("shop")
            .arg(self.path("code"))
            .arg(release)
            .current_dir(self.directory.path())
            .envs(self.cluster.environment())
            .env("SG_CONFIG_DIRECTORY", self.path("etc/sg"))
            .env("SG_AUDIT_FILE", self.path("audit.jsonl"))
            .env("SG_DIRECT", "yes")
            .env("PATH", path.join(":"))
            .output()
            .unwrap()
    }

    fn deployed(&self) -> String {
        self.git(&["describe", "--tags"])
    }
}

#[test]
fn a_deployment_goes_on_only_when_there_is_a_way_back_and_that_leads_back() {
    let shop = Shop::with_units();
    fs::create_dir(shop.path("code")).unwrap();
    shop.git(&["init", "-q", "-b", "main"]);
    shop.release("v1", "true");
    shop.release(
        "v2",
        "psql -Xqc 'ALTER TABLE orders DROP COLUMN note' shop; echo new >srv/shop/invoice.txt",
    );
    shop.release("v3", "false");
    shop.git(&["checkout", "-q", "v1"]);
    let commit = shop.git(&["rev-parse", "HEAD"]);
    let before = shop.state();

    // A database that can't be dumped.
    shop.cluster
        .sql("postgres", "ALTER DATABASE shop ALLOW_CONNECTIONS false");
    let output = shop.deploy("v2");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(shop.deployed(), "v1");
    assert!(!shop.path(MARKER).exists());
    shop.cluster
        .sql("postgres", "ALTER DATABASE shop ALLOW_CONNECTIONS true");
    assert_eq!(shop.state(), before);

    let output = shop.deploy("v2");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    assert_eq!(shop.deployed(), "v2");
    let marker = fs::read_to_string(shop.path(MARKER)).unwrap();
    assert!(
        marker.contains(&format!("GIT_COMMIT={commit}\n")),
        "{marker}"
    );
    assert!(marker.contains("REASON='before release v2'"), "{marker}");
    let deployed = shop.state();
    assert_ne!(deployed, before);

    // One that fails says how to return; the next one that has no backup leaves the marker alone.
    let output = shop.deploy("v3");
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("sg-restore system shop --marker"), "{words}");
    fs::write(shop.path(MARKER), &marker).unwrap();
    fs::rename(shop.path("srv/shop"), shop.path("srv/elsewhere")).unwrap();
    assert_eq!(shop.deploy("v1").status.code(), Some(1));
    fs::rename(shop.path("srv/elsewhere"), shop.path("srv/shop")).unwrap();
    assert_eq!(fs::read_to_string(shop.path(MARKER)).unwrap(), marker);
    assert_eq!(shop.deployed(), "v3");
    assert_eq!(shop.state(), deployed);

    shop.settings("SG_UNITS=shop.service\n");
    shop.must(&["--marker", MARKER]);
    assert_eq!(shop.state(), before);
    shop.must(&["--rollback"]);
    assert_eq!(shop.state(), deployed);
}
