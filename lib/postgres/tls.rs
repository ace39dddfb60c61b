//! TLS as libpq does it: its modes, and its files.
//!
//! libpq's modes are weaker than a web browser's one, and people rely on that: `require` encrypts
//! without asking who the server is, `verify-ca` does not look at its name. `verify-full` does all.

use super::conninfo::Conninfo;
use crate::error::{Context, Error, Kind, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName, UnixTime,
};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

/// libpq's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl Mode {
    pub(super) fn of(info: &Conninfo) -> Result<Self> {
        Ok(match info.get("sslmode").unwrap_or("prefer") {
            "disable" => Self::Disable,
            "allow" => Self::Allow,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            other => {
                return Err(Error::new(Kind::Config, format!("'{other}' is no sslmode"))
                    .with_hint("Use disable, allow, prefer, require, verify-ca or verify-full."));
            }
        })
    }
}

/// What rustls needs to know for a connection in `mode`.
pub(super) fn configuration(info: &Conninfo, mode: Mode) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(info)?)
        .map_err(|cause| Error::new(Kind::Failed, "cannot set up TLS").with_source(cause))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier::new(info, mode, provider)?));
    let mut configuration = match client_certificate(info)? {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|cause| {
            Error::new(
                Kind::Config,
                "the client certificate and its key can't be used",
            )
            .with_source(cause)
        })?,
        None => builder.with_no_client_auth(),
    };
    configuration.alpn_protocols = vec![b"postgresql".to_vec()];
    configuration.enable_sni = info.get("sslsni") != Some("0");
    Ok(configuration)
}

/// The versions of TLS that may be spoken.
fn versions(info: &Conninfo) -> Result<Vec<&'static SupportedProtocolVersion>> {
    const NAMES: [&str; 4] = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
    let place = |keyword: &str, default: usize| match info.get(keyword) {
        None => Ok(default),
        Some(name) => NAMES
            .iter()
            .position(|known| known.eq_ignore_ascii_case(name))
            .ok_or_else(|| {
                Error::new(
                    Kind::Config,
                    format!("{keyword}: '{name}' is no version of TLS"),
                )
                .with_hint("Use TLSv1.2 or TLSv1.3.")
            }),
    };
    let allowed = place("ssl_min_protocol_version", 0)?..=place("ssl_max_protocol_version", 3)?;
    let versions: Vec<_> = [(2, &TLS12), (3, &TLS13)]
        .into_iter()
        .filter(|(place, _)| allowed.contains(place))
        .map(|(_, version)| version)
        .collect();
    if versions.is_empty() {
        let message = "no version of TLS is left between ssl_min_protocol_version and ssl_max_protocol_version";
        return Err(Error::new(Kind::Config, message)
            .with_hint("TLSv1.2 and TLSv1.3 are spoken; older ones are not safe."));
    }
    Ok(versions)
}

/// The lists of certificates that were called back; none where nothing names any.
fn revoked(info: &Conninfo) -> Result<Vec<CertificateRevocationListDer<'static>>> {
    let mut paths: Vec<PathBuf> = file(info, "sslcrl", "root.crl").into_iter().collect();
    if let Some(directory) = info.get("sslcrldir") {
        let unreadable = || format!("cannot read '{directory}'");
        for entry in fs::read_dir(directory).context(unreadable)? {
            paths.push(entry.context(unreadable)?.path());
        }
    }
    let mut lists = Vec::new();
    for path in paths {
        let read = CertificateRevocationListDer::pem_file_iter(&path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>);
        lists.extend(read.map_err(|cause| unusable(&path, cause))?);
    }
    Ok(lists)
}

/// The file that `keyword` names, which must be there, or libpq's default file, which may be.
fn file(info: &Conninfo, keyword: &str, default: &str) -> Option<PathBuf> {
    info.get(keyword)
        .map(PathBuf::from)
        .or_else(|| info.default_file(default))
}

fn unusable(path: &std::path::Path, cause: rustls::pki_types::pem::Error) -> Error {
    Error::new(Kind::Config, format!("cannot use '{}'", path.display())).with_source(cause)
}

fn certificates(path: &std::path::Path) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|cause| unusable(path, cause))
}

type ClientCertificate = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn client_certificate(info: &Conninfo) -> Result<Option<ClientCertificate>> {
    if info.get("sslcertmode") == Some("disable") {
        return Ok(None);
    }
    let Some(certificate) = file(info, "sslcert", "postgresql.crt") else {
        return Ok(None);
    };
    let Some(key) = file(info, "sslkey", "postgresql.key") else {
        return Err(Error::new(
            Kind::Config,
            format!("'{}' has no key with it", certificate.display()),
        )
        .with_hint("Name the key's file with PGSSLKEY."));
    };
    let chain = certificates(&certificate)?;
    let key = PrivateKeyDer::from_pem_file(&key).map_err(|cause| {
        unusable(&key, cause).with_hint("The key must be PEM and not encrypted.")
    })?;
    Ok(Some((chain, key)))
}

/// Checks as much of a server's certificate as the mode asks for.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// Where chains may end; `None`: nobody asks.
    roots: Option<Roots>,
    name_matters: bool,
}

#[derive(Debug)]
struct Roots {
    verifier: Arc<WebPkiServerVerifier>,
    /// The certificates themselves: servers are often their own authority, which webpki refuses.
    trusted: Vec<CertificateDer<'static>>,
}

impl Verifier {
    fn new(info: &Conninfo, mode: Mode, provider: Arc<CryptoProvider>) -> Result<Self> {
        let wanted = matches!(mode, Mode::VerifyCa | Mode::VerifyFull);
        let path = file(info, "sslrootcert", "root.crt");
        let trusted = match path.as_deref() {
            Some(path) if path.as_os_str() == "system" => {
                Some(rustls_native_certs::load_native_certs().certs)
            }
            // As libpq: where there is an authority's certificate, `require` means `verify-ca`.
            Some(path) if wanted || mode == Mode::Require => Some(certificates(path)?),
            None if wanted => {
                return Err(Error::new(
                    Kind::Config,
                    "no authority is known that could vouch for the server",
                )
                .with_hint(
                    "Name its certificate with PGSSLROOTCERT, or say PGSSLROOTCERT=system.",
                ));
            }
            _ => None,
        };
        let revoked = if trusted.is_some() {
            revoked(info)?
        } else {
            Vec::new()
        };
        let roots = trusted.map(|trusted| {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(trusted.iter().cloned());
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone())
                .with_crls(revoked)
                .build()
                .map(|verifier| Roots { verifier, trusted })
                .map_err(|cause| {
                    let message =
                        format!("the authorities' certificates or lists can't be used: {cause}");
                    Error::new(Kind::Config, message)
                })
        });
        Ok(Self {
            provider,
            roots: roots.transpose()?,
            name_matters: mode == Mode::VerifyFull,
        })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(roots) = &self.roots else {
            return Ok(ServerCertVerified::assertion());
        };
        if roots.trusted.contains(certificate) {
            if self.name_matters {
                let parsed = rustls::server::ParsedCertificate::try_from(certificate)?;
                rustls::client::verify_server_name(&parsed, name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        match roots
            .verifier
            .verify_server_cert(certificate, chain, name, ocsp, now)
        {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.name_matters => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
