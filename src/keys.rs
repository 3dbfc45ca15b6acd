//! Where the passphrase of the key files comes from: a file, a credential of systemd, or the
//! terminal; and how new key files are written.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use mesh::key_file::{Form, Keychain, Passphrase, Purpose};
use zeroize::Zeroizing;

use crate::cli::PassphraseFrom;
use crate::terminal::Terminal;

/// The name of the credential, as in `LoadCredentialEncrypted=hidamari.passphrase`.
const CREDENTIAL: &str = "hidamari.passphrase";

/// Where systemd puts a service's credentials.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Shorter ones are guessed, however slow a guess is.
const LENGTH_MIN: usize = 12;

/// How new key files are written.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct NewKeys {
    /// How they are encrypted
    #[command(flatten)]
    pub(crate) passphrase: PassphraseFrom,
    /// Write the new key files unencrypted: whoever reads one of them, on the disk, in a backup or
    /// on a disk thrown away, can act as its owner
    #[arg(long, env = "HIDAMARI_PLAIN_KEYS")]
    pub(crate) plain_keys: bool,
}

impl NewKeys {
    /// Writes new key files as wanted, and opens both forms.
    pub(crate) fn keychain(&self) -> Keychain {
        let form = if self.plain_keys { Form::Plain } else { Form::Encrypted };
        self.passphrase.keychain(form)
    }
}

impl PassphraseFrom {
    /// Opens key files.
    pub(crate) fn opener(&self) -> Keychain {
        self.keychain(Form::Encrypted)
    }

    /// Opens both forms and writes `form`.
    pub(crate) fn keychain(&self, form: Form) -> Keychain {
        let source = match (&self.file, credential()) {
            (Some(file), _) => Source::File(file.clone()),
            (None, Some(file)) => Source::Credential(file),
            (None, None) => Source::Terminal,
        };
        Keychain::new(form, move |purpose| source.passphrase(purpose))
    }
}

fn credential() -> Option<PathBuf> {
    let file = Path::new(&std::env::var_os(CREDENTIALS_DIRECTORY)?).join(CREDENTIAL);
    file.exists().then_some(file)
}

enum Source {
    File(PathBuf),
    /// Protected by systemd, which alone decides about its mode.
    Credential(PathBuf),
    Terminal,
}

impl Source {
    fn passphrase(&self, purpose: Purpose<'_>) -> Result<Passphrase, String> {
        let passphrase = match self {
            Self::File(path) => check_private(path).and_then(|()| first_line(path))?,
            Self::Credential(path) => first_line(path)?,
            Self::Terminal => at_terminal(purpose)?,
        };
        let length = passphrase.length();
        if purpose == Purpose::Encrypt && length < LENGTH_MIN {
            return Err(format!(
                "the passphrase has {length} characters; choose one of at least {LENGTH_MIN}"
            ));
        }
        Ok(passphrase)
    }
}

/// A passphrase file is as secret as the keys. What is no file, such as a pipe, has no mode.
fn check_private(path: &Path) -> Result<(), String> {
    let found = fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mode = found.permissions().mode() & 0o777;
    if found.is_file() && mode & 0o077 != 0 {
        let path = path.display();
        return Err(format!(
            "the passphrase file {path} can be read by others (mode {mode:03o}); keep it to its \
             owner: chmod 600 {path}"
        ));
    }
    Ok(())
}

fn first_line(path: &Path) -> Result<Passphrase, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let text = Zeroizing::new(text);
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(format!("the first line of {} is empty", path.display()));
    }
    Ok(Passphrase::new(Zeroizing::new(line.to_owned())))
}

fn at_terminal(purpose: Purpose<'_>) -> Result<Passphrase, String> {
    let mut terminal = Terminal::open().ok_or_else(|| {
        let otherwise = match purpose {
            Purpose::Open(_) => "",
            Purpose::Encrypt => ", or write plain ones with --plain-keys",
        };
        format!(
            "there is no terminal to ask for it; name a file with --passphrase-file, give the \
             service the systemd credential {CREDENTIAL}{otherwise}"
        )
    })?;
    let words = |error: io::Error| match error.kind() {
        io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof => "none was given".to_owned(),
        io::ErrorKind::InvalidData => "what was given is no text".to_owned(),
        _ => error.to_string(),
    };
    let path = match purpose {
        Purpose::Open(path) => path,
        Purpose::Encrypt => return new_at_terminal(&mut terminal).map_err(words),
    };
    let question = format!("Passphrase of {}", path.display());
    terminal.ask_secret(&question).map(Passphrase::new).map_err(words)
}

/// Asks twice: nobody sees what is typed.
fn new_at_terminal(terminal: &mut Terminal) -> io::Result<Passphrase> {
    let question = format!("A passphrase for the new key files, at least {LENGTH_MIN} characters");
    loop {
        let first = Passphrase::new(terminal.ask_secret(&question)?);
        if first.length() < LENGTH_MIN {
            terminal.say("  that is too short")?;
            continue;
        }
        if first == Passphrase::new(terminal.ask_secret("Once more")?) {
            return Ok(first);
        }
        terminal.say("  the two differ")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_file_is_private_and_its_first_line_counts() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("passphrase");
        let keys =
            NewKeys { passphrase: PassphraseFrom { file: Some(path.clone()) }, plain_keys: false };
        let chmod = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode));
        let key = dir.path().join("a.key");
        let told = || keys.keychain().create(&key, &[7; 32]).expect_err("refused").to_string();
        assert!(told().contains("passphrase"), "{}", told());
        fs::write(&path, "short\n").expect("written");
        chmod(0o600).expect("chmod");
        assert!(told().contains("at least 12"), "{}", told());
        fs::write(&path, "a canary that sings\nsecond line\n").expect("written");
        chmod(0o644).expect("chmod");
        assert!(told().contains(&format!("chmod 600 {}", path.display())), "{}", told());
        assert!(!told().contains("canary"), "{}", told());
        chmod(0o600).expect("chmod");
        keys.keychain().create(&key, &[7; 32]).expect("written");
        fs::write(&path, "a canary that sings").expect("written");
        assert_eq!(*keys.passphrase.opener().read(&key).expect("opened"), [7; 32]);
    }
}
