//! One look at a source: bytes of a file, an answer to one request, records of names. Every look has an end: in time, by
//! the caller, and in bytes here. Follows no redirects: who is somewhere else by now should be named there.

mod credentials;
mod http;

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Source;
use super::entries::TooManyError;
use super::targets::{Group, InvalidTargetsError, Language};
use crate::net::names::{self, LookUpError};
use crate::net::text::io_text;
use crate::net::tls::LoadCertificatesError;
use phasegate_core::domain::Address;

/// Longest list of targets; six times that of the largest fleet with some labels.
pub(super) const BYTES_MAX: usize = 64 << 20;

/// Why a source could not be read; a fragment that follows its name.
#[derive(Debug, thiserror::Error)]
pub enum ReadSourceError {
    /// The file.
    #[error("cannot be read: {}", io_text(.0))]
    File(#[source] io::Error),
    /// It is no file.
    #[error("is not a regular file")]
    NotAFile,
    /// It has too many bytes.
    #[error("has more than {BYTES_MAX} bytes (limit {BYTES_MAX})")]
    TooLarge,
    /// What it says.
    #[error(transparent)]
    Invalid(#[from] InvalidTargetsError),
    /// How much it says.
    #[error(transparent)]
    TooMany(#[from] TooManyError),
    /// Names.
    #[error("{0}")]
    Name(#[from] LookUpError),
    /// A name that is there names nobody that can be asked.
    #[error("names no service that is there")]
    NoService,
    /// The server answers with something else.
    #[error("answered {status}{}", redirect(*status))]
    Status {
        /// Of HTTP.
        status: u16,
    },
    /// The way to the server, or how it speaks.
    #[error("{0}")]
    Broken(String),
    /// The certificates that are to be trusted.
    #[error("{0}")]
    Certificates(#[from] LoadCertificatesError),
    /// A file with credentials.
    #[error("`{}` {why}", path.display())]
    Credentials {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It took too long.
    #[error("gave no answer within {} s", .0.as_secs_f64())]
    Slow(std::time::Duration),
    /// Whoever reads has ended.
    #[error("could not be read: {0}")]
    Ended(String),
}

fn redirect(status: u16) -> &'static str {
    match status {
        300..=399 => "; redirects are not followed: name the place that it points to",
        401 | 403 => "; look at tokenFile, or usernameFile and passwordFile",
        _ => "",
    }
}

/// What a look has brought, not read yet.
pub(super) enum Brought {
    /// A text in some language.
    Bytes(Vec<u8>, Language),
    /// Groups already.
    Groups(Vec<Group>),
}

/// Looks once. The caller limits the time.
pub(super) async fn look(source: &Source) -> Result<Brought, ReadSourceError> {
    match source {
        Source::File(path) => {
            let (path, language) = (path.clone(), language(path));
            let bytes = tokio::task::spawn_blocking(move || file(&path)).await;
            let bytes = bytes.map_err(|error| ReadSourceError::Ended(error.to_string()))??;
            Ok(Brought::Bytes(bytes, language))
        }
        Source::Http(source) => Ok(Brought::Bytes(http::get(source).await?, Language::Json)),
        Source::Services(name) => {
            let found = names::services(name).await?;
            let targets = found.into_iter().map(|(host, port)| Address { host, port }.to_string()).collect();
            let group = Group { targets, ..Group::default() };
            if group.targets.is_empty() {
                Err(ReadSourceError::NoService)
            } else {
                Ok(Brought::Groups(vec![group]))
            }
        }
        Source::Addresses { host, port } => {
            let found = names::all_addresses(host).await?;
            let address = |ip: &std::net::IpAddr| Address { host: ip.to_string(), port: *port }.to_string();
            let group = Group { targets: found.iter().map(address).collect(), ..Group::default() };
            Ok(Brought::Groups(vec![group]))
        }
    }
}

/// By the ending of the name: YAML where it says so, and else JSON.
fn language(path: &Path) -> Language {
    let is_yaml = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("yaml") || ending.eq_ignore_ascii_case("yml"));
    if is_yaml { Language::Yaml } else { Language::Json }
}

fn file(path: &Path) -> Result<Vec<u8>, ReadSourceError> {
    // A pipe would be waited for, and a device never ends.
    let non_blocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file =
        File::options().read(true).custom_flags(non_blocking).open(path).map_err(ReadSourceError::File)?;
    if !file.metadata().map_err(ReadSourceError::File)?.is_file() {
        return Err(ReadSourceError::NotAFile);
    }
    let mut bytes = Vec::new();
    let max = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX);
    file.take(max + 1).read_to_end(&mut bytes).map_err(ReadSourceError::File)?;
    if bytes.len() > BYTES_MAX { Err(ReadSourceError::TooLarge) } else { Ok(bytes) }
}

/// What tells that a file was written: a rename over it may keep all but the inode, and no tool can set back when
/// the inode changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
    inode: u64,
    changed: (i64, i64),
}

impl Stamp {
    /// That of a file; none while there is none.
    pub(super) fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            modified: metadata.modified().ok(),
            len: metadata.len(),
            inode: metadata.ino(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_and_a_folder_are_no_files_and_hold_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        for path in [pipe.as_path(), folder.path()] {
            assert!(matches!(file(path), Err(ReadSourceError::NotAFile)), "{}", path.display());
        }
        assert!(matches!(file(&folder.path().join("none")), Err(ReadSourceError::File(_))));
    }

    #[test]
    fn endings_name_the_language() {
        for (name, expected) in [
            ("a.json", Language::Json),
            ("a.yaml", Language::Yaml),
            ("a.YML", Language::Yaml),
            ("yaml", Language::Json),
        ] {
            assert_eq!(language(Path::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn a_rename_over_a_file_shows_although_times_and_length_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        std::fs::write(&one, "[]").unwrap();
        std::fs::write(&other, "[]").unwrap();
        let time = std::fs::metadata(&one).unwrap().modified().unwrap();
        File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
        let before = Stamp::of(&one).unwrap();
        assert_eq!(Stamp::of(&one).unwrap(), before);
        std::fs::rename(&other, &one).unwrap();
        assert_ne!(Stamp::of(&one).unwrap(), before);
    }
}
