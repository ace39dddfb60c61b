//! A mail server, spoken to command by command rather than by lettre's transport, because it matters
//! which step failed: a wrong password has another cure than a wrong address, and one address that is
//! refused must not keep the others from being told.

use super::channel::{Accepted, Fault, Then};
use super::secret::Secret;
use super::tls;
use crate::error::{Error, Kind, Result};
use lettre::address::Envelope;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    Certificate, CertificateStore, SmtpConnection, TlsParameters,
};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use percent_encoding::percent_decode_str;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use url::Url;

/// Every wait for the other side is at most this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// How the connection to a mail server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// After the greeting, by STARTTLS; without it nothing is sent.
    Starttls,
    /// From the first byte.
    FromTheStart,
    /// Not at all.
    None,
}

/// Who we say we are.
#[derive(Clone, Debug)]
pub struct Login {
    /// The user.
    pub user: String,
    /// His password.
    pub password: Secret,
}

/// A mail server.
#[derive(Clone, Debug)]
pub struct Smtp {
    host: String,
    port: u16,
    tls: SmtpTls,
    login: Option<Login>,
    ca: Option<PathBuf>,
}

/// A mail server as it is written in one line.
#[derive(Clone, Debug)]
pub struct SmtpUrl {
    /// Its name or address.
    pub host: String,
    /// Its port, if it is not the usual one.
    pub port: Option<u16>,
    /// Whether it is `smtps`.
    pub tls: Option<SmtpTls>,
    /// The user to log in as.
    pub user: Option<String>,
    /// A password, which should not stand there.
    pub password: Option<Secret>,
}

impl SmtpUrl {
    /// Reads `smtp://[USER[:PASSWORD]@]HOST[:PORT]`, or `smtps://…` for TLS from the start.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self> {
        // The URL is not named: it may hold a password.
        let wrong = |reason: &str| {
            Error::new(
                Kind::Config,
                format!("SG_SMTP_URL is no mail server's URL: {reason}"),
            )
            .with_hint("Write smtp://USER@HOST:587, or smtps://USER@HOST for TLS from the start.")
        };
        let url = Url::parse(text).map_err(|cause| wrong(&cause.to_string()))?;
        let tls = match url.scheme() {
            "smtp" => None,
            "smtps" => Some(SmtpTls::FromTheStart),
            _ => return Err(wrong("it must begin with smtp:// or smtps://")),
        };
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or_else(|| wrong("it names no host"))?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port(),
            tls,
            user: Some(decoded(url.username())).filter(|user| !user.is_empty()),
            password: url
                .password()
                .map(|password| Secret::new(decoded(password))),
        })
    }
}

impl Smtp {
    /// The server `host`; what is not said follows from the rest: no encryption on this very host,
    /// STARTTLS elsewhere, and the usual port. `ca` is trusted beside the host's authorities.
    pub fn new(
        host: String,
        port: Option<u16>,
        tls: Option<SmtpTls>,
        login: Option<Login>,
        ca: Option<PathBuf>,
    ) -> Self {
        let tls = tls.unwrap_or(match (is_here(&host), port) {
            (_, Some(465)) => SmtpTls::FromTheStart,
            (true, _) => SmtpTls::None,
            (false, _) => SmtpTls::Starttls,
        });
        let port = port.unwrap_or(match tls {
            SmtpTls::FromTheStart => 465,
            SmtpTls::Starttls => 587,
            SmtpTls::None => 25,
        });
        Self {
            host,
            port,
            tls,
            login,
            ca,
        }
    }

    /// Where it is, for people.
    pub(super) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// An error of this server's.
    fn error(&self, kind: Kind, what: &str, cause: &SmtpError) -> Error {
        let reason = reason(cause);
        Error::new(kind, format!("{what} {}: {reason}", self.address()))
    }

