//! An address on the web that is a secret, and how it is called: within a time, with the host's authorities,
//! without a word about it in an error.

use super::channel::Fault;
use super::redact::Redactor;
use super::secret::Secret;
use super::tls;
use crate::error::{Error, Kind, Result};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use url::Url;

const CONNECT: Duration = Duration::from_secs(10);

/// The address.
pub(super) struct Endpoint {
    pub(super) url: Url,
    /// What it is, for people: "Slack webhook".
    what: String,
    ca: Option<PathBuf>,
    redactor: Redactor,
}

/// The URL in `secret`, which is that of `what`; `hint` says what else to put there.
///
/// # Errors
/// It is none. The error does not show it.
pub(super) fn parse(secret: &Secret, what: &str, hint: &'static str) -> Result<Url> {
    let wrong = |reason: &str| {
        let message = format!("the {what}'s URL can't be used: {reason}");
        Error::new(Kind::Config, message).with_hint(hint)
    };
    let url = Url::parse(secret.expose().trim()).map_err(|cause| wrong(&cause.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong("it does not begin with https://"));
    }
    Ok(url)
}

impl Endpoint {
    /// What is at `url`, and is called `what`; `ca` is trusted beside the host's authorities, `more` is kept
    /// out of errors as the URL is.
    pub(super) fn new(url: Url, what: String, ca: Option<PathBuf>, more: Option<Secret>) -> Self {
        let secrets = [
            Secret::new(url.as_str()),
            Secret::new(url.path()),
            Secret::new(url.query().unwrap_or_default()),
        ];
        Self {
            redactor: Redactor::new(secrets.into_iter().chain(more)),
            url,
            what,
            ca,
        }
    }

    /// What it is and where, without the secret.
    pub(super) fn name(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{} at {host}:{port}", self.what),
            None => format!("{} at {host}", self.what),
        }
    }

    /// Something that calls it, within the time that is `left`.
    ///
    /// # Errors
    /// The authorities can't be read.
    pub(super) fn agent(&self, left: Duration) -> Result<ureq::Agent> {
        let mut config = ureq::Agent::config_builder()
            .timeout_global(Some(left))
            .timeout_connect(Some(left.min(CONNECT)))
            .http_status_as_error(false)
            // A redirected POST arrives as a GET, without its content.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("sg-alert/", env!("CARGO_PKG_VERSION")));
        if self.url.scheme() == "https" {
            let roots: Vec<Certificate<'static>> = tls::authorities(self.ca.as_deref())?
                .iter()
                .map(|certificate| Certificate::from_der(certificate).to_owned())
                .collect();
            config = config.tls_config(
                TlsConfig::builder()
                    .root_certs(RootCerts::Specific(Arc::new(roots)))
                    .unversioned_rustls_crypto_provider(Arc::new(
                        rustls::crypto::ring::default_provider(),
                    ))
                    .build(),
            );
        }
        Ok(config.build().new_agent())
    }

    /// An error that names it but not its address.
    pub(super) fn error(&self, kind: Kind, reason: &str) -> Error {
        let text = format!("the {} {reason}", self.name());
        Error::new(kind, self.redactor.clean(&text))
    }

    /// Why it could not be called.
    pub(super) fn failed(&self, cause: &ureq::Error) -> Fault {
        // ureq does not name what lies behind an I/O error as its source.
        let certificate = match cause {
            ureq::Error::Io(cause) => tls::is_certificate(cause),
            other => matches!(other, ureq::Error::Rustls(_)),
        };
        if certificate {
            let error = self.error(
                Kind::Config,
                &format!("has a certificate that is refused: {cause}"),
            );
            return Fault::permanent(error.with_hint(tls::CERTIFICATE_HINT));
        }
        let reason = match cause {
            ureq::Error::Timeout(_) => "does not answer in time".to_owned(),
            ureq::Error::HostNotFound => "is unknown: no such host".to_owned(),
            ureq::Error::BadUri(_) => "has a URL that can't be used".to_owned(),
            other => format!("can't be reached: {other}"),
        };
        Fault::transient(self.error(Kind::Unavailable, &reason))
    }
}
