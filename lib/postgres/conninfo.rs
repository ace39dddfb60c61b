//! Which server to talk to, and as whom: libpq's answer, worked out in one place.
//!
//! A program that also runs `pg_dump` and `psql` has two clients, and both must reach the same
//! server. So libpq's rules (connection string, service file, environment, defaults, in that order
//! of precedence; then the password file) are followed here once, and their outcome serves our own
//! connections and, as plain `PG…` variables, the children.

use super::connection_string::{is_connection_string, parse};
use super::passfile::{self, Password};
use super::peer;
use super::service;
use crate::error::{Context, Error, Kind, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// libpq's keywords, each with its environment variable.
const KEYWORDS: &[(&str, Option<&str>)] = &[
    ("application_name", Some("PGAPPNAME")),
    ("channel_binding", Some("PGCHANNELBINDING")),
    ("client_encoding", None), // the dump's encoding is the database's own
    ("connect_timeout", Some("PGCONNECT_TIMEOUT")),
    ("dbname", Some("PGDATABASE")),
    ("fallback_application_name", None),
    ("gssdelegation", Some("PGGSSDELEGATION")),
    ("gssencmode", Some("PGGSSENCMODE")),
    ("gsslib", Some("PGGSSLIB")),
    ("host", Some("PGHOST")),
    ("hostaddr", Some("PGHOSTADDR")),
    ("keepalives", None),
    ("keepalives_count", None),
    ("keepalives_idle", None),
    ("keepalives_interval", None),
    ("krbsrvname", Some("PGKRBSRVNAME")),
    ("load_balance_hosts", Some("PGLOADBALANCEHOSTS")),
    ("options", Some("PGOPTIONS")),
    ("passfile", Some("PGPASSFILE")),
    ("password", Some("PGPASSWORD")),
    ("port", Some("PGPORT")),
    ("require_auth", Some("PGREQUIREAUTH")),
    ("requirepeer", Some("PGREQUIREPEER")),
    ("service", Some("PGSERVICE")),
    ("servicefile", Some("PGSERVICEFILE")),
    ("ssl_max_protocol_version", Some("PGSSLMAXPROTOCOLVERSION")),
    ("ssl_min_protocol_version", Some("PGSSLMINPROTOCOLVERSION")),
    ("sslcert", Some("PGSSLCERT")),
    ("sslcertmode", Some("PGSSLCERTMODE")),
    ("sslcompression", Some("PGSSLCOMPRESSION")),
    ("sslcrl", Some("PGSSLCRL")),
    ("sslcrldir", Some("PGSSLCRLDIR")),
    ("sslkey", Some("PGSSLKEY")),
    ("sslmode", Some("PGSSLMODE")),
    ("sslnegotiation", Some("PGSSLNEGOTIATION")),
    ("sslpassword", None),
    ("sslrootcert", Some("PGSSLROOTCERT")),
    ("sslsni", Some("PGSSLSNI")),
    ("target_session_attrs", Some("PGTARGETSESSIONATTRS")),
    ("tcp_user_timeout", None),
    ("user", Some("PGUSER")),
];

/// Where servers put their sockets: the packages' directory, then upstream's.
const SOCKET_DIRECTORIES: &[&str] = &["/var/run/postgresql", "/tmp"];

/// The parameters of a connection, resolved.
#[derive(Clone)]
pub struct Conninfo {
    values: BTreeMap<&'static str, String>,
    home: PathBuf,
    credentials: Option<PathBuf>,
    open_password: bool,
}

/// One server to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A name, an address, or the directory of a unix socket.
    pub host: String,
    /// The address to use instead of looking `host` up.
    pub address: Option<String>,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// Its socket, if it is one.
    pub fn socket(&self) -> Option<PathBuf> {
        let directory = self.address.is_none() && self.host.starts_with(['/', '@']);
        directory.then(|| Path::new(&self.host).join(format!(".s.PGSQL.{}", self.port)))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Conninfo {
    /// The connection that libpq would make in this process's environment to `database`: a name, or
    /// a connection string or URI, as wherever libpq takes a name; by default that of
    /// the environment.
    ///
    /// # Errors
    /// The string or the service file makes no sense.
    pub fn new(database: Option<&str>) -> Result<Self> {
        Self::resolve(database, |name| std::env::var(name).ok())
    }

    /// The same, with the environment as `variable` tells it.
    ///
    /// # Errors
    /// The string or the service file makes no sense.
    pub fn resolve(
        database: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let mut values = match database {
            Some(text) if is_connection_string(text) => parse(text)?,
            Some(name) => BTreeMap::from([("dbname", name.to_owned())]),
            None => BTreeMap::new(),
        };
        let home = home(&variable);
        let service = values.get("service").cloned();
        if let Some(service) = service.or_else(|| variable("PGSERVICE")) {
            let file = values.get("servicefile").cloned();
            let file = file.or_else(|| variable("PGSERVICEFILE"));
            let system = variable("PGSYSCONFDIR");
            for (keyword, value) in
                service::read(&service, file.as_deref(), &home, system.as_deref())?
            {
                values.entry(keyword).or_insert(value);
            }
        }
        let mut open_password = values.contains_key("password");
        for &(keyword, name) in KEYWORDS {
            if let Some(value) = name.and_then(&variable) {
                open_password |= keyword == "password";
                values.entry(keyword).or_insert(value);
            }
        }
        values.remove("service");
        values.remove("servicefile");
        values.remove("client_encoding");
        if let Some(fallback) = values.remove("fallback_application_name") {
            values.entry("application_name").or_insert(fallback);
        }
        let mut info = Self {
            values,
            home,
            credentials: variable("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            open_password,
        };
        if !info.values.contains_key("user") {
            let first = info.endpoints()?.into_iter().next();
            let user = match first.as_ref().and_then(peer::administrator) {
                Some(administrator) => administrator.name,
                None => system_user()?,
            };
            info.values.insert("user", user);
        }
        if !info.values.contains_key("dbname") {
            let user = info.values["user"].clone();
            info.values.insert("dbname", user);
        }
        Ok(info)
    }

    /// Whom root becomes at `endpoint`: the user that the server there runs as, if that is who
    /// connects.
    pub(super) fn administrator(&self, endpoint: &Endpoint) -> Option<nix::unistd::User> {
        peer::administrator(endpoint).filter(|administrator| administrator.name == self.user())
    }

    /// The same connection to another database of the same server.
    #[must_use]
    pub fn with_database(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.values.insert("dbname", name.to_owned());
        other
    }

    /// The same connection under the name `application`, unless the user chose one.
    #[must_use]
    pub fn with_application(mut self, application: &str) -> Self {
        self.values
            .entry("application_name")
            .or_insert_with(|| application.to_owned());
        self
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        self.get("dbname").unwrap_or_default()
    }

    /// The user's name.
    pub fn user(&self) -> &str {
        self.get("user").unwrap_or_default()
    }

    /// Whether a password stands in the environment or a connection string, where others may see it.
    pub fn has_open_password(&self) -> bool {
        self.open_password
    }

    /// The value of a libpq keyword, e.g. `sslmode`.
    pub fn get(&self, keyword: &str) -> Option<&str> {
        self.values
            .get(keyword)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A file in `~/.postgresql`, where libpq keeps certificates.
    pub(super) fn default_file(&self, name: &str) -> Option<PathBuf> {
        let path = self.home.join(".postgresql").join(name);
        path.exists().then_some(path)
    }

    /// The servers to try, in their order.
    ///
    /// # Errors
    /// The lists of hosts, addresses and ports don't fit each other.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>> {
        let list = |keyword: &str| -> Vec<&str> {
            self.get(keyword)
                .map_or_else(Vec::new, |list| list.split(',').collect())
        };
        let (hosts, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
        let count = hosts.len().max(addresses.len());
        let mismatch = |what: &str, got: usize| {
            Error::new(Kind::Config, format!("{got} {what} for {count} hosts"))
                .with_hint("Give as many as there are hosts, or one for all.")
        };
        if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
            return Err(mismatch("addresses", addresses.len()));
        }
        if ports.len() > 1 && ports.len() != count {
            return Err(mismatch("ports", ports.len()));
        }
        let port = |at: usize| -> Result<u16> {
            let text = ports.get(at).or(ports.first()).copied().unwrap_or_default();
            if text.is_empty() {
                return Ok(5432);
            }
            text.trim()
                .parse()
                .ok()
                .filter(|&port| port > 0)
                .ok_or_else(|| Error::new(Kind::Config, format!("'{text}' is no port")))
        };
        if count == 0 {
            return Ok(vec![default_endpoint(port(0)?)]);
        }
        (0..count)
            .map(|at| {
                let address = addresses.get(at).copied().filter(|text| !text.is_empty());
                let host = hosts.get(at).copied().filter(|text| !text.is_empty());
                let port = port(at)?;
                Ok(match (host.or(address), address) {
                    (None, None) => default_endpoint(port),
                    (host, address) => Endpoint {
                        host: host.unwrap_or_default().to_owned(),
                        address: address.map(str::to_owned),
                        port,
                    },
                })
            })
            .collect()
    }

    /// The password for `endpoint`: the one given, else that of the password file named, of the
    /// unit's credential `pgpass`, or of `~/.pgpass`.
    pub(super) fn password(&self, endpoint: &Endpoint) -> Password {
        if let Some(password) = self.get("password") {
            return Password::Found(password.to_owned());
        }
        let host = if SOCKET_DIRECTORIES.contains(&endpoint.host.as_str()) {
            "localhost"
        } else {
            &endpoint.host
        };
        let port = endpoint.port.to_string();
        let wanted = [host, &port, self.database(), self.user()];
        match self.get("passfile") {
            Some(path) => passfile::look_up(Path::new(path), true, wanted),
            None => self
                .credentials
                .as_ref()
                // systemd guards a credential by an ACL, which looks like a mode of 0440.
                .map(|directory| passfile::look_up(&directory.join("pgpass"), false, wanted))
                .filter(|answer| matches!(answer, Password::Found(_)))
                .unwrap_or_else(|| passfile::look_up(&self.home.join(".pgpass"), true, wanted)),
        }
    }

    /// The same connection, to the server at `endpoint` and no other.
    #[must_use]
    pub(super) fn at(&self, endpoint: &Endpoint) -> Self {
        let mut pinned = self.clone();
        if let Password::Found(password) = self.password(endpoint) {
            pinned.values.insert("password", password);
        }
        pinned.values.insert("host", endpoint.host.clone());
        pinned.values.insert("port", endpoint.port.to_string());
        match &endpoint.address {
            Some(address) => pinned.values.insert("hostaddr", address.clone()),
            None => pinned.values.remove("hostaddr"),
        };
        pinned
    }

    /// The environment by which a child's libpq makes this connection; all other
    /// [`Conninfo::variables`] have to be taken away.
    pub fn environment(&self) -> impl Iterator<Item = (&'static str, &str)> {
        KEYWORDS
            .iter()
            .filter_map(|&(keyword, name)| Some((name?, self.get(keyword)?)))
    }

    /// The names of all variables by which libpq could be led elsewhere.
    pub fn variables() -> impl Iterator<Item = &'static str> {
        let more = [
            "PGCLIENTENCODING",
            "PGSYSCONFDIR",
            "PGREQUIRESSL",
            "PGTZ",
            "PGDATESTYLE",
        ];
        KEYWORDS.iter().filter_map(|&(_, name)| name).chain(more)
    }
}

impl fmt::Debug for Conninfo {
    /// Leaves out what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = ["password", "sslpassword"];
        f.debug_map()
            .entries(self.values.iter().filter(|(key, _)| !secret.contains(*key)))
            .finish()
    }
}

/// Where a server listens when nothing says so: at the first socket there is, else over TCP.
fn default_endpoint(port: u16) -> Endpoint {
    let endpoint = |host: &&str| Endpoint {
        host: (*host).to_owned(),
        address: None,
        port,
    };
    SOCKET_DIRECTORIES
        .iter()
        .map(endpoint)
        .find(|endpoint| endpoint.socket().is_some_and(|path| path.exists()))
        .unwrap_or_else(|| endpoint(&"localhost"))
}

fn home(variable: &impl Fn(&str) -> Option<String>) -> PathBuf {
    variable("HOME").map_or_else(
        || {
            nix::unistd::User::from_uid(nix::unistd::geteuid())
                .ok()
                .flatten()
                .map_or_else(|| PathBuf::from("/"), |user| user.dir)
        },
        PathBuf::from,
    )
}

fn system_user() -> Result<String> {
    let id = nix::unistd::geteuid();
    nix::unistd::User::from_uid(id)
        .context(|| format!("cannot look up user {id}"))?
        .map(|user| user.name)
        .ok_or_else(|| {
            Error::new(Kind::Config, format!("user {id} has no name"))
                .with_hint("Name the database user with PGUSER.")
        })
}

/// The keyword called `name`.
pub(super) fn keyword(name: &str) -> Result<&'static str> {
    KEYWORDS
        .iter()
        .map(|&(keyword, _)| keyword)
        .find(|&keyword| keyword == name)
        .ok_or_else(|| {
            Error::new(
                Kind::Config,
                format!("libpq knows no connection option '{name}'"),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn resolved(database: Option<&str>, variables: &[(&str, &str)]) -> Result<Conninfo> {
        Conninfo::resolve(database, |name| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_uri_names_everything() {
        let info = resolved(
            Some("postgresql://us%20er:p%40ss@a:1,[::1]:2,%2Frun%2Fpg/d%2Fb?sslmode=require&connect_timeout=3"),
            &[("PGUSER", "other"), ("PGAPPNAME", "app")],
        )
        .unwrap();
        assert_eq!((info.user(), info.database()), ("us er", "d/b"));
        assert_eq!(info.get("password"), Some("p@ss"));
        assert_eq!(info.get("sslmode"), Some("require"));
        assert_eq!(info.get("application_name"), Some("app"));
        let endpoints = info.endpoints().unwrap();
        let told: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["a:1", "::1:2", "/run/pg:5432"]);
        assert_eq!(
            endpoints[2].socket(),
            Some(PathBuf::from("/run/pg/.s.PGSQL.5432"))
        );
        assert!(!format!("{info:?}").contains("p@ss"));
    }

    #[test]
    fn a_connection_string_has_quotes_and_escapes() {
        let info = resolved(Some(r"host=h dbname = 'a \'b\\' user=x\ y"), &[]).unwrap();
        assert_eq!((info.database(), info.user()), (r"a 'b\", "x y"));
        for wrong in ["dbname='open", "nonsense=1", "host=a dbname"] {
            assert!(resolved(Some(wrong), &[]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_service_stands_between_the_string_and_the_environment() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("services");
        fs::write(
            &file,
            "# ours\n[other]\nhost=wrong\n[main]\nhost=db.example\nport=6\nuser=svc\n",
        )
        .unwrap();
        let file = file.to_str().unwrap();
        let variables = [
            ("PGSERVICE", "main"),
            ("PGSERVICEFILE", file),
            ("PGPORT", "7"),
        ];
        let info = resolved(Some("user=mine dbname=x"), &variables).unwrap();
        assert_eq!(info.user(), "mine");
        assert_eq!(info.endpoints().unwrap()[0].to_string(), "db.example:6");
        let missing = resolved(Some("service=none"), &variables).unwrap_err();
        assert_eq!(missing.kind(), Kind::Config);
    }

    #[test]
    fn lists_must_fit_each_other() {
        let endpoints = |variables: &[(&str, &str)]| resolved(None, variables)?.endpoints();
        assert!(endpoints(&[("PGHOST", "a,b"), ("PGPORT", "1,2,3")]).is_err());
        assert!(endpoints(&[("PGHOST", "a,b"), ("PGHOSTADDR", "::1")]).is_err());
        let one_port = endpoints(&[("PGHOST", "a,b"), ("PGPORT", "9")]).unwrap();
        assert_eq!((one_port[0].port, one_port[1].port), (9, 9));
    }
}
