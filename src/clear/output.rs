//! Where the result goes: standard output, or a file that appears when it is complete.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::clear::error::ClearError;

/// How much is handed to the system at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Links that lead from one to the next; systems follow as many.
const LINKS_MAX: usize = 40;

/// Writes to standard output, or to a file: then beside it first, and under its name only when all
/// of it is on the disk.
///
/// # Errors
/// [`ClearError::Unwritable`]; the file is as it was before. That whoever reads standard output has
/// seen enough and closed it is no error.
pub(crate) fn write(
    out: Option<&Path>,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), ClearError> {
    let Some(path) = out else { return to_stdout(content) };
    let wrong = |error| ClearError::Unwritable { file: path.display().to_string(), error };
    let target = named(path).map_err(wrong)?;
    let is_special =
        std::fs::metadata(&target).is_ok_and(|found| !found.is_file() && !found.is_dir());
    if is_special {
        let file = OpenOptions::new().write(true).open(&target).map_err(wrong)?;
        return fill(file, content).map(|_| ()).map_err(wrong);
    }
    replace(&target, content).map_err(wrong)
}

/// The file that a path names in the end: a link stays a link, and what it names is replaced, or
/// made if it is not there yet.
fn named(path: &Path) -> io::Result<PathBuf> {
    if let Ok(real) = std::fs::canonicalize(path) {
        return Ok(real);
    }
    if std::fs::metadata(path).is_ok() {
        return Ok(path.to_owned());
    }
    let mut target = path.to_owned();
    for _ in 0..LINKS_MAX {
        match std::fs::read_link(&target) {
            // What a link names is seen from where the link stands.
            Ok(next) => target = target.with_file_name("").join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("it is a link to a link without end"))
}

fn to_stdout(content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), ClearError> {
    match fill(io::stdout().lock(), content) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(ClearError::Unwritable { file: "standard output".to_owned(), error })
        }
        _ => Ok(()),
    }
}

fn replace(
    target: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    if target.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    let (beside, file) = Beside::create(target)?;
    if let Ok(old) = std::fs::metadata(target) {
        file.set_permissions(old.permissions())?;
    }
    let file = fill(file, content)?;
    file.sync_all()?;
    beside.take_the_place_of(target)
}

fn fill<W: Write>(to: W, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<W> {
    let mut buffered = BufWriter::with_capacity(BUFFER_BYTES, to);
    content(&mut buffered)?;
    buffered.flush()?;
    buffered.into_inner().map_err(io::IntoInnerError::into_error)
}

/// A file beside the one that is wanted, made here, and removed unless it takes its place.
struct Beside {
    path: PathBuf,
}

impl Beside {
    fn create(target: &Path) -> io::Result<(Self, File)> {
        let no_name = || io::Error::new(io::ErrorKind::InvalidInput, "it does not name a file");
        let mut name = std::ffi::OsString::from(".");
        name.push(target.file_name().ok_or_else(no_name)?);
        // No run meets what another one left, whatever its process is called.
        let random = RandomState::new().build_hasher().finish();
        name.push(format!(".{random:016x}.part"));
        let path = target.with_file_name(name);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => Ok((Self { path }, file)),
            Err(error) => {
                let words = format!("{}: {error}", path.display());
                Err(io::Error::new(error.kind(), words))
            }
        }
    }

    fn take_the_place_of(self, target: &Path) -> io::Result<()> {
        std::fs::rename(&self.path, target)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // After a rename there is nothing left to remove.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether two paths name one file.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    match (std::fs::canonicalize(one), std::fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_by_all_of_the_output_or_by_nothing() {
        let dir = std::env::temp_dir().join(format!("hidamari-clear-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let path = dir.join("out.json");
        std::fs::write(&path, "old").expect("written");
        let failed = write(Some(&path), |to| {
            to.write_all(b"half")?;
            Err(io::Error::other("the disk is full"))
        });
        assert!(failed.is_err_and(|error| error.to_string().contains("the disk is full")));
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "old");
        write(Some(&path), |to| to.write_all(b"new")).expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "new");
        assert_eq!(
            std::fs::read_dir(&dir).expect("a directory").count(),
            1,
            "nothing else is left"
        );
        assert!(write(Some(&dir), |_| Ok(())).is_err(), "a directory is not replaced");
        std::fs::remove_dir_all(&dir).expect("removed");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_also_to_a_file_that_is_not_there_yet() {
        let dir = std::env::temp_dir().join(format!("hidamari-links-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("results")).expect("a directory");
        let (link, named) = (dir.join("latest.json"), dir.join("results/today.json"));
        std::os::unix::fs::symlink("results/today.json", &link).expect("a link");
        for text in ["first", "second"] {
            write(Some(&link), |to| to.write_all(text.as_bytes())).expect("written");
            assert!(std::fs::symlink_metadata(&link).expect("there").is_symlink());
            assert_eq!(std::fs::read_to_string(&named).expect("made"), text);
        }
        let ring = dir.join("ring");
        std::os::unix::fs::symlink("ring", &ring).expect("a link");
        let told = write(Some(&ring), |_| Ok(())).expect_err("endless").to_string();
        assert!(told.contains("without end"), "{told}");
        std::fs::remove_dir_all(&dir).expect("removed");
    }

    /// What stands beside under such a name is another run's.
    #[test]
    fn what_others_left_beside_is_neither_met_nor_removed() {
        let dir = std::env::temp_dir().join(format!("hidamari-beside-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let left = dir.join(format!(".out.json.{}.part", std::process::id()));
        std::fs::write(&left, "another run's").expect("written");
        write(Some(&dir.join("out.json")), |to| to.write_all(b"new")).expect("written");
        assert_eq!(std::fs::read_to_string(&left).expect("there"), "another run's");
        let nowhere = dir.join("no/out.json");
        let told = write(Some(&nowhere), |_| Ok(())).expect_err("no directory").to_string();
        assert!(
            told.contains("out.json: cannot be written: ") && told.contains(".part: "),
            "{told}"
        );
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
