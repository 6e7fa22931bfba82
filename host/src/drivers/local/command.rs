//! A local program with its arguments, and the check that it can be run at all.
//!
//! Starts nothing, and knows nothing of templates; those belong to the configuration.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::error::{NotExecutable, ResolveError};

/// A command as the configuration renders it for one instance and one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments; no shell is involved. A program without `/` is looked up in `PATH`,
    /// one with `/` is relative to the working directory.
    pub argv: Vec<String>,
    /// Set in addition to the host's own environment, and before it.
    pub environment: BTreeMap<String, String>,
    /// Where it runs.
    pub working_dir: PathBuf,
}

impl Command {
    /// Finds the file to execute.
    ///
    /// `search_path` counts when the command does not set `PATH` itself. Entries that are empty
    /// are ignored: nothing is picked up from the working directory by accident.
    pub(in crate::drivers) fn resolve(&self, search_path: &OsStr) -> Result<PathBuf, ResolveError> {
        let name = self.argv.first().filter(|name| !name.is_empty()).ok_or(ResolveError::Empty)?;
        self.check_texts()?;
        let dir = &self.working_dir;
        if !dir.is_dir() {
            return Err(ResolveError::WorkingDir(dir.clone()));
        }
        if name.contains('/') {
            let program = dir.join(name);
            return match reason_not_executable(&program) {
                None => Ok(program),
                Some(why) => Err(ResolveError::There { name: name.clone(), why, at: program }),
            };
        }
        let search_path = self.environment.get("PATH").map_or(search_path, OsStr::new);
        let mut found = None;
        for entry in std::env::split_paths(search_path).filter(|entry| !entry.as_os_str().is_empty()) {
            let program = dir.join(entry).join(name);
            match reason_not_executable(&program) {
                None => return Ok(program),
                Some(why) if program.exists() => found = Some((why, program)),
                Some(_) => {}
            }
        }
        let search_path = search_path.display().to_string();
        Err(ResolveError::Nowhere { name: name.clone(), found, search_path })
    }

    /// The same for the runtime's own type; `program` is what [`Self::resolve`] found.
    pub(in crate::drivers) fn to_spawn(&self, program: &Path) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(program);
        if let Some((name, arguments)) = self.argv.split_first() {
            command.arg0(name).args(arguments);
        }
        command.envs(&self.environment).current_dir(&self.working_dir);
        command
    }

    /// Refuses what the operating system would refuse when it is too late.
    fn check_texts(&self) -> Result<(), ResolveError> {
        if self.argv.iter().any(|text| text.contains('\0')) {
            return Err(ResolveError::Nul);
        }
        for (name, value) in &self.environment {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return Err(ResolveError::Environment(name.clone()));
            }
        }
        Ok(())
    }
}

fn reason_not_executable(program: &Path) -> Option<NotExecutable> {
    match std::fs::metadata(program) {
        Err(_) => Some(NotExecutable::Missing),
        Ok(found) if !found.is_file() => Some(NotExecutable::NoFile),
        Ok(_) if access(program, Access::EXEC_OK).is_err() => Some(NotExecutable::NotAllowed),
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(
        argv: &[&str],
        environment: &[(&str, &str)],
        dir: &Path,
        path: &str,
    ) -> Result<PathBuf, ResolveError> {
        let pairs = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let argv = argv.iter().map(|text| (*text).to_owned()).collect();
        let command = Command { argv, environment: pairs.collect(), working_dir: dir.to_owned() };
        command.resolve(OsStr::new(path))
    }

    #[test]
    fn programs_are_found_by_path_and_by_place() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        std::fs::create_dir(dir.join("bin")).unwrap();
        std::os::unix::fs::symlink("/bin/sh", dir.join("bin/db")).unwrap();
        let db = dir.join("bin/db");
        assert_eq!(resolve(&["bin/db"], &[], dir, ""), Ok(db.clone()));
        assert_eq!(resolve(&["db"], &[], dir, "/nowhere::bin"), Ok(db.clone()));
        assert_eq!(resolve(&["db"], &[("PATH", "bin")], dir, "/nowhere"), Ok(db.clone()));
        assert_eq!(resolve(&[db.to_str().unwrap()], &[], dir, ""), Ok(db));
    }

    #[test]
    fn messages_name_the_command_and_where_it_was_looked_for() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        std::fs::write(dir.join("plain"), "no program").unwrap();
        let at = dir.display();
        for (argv, environment, path, message) in [
            (&[][..], &[][..], "/bin", "the command is empty".to_owned()),
            (&[""], &[], "/bin", "the command is empty".to_owned()),
            (&["no-db"], &[], "/x:/y", "command `no-db` was not found: looked in PATH /x:/y".to_owned()),
            (&["./no-db"], &[], "/x", format!("command `./no-db` was not found: looked at {at}/./no-db")),
            (&["./plain"], &[], "/x", format!("command `./plain` is not executable: looked at {at}/./plain")),
            (
                &["plain"],
                &[],
                at.to_string().as_str(),
                format!("command `plain` is not executable ({at}/plain): looked in PATH {at}"),
            ),
            (&["/bin"], &[], "/x", "command `/bin` is not a file: looked at /bin".to_owned()),
            (&["sh", "a\0b"], &[], "/bin", "the command contains a NUL byte".to_owned()),
            (
                &["sh"],
                &[("A=B", "c")],
                "/bin",
                "environment variable \"A=B\" has a forbidden character".to_owned(),
            ),
        ] {
            let error = resolve(argv, environment, dir, path).unwrap_err();
            assert_eq!(error.to_string(), message, "{argv:?}");
        }
        let message = resolve(&["sh"], &[], Path::new("/no/such"), "/bin").unwrap_err();
        assert_eq!(message.to_string(), "working directory `/no/such` is not a directory");
    }
}
