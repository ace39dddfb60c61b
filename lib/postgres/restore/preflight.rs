//! What is found out before anything is touched: everything that stands in the way, all at once, and
//! what the restore will replace.

use super::apply::{Filter, each_statement};
use super::side::Control;
use super::source::{Layout, Source};
use crate::error::{Error, Result};
use crate::manifest::content::{Database, Properties};
use crate::monitor::{Note, Severity};
use crate::postgres::script::{Summary, What};
use crate::stream::Part;
use std::collections::BTreeSet;

/// What the restore will find and do.
#[derive(Clone, Debug, Default)]
pub struct Preflight {
    /// The database to be filled or replaced.
    pub target: String,
    /// The server's version.
    pub server_version: String,
    /// What is there now under that name; `None`: nothing.
    pub present: Option<Present>,
    /// With what properties the new database is made.
    pub properties: Properties,
    /// In which tablespace, if not the server's default.
    pub tablespace: Option<String>,
    /// What stands in the way; none: the restore can begin.
    pub problems: Vec<String>,
    /// What of that the dump asks for and the server lacks.
    pub missing: Missing,
    /// What will not be as it was, but does not stand in the way.
    pub notes: Vec<Note>,
}

/// What a dump asks for and a server lacks.
#[derive(Clone, Debug, Default)]
pub struct Missing {
    /// Roles that own something or are granted something.
    pub roles: Vec<String>,
    /// Extensions that are not installed.
    pub extensions: Vec<String>,
    /// Tablespaces that something lies in.
    pub tablespaces: Vec<String>,
}

/// The database that is replaced.
#[derive(Clone, Debug)]
pub struct Present {
    /// Its size in bytes.
    pub bytes: u64,
    /// How many others are connected to it.
    pub connections: u64,
}

/// What a dump needs of a server.
#[derive(Default)]
struct Needs {
    extensions: BTreeSet<String>,
    roles: BTreeSet<String>,
    roles_left_out: BTreeSet<String>,
    tablespaces: BTreeSet<String>,
}

impl Preflight {
    /// An error that lists everything that stands in the way, if anything does.
    ///
    /// # Errors
    /// Something does.
    pub fn check(&self) -> Result<()> {
        Error::if_any(&self.problems)
    }

    /// The same where these roles will be there by the time it begins.
    pub fn expect_roles(&mut self, coming: &BTreeSet<String>) {
        let missing = self.missing.roles.iter();
        let missing: Vec<String> = missing
            .filter(|role| !coming.contains(*role))
            .cloned()
            .collect();
        self.problems
            .retain(|problem| !problem.starts_with(ROLES_MISSING));
        if !missing.is_empty() {
            self.problems.push(roles_missing(&missing));
        }
        self.missing.roles = missing;
    }

    /// Looks at the dump and at the server.
    ///
    /// # Errors
    /// One of them can't be read.
    pub fn look(
        source: &Source,
        control: &mut Control,
        filter: &Filter,
        in_place: bool,
        jobs: usize,
    ) -> Result<Self> {
        let mut this = Self {
            target: control.target().to_owned(),
            server_version: control
                .session()
                .value("SELECT current_setting('server_version')", &[])?,
            ..Self::default()
        };
        let recorded = source.database();
        this.look_at_target(control, in_place)?;
        this.choose_properties(source, control)?;
        this.look_at_version(recorded, control);
        if let Layout::Streamed(streamed) = &source.layout
            && streamed.index_lost
        {
            this.notes.push(Note::new(
                Severity::Medium,
                "index-lost",
                source.reader.path().display().to_string(),
                "the index at its end is lost or damaged; the dump is read from front to back",
            ));
        }
        let needs = needs(source, filter)?;
        this.look_at_extensions(&needs, recorded, control)?;
        this.look_at_roles(&needs, control)?;
        this.look_at_tablespaces(&needs, control)?;
        this.look_at_room(recorded, control, jobs)?;
        Ok(this)
    }

