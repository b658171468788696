//! TLS to PostgreSQL: what a URL says of it, and by whose certificates a server is known. Leaves the rest of a URL to the driver.
//!
//! A URL that does not ask for it gets none. `sslmode=require` and `sslmode=verify-full` are one and the same: the connection is
//! encrypted, and the server shows a certificate for the host that the URL names, which leads to a root in the file
//! `sslrootcert`, or else of the system. Nothing in between is built: who encrypts without looking to whom is fooled by anyone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::Error;

/// The parameter that names a file of roots.
const ROOTS: &str = "sslrootcert";

/// What its value says who means the system's.
const OF_SYSTEM: &str = "system";

/// The URL as the driver knows it, and the file of roots that it names.
pub(super) fn without_roots(url: &str) -> Result<(String, Option<PathBuf>), Error> {
    let (before, parameters, part) = match url.split_once("://") {
        None => ("", url, " "),
        Some(_) => match url.split_once('?') {
            None => return Ok((url.to_owned(), None)),
            Some((before, parameters)) => (before, parameters, "&"),
        },
    };
    let (mut known, mut roots) = (Vec::new(), None);
    for parameter in parameters.split(part) {
        match parameter.split_once('=') {
            Some((ROOTS, file)) => roots = Some(file_of(file)?),
            Some(("sslmode", "verify-full")) => known.push("sslmode=require"),
            _ => known.push(parameter),
        }
    }
    let question = if before.is_empty() { "" } else { "?" };
    let roots = roots.filter(|file| file != Path::new(OF_SYSTEM));
    Ok((format!("{before}{question}{}", known.join(part)), roots))
}

fn file_of(text: &str) -> Result<PathBuf, Error> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(|file| PathBuf::from(&*file)).map_err(|error| Error::Broken(format!("{ROOTS}: {error}")))
}

/// How a connection is encrypted by which the server must be known by `roots`, or else by the system's.
pub(super) fn verified(roots: Option<&Path>) -> Result<MakeRustlsConnect, Error> {
    let broken = |why: String| Error::Broken(format!("TLS to the database: {why}"));
    let mut known = RootCertStore::empty();
    let (found, place) = match roots {
        Some(file) => {
            let certificates = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let place = file.display().to_string();
            (certificates.map_err(|error| broken(format!("{place}: {error}")))?, place)
        }
        None => (rustls_native_certs::load_native_certs().certs, "the system".to_owned()),
    };
    let (sound, _) = known.add_parsable_certificates(found);
    if sound == 0 {
        return Err(broken(format!("{place} has no certificates")));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
    let config = config.map_err(|error| broken(error.to_string()))?;
    Ok(MakeRustlsConnect::new(config.with_root_certificates(known).with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_taken_out_and_the_rest_is_left() {
        for (url, rest, roots) in [
            ("postgres://a@h/d", "postgres://a@h/d", None),
            ("postgres://a@h/d?sslmode=verify-full", "postgres://a@h/d?sslmode=require", None),
            ("postgres://a@h/d?sslrootcert=%2Fa%20b.pem&sslmode=require", "postgres://a@h/d?sslmode=require", Some("/a b.pem")),
            ("postgres://a@h/d?sslmode=require&sslrootcert=system", "postgres://a@h/d?sslmode=require", None),
            ("host=/run sslmode=verify-full sslrootcert=/ca.pem port=5", "host=/run sslmode=require port=5", Some("/ca.pem")),
        ] {
            assert_eq!(without_roots(url), Ok((rest.to_owned(), roots.map(PathBuf::from))), "{url}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused_by_name() {
        for file in ["Cargo.toml", "no-such-file.pem"] {
            let refused = verified(Some(Path::new(file))).err().map(|error| error.to_string());
            assert!(refused.is_some_and(|why| why.contains(file)), "{file}");
        }
    }
}
