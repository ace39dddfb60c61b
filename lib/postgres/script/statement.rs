//! What a statement of a dump is about: which relation, which roles, which extension.
//!
//! pg_dump writes a small language of its own within SQL, always with qualified names, so reading
//! the first tokens of a statement tells what it does. Whatever is not known is [`What::Other`],
//! which every caller treats with the most care: in order, alone, never left out.

use super::parser::Parser;
use super::relation::Relation;
use super::token::Token;

/// What a statement does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// `SET name = value`, or `SELECT pg_catalog.set_config(name, value, …)`.
    Setting(String),
    /// `SET` or `RESET SESSION AUTHORIZATION`, with the role.
    Authorization(Option<String>),
    /// Creates a table, foreign ones included.
    Table,
    /// Creates an index on the relation.
    Index,
    /// Adds a primary key or a unique constraint to the relation.
    Key(Key),
    /// Adds a constraint that needs an index, but not one of the plain kinds.
    Exclusion,
    /// Adds a foreign key to the relation.
    ForeignKey {
        /// The table that it refers to.
        refers: Relation,
        /// Whether it is to be checked at all (`NOT VALID`).
        unchecked: bool,
    },
    /// Makes a table a partition of the relation.
    AttachPartition(Relation),
    /// Something else done to the relation by ALTER TABLE.
    AlterTable,
    /// Something done to an index, the relation.
    AlterIndex,
    /// Creates the sequence, or alters it.
    Sequence,
    /// Ties the sequence, the relation, to the table that owns it.
    OwnedBy(Relation),
    /// Sets the value of the sequence.
    SequenceValue,
    /// Changes an owner to a role.
    Owner(String),
    /// Grants or revokes; the roles named.
    Privileges(Vec<String>),
    /// Takes rows into the relation.
    Copy,
    /// Puts rows into the relation, one by one.
    Insert,
    /// Creates an extension.
    Extension(String),
    /// A comment on the relation, or on something of it.
    Comment,
    /// Creates a trigger, rule, policy or statistics of the relation; the roles named.
    Attached(Vec<String>),
    /// Creates a role.
    Role(String),
    /// Changes a role.
    AlterRole(String),
    /// Creates a tablespace.
    Tablespace(String),
    /// Maps a role to one of a foreign server.
    UserMapping(String),
    /// Anything else.
    Other,
}

/// A primary key or unique constraint of the plain form that can be built from an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// Whether it is the primary key.
    pub primary: bool,
    /// Its columns in parentheses, as written; `None` if there is more to it than that.
    pub columns: Option<String>,
}

/// A statement's summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What it does.
    pub what: What,
    /// To which relation.
    pub relation: Option<Relation>,
}

/// Sums up a statement.
pub fn summary(statement: &[u8]) -> Summary {
    Parser::new(statement).summary().unwrap_or(Summary {
        what: What::Other,
        relation: None,
    })
}