    fn look_at_target(&mut self, control: &mut Control, in_place: bool) -> Result<()> {
        let target = self.target.clone();
        let session = control.session();
        let rows = session.query(
            "SELECT pg_has_role(d.datdba, 'MEMBER'), d.datistemplate, \
               CASE WHEN has_database_privilege(d.oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'MEMBER') \
                 THEN pg_database_size(d.oid) ELSE 0 END, \
               (SELECT count(*) FROM pg_stat_activity a WHERE a.datid = d.oid), \
               (SELECT count(*) FROM pg_prepared_xacts p WHERE p.database = d.datname) \
             FROM pg_database d WHERE d.datname = $1",
            &[&target],
        )?;
        if let Some(row) = rows.first() {
            let (ours, template): (bool, bool) = (row.get(0), row.get(1));
            let (bytes, connections, prepared): (i64, i64, i64) =
                (row.get(2), row.get(3), row.get(4));
            self.present = Some(Present {
                bytes: bytes.cast_unsigned(),
                connections: connections.cast_unsigned(),
            });
            if template || target == "postgres" {
                self.problems.push(format!(
                    "database '{target}' belongs to the server itself and can't be replaced"
                ));
            }
            if prepared > 0 && !in_place {
                self.problems.push(format!(
                    "database '{target}' has {prepared} prepared transactions, which hold it"
                ));
            }
            if !ours && !in_place {
                self.problems
                    .push(format!("database '{target}' belongs to another role"));
            }
        } else if in_place {
            self.problems.push(format!(
                "there is no database '{target}' to be filled in place"
            ));
        }
        let may_create: bool = session.value(
            "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user",
            &[],
        )?;
        if !may_create && !in_place {
            self.problems.push(format!(
                "user '{}' may not create databases (an empty one can be filled with --in-place)",
                session.info().user()
            ));
        }
        let standby: bool = session.value("SELECT pg_is_in_recovery()", &[])?;
        if standby {
            self.problems.push("the server is a standby".into());
        }
        Ok(())
    }

    /// The new database is made as the dumped one was; where that is not known, as the present one,
    /// or else as the server does by default. The encoding is in any case the dump's.
    fn choose_properties(&mut self, source: &Source, control: &mut Control) -> Result<()> {
        if let Some(recorded) = source.database() {
            self.properties = recorded.properties.clone();
        } else {
            self.properties.connection_limit = -1;
            let rows = control.session().query(
                "SELECT datname = $1, pg_encoding_to_char(encoding)::text, datcollate::text, \
                   datctype::text, datconnlimit \
                 FROM pg_database WHERE datname IN ($1, 'template1') ORDER BY 1 DESC",
                &[&self.target],
            )?;
            self.properties.encoding = super::encoding(source)?;
            if let Some(row) = rows.first() {
                let (present, encoding): (bool, String) = (row.get(0), row.get(1));
                if self.properties.encoding.is_empty() {
                    self.properties.encoding = encoding.clone();
                }
                if self.properties.encoding == encoding {
                    self.properties.collate = row.get(2);
                    self.properties.ctype = row.get(3);
                } else {
                    // A locale has an encoding of its own; this one fits all.
                    self.properties.collate = "C".to_owned();
                    self.properties.ctype = "C".to_owned();
                }
                if present {
                    self.properties.connection_limit = row.get(4);
                }
            }
        }
        let known: bool = control.session().value(
            "SELECT $1 IN ('', 'C', 'POSIX') OR EXISTS (SELECT FROM pg_database WHERE datcollate = $1) \
             OR EXISTS (SELECT FROM pg_collation WHERE \
               lower(replace(collcollate, '-', '')) = lower(replace($1, '-', '')))",
            &[&self.properties.collate],
        )?;
        if !known {
            self.problems.push(format!(
                "the server's host seems to lack the locale '{}' (locale-gen, or the package locales-all)",
                self.properties.collate
            ));
        }
        Ok(())
    }

    fn look_at_version(&mut self, recorded: Option<&Database>, control: &mut Control) {
        let Some(recorded) = recorded else { return };
        let dumped = recorded
            .server_version
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .and_then(|major| major.parse::<u32>().ok())
            .unwrap_or(0);
        if dumped > control.session().major() {
            self.problems.push(format!(
                "the server is of version {}, older than the {} that the dump was made from",
                self.server_version, recorded.server_version
            ));
        }
    }

    fn look_at_extensions(
        &mut self,
        needs: &Needs,
        recorded: Option<&Database>,
        control: &mut Control,
    ) -> Result<()> {
        let rows = control.session().query(
            "SELECT name::text, default_version FROM pg_available_extensions",
            &[],
        )?;
        let available: std::collections::BTreeMap<String, String> = rows
            .iter()
            .map(|row| {
                (
                    row.get(0),
                    row.get::<_, Option<String>>(1).unwrap_or_default(),
                )
            })
            .collect();
        for extension in &needs.extensions {
            let Some(version) = available.get(extension) else {
                self.missing.extensions.push(extension.clone());
                self.problems.push(format!(
                    "extension '{extension}' is not installed on the server"
                ));
                continue;
            };
            let dumped = recorded
                .and_then(|recorded| recorded.extensions.iter().find(|e| e.name == *extension));
            if let Some(dumped) = dumped.filter(|dumped| dumped.version != *version) {
                self.notes.push(Note::new(
                    Severity::Low,
                    "extension-version",
                    format!("extension {extension}"),
                    format!("will be of version {version}; it was of {}", dumped.version),
                ));
            }
        }
        Ok(())
    }

