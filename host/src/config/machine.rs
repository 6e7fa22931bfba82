//! Problems that depend on the machine: files, directories and programs that are not there.
//!
//! Reads no environment variables; the caller passes the search path. Nothing is run or changed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access as Right, access};

use super::Config;
use crate::access::{Access, TokenSource};
use crate::catalogue::CHECKER_PATH;
use crate::discovery;
use crate::drivers::DriverConfig;
use crate::drivers::kind::Needs;
use crate::drivers::settings::{Settings, SettingsError, SettingsFiles, read_protected};
use crate::drivers::template::{Template, TemplateValues, Wish};
use crate::keys::{Problem, Problems};
use crate::net::placed::is_placed;
use crate::net::serve_tls::{self, TlsFiles};
use crate::net::tls::VerifiedTls;
use crate::plugins::config::ComponentSource;
use crate::plugins::fetch::{Credentials, FetchConfig};
use crate::plugins::signature;
use phasegate_core::domain::source::{ExecSource, SOURCE_PATH, Source, SourceCredentials, SourceKind};
use phasegate_core::domain::{Component, Fence, OperationId, ProbeIdentity, ScaleSet};

/// Where `execvp` looks when there is no `PATH`.
const SEARCH_PATH_DEFAULT: &str = "/bin:/usr/bin";

/// Checks that the files, directories and programs that the configuration names can be used.
/// `search_path` is the host's own `PATH`.
#[must_use]
pub fn machine_problems(config: &Config, search_path: Option<&OsStr>) -> Problems {
    let mut checker = Checker { config, problems: Vec::new() };
    checker.data_dir(&config.server.data_dir);
    checker.access(&config.server.access);
    for (index, plugin) in config.plugins.iter().enumerate() {
        match &plugin.component {
            ComponentSource::File(path) => {
                checker.readable_file(&format!("plugins[{index}].component"), path);
            }
            ComponentSource::Builtin(_) | ComponentSource::Remote(_) => {}
        }
        checker.fetch(&format!("plugins[{index}].fetch"), &plugin.fetch);
        if let Some(Err(error)) = plugin.signature.as_ref().map(signature::keys) {
            checker.report(&format!("plugins[{index}].signature"), error.to_string());
        }
    }
    for (index, set) in config.scale_sets.iter().enumerate() {
        let at = config.place(index);
        checker.identity(at, set);
        checker.sources(at, &set.health.sources);
        if let Some(discovery::Source::Http(source)) =
            config.discoveries.get(&set.name).map(|one| &one.source)
        {
            checker.trusts(&format!("{at}.discovery.http"), source.ca_file.as_deref());
        }
        checker.driver(at, set, search_path);
    }
    for (subject, one) in &config.catalogue {
        checker.type_checker(&format!("extensionTypes `{subject}`.checker"), &one.checker);
        if let Some(source) = &one.source {
            // Secrets may come later, as they are read anew each time; what trusts nobody never helps.
            checker.trusts(&format!("extensionTypes `{subject}`"), source.fetch.ca_file.as_deref());
        }
    }
    Problems::new(&config.path, checker.problems)
}

/// Whether a problem is about a file with the component of a plugin: a host that has run that plugin
/// before starts without it.
#[must_use]
pub fn is_about_a_component(problem: &Problem) -> bool {
    problem.key.starts_with("plugins[") && problem.key.ends_with("].component")
}

