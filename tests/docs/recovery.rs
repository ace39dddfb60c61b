//! The bad nights of sg-recovery(7): each disaster strikes, each recipe is typed as it stands, and what
//! comes back is what was there.

use super::examples::lines_to_run;
use super::host::Host;
use super::page::Page;
use crate::support::postgres::expect;
use std::collections::BTreeSet;

/// The page of the recipes.
pub(super) const RECOVERY: &str = "sg-recovery.7";

/// A night: under which title its recipes stand, what happens, and how many of the recipes help then.
struct Night {
    title: &'static str,
    disaster: &'static str,
    recipes: usize,
}

const NIGHTS: &[Night] = &[
    Night {
        title: "A lost table",
        disaster: "psql -Xq -c 'DROP TABLE orders' shop",
        recipes: 2,
    },
    Night {
        title: "All rows of a table",
        disaster: "psql -Xq -c 'DELETE FROM orders' shop",
        recipes: 2,
    },
    Night {
        title: "Some rows of a table",
        disaster: "psql -Xq -c 'DELETE FROM orders WHERE id > 49000' shop",
        recipes: 2,
    },
    Night {
        title: "A lost file",
        disaster: "rm /srv/shop/invoices/2026-11.pdf",
        recipes: 2,
    },
    Night {
        title: "A lost database",
        disaster: "dropdb shop",
        recipes: 3,
    },
    // There, and worthless: it is put aside.
    Night {
        title: "A lost database",
        disaster: "psql -Xq -c 'DROP TABLE customers CASCADE' shop",
        recipes: 2,
    },
    Night {
        title: "A lost volume",
        disaster: "rm -r /srv/shop",
        recipes: 2,
    },
    Night {
        title: "A lost volume",
        disaster: "chmod 700 /srv/shop; rm -r /srv/shop/code; echo x >/srv/shop/.env",
        recipes: 2,
    },
    Night {
        title: "An application that is worse since its release",
        disaster: "sg-backup -q shop --direct --marker .last-deployment-backup
                   psql -Xq -c 'ALTER TABLE orders DROP COLUMN note' shop
                   echo x >/srv/shop/.env",
        recipes: 1,
    },
    Night {
        title: LOST_SERVER,
        disaster: "rm -r /srv/shop /etc/sg",
        recipes: 2,
    },
];

/// Where it is not on the disk alone.
const LOST_SERVER: &str = "A lost server";
/// Not a disaster, but the question before each recipe.
const QUESTION: &str = "Is the file what it was?";

/// A recipe as it is typed.
fn typed(block: &str) -> String {
    lines_to_run(block).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_recipe_brings_back_what_was_lost() {
    let mut host = Host::new();
    let was = host.state();
    assert!(
        was.contains("invoices/2026-11.pdf") && was.contains("orders_pkey"),
        "{was}"
    );
    let page = Page::read(RECOVERY);
    let recipes = page.recipes();
    for night in NIGHTS {
        let recipes = recipes.iter().find(|(title, _)| title == night.title);
        let (_, blocks) = recipes.unwrap_or_else(|| panic!("no '{}'", night.title));
        assert!(blocks.len() >= night.recipes, "{}", night.title);
        for block in &blocks[..night.recipes] {
            if night.title == LOST_SERVER {
                host.move_to_new_server();
            } else {
                host.reset();
            }
            host.set_up(night.disaster);
            assert_ne!(host.state(), was, "{}: nothing happened", night.title);
            let script = typed(block);
            expect(&host.run(&script), &script);
            let is = host.state();
            assert_eq!(is, was, "{}\n{script}", night.title);
        }
    }
    let told: BTreeSet<&str> = NIGHTS
        .iter()
        .map(|night| night.title)
        .chain([QUESTION])
        .collect();
    let untold = recipes
        .iter()
        .filter(|(title, blocks)| !blocks.is_empty() && !told.contains(title.as_str()));
    assert_eq!(
        untold.collect::<Vec<_>>(),
        Vec::<&(String, Vec<String>)>::new()
    );
}

#[test]
fn a_file_that_is_not_what_it_was_is_told() {
    let host = Host::new();
    let page = Page::read(RECOVERY);
    let recipes = page.recipes();
    let (_, blocks) = recipes.iter().find(|(title, _)| title == QUESTION).unwrap();
    let [ours, stock] = blocks.as_slice() else {
        panic!("{blocks:?}");
    };
    let digests = || -> BTreeSet<String> {
        let output = host.run(&typed(stock));
        expect(&output, "sha256sum and grep");
        let said = String::from_utf8(output.stdout).unwrap();
        let words = said.split(|c: char| !c.is_ascii_hexdigit());
        words
            .filter(|word| word.len() == 64)
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(digests().len(), 1);
    expect(&host.run(&typed(ours)), "sg-verify");
    host.set_up(
        "for file in /mnt/disk/db_shop_20261121_033000.sql.gz $(sg-list --app shop --kind db); do
             printf X | dd of=$file bs=1 seek=600000 conv=notrunc status=none
         done",
    );
    assert_eq!(digests().len(), 2);
    assert_eq!(host.run(&typed(ours)).status.code(), Some(65));
}
