//! Which statements of the post-data part may run at the same time.
//!
//! pg_dump's order is right as it stands, so it is kept: the part is cut into steps, one after the
//! other, and only within a step statements run in parallel. A step is a run of index and key builds,
//! or a run of foreign keys, or anything else, which then runs alone and in order.
//!
//! `ALTER TABLE … ADD PRIMARY KEY` locks its table against all other builds on it, while several
//! `CREATE INDEX` run side by side. So on a table of some size a key is built as an index first and
//! then made a constraint, which takes a moment.

use crate::error::Result;
use crate::postgres::script::{Entry, Relation, Summary, What, quote};
use std::collections::BTreeMap;

/// A statement, and the settings in force where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    /// Settings to be made first.
    pub(super) settings: String,
    /// Its text.
    pub(super) sql: Vec<u8>,
}

/// What is done on one table in a step of builds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Builds {
    /// Indexes, all of which may be built at the same time.
    pub(super) indexes: Vec<Statement>,
    /// What then follows, in order: keys made of indexes, `CLUSTER ON`, comments.
    pub(super) after: Vec<Statement>,
}

/// A foreign key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ForeignKey {
    /// The tables that it locks.
    pub(super) tables: [Relation; 2],
    /// The statement.
    pub(super) statement: Statement,
}

/// Statements that may run at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Builds, by table; each needs the rows of its table alone.
    Builds(BTreeMap<Relation, Builds>),
    /// Foreign keys.
    ForeignKeys(Vec<ForeignKey>),
    /// What runs alone, in order.
    Alone(Vec<Statement>),
}

/// Takes statements in their order and makes steps of them.
pub(super) struct Schedule<F> {
    steps: Vec<Step>,
    /// `default_tablespace` and the like, as last set.
    settings: BTreeMap<String, String>,
    /// The table of the index or key last seen, for what belongs to it.
    last: Option<Relation>,
    /// Whether a table is large enough for its indexes to be built side by side.
    is_large: F,
}

/// Settings that pg_dump changes between statements.
const CHANGING: [&str; 2] = ["default_tablespace", "default_table_access_method"];

impl<F: Fn(&Relation) -> bool> Schedule<F> {
    /// An empty one.
    pub(super) fn new(is_large: F) -> Self {
        Self {
            steps: Vec::new(),
            settings: BTreeMap::new(),
            last: None,
            is_large,
        }
    }

    /// The steps, in order.
    pub(super) fn finish(self) -> Vec<Step> {
        self.steps
    }

    /// Takes the next statement.
    ///
    /// # Errors
    /// None; the signature is that of a reader of statements.
    pub(super) fn push(
        &mut self,
        entry: Option<&Entry>,
        summary: &Summary,
        sql: &[u8],
    ) -> Result<()> {
        if let What::Setting(name) = &summary.what {
            if CHANGING.contains(&name.as_str()) {
                let sql = String::from_utf8_lossy(sql).into_owned();
                self.settings.insert(name.clone(), sql);
            }
            // Every connection has made the other ones at its beginning.
            return Ok(());
        }
        let statement = |sql: &[u8]| Statement {
            settings: self.settings.values().cloned().collect(),
            sql: sql.to_vec(),
        };
        let kind = entry.map_or("", |entry| entry.kind.as_str());
        let whole = statement(sql);
        match (&summary.what, &summary.relation) {
            (What::Index, Some(table)) if kind == "INDEX" => {
                self.builds(table).indexes.push(whole);
                self.last = Some(table.clone());
            }
            (What::Key(key), Some(table)) if kind == "CONSTRAINT" => {
                match &key.columns {
                    Some(columns) if (self.is_large)(table) => {
                        let name = quote(&key.name);
                        let on = table.quoted();
                        let index = format!("CREATE UNIQUE INDEX {name} ON {on} {columns}");
                        let what = if key.primary { "PRIMARY KEY" } else { "UNIQUE" };
                        let attach = format!(
                            "ALTER TABLE ONLY {on} ADD CONSTRAINT {name} {what} USING INDEX {name}"
                        );
                        let (index, attach) =
                            (statement(index.as_bytes()), statement(attach.as_bytes()));
                        let builds = self.builds(table);
                        builds.indexes.push(index);
                        builds.after.push(attach);
                    }
                    _ => self.builds(table).after.push(whole),
                }
                self.last = Some(table.clone());
            }
            (What::Exclusion, Some(table)) if kind == "CONSTRAINT" => {
                self.builds(table).after.push(whole);
                self.last = Some(table.clone());
            }
            // `CLUSTER ON`, `REPLICA IDENTITY`, column statistics, comments.
            (What::AlterTable | What::AlterIndex | What::Comment, _)
                if matches!(kind, "INDEX" | "CONSTRAINT")
                    || (kind == "COMMENT"
                        && entry.is_some_and(|entry| {
                            entry.name.starts_with("INDEX ")
                                || entry.name.starts_with("CONSTRAINT ")
                        })) =>
            {
                match (self.last.clone(), self.steps.last()) {
                    (Some(table), Some(Step::Builds(_))) => self.builds(&table).after.push(whole),
                    _ => self.alone(whole),
                }
            }
            (What::ForeignKey { refers, unchecked }, Some(table)) if !unchecked => {
                let key = ForeignKey {
                    tables: [table.clone(), refers.clone()],
                    statement: whole,
                };
                if let Some(Step::ForeignKeys(keys)) = self.steps.last_mut() {
                    keys.push(key);
                } else {
                    self.steps.push(Step::ForeignKeys(vec![key]));
                }
            }
            _ => self.alone(whole),
        }
        Ok(())
    }