struct Checker<'a> {
    config: &'a Config,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn report(&mut self, key: &str, message: String) {
        self.problems.push(self.config.problem(key, message));
    }

    fn readable_file(&mut self, key: &str, path: &Path) {
        let shown = path.display();
        // Opening comes second: it would wait for the other end of a pipe.
        let message = match std::fs::metadata(path) {
            Ok(metadata) if !metadata.is_file() => format!("`{shown}` is not a regular file"),
            Ok(_) => match File::open(path) {
                Ok(_) => return,
                Err(error) => format!("cannot read `{shown}`: {}", cause(&error)),
            },
            Err(error) => format!("cannot read `{shown}`: {}", cause(&error)),
        };
        self.report(key, message);
    }

    /// A file with a secret, or with certificates that are trusted: then one of them must be of use.
    fn trusted_or_secret(&mut self, name: &str, key: &str, path: &Path) {
        let before = self.problems.len();
        self.readable_file(key, path);
        if name == "caFile"
            && self.problems.len() == before
            && let Err(error) = VerifiedTls::load(path)
        {
            self.report(key, error.to_string());
        }
    }

    fn trusts(&mut self, at: &str, ca_file: Option<&Path>) {
        if let Some(path) = ca_file {
            self.trusted_or_secret("caFile", &format!("{at}.caFile"), path);
        }
    }

    fn access(&mut self, access: &Access) {
        match &access.tokens {
            Some(TokenSource::Single(path)) => {
                let before = self.problems.len();
                self.readable_file("server.tokenFile", path);
                if self.problems.len() == before
                    && let Err(error) = access.who()
                {
                    self.report("server.tokenFile", error.line());
                }
            }
            Some(TokenSource::Named(_)) => {
                if let Err(error) = access.who() {
                    self.report("server.tokens", error.line());
                }
            }
            None => {}
        }
        if let Err(error) = access.certificates() {
            self.report("server.tls", error.line());
        }
    }

    /// The store must be able to write there, or to create the directory.
    fn data_dir(&mut self, directory: &Path) {
        let there = directory.ancestors().find(|ancestor| {
            // A name alone is in the working directory.
            ancestor.as_os_str().is_empty() || ancestor.symlink_metadata().is_ok()
        });
        let there = there.filter(|there| !there.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let (shown, created) = (directory.display(), there != directory);
        let message = match std::fs::metadata(there) {
            Ok(metadata) if !metadata.is_dir() && created => {
                format!("`{shown}` cannot be created: `{}` is not a directory", there.display())
            }
            Ok(metadata) if !metadata.is_dir() => format!("`{shown}` is not a directory"),
            Ok(_) => match access(there, Right::WRITE_OK | Right::EXEC_OK) {
                Ok(()) => return,
                Err(error) if created => {
                    format!("`{shown}` cannot be created in `{}`: {}", there.display(), cause(&error.into()))
                }
                Err(error) => format!("`{shown}` cannot be written: {}", cause(&error.into())),
            },
            Err(error) => format!("`{shown}` cannot be used: {}", cause(&error)),
        };
        self.report("server.dataDir", message);
    }

    fn fetch(&mut self, at: &str, fetch: &FetchConfig) {
        let FetchConfig { ca_file, timeout: _, credentials } = fetch;
        let mut files = vec![("caFile", ca_file.as_deref())];
        match credentials {
            None => {}
            Some(Credentials::Token(token)) => files.push(("tokenFile", Some(token))),
            Some(Credentials::Password { username, password }) => {
                files.extend([("usernameFile", Some(username.as_path())), ("passwordFile", Some(password))]);
            }
        }
        for (name, path) in files {
            if let Some(path) = path {
                self.trusted_or_secret(name, &format!("{at}.{name}"), path);
            }
        }
    }

    /// What probes show of the host. A key that others may exchange shows nothing.
    fn identity(&mut self, at: &str, set: &ScaleSet<DriverConfig>) {
        let Some(ProbeIdentity { certificate, key }) = &set.health.identity else { return };
        let before = self.problems.len();
        for (name, path) in [("certificate", certificate), ("key", key)] {
            self.readable_file(&format!("{at}.health.{name}"), path);
        }
        if self.problems.len() > before {
            return;
        }
        if std::fs::metadata(key).is_ok_and(|metadata| metadata.mode() & 0o002 != 0) {
            let message = format!(
                "`{}` can be written by every user of this machine; take that right away: chmod o-w",
                key.display()
            );
            self.report(&format!("{at}.health.key"), message);
        }
        let files = TlsFiles { certificate: certificate.clone(), key: key.clone() };
        if let Err(error) = serve_tls::load(&files) {
            self.report(&format!("{at}.health.certificate"), error.line());
        }
    }

    /// Files and programs of the sources of a scale set.
    fn sources(&mut self, at: &str, sources: &[Source]) {
        for (place, source) in sources.iter().enumerate() {
            let key = format!("{at}.health.sources[{place}]");
            let (tls, credentials) = match &source.ask {
                SourceKind::Http(http) => (http.tls.as_ref(), http.credentials.as_ref()),
                SourceKind::Tcp(tcp) => (None, tcp.credentials.as_ref()),
                SourceKind::Exec(exec) => {
                    self.source_program(&format!("{key}.command"), exec);
                    (None, None)
                }
            };
            let (token, username, password) = match credentials {
                None => (None, None, None),
                Some(SourceCredentials::Token(token)) => (Some(token), None, None),
                Some(SourceCredentials::Password { username, password }) => {
                    (None, username.as_ref(), Some(password))
                }
            };
            let ca_file = tls.and_then(|tls| tls.ca_file.as_ref());
            let files = [
                ("tokenFile", token),
                ("usernameFile", username),
                ("passwordFile", password),
                ("caFile", ca_file),
            ];
            for (name, path) in files {
                if let Some(path) = path {
                    self.trusted_or_secret(name, &format!("{key}.{name}"), path);
                }
            }
        }
    }

    fn type_checker(&mut self, key: &str, command: &[String]) {
        let Some(program) = command.first().filter(|program| !program.contains('{')) else { return };
        if let Err(error) = find_program(program, Path::new("/"), OsStr::new(CHECKER_PATH)) {
            self.report(key, error.to_string());
        }
    }

    fn source_program(&mut self, key: &str, exec: &ExecSource) {
        let Some(program) = exec.command.first().filter(|program| !is_placed(program)) else { return };
        // As the program is started: nothing of the host's own environment.
        let search_path = exec.environment.get("PATH").map_or(SOURCE_PATH, String::as_str);
        if let Err(error) = find_program(program, Path::new("/"), OsStr::new(search_path)) {
            self.report(key, error.to_string());
        }
    }

    fn driver(&mut self, at: &str, set: &ScaleSet<DriverConfig>, search_path: Option<&OsStr>) {
        let Needs { working_dir, environment, programs, files, certificates, identity: _ } =
            set.driver.settings().needs();
        self.hooks(at, set, search_path);
        self.settings(at, set);
        for (name, path) in files.into_iter().chain(certificates) {
            self.readable_file(&format!("{at}.driver.{name}"), path);
        }
        let Some(working_dir) = working_dir.filter(|directory| self.directory(at, directory)) else {
            return;
        };
        let found = Programs { set, environment, working_dir, search_path };
        for (name, argv) in programs {
            self.programs(&format!("{at}.driver.{name}"), argv, &found);
        }
    }

    fn hooks(&mut self, at: &str, set: &ScaleSet<DriverConfig>, search_path: Option<&OsStr>) {
        let hooks = set.driver.hooks();
        for (kind, path) in hooks.certificates() {
            self.trusts(&format!("{at}.driver.hooks.{kind}"), Some(path));
        }
        // A folder that is not there is reported once.
        if !hooks.working_dir().is_dir() {
            return;
        }
        // The variables of the driver are not those of hooks.
        let found = Programs { set, environment: None, working_dir: hooks.working_dir(), search_path };
        for (kind, argv) in hooks.programs() {
            self.programs(&format!("{at}.driver.hooks.{kind}.command"), argv, &found);
        }
    }

    /// What extensions are configured with.
    fn settings(&mut self, at: &str, set: &ScaleSet<DriverConfig>) {
        for (name, configured) in set.driver.extensions().all() {
            let place = set.model.extensions.iter().position(|(one, _)| one == name).unwrap_or_default();
            let key = |key: &str| format!("{at}.model.extensions[{place}].{key}");
            let line = |error: SettingsError| match &error {
                SettingsError::Unreadable { source, .. } => format!("{error}: {}", cause(source)),
                _ => error.to_string(),
            };
            if let Some(Err(error)) = configured.settings.as_ref().map(Settings::read) {
                self.report(&key("settings"), line(error));
            }
            if let Some(Err(error)) = configured.protected.as_deref().map(read_protected) {
                self.report(&key("protectedSettings"), line(error));
            }
        }
    }

    /// Whether programs can run there. A relative one would only be missed for the same reason.
    fn directory(&mut self, at: &str, directory: &Path) -> bool {
        let found = std::fs::metadata(directory).is_ok_and(|metadata| metadata.is_dir());
        if !found {
            let key = format!("{at}.driver.workingDir");
            self.report(&key, format!("`{}` is not a directory", directory.display()));
        }
        found
    }

    fn programs(&mut self, key: &str, argv: &[Template], place: &Programs<'_>) {
        let Programs { set, environment, working_dir, search_path } = place;
        let mut checked = BTreeSet::new();
        let mut failures = Vec::new();
        for instance in set.instances.values() {
            let operation = OperationId(String::new());
            let wish = Wish::Apply {
                component: &Component::Application,
                version: &set.model.version,
                operation: &operation,
                fence: Fence::NONE,
                settings: SettingsFiles::NONE,
            };
            let values = TemplateValues { scale_set: &set.name, instance, wish };
            let Some(Ok(program)) = argv.first().map(|program| program.render(&values)) else {
                continue;
            };
            // A variable of the set wins over the host's, as it does when the program is started.
            let own_path =
                environment.and_then(|own| own.get("PATH")).and_then(|path| path.render(&values).ok());
            if !checked.insert((program.clone(), own_path.clone())) {
                continue;
            }
            let search_path = own_path.map(OsString::from).or(search_path.map(OsStr::to_owned));
            let search_path = search_path.unwrap_or_else(|| SEARCH_PATH_DEFAULT.into());
            if let Err(error) = find_program(&program, working_dir, &search_path) {
                failures.push(format!("{error}, for instance \"{}\"", instance.id));
            }
        }
        if let Some(first) = failures.first() {
            let more = match failures.len() - 1 {
                0 => String::new(),
                more => format!(", and {more} more programs"),
            };
            self.report(key, format!("{first}{more}"));
        }
    }
}

