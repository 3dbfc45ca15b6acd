//! Opens and writes key files with one passphrase, which is asked for when it is first needed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use market::hash::Digest;
use zeroize::Zeroizing;

use crate::key_file::sealed::{Derivation, MAGIC, NotSealed, Sealed, SealingKey};
use crate::key_file::{KeyFileError, Seed, create_text, read_text};

/// What people remember, or a file holds. It never prints itself and is wiped from memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes a text as it is.
    pub fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// How many characters it has.
    pub fn length(&self) -> usize {
        self.0.chars().count()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase")
    }
}

/// What a passphrase is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// To open this file.
    Open(&'a Path),
    /// To encrypt new files: a new one may be chosen.
    Encrypt,
}

/// How new files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Encrypted with the passphrase.
    Encrypted,
    /// As they are: whoever reads the file, or a copy of it, has the key.
    Plain,
}

type Ask = Box<dyn Fn(Purpose<'_>) -> Result<Passphrase, String> + Send + Sync>;

/// Opens and writes key files. The passphrase is asked for once.
pub struct Keychain {
    form: Form,
    ask: Option<Ask>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    passphrase: Option<Passphrase>,
    /// Under which new files are encrypted.
    fresh: Option<Derivation>,
    /// One salt for many files makes one expensive derivation for all of them.
    keys: BTreeMap<Derivation, SealingKey>,
}

impl Keychain {
    /// Reads and writes plain files alone.
    pub fn plain() -> Self {
        Self { form: Form::Plain, ask: None, known: Mutex::default() }
    }

    /// Reads both forms and writes `form`. `ask` gives the passphrase, or says why there is none
    /// and what to do.
    pub fn new(
        form: Form,
        ask: impl Fn(Purpose<'_>) -> Result<Passphrase, String> + Send + Sync + 'static,
    ) -> Self {
        Self { form, ask: Some(Box::new(ask)), known: Mutex::default() }
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`KeyFileError`] if it is missing, exposed to others, holds no key, or cannot be opened.
    /// The error never shows what the file holds.
    pub fn read(&self, path: &Path) -> Result<Seed, KeyFileError> {
        let text = read_text(path)?;
        if !text.starts_with(MAGIC) {
            return match market::hash::parse_hex(text.trim_end()) {
                Ok(bytes) => Ok(Seed::from(bytes)),
                Err(_) => Err(KeyFileError::NotAKey { path: path.to_owned() }),
            };
        }
        let sealed = Sealed::from_text(&text).map_err(|error| match error {
            NotSealed::Form => KeyFileError::NotAKey { path: path.to_owned() },
            NotSealed::Cost(found) => KeyFileError::Cost { path: path.to_owned(), found },
        })?;
        let mut known = self.lock();
        let key = self.key(&mut known, sealed.derivation, path, Purpose::Open(path))?;
        let opened = sealed.open(&key);
        if opened.is_none() {
            // It may be a misspelt one: it is asked for again.
            known.passphrase = None;
            known.keys.clear();
        }
        opened.ok_or_else(|| KeyFileError::NotOpened { path: path.to_owned() })
    }

    /// Writes a new key file with mode 0600, in this keychain's form; an existing one is left
    /// alone.
    ///
    /// # Errors
    /// [`KeyFileError`] if it exists, cannot be written, or there is no passphrase.
    pub fn create(&self, path: &Path, seed: &[u8; 32]) -> Result<(), KeyFileError> {
        if self.form == Form::Plain {
            let digits = Zeroizing::new(format!("{}\n", Digest::from_bytes(*seed)));
            return create_text(path, &digits);
        }
        let cipher = |reason| KeyFileError::Cipher { path: path.to_owned(), reason };
        let mut known = self.lock();
        let derivation = match known.fresh {
            Some(derivation) => derivation,
            None => *known.fresh.insert(Derivation::fresh().map_err(cipher)?),
        };
        let key = self.key(&mut known, derivation, path, Purpose::Encrypt)?;
        let sealed = Sealed::seal(seed, derivation, &key).map_err(cipher)?;
        create_text(path, &sealed.to_text())
    }

    fn key(
        &self,
        known: &mut Known,
        derivation: Derivation,
        path: &Path,
        purpose: Purpose<'_>,
    ) -> Result<SealingKey, KeyFileError> {
        if let Some(key) = known.keys.get(&derivation) {
            return Ok(key.clone());
        }
        let passphrase = match &known.passphrase {
            Some(passphrase) => passphrase.clone(),
            None => {
                let missing = |reason| KeyFileError::NoPassphrase { path: path.to_owned(), reason };
                let ask = self.ask.as_ref();
                let ask = ask.ok_or_else(|| missing("none is taken here".to_owned()))?;
                known.passphrase.insert(ask(purpose).map_err(missing)?).clone()
            }
        };
        let cipher = |reason| KeyFileError::Cipher { path: path.to_owned(), reason };
        let key = derivation.derive(&passphrase).map_err(cipher)?;
        known.keys.insert(derivation, key.clone());
        Ok(key)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Each change is one assignment: what is known is sound also after a panic elsewhere.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Keychain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keychain").field("form", &self.form).finish_non_exhaustive()
    }
}