/// The grammar, as far as summaries need it.
impl Parser<'_> {
    fn summary(&mut self) -> Option<Summary> {
        let of = |what, relation| Some(Summary { what, relation });
        if self.accept("set") || self.accept("reset") {
            let _ = self.accept("local");
            if self.accept_all(&["session", "authorization"]) {
                let role = self.authorization();
                return of(What::Authorization(role), None);
            }
            return of(What::Setting(self.name()?), None);
        }
        if self.accept("select") {
            return self.function_call();
        }
        if self.accept("copy") {
            return of(What::Copy, Some(self.relation()?));
        }
        if self.accept_all(&["insert", "into"]) {
            return of(What::Insert, Some(self.relation()?));
        }
        if self.accept("create") {
            return self.create();
        }
        if self.accept("alter") {
            return self.alter();
        }
        if self.accept_all(&["comment", "on"]) {
            let relation = self.commented();
            return of(What::Comment, relation);
        }
        let grant = self.accept("grant");
        if grant || self.accept("revoke") {
            let mut relation = None;
            let from = self.at;
            if self.seek("on").is_some() && (self.accept("table") || self.accept("sequence")) {
                relation = self.relation();
            }
            self.at = from;
            self.seek(if grant { "to" } else { "from" })?;
            let roles = self.roles();
            return of(What::Privileges(roles), relation);
        }
        None
    }

    fn function_call(&mut self) -> Option<Summary> {
        let function = self.relation()?.name;
        if !self.symbol(b'(') {
            return None;
        }
        let (Token::Text(n), text) = *self.tokens.get(self.at)? else {
            return None;
        };
        let text = String::from_utf8_lossy(&text[1..n - 1]).replace("''", "'");
        match function.as_str() {
            "set_config" => Some(Summary {
                what: What::Setting(text),
                relation: None,
            }),
            "setval" => Some(Summary {
                what: What::SequenceValue,
                relation: Parser::new(text.as_bytes()).relation(),
            }),
            _ => None,
        }
    }

    fn create(&mut self) -> Option<Summary> {
        let of = |what, relation| Some(Summary { what, relation });
        let _ = self.accept_all(&["or", "replace"]);
        let _ = self.accept("unlogged") || self.accept("foreign") || self.accept("constraint");
        if self.accept("table") {
            return of(What::Table, Some(self.relation()?));
        }
        if self.accept("sequence") {
            return of(What::Sequence, Some(self.relation()?));
        }
        if self.accept("extension") {
            let _ = self.accept_all(&["if", "not", "exists"]);
            return of(What::Extension(self.name()?), None);
        }
        if self.accept_all(&["user", "mapping", "for"]) {
            return of(What::UserMapping(self.name()?), None);
        }
        if self.accept("role") {
            return of(What::Role(self.name()?), None);
        }
        if self.accept("tablespace") {
            return of(What::Tablespace(self.name()?), None);
        }
        let unique = self.accept("unique");
        if self.accept("index") || unique {
            self.seek("on")?;
            let _ = self.accept("only");
            return of(What::Index, Some(self.relation()?));
        }
        if self.accept("trigger") {
            self.name()?;
            self.seek("on")?;
            return of(What::Attached(Vec::new()), Some(self.relation()?));
        }
        if self.accept("rule") {
            self.seek("to")?;
            return of(What::Attached(Vec::new()), Some(self.relation()?));
        }
        if self.accept("statistics") {
            self.seek("from")?;
            return of(What::Attached(Vec::new()), Some(self.relation()?));
        }
        if self.accept("policy") {
            self.name()?;
            if !self.accept("on") {
                return None;
            }
            let relation = self.relation()?;
            let roles = match self.seek("to") {
                Some(()) => self.roles(),
                None => Vec::new(),
            };
            return of(What::Attached(roles), Some(relation));
        }
        None
    }

    fn alter(&mut self) -> Option<Summary> {
        let of = |what, relation| Some(Summary { what, relation });
        if self.accept_all(&["default", "privileges"]) {
            let mut roles = Vec::new();
            if self.accept_all(&["for", "role"]) {
                roles.extend(self.name());
            }
            if self.seek("to").is_some() || self.accept("from") {
                roles.extend(self.roles());
            }
            return of(What::Privileges(roles), None);
        }
        if self.accept("role") {
            return of(What::AlterRole(self.name()?), None);
        }
        let from = self.at;
        let owner = (self.seek("owner").is_some() && self.accept("to"))
            .then(|| self.name())
            .flatten();
        self.at = from;
        let _ = self.accept("foreign") || self.accept("materialized");
        let table = self.accept("table");
        let view = !table && self.accept("view");
        let sequence = !table && !view && self.accept("sequence");
        let index = !table && !view && !sequence && self.accept("index");
        if let Some(role) = owner {
            let relation = (table || view || sequence)
                .then(|| self.only_relation())
                .flatten();
            return of(What::Owner(role), relation);
        }
        if index {
            return of(What::AlterIndex, Some(self.relation()?));
        }
        if sequence {
            let relation = self.relation()?;
            if self.accept_all(&["owned", "by"]) {
                return of(What::OwnedBy(self.relation()?), Some(relation));
            }
            return of(What::Sequence, Some(relation));
        }
        if !table {
            return None;
        }
        let relation = self.only_relation()?;
        if self.accept_all(&["attach", "partition"]) {
            return of(What::AttachPartition(self.relation()?), Some(relation));
        }
        if !self.accept_all(&["add", "constraint"]) {
            return of(What::AlterTable, Some(relation));
        }
        let name = self.name()?;
        let what = self.constraint(name)?;
        of(what, Some(relation))
    }

    fn constraint(&mut self, name: String) -> Option<What> {
        let primary = self.accept_all(&["primary", "key"]);
        if primary || self.accept("unique") {
            return Some(What::Key(Key {
                name,
                primary,
                columns: self.columns(),
            }));
        }
        if self.accept("exclude") {
            return Some(What::Exclusion);
        }
        if self.accept_all(&["foreign", "key"]) {
            self.seek("references")?;
            let refers = self.relation()?;
            let unchecked = self.seek("not").is_some() && self.accept("valid");
            return Some(What::ForeignKey { refers, unchecked });
        }
        Some(What::AlterTable)
    }

    /// What a comment is on: the relation, or that which the thing belongs to.
    fn commented(&mut self) -> Option<Relation> {
        if self.accept("table")
            || self.accept("column")
            || self.accept("view")
            || self.accept("sequence")
            || self.accept_all(&["materialized", "view"])
            || self.accept_all(&["foreign", "table"])
            || self.accept("index")
        {
            return self.relation();
        }
        if self.accept("constraint")
            || self.accept("trigger")
            || self.accept("rule")
            || self.accept("policy")
        {
            self.name()?;
            return self.accept("on").then(|| self.relation()).flatten();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(statement: &str) -> (What, Option<String>) {
        let Summary { what, relation } = summary(statement.as_bytes());
        (what, relation.map(|relation| relation.to_string()))
    }

    #[test]
    fn statements_of_pg_dump_are_understood() {
        let t = || Some("public.t".to_owned());
        let key = |name: &str, primary, columns: Option<&str>| {
            What::Key(Key {
                name: name.into(),
                primary,
                columns: columns.map(Into::into),
            })
        };
        for (statement, what, relation) in [
            ("CREATE UNLOGGED TABLE public.t (a int);", What::Table, t()),
            (
                "CREATE UNIQUE INDEX \"on\" ON ONLY public.t USING btree (a);",
                What::Index,
                t(),
            ),
            (
                "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_pkey PRIMARY KEY (\"A\", b);",
                key("t_pkey", true, Some("(\"A\", \"b\")")),
                t(),
            ),
            (
                "ALTER TABLE ONLY public.t ADD CONSTRAINT u UNIQUE (a) DEFERRABLE;",
                key("u", false, None),
                t(),
            ),
            (
                "ALTER TABLE ONLY public.t ADD CONSTRAINT u UNIQUE NULLS NOT DISTINCT (a);",
                key("u", false, None),
                t(),
            ),
            (
                "ALTER TABLE ONLY public.t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES \"S\".\"x.y\"(b) \
                 NOT VALID;",
                What::ForeignKey {
                    refers: Relation::new("S", "x.y"),
                    unchecked: true,
                },
                t(),
            ),
            (
                "ALTER TABLE public.t OWNER TO \"Me\";",
                What::Owner("Me".into()),
                t(),
            ),
            (
                "ALTER FUNCTION public.f(owner integer) OWNER TO me;",
                What::Owner("me".into()),
                None,
            ),
            (
                "GRANT SELECT(a),UPDATE(b) ON TABLE public.t TO joe, \"Ann\";",
                What::Privileges(vec!["joe".into(), "Ann".into()]),
                t(),
            ),
            (
                "REVOKE ALL ON TABLE public.t FROM PUBLIC;",
                What::Privileges(vec![]),
                t(),
            ),
            (
                "ALTER DEFAULT PRIVILEGES FOR ROLE a IN SCHEMA s GRANT SELECT ON TABLES TO b;",
                What::Privileges(vec!["a".into(), "b".into()]),
                None,
            ),
            (
                "SELECT pg_catalog.setval('public.t', 5, true);",
                What::SequenceValue,
                t(),
            ),
            (
                "ALTER SEQUENCE public.s OWNED BY public.t.id;",
                What::OwnedBy(Relation::new("public", "t")),
                Some("public.s".into()),
            ),
            (
                "CREATE TRIGGER x AFTER UPDATE OF a ON public.t FOR EACH ROW EXECUTE FUNCTION f();",
                What::Attached(vec![]),
                t(),
            ),
            (
                "CREATE POLICY p ON public.t FOR SELECT TO joe USING (true);",
                What::Attached(vec!["joe".into()]),
                t(),
            ),
            (
                "ALTER TABLE ONLY public.t ATTACH PARTITION s.t1 FOR VALUES IN (1);",
                What::AttachPartition(Relation::new("s", "t1")),
                t(),
            ),
            ("COMMENT ON COLUMN public.t.a IS 'x';", What::Comment, t()),
            (
                "SELECT pg_catalog.set_config('search_path', '', false);",
                What::Setting("search_path".into()),
                None,
            ),
            (
                "CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public;",
                What::Extension("hstore".into()),
                None,
            ),
            (
                "SET SESSION AUTHORIZATION 'joe';",
                What::Authorization(Some("joe".into())),
                None,
            ),
            ("DO $$ BEGIN END $$;", What::Other, None),
        ] {
            assert_eq!(of(statement), (what, relation), "{statement}");
        }
    }
}
