//! The host that the examples are about: a server with a shop's database, its files, a store with backups
//! of both, and a disk that survived.

use crate::support::postgres::{Cluster, binary, expect};
use crate::support::{program, scratch};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// Places, as they are called in the examples, and where they are here.
const PLACES: [(&str, &str); 3] = [
    ("/srv/shop", "srv/shop"),
    ("/mnt/disk", "mnt/disk"),
    ("/etc/sg", "etc/sg"),
];

const SHOP: &str = "
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE orders (id serial PRIMARY KEY, customer int REFERENCES customers,
                     placed timestamptz DEFAULT now(), note text);
CREATE INDEX ON orders (customer);
CREATE TABLE cache_pages (id int, page text);
CREATE TABLE sessions (id int);
-- Rows that look like the lines of a dump.
CREATE TABLE talk (line text);
CREATE TABLE a_talk (LIKE talk);
ALTER TABLE orders OWNER TO clerk;
INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, 10) AS n;
INSERT INTO orders (customer, note) SELECT n % 10 + 1, md5(n::text) FROM generate_series(1, 50000) AS n;
UPDATE orders SET note = E'tab\\t, back\\\\slash\\n\\\\.\\nand more' WHERE id IN (7, 49999);
INSERT INTO cache_pages VALUES (1, 'x');
INSERT INTO talk VALUES (E'\\\\.'), ('COPY public.orders (id, customer, placed, note) FROM stdin;'),
    (E'2\\t2\\t2026-11-21\\tno order'), (E'first\\n\\\\.\\nlast'), (NULL);
INSERT INTO a_talk SELECT * FROM talk;
";

/// The database by its schema, rows and sequences; files by all that is known of them; of directories
/// neither size nor time, which change with each file in them. What was put aside does not count.
const STATE: &str = r#"
psql -XAtc 'SELECT datdba::regrole, encoding, datcollate, datctype FROM pg_database WHERE datname = current_database()' shop || true
pg_dump --schema-only shop | grep -v '^.\(un\)\?restrict ' || true
for table in customers orders cache_pages sessions talk a_talk; do
    psql -XAtc "SELECT count(*), md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM $table t" shop || true
done
psql -XAtc 'SELECT last_value, is_called FROM orders_id_seq' shop || true
cd ..
find srv etc -name '*.before*' -prune -o -type d -printf '%p %m %U %G\n' | sort
find srv etc -name '*.before*' -prune -o ! -type d -printf '%p %m %U %G %s %Ts %l\n' | sort
find srv etc -name '*.before*' -prune -o -type f -exec sha256sum {} + | sort
"#;

/// The host that the examples are about.
pub(super) struct Host {
    cluster: Cluster,
    directory: TempDir,
}

