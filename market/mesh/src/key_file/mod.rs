//! Key files: one Ed25519 seed each, encrypted at rest, readable by their owner alone.
//!
//! Every role has some: they all read and write them here, so that the rule is one rule.
//!
//! # Formats
//!
//! A **plain** file holds 64 hexadecimal digits: the seed. It is for tests, demos, and machines
//! whose disk is encrypted as a whole. An **encrypted** one is five lines of text:
//!
//! ```text
//! hidamari-key 1
//! kdf argon2id m=65536 t=3 p=4
//! salt 00112233445566778899aabbccddeeff
//! nonce 000102030405060708090a0b0c0d0e0f1011121314151617
//! sealed 96 hexadecimal digits
//! ```
//!
//! The passphrase (UTF-8, without a line end) and the salt give 32 bytes by Argon2id, version 19,
//! with `m` KiB of memory, `t` passes and `p` lanes. With that key and the nonce, `sealed` is the
//! seed under XChaCha20-Poly1305, 32 bytes and the tag of 16; the first four lines, each with its
//! line feed, are the associated data. Files that are written together share a salt, so that one
//! derivation opens them all; the nonce is random for each.

mod keychain;
mod sealed;

pub use keychain::{Form, Keychain, Passphrase, Purpose};

use std::fmt;
use std::io::Write as _;
use std::ops::Deref;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rand::TryRng as _;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

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
    #[error(
        "the key file {path} must hold 64 hexadecimal digits, or begin with \"hidamari-key 1\" as \
         this program writes it, and nothing else"
    )]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// It was encrypted at a cost that this program does not pay.
    #[error("the key file {path} asks for a key derivation outside of what is sound: {found}")]
    Cost {
        /// The file.
        path: PathBuf,
        /// The line of the file.
        found: String,
    },
    /// It is encrypted, and nothing gives a passphrase.
    #[error("the key file {path} is encrypted, and there is no passphrase: {reason}")]
    NoPassphrase {
        /// The file.
        path: PathBuf,
        /// Why not, and what to do.
        reason: String,
    },
    /// The passphrase is not the file's, or the file was changed.
    #[error("the passphrase does not open the key file {path}, or the file was changed")]
    NotOpened {
        /// The file.
        path: PathBuf,
    },
    /// The key could not be derived or sealed, for want of memory or randomness.
    #[error("the key file {path} cannot be encrypted or decrypted here: {reason}")]
    Cipher {
        /// The file.
        path: PathBuf,
        /// What failed.
        reason: String,
    },
}

/// The 32 secret bytes of an Ed25519 key. They never print themselves and are wiped from memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed(Zeroizing<[u8; 32]>);

impl Seed {
    /// A new one from the operating system's randomness.
    ///
    /// # Errors
    /// The system's words if it gives no randomness.
    pub fn generate() -> std::io::Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(bytes.as_mut_slice()).map_err(std::io::Error::other)?;
        Ok(Self(bytes))
    }
}

impl From<[u8; 32]> for Seed {
    fn from(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl Deref for Seed {
    type Target = [u8; 32];

    fn deref(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed")
    }
}

/// The text of a key file, if nobody but its owner can read it.
fn read_text(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let io = |source| KeyFileError::Io { path: path.to_owned(), source };
    let mode = std::fs::metadata(path).map_err(io)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
    }
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(KeyFileError::NotAKey { path: path.to_owned() })
        }
        other => other.map(Zeroizing::new).map_err(io),
    }
}

/// Writes a new file with mode 0600; an existing one is left alone. It is on the disk afterwards.
fn create_text(path: &Path, text: &str) -> Result<(), KeyFileError> {
    let io = |source| KeyFileError::Io { path: path.to_owned(), source };
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(io)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.inspect_err(|_| drop(std::fs::remove_file(path))).map_err(io)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = std::fs::File::open(folder.unwrap_or(Path::new("."))).map_err(io)?;
    folder.sync_all().map_err(io)
}

/// Reads a plain key file.
///
/// # Errors
/// [`KeyFileError`] if it is missing, exposed to others, encrypted, or holds no key. The error
/// never shows what the file holds.
pub fn read(path: &Path) -> Result<Seed, KeyFileError> {
    Keychain::plain().read(path)
}

/// Writes a new plain key file with mode 0600; an existing one is left alone.
///
/// # Errors
/// [`KeyFileError::Io`] if it exists or cannot be written.
pub fn create(path: &Path, seed: &[u8; 32]) -> Result<(), KeyFileError> {
    Keychain::plain().create(path, seed)
}

#[cfg(test)]
mod tests;
