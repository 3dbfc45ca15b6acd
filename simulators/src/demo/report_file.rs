//! Where the report goes: judged before anything starts, written whole at the end.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::demo::DemoError;
use crate::demo::home::write_durably;

/// A path that a report can be written to.
#[derive(Debug)]
pub(super) struct ReportFile {
    given: PathBuf,
    /// Behind symbolic links, so that the file is replaced and not the link.
    path: PathBuf,
    /// Beside it, so that one rename makes the report appear.
    draft: PathBuf,
}

impl ReportFile {
    /// Judges whether a report can be written there, by writing beside it. `data_dir` will be
    /// there later even if it is not yet.
    ///
    /// # Errors
    /// [`DemoError::Report`] says why not, and what to do.
    pub(super) fn judge(given: &Path, data_dir: Option<&Path>) -> Result<Self, DemoError> {
        let refused = |problem: String| DemoError::Report { path: given.to_owned(), problem };
        let Some(name) = given.file_name() else {
            return Err(refused("names no file; give the path of a file".to_owned()));
        };
        let path = match std::fs::metadata(given) {
            Ok(found) if found.is_dir() => {
                return Err(refused("is a directory; give the path of a file in it".to_owned()));
            }
            Ok(found) if !found.is_file() => {
                return Err(refused("is no regular file; name another".to_owned()));
            }
            Ok(_) => {
                let open = File::options().append(true).open(given);
                open.and_then(|_| given.canonicalize()).map_err(|error| refused(denied(&error)))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::path::absolute(given).map_err(|error| refused(denied(&error)))?
            }
            Err(error) => return Err(refused(denied(&error))),
        };
        let folder = path.parent().unwrap_or(Path::new("/"));
        let draft = folder.join(format!("{}.{}.new", name.display(), std::process::id()));
        let file = Self { given: given.to_owned(), draft, path: path.clone() };
        let made_later = data_dir.and_then(|dir| std::path::absolute(dir).ok());
        if !folder.exists() && made_later.as_deref() == Some(folder) {
            return Ok(file);
        }
        if !folder.is_dir() {
            let problem = format!("is in no directory that exists; make {}", folder.display());
            return Err(refused(problem + ", or name another file"));
        }
        File::create(&file.draft).map_err(|error| refused(denied(&error)))?;
        std::fs::remove_file(&file.draft).map_err(|error| refused(denied(&error)))?;
        Ok(file)
    }

    /// Writes the report: afterwards the file holds all of it, or what it held before.
    ///
    /// # Errors
    /// [`DemoError::Report`] if it cannot be written after all.
    pub(super) fn write(&self, text: &str) -> Result<(), DemoError> {
        let written = write_durably(&self.draft, text);
        written.and_then(|()| std::fs::rename(&self.draft, &self.path)).map_err(|error| {
            // Half a draft helps nobody.
            let _ = std::fs::remove_file(&self.draft);
            DemoError::Report { path: self.given.clone(), problem: denied(&error) }
        })
    }
}

fn denied(error: &io::Error) -> String {
    format!("cannot be written ({error}); name another file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_judged_before_and_the_report_replaces_the_file_whole() {
        let scratch = tempfile::tempdir().expect("a directory");
        let dir = scratch.path().to_owned();
        let nowhere = dir.join("missing").join("report.json");
        std::fs::write(dir.join("file"), "").expect("written");
        let below_a_file = dir.join("file").join("report.json");
        for wrong in [&dir, &nowhere, &below_a_file, &PathBuf::from("/dev/null")] {
            let told = ReportFile::judge(wrong, None).expect_err("refused").to_string();
            let start = format!("--report: {} ", wrong.display());
            assert!(told.starts_with(&start), "{told}");
        }
        ReportFile::judge(&nowhere, nowhere.parent()).expect("the demo makes its data directory");

        let path = dir.join("report.json");
        let link = dir.join("link.json");
        std::fs::write(&path, "old").expect("written");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        let file = ReportFile::judge(&link, None).expect("a path");
        assert_eq!(std::fs::read_to_string(&path).expect("still there"), "old");
        file.write("new").expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("written"), "new");
        assert!(link.is_symlink());
        let left = std::fs::read_dir(&dir).expect("a directory").count();
        assert_eq!(left, 3, "no draft is left");
    }
}
