use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that nothing else prints by chance.
const CANARY: [u8; 32] = [0xc5; 32];

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.to_owned()))
}

fn keychain(text: &'static str) -> Keychain {
    Keychain::new(Form::Encrypted, move |_| Ok(passphrase(text)))
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("chmod");
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

#[test]
fn a_key_is_read_back_and_an_exposed_or_garbled_file_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("party.key");
    create(&path, &[7; 32]).expect("written");
    assert_eq!(mode(&path), 0o600);
    assert!(create(&path, &[8; 32]).is_err());
    assert_eq!(*read(&path).expect("read"), [7; 32]);
    chmod(&path, 0o640);
    let error = read(&path).expect_err("exposed");
    assert!(matches!(error, KeyFileError::Exposed { mode: 0o640, .. }));
    assert!(error.to_string().contains(&format!("chmod 600 {}", path.display())), "{error}");
    chmod(&path, 0o600);
    std::fs::write(&path, "secret").expect("written");
    let error = read(&path).expect_err("no key").to_string();
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn an_encrypted_key_opens_with_its_passphrase_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("party.key");
    keychain("correct horse").create(&path, &CANARY).expect("written");
    assert_eq!(mode(&path), 0o600);
    let text = std::fs::read_to_string(&path).expect("text");
    assert!(text.starts_with("hidamari-key 1\nkdf argon2id m=65536 t=3 p=4\nsalt "), "{text}");
    assert!(!text.contains("c5c5c5c5"), "{text}");
    assert_eq!(*keychain("correct horse").read(&path).expect("opened"), CANARY);
    let wrong = keychain("correct horsE").read(&path);
    assert!(matches!(wrong, Err(KeyFileError::NotOpened { .. })), "{wrong:?}");
    let none = read(&path);
    assert!(matches!(none, Err(KeyFileError::NoPassphrase { .. })), "{none:?}");
    chmod(&path, 0o604);
    let exposed = keychain("correct horse").read(&path);
    assert!(matches!(exposed, Err(KeyFileError::Exposed { mode: 0o604, .. })), "{exposed:?}");
}

#[test]
fn whatever_is_changed_in_an_encrypted_file_is_noticed() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("party.key");
    keychain("correct horse").create(&path, &CANARY).expect("written");
    let text = std::fs::read_to_string(&path).expect("text");
    let keys = keychain("correct horse");
    // One flipped bit of each line's last digit, and figures that cost other than they did.
    let lines: Vec<&str> = text.lines().collect();
    let mut forged: Vec<String> = (2..5)
        .map(|at| {
            let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            let last = lines[at].pop().expect("a digit");
            lines[at].push(if last == '0' { '1' } else { '0' });
            lines.join("\n")
        })
        .collect();
    forged.push(text.replace("m=65536", "m=65528"));
    forged.push(text.replace("m=65536", "m=4294967295"));
    forged.push(text.replace("t=3", "t=0"));
    forged.push(text.replace("argon2id", "argon2i"));
    forged.push(text.replace("key 1", "key 2"));
    forged.push(format!("{text}more\n"));
    forged.push(text[..text.len() - 3].to_owned());
    for text in forged {
        std::fs::write(&path, &text).expect("written");
        let error = keys.read(&path).expect_err(&text).to_string();
        assert!(!error.contains("c5c5"), "{error}");
    }
    std::fs::write(&path, &text).expect("written");
    assert_eq!(*keys.read(&path).expect("as it was"), CANARY);
}

#[test]
fn one_passphrase_opens_many_files_and_is_asked_for_once() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let dir = tempfile::tempdir().expect("a directory");
    let keys = Keychain::new(Form::Encrypted, |_| {
        ASKED.fetch_add(1, Ordering::Relaxed);
        Ok(passphrase("one for all"))
    });
    let paths: Vec<_> = (0..3_u8).map(|at| dir.path().join(format!("{at}.key"))).collect();
    for (at, path) in (0..).zip(&paths) {
        keys.create(path, &[at; 32]).expect("written");
    }
    create(&dir.path().join("plain.key"), &[9; 32]).expect("written");
    for (at, path) in (0..).zip(&paths) {
        assert_eq!(*keys.read(path).expect("opened"), [at; 32]);
    }
    assert_eq!(*keys.read(&dir.path().join("plain.key")).expect("read"), [9; 32]);
    assert_eq!(ASKED.load(Ordering::Relaxed), 1);
    let nonce =
        |path| std::fs::read_to_string(path).expect("text").lines().nth(3).map(str::to_owned);
    assert_ne!(nonce(&paths[0]), nonce(&paths[1]), "a nonce is never used twice");
}

#[test]
fn secrets_do_not_print_themselves() {
    let seed = Seed::from(CANARY);
    let word = passphrase("a canary sings");
    let keys = Keychain::new(Form::Encrypted, |_| Ok(passphrase("a canary sings")));
    let dir = tempfile::tempdir().expect("a directory");
    keys.create(&dir.path().join("a.key"), &CANARY).expect("written");
    let printed = format!(
        "{seed:?} {seed:#?} {word:?} {keys:?} {:?}",
        crate::TransportKey::from_seed(CANARY)
    );
    for canary in ["c5c5", "C5C5", "197, 197", "canary"] {
        assert!(!printed.contains(canary), "{printed}");
    }
}
