//! Where the result goes: standard output, or a file that appears when it is complete.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::clear::error::ClearError;

/// How much is handed to the system at once.
const BUFFER_BYTES: usize = 1 << 20;

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
    // A link stays a link; what it names is replaced.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let is_special =
        std::fs::metadata(&target).is_ok_and(|found| !found.is_file() && !found.is_dir());
    if is_special {
        let file = OpenOptions::new().write(true).open(&target).map_err(wrong)?;
        return fill(file, content).map(|_| ()).map_err(wrong);
    }
    replace(&target, content).map_err(wrong)
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
    let beside = Beside::of(target)?;
    let file = OpenOptions::new().write(true).create_new(true).open(&beside.path)?;
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

/// A file beside the one that is wanted, removed unless it takes its place.
struct Beside {
    path: PathBuf,
}

impl Beside {
    fn of(target: &Path) -> io::Result<Self> {
        let no_name = || io::Error::new(io::ErrorKind::InvalidInput, "it does not name a file");
        let mut name = std::ffi::OsString::from(".");
        name.push(target.file_name().ok_or_else(no_name)?);
        name.push(format!(".{}.part", std::process::id()));
        Ok(Self { path: target.with_file_name(name) })
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
}