    fn look_at_roles(&mut self, needs: &Needs, control: &mut Control) -> Result<()> {
        let rows = control
            .session()
            .query("SELECT rolname::text FROM pg_roles", &[])?;
        let present: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
        self.missing.roles = needs.roles.difference(&present).cloned().collect();
        if !self.missing.roles.is_empty() {
            self.problems.push(roles_missing(&self.missing.roles));
        }
        for role in needs.roles_left_out.difference(&present) {
            self.notes.push(Note::new(
                Severity::Low,
                "role-missing",
                format!("role {role}"),
                "is not there; what it owned or was granted is left out",
            ));
        }
        Ok(())
    }

    fn look_at_tablespaces(&mut self, needs: &Needs, control: &mut Control) -> Result<()> {
        let rows = control
            .session()
            .query("SELECT spcname::text FROM pg_tablespace", &[])?;
        let present: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
        let wanted = self.properties.tablespace.clone();
        if present.contains(&wanted) && wanted != "pg_default" {
            self.tablespace = Some(wanted);
        } else if !present.contains(&wanted) && !wanted.is_empty() {
            self.notes.push(Note::new(
                Severity::Low,
                "tablespace-missing",
                format!("tablespace {wanted}"),
                "is not there; the database goes to the default one",
            ));
        }
        for tablespace in needs.tablespaces.difference(&present) {
            self.missing.tablespaces.push(tablespace.clone());
            self.problems.push(format!(
                "tablespace '{tablespace}' is missing (--no-tablespaces does without)"
            ));
        }
        Ok(())
    }

    /// Room on the server's disk, where it is this host's, and among its connections.
    fn look_at_room(
        &mut self,
        recorded: Option<&Database>,
        control: &mut Control,
        jobs: usize,
    ) -> Result<()> {
        let session = control.session();
        let free: i64 = session.value(
            "SELECT current_setting('max_connections')::bigint \
               - current_setting('superuser_reserved_connections')::bigint \
               - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')",
            &[],
        )?;
        if free < jobs as i64 + 1 {
            self.problems.push(format!(
                "the server has {free} connections free, {} are needed (--jobs)",
                jobs + 1
            ));
        }
        let Some(recorded) = recorded.filter(|_| session.endpoint().socket().is_some()) else {
            return Ok(());
        };
        let directory = session.query(
            "SELECT setting FROM pg_settings WHERE name = 'data_directory'",
            &[],
        )?;
        if let Some(directory) = directory.first().map(|row| row.get::<_, String>(0))
            && let Ok(disk) = nix::sys::statvfs::statvfs(directory.as_str())
        {
            let free = disk.blocks_available() * disk.fragment_size();
            if free < recorded.size_bytes {
                self.problems.push(format!(
                    "the server's disk has {} MiB free; the database took {} MiB",
                    free >> 20,
                    recorded.size_bytes >> 20
                ));
            }
        }
        Ok(())
    }
}

const ROLES_MISSING: &str = "roles are missing: ";

fn roles_missing(roles: &[String]) -> String {
    format!(
        "{ROLES_MISSING}{} (sg-restore globals brings them, --no-owner and --no-privileges do without)",
        roles.join(", ")
    )
}

/// Reads what the SQL of a dump asks for.
fn needs(source: &Source, filter: &Filter) -> Result<Needs> {
    let mut needs = Needs::default();
    let parts = match &source.layout {
        Layout::Indexed(parts) => parts,
        Layout::Streamed(streamed) => {
            for (statement, text) in &streamed.asks {
                needs.add(statement, text, filter);
            }
            return Ok(needs);
        }
    };
    for (part, place) in &parts.sql {
        if matches!(
            part,
            Part::LargeObjects | Part::Sequences | Part::Trailer | Part::Properties
        ) {
            continue;
        }
        each_statement(source.reader.content(*place)?, |_, summary, sql| {
            needs.add(summary, sql, filter);
            Ok(())
        })?;
    }
    Ok(needs)
}

impl Needs {
    fn add(&mut self, statement: &Summary, sql: &[u8], filter: &Filter) {
        let roles: &[String] = match &statement.what {
            What::Extension(name) => {
                self.extensions.insert(name.clone());
                &[]
            }
            What::Setting(name) if name == "default_tablespace" && !filter.no_tablespaces => {
                let text = String::from_utf8_lossy(sql);
                let value = text.rsplit('=').next().unwrap_or_default();
                let value = value.trim_matches(|c: char| c == ';' || c.is_whitespace());
                if !matches!(value, "''" | "\"\"" | "") {
                    let name = value.trim_matches('"').replace("\"\"", "\"");
                    self.tablespaces.insert(name);
                }
                &[]
            }
            What::Owner(role) | What::Authorization(Some(role)) | What::UserMapping(role) => {
                std::slice::from_ref(role)
            }
            What::Privileges(roles) | What::Attached(roles) => roles,
            _ => &[],
        };
        let wanted = if filter.drops(statement) {
            &mut self.roles_left_out
        } else {
            &mut self.roles
        };
        wanted.extend(roles.iter().filter(|role| *role != "public").cloned());
    }
}
