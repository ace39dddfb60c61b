//! Whom we trust when we send: the authorities that the host trusts, and one of the operator's own.

use crate::error::{Error, Kind, Result};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::Path;

/// The authorities' certificates: the host's, and those in the file `own`.
///
/// # Errors
/// `own` can't be read or holds no certificate.
pub fn authorities(own: Option<&Path>) -> Result<Vec<CertificateDer<'static>>> {
    // A host without any is possible; then the server's certificate will be refused, with a hint.
    let mut certificates = rustls_native_certs::load_native_certs().certs;
    if let Some(path) = own {
        let unusable = || Error::new(Kind::Config, format!("cannot use '{}'", path.display()));
        let added: Vec<_> = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|cause| unusable().with_source(cause))?;
        if added.is_empty() {
            return Err(unusable().with_hint("It must hold certificates in PEM."));
        }
        certificates.extend(added);
    }
    Ok(certificates)
}

/// Whether a server's certificate is what an error comes from.
pub(super) fn is_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if is_rustls_certificate(error) {
            return true;
        }
        // An I/O error shows its cause's cause as its own.
        if let Some(inner) = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            && is_rustls_certificate(inner)
        {
            return true;
        }
        next = error.source();
    }
    false
}

fn is_rustls_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(
        error.downcast_ref::<rustls::Error>(),
        Some(rustls::Error::InvalidCertificate(_))
    )
}

/// What to do about a certificate that was refused.
pub(super) const CERTIFICATE_HINT: &str = "Install the authority that signed it on this host, or name its certificate with SG_ALERT_CA; \
     the server's name must be the one in its certificate.";
