//! A folder with a plugin's source: what `plugin new` makes and the other verbs look at.

use std::io;
use std::path::{Path, PathBuf};

use super::language::Language;
use super::template;
use super::wrong::{WrongManifestError, WrongNameError};
use phasegate_wasm::World;

/// Name of the file that makes a folder a project.
pub const MANIFEST: &str = "phasegate-plugin.toml";
/// Longest name of a project.
const NAME_BYTES_MAX: usize = 64;
/// Largest manifest that is read.
const MANIFEST_BYTES_MAX: u64 = 64 << 10;

/// A folder and what its manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// The folder.
    pub folder: PathBuf,
    /// Name, also that of the component.
    pub name: String,
    /// Language of the source.
    pub language: Language,
    /// World for the tools that ask for it.
    pub world: World,
}

/// Why there is no new project.
#[derive(Debug, thiserror::Error)]
pub enum NewError {
    /// The name does not do.
    #[error("`{}` is no name for a plugin: {error}", name.escape_debug())]
    Name {
        /// As typed.
        name: String,
        /// What is wrong.
        error: WrongNameError,
    },
    /// Something is in the way.
    #[error("`{}` exists already; choose another name or remove it", .0.display())]
    Exists(PathBuf),
    /// The disk says no.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Why a folder is no project.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No manifest.
    #[error("`{}` has no `{MANIFEST}`; begin a project with `phasegate plugin new NAME --lang LANGUAGE`", .0.display())]
    NoManifest(PathBuf),
    /// Nothing.
    #[error("there is no folder `{}`; name the folder of the project, with its `{MANIFEST}`", .0.display())]
    NoFolder(PathBuf),
    /// A file.
    #[error("`{}` is no folder; name the folder of the project, with its `{MANIFEST}`", .0.display())]
    NotAFolder(PathBuf),
    /// The manifest cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The manifest.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The manifest says nothing usable.
    #[error("`{}`: {error}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        error: WrongManifestError,
    },
}

/// Writes a new project into a new folder of its name.
///
/// # Errors
/// When the name does not do, the folder exists, or it cannot be written; then nothing is left.
pub fn create(parent: &Path, name: &str, language: Language) -> Result<Project, NewError> {
    check_name(name, language).map_err(|error| NewError::Name { name: name.to_owned(), error })?;
    let folder = parent.join(name);
    match std::fs::create_dir(&folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(NewError::Exists(folder)),
        Err(source) => return Err(NewError::Write { path: folder, source }),
    }
    match write_all(&folder, language, name) {
        Ok(()) => Ok(Project { folder, name: name.to_owned(), language, world: World::Policy }),
        Err(error) => {
            // It was made a moment ago and holds nothing of anybody else.
            let _ = std::fs::remove_dir_all(&folder);
            Err(error)
        }
    }
}

/// The file where the author of a project begins, relative to its folder.
#[must_use]
pub fn first_file(language: Language) -> &'static str {
    template::source(language)
}

fn write_all(folder: &Path, language: Language, name: &str) -> Result<(), NewError> {
    for (relative, text) in template::files(language, name) {
        let path = folder.join(relative);
        let written = match path.parent() {
            Some(parent) => std::fs::create_dir_all(parent).and_then(|()| std::fs::write(&path, text)),
            None => std::fs::write(&path, text),
        };
        written.map_err(|source| NewError::Write { path, source })?;
    }
    Ok(())
}

fn check_name(name: &str, language: Language) -> Result<(), WrongNameError> {
    if name.is_empty() {
        return Err(WrongNameError::Empty);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(WrongNameError::TooLong { bytes: name.len(), max: NAME_BYTES_MAX });
    }
    let good = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.split('-').all(good) {
        return Err(WrongNameError::Characters);
    }
    if language.reserves(name) {
        return Err(WrongNameError::Reserved { name: name.to_owned(), language });
    }
    Ok(())
}

impl Project {
    /// Reads the manifest of a folder.
    ///
    /// # Errors
    /// When there is none, or it does not say name and language.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join(MANIFEST);
        let text = match read_small(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.exists() => {
                return Err(OpenError::NoFolder(folder.to_owned()));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(OpenError::NoManifest(folder.to_owned()));
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(OpenError::NotAFolder(folder.to_owned()));
            }
            Err(source) => return Err(OpenError::Read { path, source }),
        };
        let (name, language, world) = parse(&text).map_err(|error| OpenError::Manifest { path, error })?;
        Ok(Self { folder: folder.to_owned(), name, language, world })
    }

    /// Where the component is, or will be.
    #[must_use]
    pub fn component(&self) -> PathBuf {
        self.folder.join(format!("{}.wasm", self.name))
    }
}

