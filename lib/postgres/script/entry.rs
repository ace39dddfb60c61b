//! The headings that pg_dump writes above each object: `-- Name: …; Type: …; Schema: …; Owner: …`.

/// What a heading says of the statements below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The object's tag, e.g. `t` or, for a constraint, `t t_pkey`.
    pub name: String,
    /// What it is, e.g. `TABLE`, `FK CONSTRAINT`.
    pub kind: String,
    /// Its schema; `None` where it has none.
    pub schema: Option<String>,
    /// Its owner; `None` where it has none.
    pub owner: Option<String>,
}

impl Entry {
    /// Reads a heading from a comment; `None` if it is another comment.
    pub fn parse(comment: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(comment);
        let rest = [
            "-- Name: ",
            "-- Data for Name: ",
            "-- Statistics for Name: ",
        ]
        .into_iter()
        .find_map(|prefix| text.strip_prefix(prefix))?;
        // A name may hold anything, so the parts are found from the end.
        let (rest, owner) = rest.rsplit_once("; Owner: ")?;
        let (rest, schema) = rest.rsplit_once("; Schema: ")?;
        let (name, kind) = rest.rsplit_once("; Type: ")?;
        let owner = owner
            .rsplit_once("; Tablespace: ")
            .map_or(owner, |(owner, _)| owner);
        let given = |text: &str| (!matches!(text, "-" | "")).then(|| text.to_owned());
        Some(Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            schema: given(schema),
            owner: given(owner),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_read_and_other_comments_are_not() {
        let entry =
            Entry::parse(b"-- Name: a; Type: b; Type: TABLE; Schema: s; Owner: me; Tablespace: ts")
                .unwrap();
        assert_eq!(entry.name, "a; Type: b");
        assert_eq!(entry.kind, "TABLE");
        assert_eq!(entry.schema.as_deref(), Some("s"));
        assert_eq!(entry.owner.as_deref(), Some("me"));
        assert_eq!(
            Entry::parse(b"-- Name: plpgsql; Type: EXTENSION; Schema: -; Owner: -")
                .unwrap()
                .schema,
            None
        );
        assert_eq!(Entry::parse(b"-- PostgreSQL database dump"), None);
    }
}
