//! What an extension is configured with: `settings`, which may be seen, and `protectedSettings`, which may not.
//!
//! Both reach a program as files of mode 0600 that are there while it runs, and an agent in the body of its request:
//! never an argument, a log or the record. Files are read anew for each effect, so that a secret can be exchanged.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Ensure;
use super::local::kept;
use phasegate_core::domain::{Component, ExtensionName};

/// Largest settings of either kind, in bytes: what is larger is a download, and no setting.
pub const SETTINGS_MAX: u64 = 1024 * 1024;

/// What the extensions of a scale set are configured with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExtensionSettings(BTreeMap<ExtensionName, Configured>);

/// What one of them is configured with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Configured {
    /// What may be seen.
    pub settings: Option<Settings>,
    /// A file that nobody else may read.
    pub protected: Option<PathBuf>,
}

/// Settings that may be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settings {
    /// As the configuration writes them, as JSON.
    Inline(String),
    /// What stands in a file.
    File(PathBuf),
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file.
    #[error("cannot read settings `{}`", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no file.
    #[error("settings `{}` are not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// Too many bytes.
    #[error("settings `{}` have {seen} bytes (limit {SETTINGS_MAX}); let the extension fetch what is larger", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// So many.
        seen: u64,
    },
    /// Others may read it.
    #[error("protectedSettings `{}` can be read by others (mode {mode:04o}); chmod 600 it", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is no text.
    #[error("settings `{}` are not UTF-8", .0.display())]
    NotText(PathBuf),
    /// They cannot be handed to a program.
    #[error("cannot write settings into `{}`", path.display())]
    Unwritable {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What one extension gets, as text.
#[derive(Default, PartialEq, Eq)]
pub struct Texts {
    /// What may be seen.
    pub settings: Option<String>,
    /// What may not.
    pub protected: Option<String>,
}

/// Where a program finds its settings; what there is none of is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SettingsFiles {
    /// `{settingsFile}`.
    pub settings: Option<PathBuf>,
    /// `{protectedSettingsFile}`.
    pub protected: Option<PathBuf>,
}

impl SettingsFiles {
    /// There are none.
    pub const NONE: &'static Self = &Self { settings: None, protected: None };
}

/// Files with settings, which go with this value.
#[derive(Default)]
pub(in crate::drivers) struct HandedOut(SettingsFiles);

impl HandedOut {
    pub(in crate::drivers) fn files(&self) -> &SettingsFiles {
        &self.0
    }
}

impl Drop for HandedOut {
    fn drop(&mut self) {
        for path in self.0.settings.iter().chain(&self.0.protected) {
            if let Err(error) = std::fs::remove_file(path) {
                tracing::warn!(path = %path.display(), %error, "could not remove the settings of an extension");
            }
        }
    }
}

impl ExtensionSettings {
    /// Of these; what has none is left out.
    #[must_use]
    pub fn new(all: impl IntoIterator<Item = (ExtensionName, Configured)>) -> Self {
        Self(all.into_iter().filter(|(_, one)| *one != Configured::default()).collect())
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = (&ExtensionName, &Configured)> {
        self.0.iter()
    }

    /// What the component of a request is configured with, as text.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn texts(&self, request: &Ensure) -> Result<Texts, SettingsError> {
        let Component::Extension(name) = &request.component else { return Ok(Texts::default()) };
        let Some(Configured { settings, protected }) = self.0.get(name) else { return Ok(Texts::default()) };
        let settings = settings.as_ref().map(Settings::read).transpose()?;
        Ok(Texts { settings, protected: protected.as_deref().map(read_protected).transpose()? })
    }

    /// The same as files in a folder for their owner alone.
    ///
    /// # Errors
    /// As [`Self::texts`], and when they cannot be written.
    pub(in crate::drivers) fn hand_out(
        &self,
        request: &Ensure,
        folder: &Path,
    ) -> Result<HandedOut, SettingsError> {
        let Texts { settings, protected } = self.texts(request)?;
        // What was written goes when the next one fails.
        let mut handed = HandedOut::default();
        handed.0.settings = settings.map(|text| write(folder, &text)).transpose()?;
        handed.0.protected = protected.map(|text| write(folder, &text)).transpose()?;
        Ok(handed)
    }
}

impl Settings {
    /// As text.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn read(&self) -> Result<String, SettingsError> {
        match self {
            Self::Inline(json) => Ok(json.clone()),
            Self::File(path) => read(path, |_| Ok(())),
        }
    }
}

/// Reads a file that nobody else may read.
///
/// # Errors
/// When others may, or it cannot be used.
pub fn read_protected(path: &Path) -> Result<String, SettingsError> {
    read(path, |metadata| {
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 == 0 { Ok(()) } else { Err(SettingsError::Open { path: path.to_owned(), mode }) }
    })
}

