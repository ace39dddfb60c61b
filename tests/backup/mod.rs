//! A backup before a deployment: a script goes on only after a verified one, and knows where it can
//! return to.

use crate::support::postgres::Cluster;
use crate::support::{program, scratch};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;

/// A host with an application `shop`: a database, a volume and a configuration.
pub(crate) struct Shop {
    pub(crate) cluster: Cluster,
    pub(crate) directory: TempDir,
}

impl Shop {
    pub(crate) fn new() -> Self {
        let cluster = Cluster::start();
        cluster.create("shop", &[]);
        cluster.sql(
            "shop",
            "CREATE ROLE clerk; CREATE TABLE orders (id int PRIMARY KEY, note text); \
             ALTER TABLE orders OWNER TO clerk; \
             INSERT INTO orders SELECT n, md5(n::text) FROM generate_series(1, 500) n",
        );
        let shop = Self {
            cluster,
            directory: scratch(),
        };
        shop.furnish();
        shop.write(
            "etc/sg/sg.conf",
            &format!("SG_DIRECTORY={}\n", shop.path("store").display()),
        );
        shop.settings("");
        shop
    }

    /// Writes its files.
    pub(crate) fn furnish(&self) {
        self.write("srv/shop/invoice.txt", "October\n");
        self.write("srv/shop/deep/picture", &"pixel".repeat(1000));
        self.write("etc/app/shop.ini", "port = 1\n");
        self.write("etc/app/shop.env", "DB_PASSWORD=hunter2\n");
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes the settings of the application, and `more`.
    pub(crate) fn settings(&self, more: &str) {
        let volume = self.path("srv/shop");
        let config = self.path("etc/app");
        self.write(
            "etc/sg/shop.conf",
            &format!(
                "SG_DATABASE=shop\nSG_GLOBALS=yes\nSG_VOLUMES=files={}\nSG_CONFIG_PATHS={}\n{more}",
                volume.display(),
                config.display()
            ),
        );
    }

    pub(crate) fn run(&self, name: &str, arguments: &[&str]) -> Output {
        program(name)
            .current_dir(self.directory.path())
            .envs(self.cluster.environment())
            .env("SG_CONFIG_DIRECTORY", self.path("etc/sg"))
            .args(arguments)
            .output()
            .unwrap()
    }

    /// Backs it up; returns the paths.
    pub(crate) fn backup(&self, arguments: &[&str]) -> Vec<PathBuf> {
        let output = self.run("sg-backup", &[&["shop", "--direct"], arguments].concat());
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{words}");
        let paths = String::from_utf8(output.stdout).unwrap();
        paths.lines().map(PathBuf::from).collect()
    }
}

fn manifest(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(format!("{}.json", path.display())).unwrap()).unwrap()
}

#[test]
fn everything_is_made_verified_pinned_and_marked() {
    let shop = Shop::new();
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git")
            .args(["-c", "user.name=x", "-c", "user.email=x@x", "-C"])
            .arg(shop.directory.path())
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["commit", "-q", "--allow-empty", "-m", "x"]);
    let paths = shop.backup(&[
        "--reason",
        "before it's 2.4",
        "--git",
        ".",
        "--marker",
        "marker",
    ]);
    let kinds: Vec<Value> = paths
        .iter()
        .map(|path| manifest(path)["kind"].clone())
        .collect();
    assert_eq!(kinds, ["globals", "db", "volume", "config"]);
    for path in &paths {
        let manifest = manifest(path);
        assert_eq!(manifest["reason"], "before it's 2.4");
        assert_eq!(
            manifest["git"]["commit"],
            git(&["rev-parse", "HEAD"]).as_str()
        );
        assert_eq!(manifest["git"]["branch"], "main");
        let pin = fs::read_to_string(format!("{}.keep", path.display())).unwrap();
        assert!(pin.starts_with("until=2"), "{pin}");
    }
    let listed = shop.run(
        "sg-list",
        &["--json", "-d", shop.path("store").to_str().unwrap()],
    );
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(
        listed.matches("\"state\":\"verified\"").count(),
        4,
        "{listed}"
    );
    assert_eq!(
        listed.matches("\"pinned_until\":\"2").count(),
        4,
        "{listed}"
    );

    // A shell reads the marker.
    let said = std::process::Command::new("sh")
        .args(["-ec", ". ./marker; printf '%s|' \"$BACKUP_APP\" \"$REASON\" \"$DB_BACKUP_FILE\" \"$VOLUME_BACKUP_FILE\" \"$GIT_BRANCH\""])
        .current_dir(shop.directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let expected = format!(
        "shop|before it's 2.4|{}|{}|main|",
        paths[1].display(),
        paths[2].display()
    );
    assert_eq!(said, expected);
    let marker = sg::backup::Marker::read(&shop.path("marker")).unwrap();
    assert_eq!((marker.app.as_str(), marker.files), ("shop", paths));
}

