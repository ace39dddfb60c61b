//! libpq's service files, which give a set of connection parameters a name.

use super::conninfo::keyword;
use crate::error::{Error, Kind, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Where Debian's, Red Hat's and the upstream build of libpq look for `pg_service.conf`.
const SYSTEM_DIRECTORIES: &[&str] = &["/etc/postgresql-common", "/etc/sysconfig/pgsql", "/etc"];

/// What the service files say about `service`: the user's file first, then the system's.
pub(super) fn read(
    service: &str,
    file: Option<&str>,
    home: &Path,
    system: Option<&str>,
) -> Result<Vec<(&'static str, String)>> {
    let own = file.map_or_else(|| home.join(".pg_service.conf"), PathBuf::from);
    let directories = match system {
        Some(directory) => vec![directory],
        None => SYSTEM_DIRECTORIES.to_vec(),
    };
    let shared = directories
        .iter()
        .map(|directory| Path::new(directory).join("pg_service.conf"));
    for path in std::iter::once(own).chain(shared) {
        match fs::read_to_string(&path) {
            Ok(text) => {
                if let Some(values) = service_section(&text, service, &path)? {
                    return Ok(values);
                }
            }
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
            Err(cause) => {
                return Err(Error::io(
                    format!("cannot read '{}'", path.display()),
                    cause,
                ));
            }
        }
    }
    Err(Error::new(
        Kind::Config,
        format!("the service '{service}' is not defined"),
    )
    .with_hint("Define it in ~/.pg_service.conf, or name the file with PGSERVICEFILE."))
}

fn service_section(
    text: &str,
    service: &str,
    path: &Path,
) -> Result<Option<Vec<(&'static str, String)>>> {
    let mut found = None;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            found = (name.strip_suffix(']') == Some(service)).then(Vec::new);
        } else if let Some(values) = &mut found {
            let (name, value) = line.split_once('=').ok_or_else(|| {
                Error::new(
                    Kind::Config,
                    format!(
                        "'{}' has a line without '=' for '{service}'",
                        path.display()
                    ),
                )
            })?;
            values.push((keyword(name.trim())?, value.trim().to_owned()));
        }
    }
    Ok(found)
}