fn read_small(path: &Path) -> io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(MANIFEST_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn parse(text: &str) -> Result<(String, Language, World), WrongManifestError> {
    let table = toml::de::DeTable::parse(text)
        .map_err(|error| WrongManifestError::Syntax(error.message().to_owned()))?;
    let table = table.get_ref();
    let value = |key: &'static str| {
        table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| {
            value.get_ref().as_str().map(str::to_owned).ok_or(WrongManifestError::NoText(key))
        })
    };
    for (key, _) in table {
        let key: &str = key.get_ref();
        if !["name", "language", "world"].contains(&key) {
            return Err(WrongManifestError::UnknownKey(key.to_owned()));
        }
    }
    let name = value("name").ok_or(WrongManifestError::Missing("name"))??;
    let typed = value("language").ok_or(WrongManifestError::Missing("language"))??;
    let language = Language::parse(&typed).ok_or(WrongManifestError::Language { seen: typed })?;
    check_name(&name, language).map_err(|error| WrongManifestError::Name { name: name.clone(), error })?;
    let world = match value("world").transpose()?.as_deref() {
        None | Some("policy") => World::Policy,
        Some("timed-policy") => World::TimedPolicy,
        Some(other) => return Err(WrongManifestError::World(other.to_owned())),
    };
    Ok((name, language, world))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a", "game", "game-2", "a-b-c", "x9"] {
            assert_eq!(check_name(good, Language::Rust), Ok(()), "{good}");
        }
        for bad in [
            "", ".", "..", "../x", "a/b", "a\\b", "/a", "-a", "a-", "a--b", "A", "ä", "9a", "a b", "a\0",
            "a.wasm", "con:", "~",
        ] {
            assert!(check_name(bad, Language::Go).is_err(), "{bad}");
        }
        assert!(check_name(&"a".repeat(65), Language::Go).is_err());
        assert!(check_name("fn", Language::Rust).unwrap_err().to_string().contains("`fn-policy`"));
        assert_eq!(check_name("fn", Language::Python), Ok(()));
        assert!(check_name("vendor", Language::Go).unwrap_err().to_string().contains("`vendor-policy`"));
    }

    #[test]
    fn every_language_writes_a_project_that_opens() {
        for language in Language::ALL {
            let parent = tempfile::tempdir().unwrap();
            let project = create(parent.path(), "game", language).unwrap();
            assert_eq!(Project::open(&project.folder).unwrap(), project, "{language:?}");
            for file in
                ["README.md", ".gitignore", "wit/policy.wit", "cases/first.json", first_file(language)]
            {
                let text = std::fs::read_to_string(project.folder.join(file)).unwrap();
                assert!(!text.contains('@') || !text.contains("@NAME@"), "{language:?} {file}");
            }
            assert!(matches!(create(parent.path(), "game", language), Err(NewError::Exists(_))));
            let file = project.folder.join(first_file(language));
            assert!(matches!(Project::open(&file), Err(OpenError::NotAFolder(_))));
        }
    }

    #[test]
    fn manifests_say_what_is_wrong() {
        for (text, expected) in [
            ("language = \"c\"", "`name` is missing"),
            ("name = \"a\"", "`language` is missing"),
            ("name = 3\nlanguage = \"c\"", "`name` is no text"),
            (
                "name = \"a\"\nlanguage = \"cobol\"",
                "`language` is \"cobol\"; it can be rust, c, cpp, python, javascript, typescript, go, zig",
            ),
            (
                "name = \"../a\"\nlanguage = \"c\"",
                "`name` is \"../a\": use lower-case letters, digits and single hyphens, beginning with a letter",
            ),
            (
                "name = \"a\"\nlanguage = \"c\"\nworld = \"x\"",
                "`world` is \"x\"; it can be policy or timed-policy",
            ),
            ("nam = \"a\"", "unknown key `nam`; known are name, language and world"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), expected);
        }
        assert!(parse("name = ").is_err());
    }
}