fn read(
    path: &Path,
    check: impl Fn(&std::fs::Metadata) -> Result<(), SettingsError>,
) -> Result<String, SettingsError> {
    let unreadable = |source| SettingsError::Unreadable { path: path.to_owned(), source };
    // Opening comes second: it would wait for the other end of a pipe.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(SettingsError::NotAFile(path.to_owned()));
    }
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    check(&metadata)?;
    let mut bytes = Vec::new();
    file.take(SETTINGS_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let seen = metadata.len().max(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    if seen > SETTINGS_MAX {
        return Err(SettingsError::TooLarge { path: path.to_owned(), seen });
    }
    String::from_utf8(bytes).map_err(|_| SettingsError::NotText(path.to_owned()))
}

/// Writes settings for one run of a program. The name says which host has written them.
fn write(folder: &Path, text: &str) -> Result<PathBuf, SettingsError> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let unwritable = |source| SettingsError::Unwritable { path: folder.to_owned(), source };
    kept::make_folder(folder).map_err(unwritable)?;
    // Programs run in a folder of their own.
    let folder = folder.canonicalize().map_err(unwritable)?;
    let path = folder.join(format!("{}-{number}.json", std::process::id()));
    // A name that is there belongs to a host that was killed and had the same process id.
    let _ = std::fs::remove_file(&path);
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(unwritable)?;
    file.write_all(text.as_bytes()).map_err(unwritable)?;
    Ok(path)
}

/// Removes what a host has left there that was killed. For the start alone, before anything is handed out: also a host of
/// before that had the same process id, as in a container, has nothing there any more.
pub fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        // A file of ours by its name alone may be a link or a folder of somebody else.
        let is_ours = entry.file_name().to_str().is_some_and(is_name)
            && entry.file_type().is_ok_and(|kind| kind.is_file());
        let path = entry.path();
        if is_ours && let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "could not remove settings that a former host has left");
        }
    }
}

/// Whether `write` gives such names: two numbers.
fn is_name(name: &str) -> bool {
    let is_number =
        |text: &str| !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = name.strip_suffix(".json").and_then(|name| name.split_once('-'));
    numbers.is_some_and(|(process, number)| is_number(process) && is_number(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::Again;
    use phasegate_core::domain::{
        Address, Fence, Instance, InstanceId, OperationId, Protection, ScaleSetName, Version,
    };

    fn request(component: &str) -> Ensure {
        Ensure {
            scale_set: ScaleSetName::parse("web").unwrap(),
            instance: Instance {
                id: InstanceId::parse("0").unwrap(),
                address: Address { host: "127.0.0.1".to_owned(), port: 1 },
                region: None,
                zone: None,
                update_domain: None,
                fault_domain: None,
                labels: BTreeMap::new(),
                protection: Protection::default(),
            },
            component: Component::try_from(component.to_owned()).unwrap(),
            version: Version::parse("1").unwrap(),
            previous: None,
            again: Again::No,
            operation: OperationId("provision/1/web/0/1".to_owned()),
            fence: Fence::NONE,
        }
    }

    fn configured(settings: Option<Settings>, protected: Option<PathBuf>) -> ExtensionSettings {
        ExtensionSettings::new([(ExtensionName::parse("logs").unwrap(), Configured { settings, protected })])
    }

    #[test]
    fn a_program_finds_files_for_its_owner_alone_which_go_with_its_run() {
        let temp = tempfile::tempdir().unwrap();
        let secret = temp.path().join("secret");
        std::fs::write(&secret, "hunter2").unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        let all = configured(Some(Settings::Inline("{\"a\":1}".to_owned())), Some(secret));
        let folder = temp.path().join("settings");
        assert_eq!(all.hand_out(&request("application"), &folder).unwrap().files(), SettingsFiles::NONE);
        let handed = all.hand_out(&request("logs"), &folder).unwrap();
        let files = handed.files().clone();
        for (path, text) in [(files.settings.unwrap(), "{\"a\":1}"), (files.protected.unwrap(), "hunter2")] {
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        drop(handed);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_host_has_left_goes_and_nothing_of_anybody_else() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path();
        sweep(&folder.join("that is not there"));
        let own = format!("{}-7.json", std::process::id());
        for name in ["1-1.json", &own, "4194304-18446744073709551615.json"] {
            std::fs::write(folder.join(name), "left by a host").unwrap();
        }
        let others = ["notes.json", "1-1.json.bak", "1-.json", "-1.json", "1-1-1.json", "a-1.json", "1-1"];
        for name in others {
            std::fs::write(folder.join(name), "of somebody else").unwrap();
        }
        std::fs::create_dir(folder.join("2-2.json")).unwrap();
        std::os::unix::fs::symlink("notes.json", folder.join("3-3.json")).unwrap();
        sweep(folder);
        let left = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let left: std::collections::BTreeSet<String> = left.map(|name| name.into_string().unwrap()).collect();
        let expected = others.into_iter().chain(["2-2.json", "3-3.json"]).map(str::to_owned);
        assert_eq!(left, expected.collect());
    }

    #[test]
    fn what_others_may_read_is_too_large_or_no_text_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("settings.json");
        let file = Settings::File(path.clone());
        assert!(file.read().unwrap_err().to_string().contains("cannot read settings"));
        std::fs::write(&path, vec![b' '; 10 * 1024 * 1024]).unwrap();
        assert!(file.read().unwrap_err().to_string().contains("have 10485760 bytes (limit 1048576)"));
        std::fs::write(&path, [0xff]).unwrap();
        assert!(file.read().unwrap_err().to_string().ends_with("are not UTF-8"));
        std::fs::write(&path, "{}").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(file.read().unwrap(), "{}");
        let refused = read_protected(&path).unwrap_err().to_string();
        assert!(refused.contains("can be read by others (mode 0640)"), "{refused}");
        assert!(Settings::File(temp.path().to_owned()).read().is_err());
    }
}
