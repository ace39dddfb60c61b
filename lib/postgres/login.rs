//! One attempt to get in, and the words for why it failed.

use super::conninfo::{Conninfo, Endpoint};
use super::link::{Fused, Messages};
use super::passfile::Password;
use super::require_auth::Methods;
use super::tls::Mode;
use super::wire::{self, AlreadySecure, Rows, Tap};
use crate::error::{Error, Kind};
use std::error::Error as _;
use std::io;
use tokio_postgres::config::{ChannelBinding, SslMode, SslNegotiation};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

/// What a login yields: tokio-postgres's two halves, and the rows that the tap keeps back.
pub(super) type Established = (Client, Box<dyn Messages + Send>, Rows);

/// Opens the socket, agrees on TLS, and logs in.
pub(super) async fn establish(
    info: &Conninfo,
    endpoint: &Endpoint,
    mode: Mode,
) -> Result<Established, Refusal> {
    let stream = wire::open(endpoint, info)
        .await
        .map_err(|cause| Refusal::unreachable(info, endpoint, &cause))?;
    let secured = wire::secure(stream, endpoint, info, mode).await?;
    let mut config = tokio_postgres::Config::new();
    config.user(info.user()).dbname(info.database());
    let password = info.password(endpoint);
    if let Password::Found(password) = &password {
        config.password(password);
    }
    if let Some(options) = info.get("options") {
        config.options(options);
    }
    config.application_name(info.get("application_name").unwrap_or("sg-toolkit"));
    config.channel_binding(match info.get("channel_binding") {
        Some("disable") => ChannelBinding::Disable,
        Some("require") => ChannelBinding::Require,
        _ => ChannelBinding::Prefer,
    });
    let methods = info.get("require_auth").map(Methods::parse).transpose()?;
    let (tap, rows) = Tap::new(secured.stream, methods);
    let login = match secured.binding {
        None => {
            config.ssl_mode(SslMode::Disable);
            let (client, connection) = config
                .connect_raw(tap, NoTls)
                .await
                .map_err(|cause| Refusal::at_login(info, endpoint, cause, &password))?;
            let connection: Box<dyn Messages + Send> = Box::new(Fused::new(connection));
            (client, connection)
        }
        Some(binding) => {
            config.ssl_mode(SslMode::Require);
            config.ssl_negotiation(SslNegotiation::Direct);
            let connecting = config.connect_raw(tap, AlreadySecure(binding));
            let (client, connection) = connecting
                .await
                .map_err(|cause| Refusal::at_login(info, endpoint, cause, &password))?;
            let connection: Box<dyn Messages + Send> = Box::new(Fused::new(connection));
            (client, connection)
        }
    };
    Ok((login.0, login.1, rows))
}

/// Why one attempt to connect failed.
pub(super) struct Refusal {
    pub(super) error: Error,
    /// Nobody answered at all.
    pub(super) unreachable: bool,
    /// The server says that it will do better in a moment.
    pub(super) passing: bool,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self {
            error,
            unreachable: false,
            passing: false,
        }
    }
}

impl Refusal {
    pub(super) fn unreachable(info: &Conninfo, endpoint: &Endpoint, cause: &io::Error) -> Self {
        let reason = cause.to_string();
        let kind = match cause.kind() {
            io::ErrorKind::PermissionDenied => Kind::Permission,
            _ => Kind::Unavailable,
        };
        let message = format!(
            "cannot reach the server of database '{}' at {endpoint}: {reason}",
            info.database()
        );
        Self {
            error: Error::new(kind, message).with_hint(
                "Is the server running there? PGHOST (a host or a socket's directory) and PGPORT say where to look.",
            ),
            unreachable: true,
            passing: false,
        }
    }

    fn at_login(
        info: &Conninfo,
        endpoint: &Endpoint,
        cause: tokio_postgres::Error,
        password: &Password,
    ) -> Self {
        let passing = cause.code().is_some_and(|code| {
            [SqlState::CANNOT_CONNECT_NOW, SqlState::TOO_MANY_CONNECTIONS].contains(code)
        });
        let wants_password =
            cause.as_db_error().is_none() && format!("{cause:?}").contains("password missing");
        let error = if wants_password {
            let hint = match password {
                Password::Unusable(why) => why.clone(),
                _ => "Put it into ~/.pgpass or the unit's credential 'pgpass', or use peer authentication.".to_owned(),
            };
            Error::new(
                Kind::Permission,
                format!("{} wants a password", name(info, endpoint)),
            )
            .with_hint(hint)
        } else {
            failure(info, endpoint, cause)
        };
        Self {
            error,
            unreachable: false,
            passing,
        }
    }
}

/// The connection, in messages.
pub(super) fn name(info: &Conninfo, endpoint: &Endpoint) -> String {
    format!(
        "database '{}' at {endpoint}, as user '{}'",
        info.database(),
        info.user()
    )
}

/// What the server or the client says, in the words of this library.
pub(super) fn failure(info: &Conninfo, endpoint: &Endpoint, cause: tokio_postgres::Error) -> Error {
    let place = name(info, endpoint);
    let Some(said) = cause.as_db_error() else {
        let reason = match cause.source() {
            Some(source) => format!("{cause}: {source}"),
            None => cause.to_string(),
        };
        let network = cause
            .source()
            .and_then(|source| source.downcast_ref::<io::Error>());
        let lost = cause.is_closed() || network.is_some();
        let forbidden =
            network.is_some_and(|cause| cause.kind() == io::ErrorKind::PermissionDenied);
        let kind = if forbidden {
            Kind::Permission
        } else if lost {
            Kind::Unavailable
        } else {
            Kind::Failed
        };
        return Error::new(kind, format!("{place}: {reason}")).with_source(cause);
    };
    let code = said.code();
    let class = &code.code()[..2];
    let (kind, hint) = match class {
        "28" => (
            Kind::Permission,
            Some("pg_hba.conf decides who gets in, and how; PGUSER names the user."),
        ),
        "08" | "57" if *code != SqlState::QUERY_CANCELED => (Kind::Unavailable, None),
        "53" => (Kind::Unavailable, None),
        "42" if *code == SqlState::INSUFFICIENT_PRIVILEGE => (Kind::Permission, None),
        _ => (Kind::Failed, None),
    };
    let mut message = format!("{place}: {}", said.message());
    for more in [said.detail(), said.where_()].into_iter().flatten() {
        message.push_str(" (");
        message.push_str(more);
        message.push(')');
    }
    let mut error = Error::new(kind, message);
    if let Some(hint) = hint.or(said.hint()) {
        error = error.with_hint(hint.to_owned());
    }
    if *code == SqlState::T_R_DEADLOCK_DETECTED {
        error = error.with_source(cause);
    }
    error
}

/// Whether the server has chosen this statement to fail, so that others that waited for it in a circle
/// can go on: it may be run again.
pub(super) fn is_deadlock(error: &Error) -> bool {
    let cause = error
        .source()
        .and_then(<dyn std::error::Error>::downcast_ref);
    cause
        .and_then(tokio_postgres::Error::code)
        .is_some_and(|code| *code == SqlState::T_R_DEADLOCK_DETECTED)
}