    fn parameters(&self) -> Result<TlsParameters, Fault> {
        let authorities = tls::authorities(self.ca.as_deref()).map_err(Fault::permanent)?;
        let mut builder =
            TlsParameters::builder(self.host.clone()).certificate_store(CertificateStore::None);
        for certificate in authorities {
            // rustls passes over what it can't read, as browsers do.
            if let Ok(certificate) = Certificate::from_der(certificate.to_vec()) {
                builder = builder.add_root_certificate(certificate);
            }
        }
        builder.build_rustls().map_err(|cause| {
            Fault::permanent(self.error(
                Kind::Config,
                "cannot set up TLS to the mail server",
                &cause,
            ))
        })
    }

    /// Sends one mail; returns the addresses that were refused, for good or for now, beside others that were
    /// not.
    pub(super) fn send(
        &self,
        envelope: &Envelope,
        mail: &[u8],
        deadline: Instant,
    ) -> Result<Accepted, Fault> {
        let mut connection = self.connect(deadline)?;
        if let Some(login) = &self.login {
            self.prepare(&mut connection, deadline)?;
            let credentials =
                Credentials::new(login.user.clone(), login.password.expose().to_owned());
            connection
                .auth(&[Mechanism::Plain, Mechanism::Login], &credentials)
                .map_err(|cause| self.login_fault(login, &cause))?;
        }
        self.prepare(&mut connection, deadline)?;
        connection
            .command(MailFrom::new(envelope.from().cloned(), Vec::new()))
            .map_err(|cause| {
                let error = self.error(Kind::Config, "the sender is refused by", &cause);
                self.fault(
                    &cause,
                    error,
                    Then::Stop,
                    "Set SG_ALERT_FROM to an address that the server accepts.",
                )
            })?;
        let mut outcome = Accepted::default();
        let mut accepted = false;
        let mut later = None;
        for address in envelope.to() {
            self.prepare(&mut connection, deadline)?;
            match connection.command(Rcpt::new(address.clone(), Vec::new())) {
                Ok(_) => accepted = true,
                Err(cause) => {
                    let what = format!("<{address}> is refused by");
                    let error = self.error(Kind::Config, &what, &cause);
                    outcome.remarks.push(error.to_string());
                    if !cause.is_permanent() {
                        outcome.later.push(address.to_string());
                    }
                    let fault = self.fault(&cause, error, Then::Stop, "Look at SG_ALERT_TO.");
                    let fatal = cause.status().is_none();
                    let waits = fault.then != Then::Stop;
                    if fatal {
                        return Err(fault);
                    }
                    if waits || later.is_none() {
                        later = Some(fault);
                    }
                }
            }
        }
        if let (false, Some(fault)) = (accepted, later) {
            connection.quit().ok();
            return Err(fault);
        }
        self.prepare(&mut connection, deadline)?;
        let done = connection
            .command(Data)
            .and_then(|_| connection.message(mail));
        done.map_err(|cause| {
            let error = self.error(Kind::Failed, "the message is refused by", &cause);
            self.fault(
                &cause,
                error,
                Then::Skip,
                "The server's own log may say why.",
            )
        })?;
        // It is accepted; how we part makes no difference.
        connection.quit().ok();
        Ok(outcome)
    }

    fn connect(&self, deadline: Instant) -> Result<SmtpConnection, Fault> {
        let parameters = match self.tls {
            SmtpTls::None => None,
            _ => Some(self.parameters()?),
        };
        let hello = ClientId::default();
        let from_the_start = parameters
            .as_ref()
            .filter(|_| self.tls == SmtpTls::FromTheStart);
        let mut connection = SmtpConnection::connect(
            (self.host.as_str(), self.port),
            Some(self.patience(deadline)?),
            &hello,
            from_the_start,
            None,
        )
        .map_err(|cause| self.connection_fault("cannot reach the mail server", &cause))?;
        if let (SmtpTls::Starttls, Some(parameters)) = (self.tls, &parameters) {
            if !connection.can_starttls() {
                return Err(Fault::permanent(
                    Error::new(
                        Kind::Config,
                        format!("the mail server {} does not offer STARTTLS", self.address()),
                    )
                    .with_hint(
                        "Use SG_SMTP_TLS=tls and port 465 if it has that; SG_SMTP_TLS=none sends in the clear.",
                    ),
                ));
            }
            self.prepare(&mut connection, deadline)?;
            connection.starttls(parameters, &hello).map_err(|cause| {
                self.connection_fault("no encryption with the mail server", &cause)
            })?;
        }
        Ok(connection)
    }