/// Where programs are looked for.
struct Programs<'a> {
    set: &'a ScaleSet<DriverConfig>,
    environment: Option<&'a BTreeMap<String, Template>>,
    working_dir: &'a Path,
    search_path: Option<&'a OsStr>,
}

/// Why a program cannot be run.
#[derive(Debug, thiserror::Error)]
enum NoProgramError {
    #[error("`{}` is not an executable file", .0.display())]
    NotExecutable(PathBuf),
    #[error("cannot find `{}`: {}", path.display(), cause(error))]
    Missing { path: PathBuf, error: io::Error },
    #[error("cannot find `{0}` on the search path")]
    NotOnPath(String),
}

fn find_program(program: &str, directory: &Path, search_path: &OsStr) -> Result<(), NoProgramError> {
    if program.contains('/') {
        let path = directory.join(program);
        return match std::fs::metadata(&path) {
            Ok(_) if is_executable(&path) => Ok(()),
            Ok(_) => Err(NoProgramError::NotExecutable(path)),
            Err(error) => Err(NoProgramError::Missing { path, error }),
        };
    }
    let found =
        std::env::split_paths(search_path).any(|entry| is_executable(&directory.join(entry).join(program)));
    if found { Ok(()) } else { Err(NoProgramError::NotOnPath(program.to_owned())) }
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && access(path, Right::EXEC_OK).is_ok()
}

fn cause(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}
