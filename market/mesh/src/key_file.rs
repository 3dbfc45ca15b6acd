//! Key files: 64 hexadecimal digits, readable by their owner alone.
//!
//! Every role has some: they all read and write them here, so that the rule is one rule.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read or written.
    #[error("cannot read or write the key file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// Others may read it.
    #[error(
        "the key file {path} can be read by others (mode {mode:03o}); keep it to its owner: \
         chmod 600 {path}"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds something else.
    #[error("the key file {path} must hold 64 hexadecimal digits and nothing else")]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
}

/// Reads the 32 secret bytes of a key file.
///
/// # Errors
/// [`KeyFileError`] if it is missing, exposed to others, or holds no key. The error never shows
/// what the file holds.
pub fn read(path: &Path) -> Result<[u8; 32], KeyFileError> {
    let io = |source| KeyFileError::Io { path: path.to_owned(), source };
    let mode = std::fs::metadata(path).map_err(io)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
    }
    let text = std::fs::read_to_string(path).map_err(io)?;
    market::hash::parse_hex(text.trim_end())
        .map_err(|_| KeyFileError::NotAKey { path: path.to_owned() })
}

/// Writes a new key file with mode 0600; an existing one is left alone.
///
/// # Errors
/// [`KeyFileError::Io`] if it exists or cannot be written.
pub fn create(path: &Path, seed: &[u8; 32]) -> Result<(), KeyFileError> {
    let io = |source| KeyFileError::Io { path: path.to_owned(), source };
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(io)?;
    let digits = market::hash::Digest::from_bytes(*seed).to_string();
    writeln!(file, "{digits}").and_then(|()| file.sync_all()).map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_and_an_exposed_or_garbled_file_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("party.key");
        create(&path, &[7; 32]).expect("written");
        assert!(create(&path, &[8; 32]).is_err());
        assert_eq!(read(&path).expect("read"), [7; 32]);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("chmod");
        assert!(matches!(read(&path), Err(KeyFileError::Exposed { mode: 0o640, .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        std::fs::write(&path, "secret").expect("written");
        let error = read(&path).expect_err("no key").to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