impl Host {
    pub(super) fn new() -> Self {
        let host = Self {
            cluster: Cluster::start(),
            directory: scratch(),
        };
        host.cluster.sql("postgres", "CREATE ROLE clerk");
        host.cluster.create("shop", &["--owner=clerk"]);
        host.cluster.sql("shop", SHOP);
        for (path, text) in [
            ("srv/shop/invoices/2026-10.pdf", "October"),
            ("srv/shop/invoices/2026-11.pdf", "November"),
            ("srv/shop/photos/thumbnails/1.jpg", "small"),
            ("srv/shop/cache/page.tmp", "again"),
            ("srv/shop/code/main.c", "int main;"),
            ("srv/shop/.env", "SHOP_PASSWORD=x\n"),
            ("etc/sg/sg.conf", "SG_KEEP_DAILY=7\n"),
            ("mnt/disk/.keep", ""),
            ("work/.keep", ""),
        ] {
            let path = host.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        host.set_up(
            "cat >/etc/sg/shop.conf <<END
SG_DATABASE=shop
SG_GLOBALS=yes
SG_VOLUMES=shop-files=/srv/shop
SG_CONFIG_PATHS='/etc/sg /srv/shop/.env'
SG_DIRECTORY=$SG_DIRECTORY
END
             git -C /srv/shop/code init -q
             git -C /srv/shop/code -c user.name=x -c user.email=x commit -q --allow-empty -m x
             sg-dump-db -q --app shop --database shop --globals | sg-verify -q
             sg-archive-volume -q --app shop --name shop-files /srv/shop | sg-verify -q
             sg-archive-volume -q --app shop --config '/etc/sg /srv/shop/.env' | sg-verify -q
             keep() { cp \"$1\" /mnt/disk/$2 && cp \"$1.json\" /mnt/disk/$2.json; }
             keep $(sg-list --kind db) db_shop_20261121_033000.sql.gz
             keep $(sg-list --kind globals) globals_main_20261121_033000.sql.gz
             keep $(sg-list --kind volume) volume_shop-files_20261121_033004.tar.gz
             keep $(sg-list --kind config) config_shop_20261121_033009.tar.gz
             sg-dump-db -q --database shop -o - -Z zstd >/mnt/disk/db_shop_20261121_033000.sql.zst
             cd /mnt/disk
             cp db_shop_20261121_033000.sql.gz damaged.sql.gz
             printf X | dd of=damaged.sql.gz bs=1 seek=600000 conv=notrunc status=none
             cd ../..
             createdb --template shop pristine
             mkdir pristine
             cp -a etc srv mnt work store pristine",
        );
        host
    }

    /// Makes everything as it was at first.
    pub(super) fn reset(&self) {
        self.set_up(
            "psql -XAtc \"SELECT datname FROM pg_database WHERE datname !~ '^(postgres|template.|pristine)$'\" postgres |
                 while read -r database; do dropdb \"$database\"; done
             createdb --template pristine --owner clerk shop",
        );
        self.reset_files();
    }

    fn reset_files(&self) {
        self.set_up(
            "cd ..
             rm -rf etc srv mnt work store journal
             cp -a pristine/. .",
        );
    }

    /// The same on another server, which has nothing on it.
    pub(super) fn move_to_new_server(&mut self) {
        self.cluster = Cluster::start();
        self.reset_files();
    }

    /// All there is of the shop, by content: what differs here is not what it was.
    pub(super) fn state(&self) -> String {
        let output = self.run(STATE);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// Runs `script` by bash, which stops at the first failure, also in a pipe.
    pub(super) fn run(&self, script: &str) -> Output {
        let mut script = script.to_owned();
        for (name, place) in PLACES {
            script = script.replace(name, self.path(place).to_str().unwrap());
        }
        let programs = program("sg-list");
        let programs = Path::new(programs.get_program()).parent().unwrap();
        let stock = binary("psql");
        let path = std::env::var("PATH").unwrap();
        let path = [
            programs.to_str().unwrap(),
            stock.parent().unwrap().to_str().unwrap(),
            &path,
        ];
        Command::new("bash")
            .args(["-euo", "pipefail", "-c", &script])
            .current_dir(self.path("work"))
            .env_clear()
            .envs(self.cluster.environment())
            .env("PATH", path.join(":"))
            .env("HOME", self.path("work"))
            .env("TZ", "UTC")
            .env("LC_ALL", "C.UTF-8")
            .env("SG_DIRECTORY", self.path("store"))
            .env("SG_CONFIG_DIRECTORY", self.path("etc/sg"))
            // Where a server's user gets through, by a short path.
            .env("SG_DRILL_SCRATCH", self.cluster.path().join("drills"))
            .env("SG_DRILL_DIRECTORY", self.path("drills"))
            .env("SG_AUDIT_FILE", self.path("audit.jsonl"))
            .env("SG_JOURNAL_DIRECTORY", self.path("journal"))
            .output()
            .unwrap()
    }

    pub(super) fn set_up(&self, script: &str) {
        expect(&self.run(script), "the preparation");
    }
}
