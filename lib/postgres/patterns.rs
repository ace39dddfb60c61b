//! Patterns for tables as pg_dump's options take them, e.g. `audit.*` or `"Odd.Name"`.

use super::Session;
use crate::error::Result;
use std::collections::HashSet;

/// The tables that any of the patterns matches. One without a schema matches what the search path
/// finds.
pub(super) fn matching(session: &mut Session, patterns: &[String]) -> Result<HashSet<u32>> {
    let mut oids = HashSet::new();
    if patterns.is_empty() {
        return Ok(oids);
    }
    session.batch("RESET search_path")?;
    for pattern in patterns {
        let (schema, name) = regular_expressions(pattern);
        let sql = "SELECT c.oid FROM pg_catalog.pg_class c
                        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relname OPERATOR(pg_catalog.~) $2 COLLATE pg_catalog.default
               AND CASE WHEN $1::text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid)
                        ELSE n.nspname OPERATOR(pg_catalog.~) $1 COLLATE pg_catalog.default END";
        let rows = session.query(sql, &[&schema, &name])?;
        oids.extend(rows.iter().map(|row| row.get::<_, u32>(0)));
    }
    session.batch("SELECT pg_catalog.set_config('search_path', '', false)")?;
    Ok(oids)
}

/// The pattern for the schema, if there is one, and that for the name, as psql makes them.
fn regular_expressions(pattern: &str) -> (Option<String>, String) {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut chars = pattern.chars().peekable();
    while let (Some(char), Some(part)) = (chars.next(), parts.last_mut()) {
        match char {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                part.push('"');
            }
            '"' => quoted = !quoted,
            '*' if !quoted => part.push_str(".*"),
            '?' if !quoted => part.push('.'),
            '.' if !quoted => parts.push(String::new()),
            '$' => part.push_str("\\$"),
            special if quoted && "|*+?()[]{}.^\\".contains(special) => part.extend(['\\', special]),
            other if quoted => part.push(other),
            other => part.extend(other.to_lowercase()),
        }
    }
    let whole = |part: &String| format!("^({part})$");
    match parts.as_slice() {
        [.., schema, name] => (Some(whole(schema)), whole(name)),
        [name] => (None, whole(name)),
        [] => (None, whole(&String::new())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read_as_psql_reads_them() {
        let of = regular_expressions;
        assert_eq!(of("Log_*"), (None, "^(log_.*)$".into()));
        assert_eq!(of("a?.T"), (Some("^(a.)$".into()), "^(t)$".into()));
        assert_eq!(
            of(r#""A.b*"."$x""#),
            (Some(r"^(A\.b\*)$".into()), r"^(\$x)$".into())
        );
    }
}