/// A deployment as people write it.
const DEPLOY: &str = "set -e
sg-backup shop --direct --quiet --reason 'before the deployment' --marker .last-deployment-backup
echo deployed >released";

fn deploy(shop: &Shop) -> Output {
    let programs = program("sg-backup");
    let programs = Path::new(programs.get_program()).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    std::process::Command::new("sh")
        .args(["-c", DEPLOY])
        .current_dir(shop.directory.path())
        .envs(shop.cluster.environment())
        .env("SG_CONFIG_DIRECTORY", shop.path("etc/sg"))
        .env("PATH", path)
        .output()
        .unwrap()
}

#[test]
fn a_deployment_goes_on_only_after_a_verified_backup() {
    let shop = Shop::new();
    let refused = |what: &str, statuses: &[i32]| {
        let output = deploy(&shop);
        let words = String::from_utf8_lossy(&output.stderr);
        let status = output.status.code().unwrap();
        assert!(statuses.contains(&status), "{what}: {status}: {words}");
        assert!(!shop.path("released").exists(), "{what}");
        assert!(!shop.path(".last-deployment-backup").exists(), "{what}");
    };
    // A volume that is gone, a database that is gone.
    fs::rename(shop.path("srv"), shop.path("moved")).unwrap();
    refused("no volume", &[74]);
    fs::rename(shop.path("moved"), shop.path("srv")).unwrap();
    shop.cluster
        .sql("postgres", "ALTER DATABASE shop RENAME TO elsewhere");
    refused("no database", &[1, 69]);
    shop.cluster
        .sql("postgres", "ALTER DATABASE elsewhere RENAME TO shop");
    // Another run has the lock.
    let lock = fs::File::create(shop.path("store/.lock_volume_files")).unwrap();
    lock.lock().unwrap();
    refused("locked", &[75]);
    drop(lock);

    let output = deploy(&shop);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(shop.path("released").exists());
    assert!(shop.path(".last-deployment-backup").exists());
}

#[test]
fn pinned_backups_outlive_the_rules_until_the_pin_falls_out() {
    let shop = Shop::new();
    let store = shop.path("store");
    let store = store.to_str().unwrap();
    let first = shop.backup(&["--pin", "1 day"]);
    let second = shop.backup(&["--pin", "no"]);
    let third = shop.backup(&["--pin", "no"]);
    let prune = || {
        let output = shop.run("sg-prune", &["-q", "-d", store, "--keep-last", "1"]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    prune();
    for (paths, there) in [(&first, true), (&second, false), (&third, true)] {
        assert!(paths.iter().all(|path| path.exists() == there), "{paths:?}");
    }
    for path in &first {
        fs::write(
            format!("{}.keep", path.display()),
            "until=2020-01-01T00:00:00Z\n",
        )
        .unwrap();
    }
    prune();
    assert!(first.iter().all(|path| !path.exists()));
    let left = fs::read_dir(store)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(
        left.into_iter()
            .all(|name| !name.to_str().unwrap().ends_with(".keep"))
    );
}

#[test]
fn what_nobody_can_back_up_is_said() {
    let shop = Shop::new();
    let said = |arguments: &[&str]| {
        let output = shop.run("sg-backup", arguments);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap(), words)
    };
    let (status, words) = said(&["nobody", "--direct"]);
    assert!(
        status == 78 && words.contains("nobody.conf' is missing"),
        "{words}"
    );
    let (status, words) = said(&["shop", "--direct", "--reason", "two\nlines"]);
    assert!(status == 2 && words.contains("single line"), "{words}");
    let (status, words) = said(&["shop", "--direct", "--git", "/nowhere"]);
    assert!(status == 78 && words.contains("/nowhere"), "{words}");
    shop.write("etc/sg/empty.conf", "SG_KEEP_DAILY=1\n");
    let (status, words) = said(&["empty", "--direct"]);
    assert!(
        status == 78 && words.contains("'empty' has nothing"),
        "{words}"
    );
}