    fn builds(&mut self, table: &Relation) -> &mut Builds {
        if !matches!(self.steps.last(), Some(Step::Builds(_))) {
            self.steps.push(Step::Builds(BTreeMap::new()));
        }
        match self.steps.last_mut() {
            Some(Step::Builds(tables)) => tables.entry(table.clone()).or_default(),
            _ => unreachable!("the last step is one of builds"),
        }
    }

    fn alone(&mut self, statement: Statement) {
        if let Some(Step::Alone(statements)) = self.steps.last_mut() {
            statements.push(statement);
        } else {
            self.steps.push(Step::Alone(vec![statement]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::restore::apply::each_statement;

    fn steps(script: &str) -> Vec<Step> {
        let mut schedule = Schedule::new(|table: &Relation| table.name == "large");
        each_statement(script.as_bytes(), |entry, summary, sql| {
            schedule.push(entry, summary, sql)
        })
        .unwrap();
        schedule.finish()
    }

    fn entry(kind: &str, sql: &str) -> String {
        format!("--\n-- Name: x; Type: {kind}; Schema: public; Owner: me\n--\n\n{sql}\n\n")
    }

    #[test]
    fn builds_and_foreign_keys_run_in_parallel_and_the_rest_in_order() {
        let script = [
            entry("CONSTRAINT", "ALTER TABLE ONLY public.large ADD CONSTRAINT p PRIMARY KEY (a);"),
            entry("CONSTRAINT", "ALTER TABLE ONLY public.small ADD CONSTRAINT q PRIMARY KEY (a);"),
            "SET default_tablespace = ts;\n".to_owned(),
            entry(
                "INDEX",
                "CREATE INDEX i ON public.large USING btree (b);\nALTER TABLE public.large CLUSTER ON i;",
            ),
            entry("RULE", "CREATE RULE r AS ON INSERT TO public.small DO NOTHING;"),
            entry(
                "FK CONSTRAINT",
                "ALTER TABLE ONLY public.large ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES public.small(a);",
            ),
        ]
        .concat();
        let steps = steps(&script);
        let [
            Step::Builds(builds),
            Step::Alone(rules),
            Step::ForeignKeys(keys),
        ] = steps.as_slice()
        else {
            panic!("{steps:?}");
        };
        let large = &builds[&Relation::new("public", "large")];
        assert_eq!(large.indexes.len(), 2);
        assert!(
            large.indexes[0]
                .sql
                .starts_with(b"CREATE UNIQUE INDEX \"p\"")
        );
        assert_eq!(large.indexes[0].settings, "");
        assert_eq!(large.indexes[1].settings, "SET default_tablespace = ts;");
        assert_eq!(large.after.len(), 2);
        let small = &builds[&Relation::new("public", "small")];
        assert_eq!((small.indexes.len(), small.after.len()), (0, 1));
        assert_eq!((rules.len(), keys.len()), (1, 1));
    }

    #[test]
    fn builds_behind_something_else_wait_for_it() {
        let script = [
            entry(
                "CONSTRAINT",
                "ALTER TABLE ONLY public.a ADD CONSTRAINT p PRIMARY KEY (a);",
            ),
            entry("VIEW", "CREATE OR REPLACE VIEW public.v AS SELECT 1;"),
            entry("INDEX", "CREATE INDEX i ON public.a USING btree (b);"),
        ]
        .concat();
        assert!(matches!(
            steps(&script).as_slice(),
            [Step::Builds(_), Step::Alone(_), Step::Builds(_)]
        ));
    }
}
