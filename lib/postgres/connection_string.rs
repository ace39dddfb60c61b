//! What libpq takes in the place of a database's name: a connection string or a URI.

use super::conninfo::keyword;
use crate::error::{Error, Kind, Result};
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;

/// Whether libpq takes this database name for a connection string.
pub(super) fn is_connection_string(text: &str) -> bool {
    uri_rest(text).is_some() || text.contains('=')
}

fn uri_rest(text: &str) -> Option<&str> {
    text.strip_prefix("postgresql://")
        .or_else(|| text.strip_prefix("postgres://"))
}

/// What a connection string or URI says.
pub(super) fn parse(text: &str) -> Result<BTreeMap<&'static str, String>> {
    match uri_rest(text) {
        Some(rest) => parse_uri(rest),
        None => parse_keywords(text),
    }
}

/// `key = value key='quoted \' value'`.
fn parse_keywords(text: &str) -> Result<BTreeMap<&'static str, String>> {
    // The text may hold a password: messages must not repeat it.
    let wrong = |what: &str| Error::new(Kind::Config, format!("the connection string {what}"));
    let mut values = BTreeMap::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest
            .split_once('=')
            .ok_or_else(|| wrong("lacks a '=' behind an option"))?;
        let after = after.trim_start();
        let quoted = after.starts_with('\'');
        let mut value = String::new();
        let mut chars = after.char_indices();
        if quoted {
            chars.next();
        }
        let mut end = None;
        while let Some((at, char)) = chars.next() {
            match char {
                '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
                '\'' if quoted => {
                    end = Some(at + 1);
                    break;
                }
                blank if !quoted && blank.is_whitespace() => {
                    end = Some(at);
                    break;
                }
                other => value.push(other),
            }
        }
        if quoted && end.is_none() {
            return Err(wrong("has a quote that is not closed"));
        }
        values.insert(keyword(name.trim())?, value);
        rest = after[end.unwrap_or(after.len())..].trim_start();
    }
    Ok(values)
}

/// `user:password@host:port,[v6]:port/dbname?key=value&…`, each part percent-encoded.
fn parse_uri(rest: &str) -> Result<BTreeMap<&'static str, String>> {
    let decoded = |text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| {
                Error::new(
                    Kind::Config,
                    "the connection URI has a wrong percent escape",
                )
            })
    };
    let mut values = BTreeMap::new();
    let mut put = |key: &'static str, text: &str| -> Result<()> {
        if !text.is_empty() {
            values.insert(key, decoded(text)?);
        }
        Ok(())
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    put("user", user)?;
    put("password", password)?;
    put("dbname", database)?;
    let mut names = Vec::new();
    let mut ports = Vec::new();
    for host in hosts.split(',') {
        let (name, port) = match host.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
            Some((address, port)) => (address, port.strip_prefix(':').unwrap_or("")),
            None => host.split_once(':').unwrap_or((host, "")),
        };
        names.push(name);
        ports.push(port);
    }
    put("host", &names.join(","))?;
    if ports.iter().any(|port| !port.is_empty()) {
        put("port", &ports.join(","))?;
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            Error::new(
                Kind::Config,
                "the connection URI has an option without a value",
            )
        })?;
        match (decoded(name)?.as_str(), value) {
            ("ssl", "true") => put("sslmode", "require")?,
            (name, value) => put(keyword(name)?, value)?,
        }
    }
    Ok(values)
}