    /// How long the next wait may be.
    fn patience(&self, deadline: Instant) -> Result<Duration, Fault> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Fault::transient(Error::new(
                Kind::Unavailable,
                format!("the mail server {} takes too long", self.address()),
            )));
        }
        Ok(left.min(PATIENCE))
    }

    /// Makes sure that the next command does not wait for ever.
    fn prepare(&self, connection: &mut SmtpConnection, deadline: Instant) -> Result<(), Fault> {
        let patience = self.patience(deadline)?;
        connection.set_timeout(Some(patience)).map_err(|cause| {
            let what = format!("lost the mail server {}", self.address());
            Fault::transient(Error::new(Kind::Unavailable, what).with_source(cause))
        })
    }

    fn connection_fault(&self, what: &str, cause: &SmtpError) -> Fault {
        if tls::is_certificate(cause) {
            let error = self.error(Kind::Config, what, cause);
            return Fault::permanent(error.with_hint(tls::CERTIFICATE_HINT));
        }
        let error = self.error(Kind::Unavailable, what, cause);
        self.fault(
            cause,
            error,
            Then::Stop,
            "Look at the mail server, or at SG_SMTP_URL.",
        )
    }

    fn login_fault(&self, login: &Login, cause: &SmtpError) -> Fault {
        let what = format!("'{}' can't log in to", login.user);
        let error = self.error(Kind::Permission, &what, cause);
        let hint = if cause.is_client() {
            "The server offers neither PLAIN nor LOGIN; it may want STARTTLS first."
        } else {
            "Look at SG_SMTP_USER and the credential smtp-password."
        };
        if cause.is_client() {
            return Fault::permanent(error.with_hint(hint));
        }
        self.fault(cause, error, Then::Stop, hint)
    }

    /// What follows from `cause`: what the server refused for good ends as `refused` says, all else may
    /// work later. lettre's own word for a timeout is not to be relied on, so it is not asked.
    fn fault(&self, cause: &SmtpError, error: Error, refused: Then, hint: &'static str) -> Fault {
        if cause.is_permanent() {
            return Fault {
                error: error.with_hint(hint),
                then: refused,
            };
        }
        let text = error.to_string();
        Fault::transient(Error::new(Kind::Unavailable, text))
    }
}

/// The reason in one line; a read that timed out is called "Resource temporarily unavailable" by the
/// kernel.
fn reason(cause: &SmtpError) -> String {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(cause);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<std::io::Error>()
            && matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            )
        {
            return "no answer in time".to_owned();
        }
        next = error.source();
    }
    let text = cause.to_string();
    let text = text
        .strip_prefix("Connection error: ")
        .or_else(|| text.strip_prefix("network error: "))
        .unwrap_or(&text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_here(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_follows_from_the_rest() {
        for (url, tls, port) in [
            ("smtp://mail.example.org", SmtpTls::Starttls, 587),
            ("smtp://mail.example.org:2525", SmtpTls::Starttls, 2525),
            ("smtp://mail.example.org:465", SmtpTls::FromTheStart, 465),
            ("smtps://mail.example.org", SmtpTls::FromTheStart, 465),
            ("smtp://localhost", SmtpTls::None, 25),
            ("smtp://[::1]:2525", SmtpTls::None, 2525),
            ("smtp://127.0.0.2", SmtpTls::None, 25),
        ] {
            let url = SmtpUrl::parse(url).unwrap();
            let smtp = Smtp::new(url.host, url.port, url.tls, None, None);
            assert_eq!((smtp.tls, smtp.port), (tls, port), "{}", smtp.host);
        }
    }

    #[test]
    fn a_url_with_a_password_does_not_show_it() {
        let url = SmtpUrl::parse("smtp://a%40b:p%2Fw@mail").unwrap();
        assert_eq!(url.user.as_deref(), Some("a@b"));
        assert_eq!(url.password.as_ref().unwrap().expose(), "p/w");
        assert!(!format!("{url:?}").contains("p/w"));
        let error = SmtpUrl::parse("http://a:hunter2@mail").unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }
}
