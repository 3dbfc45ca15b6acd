//! TLS: certificate and key from files, or made here for a network that has no names.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

use crate::hosts::HostName;

/// What a self-made certificate is called in the data directory.
const OWN_CERTIFICATE: &str = "tls.crt";
const OWN_KEY: &str = "tls.key";

/// Where the certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsSection {
    /// From PEM files: the chain, the dashboard's own certificate first, and its key.
    Files {
        /// The certificate and those that lead to a known authority.
        certificate: PathBuf,
        /// The key, readable by its owner alone.
        key: PathBuf,
    },
    /// Made at the first start, and kept in the data directory. Browsers warn of it until it is
    /// trusted by hand.
    SelfMade,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Others may read the key.
    #[error("the key {path} can be read by others (mode {mode:03o}): chmod 600 {path}")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not PEM, or nothing of what is needed.
    #[error("{path} must hold {expected} as PEM")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was expected in it.
        expected: &'static str,
    },
    /// Certificate and key do not go together, or are of no use.
    #[error("the certificate {path} cannot be used: {source}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// The library's words.
        source: rustls::Error,
    },
    /// No certificate can be made.
    #[error("a certificate cannot be made: {0}")]
    Making(#[from] rcgen::Error),
}

/// How the listener speaks TLS.
///
/// # Errors
/// [`TlsError`] names the file and what is wrong with it.
pub(crate) fn server_config(
    section: &TlsSection,
    data_dir: &Path,
    hosts: &[HostName],
) -> Result<Arc<ServerConfig>, TlsError> {
    let (certificate, key) = match section {
        TlsSection::Files { certificate, key } => (certificate.clone(), key.clone()),
        TlsSection::SelfMade => own_files(data_dir, hosts)?,
    };
    let chain = pem(&certificate, "a certificate", |bytes| {
        CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>().ok()
    })?;
    check_private(&key)?;
    let secret = pem(&key, "a private key", |bytes| PrivateKeyDer::from_pem_slice(bytes).ok())?;
    let misfit = |source| TlsError::Certificate { path: certificate.clone(), source };
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(misfit)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(misfit)?;
    Ok(Arc::new(config))
}

fn pem<T>(
    path: &Path,
    expected: &'static str,
    read: impl Fn(&[u8]) -> Option<T>,
) -> Result<T, TlsError> {
    let bytes = fs::read(path).map_err(file(path))?;
    read(&bytes).ok_or_else(|| TlsError::Pem { path: path.to_owned(), expected })
}

fn check_private(path: &Path) -> Result<(), TlsError> {
    let found = fs::metadata(path).map_err(file(path))?;
    let mode = found.permissions().mode() & 0o777;
    if found.is_file() && mode & 0o077 != 0 {
        return Err(TlsError::Exposed { path: path.to_owned(), mode });
    }
    Ok(())
}

/// The self-made files, made if they are missing: for this machine and all allowed names.
fn own_files(data_dir: &Path, hosts: &[HostName]) -> Result<(PathBuf, PathBuf), TlsError> {
    let (certificate, key) = (data_dir.join(OWN_CERTIFICATE), data_dir.join(OWN_KEY));
    if certificate.exists() && key.exists() {
        return Ok((certificate, key));
    }
    let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let names: Vec<String> = own.into_iter().chain(hosts.iter().map(ToString::to_string)).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "Hidamari dashboard");
    let pair = KeyPair::generate()?;
    let made = params.self_signed(&pair)?;
    write(&key, 0o600, &pair.serialize_pem())?;
    write(&certificate, 0o644, &made.pem())?;
    Ok((certificate, key))
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), TlsError> {
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path);
    let written = opened.and_then(|mut made| {
        made.write_all(text.as_bytes())?;
        made.sync_all()
    });
    written.map_err(file(path))
}

fn file(path: &Path) -> impl FnOnce(io::Error) -> TlsError {
    let path = path.to_owned();
    move |source| TlsError::File { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_self_made_certificate_is_made_once_and_its_key_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let hosts = ["energy.example.org".parse().unwrap()];
        server_config(&TlsSection::SelfMade, dir.path(), &hosts).unwrap();
        let (certificate, key) = (dir.path().join(OWN_CERTIFICATE), dir.path().join(OWN_KEY));
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let first = fs::read(&certificate).unwrap();
        server_config(&TlsSection::SelfMade, dir.path(), &hosts).unwrap();
        assert_eq!(fs::read(&certificate).unwrap(), first);
        let given = TlsSection::Files { certificate: certificate.clone(), key: key.clone() };
        server_config(&given, dir.path(), &[]).unwrap();

        let told = || server_config(&given, dir.path(), &[]).unwrap_err().to_string();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(told().contains("chmod 600"), "{}", told());
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&key, "nothing").unwrap();
        assert!(told().contains("must hold a private key"), "{}", told());
        fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
        assert!(told().contains("cannot be used"), "{}", told());
    }
}
