//! Case files: what a plugin must answer to what. The format is described in `plugins/README.md`.
//!
//! Strict: an unknown key is an error, so that a misspelt expectation never passes.

pub mod base64;
mod embedded;
mod expect;
pub(crate) mod section;
mod typed;
mod written;
mod wrong;

use std::io;
use std::path::{Path, PathBuf};

use phasegate_core::domain::Observation;

pub use embedded::{EmbedCasesError, SECTION, embedded, with_cases};
pub use expect::{Difference, Expectation, Got, show};
use typed::Typed;
pub use written::written;
pub use wrong::WrongCaseError;

/// What the clock shows in a case that does not say: 2026-01-01T12:00:00Z, a Thursday.
pub const NOW_MS: u64 = 1_767_268_800_000;
/// Largest case file that is read.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// One case, ready to run.
#[derive(Debug)]
pub struct Case {
    /// The file that it is from.
    pub file: String,
    /// Its name there.
    pub name: String,
    /// Text for `configure`, JSON unless the case says otherwise.
    pub settings: String,
    /// What the plugin's clock shows, in milliseconds since 1970.
    pub now_ms: u64,
    /// What to judge; absent where only the settings matter.
    pub observation: Option<Observation>,
    /// What must come.
    pub expected: Expectation,
}

/// Why cases cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum CasesError {
    /// The folder or a file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is no case file.
    #[error("`{}`: {error}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: WrongCaseError,
    },
    /// What a component carries is no cases.
    #[error("the section `phasegate:cases` of the component: {0}")]
    Embedded(String),
    /// No such folder.
    #[error(
        "there is no folder `{}` with cases; write `*.json` files there, see plugins/README.md for the format, or \
         name another one with `--cases DIR`", .0.display()
    )]
    NoFolder(PathBuf),
    /// A file.
    #[error("`{}` is no folder; name the folder of the case files", .0.display())]
    NotAFolder(PathBuf),
    /// Nothing to run.
    #[error("`{}` holds no case; add a `*.json` file, see plugins/README.md for the format", .0.display())]
    None(PathBuf),
}

/// Reads every `*.json` file of a folder, in the order of their names.
///
/// # Errors
/// When a file cannot be read or is no case file, and when there is no case at all.
pub fn read(folder: &Path) -> Result<Vec<Case>, CasesError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| CasesError::Read { path, source }
    };
    let mut paths = Vec::new();
    let entries = std::fs::read_dir(folder).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => CasesError::NoFolder(folder.to_owned()),
        io::ErrorKind::NotADirectory => CasesError::NotAFolder(folder.to_owned()),
        _ => failed(folder)(error),
    })?;
    for entry in entries {
        let path = entry.map_err(failed(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut cases: Vec<Case> = Vec::new();
    for path in paths {
        let text = read_bounded(&path).map_err(failed(&path))?;
        let malformed = |error| CasesError::Malformed { path: path.clone(), error };
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        cases.extend(of_text(&file, &text).map_err(malformed)?);
    }
    if cases.is_empty() { Err(CasesError::None(folder.to_owned())) } else { Ok(cases) }
}

/// The cases of one file.
fn of_text(file: &str, text: &str) -> Result<Vec<Case>, WrongCaseError> {
    let mut cases: Vec<Case> = Vec::new();
    for typed in typed::parse(text)? {
        let case = build(file, typed)?;
        if cases.iter().any(|earlier| earlier.name == case.name) {
            return Err(WrongCaseError::Twice(case.name));
        }
        cases.push(case);
    }
    Ok(cases)
}

fn read_bounded(path: &Path) -> io::Result<String> {
    use io::Read as _;
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    if file.metadata()?.len() > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn build(file: &str, typed: Typed) -> Result<Case, WrongCaseError> {
    let Typed { name, settings, settings_text, now, observation, expect } = typed;
    let named = |error| WrongCaseError::Case { name: name.clone(), error: Box::new(error) };
    let now_ms = now.map_or(Ok(NOW_MS), |now| millis(&now)).map_err(named)?;
    let observation = observation.map(typed::TypedObservation::build).transpose().map_err(named)?;
    let expected = Expectation::build(expect).map_err(named)?;
    if observation.is_none() && !matches!(expected, Expectation::ConfigureError(_)) {
        return Err(named(WrongCaseError::NoObservation));
    }
    let settings = match (settings, settings_text) {
        (None, None) => "{}".to_owned(),
        (Some(settings), None) => settings.to_string(),
        (None, Some(text)) => text,
        (Some(_), Some(_)) => return Err(named(WrongCaseError::Settings)),
    };
    Ok(Case { file: file.to_owned(), name, settings, now_ms, observation, expected })
}

fn millis(text: &str) -> Result<u64, WrongCaseError> {
    let time: jiff::Timestamp = text.parse().map_err(|_| WrongCaseError::NoTime(text.to_owned()))?;
    u64::try_from(time.as_millisecond()).map_err(|_| WrongCaseError::Before1970)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.json"), text).unwrap();
        let said = read(folder.path()).unwrap_err().to_string();
        said.replace(&folder.path().display().to_string(), "")
    }

    #[test]
    fn what_is_wrong_is_named() {
        let observation = r#""observation":{"instance":{"id":"0","scaleSet":"s"},"answers":[{"source":"health","response":{"status":200}}]}"#;
        for (text, expected) in [
            ("[]".to_owned(), "holds no case"),
            ("{".to_owned(), "EOF while parsing"),
            ("3".to_owned(), "a file is one case or an array of cases"),
            ("[3]".to_owned(), "invalid type: integer `3`, expected a case"),
            (r#"{"name":"a","expect":{}}"#.to_owned(), "case \"a\": `expect` needs exactly one of"),
            (
                r#"{"name":"a","expect":{"configureError":"x","failure":{"kind":"internal"}}}"#.to_owned(),
                "case \"a\": `expect` needs exactly one of `decision`, `failure` and `configureError`",
            ),
            (
                r#"{"name":"a","settings":1,"settingsText":"1","expect":{"configureError":"x"}}"#.to_owned(),
                "case \"a\": give one of `settings` and `settingsText`",
            ),
            (r#"{"name":"a","expect":{"configureError":"x"},"nam":1}"#.to_owned(), "unknown field `nam`"),
            (r#"{"name":"a","expect":{"failure":{"kind":"internal"}}}"#.to_owned(), "case \"a\": `observation` is missing"),
            (
                format!(r#"{{"name":"a",{observation},"expect":{{"decision":{{"health":"fine","participation":"skip"}}}}}}"#),
                "unknown variant `fine`",
            ),
            (
                format!(r#"{{"name":"a",{observation},"expect":{{"failure":{{"kind":"odd"}}}}}}"#),
                "unknown variant `odd`",
            ),
            (
                r#"{"name":"a","observation":{"instance":{"id":"","scaleSet":"s"},"answers":[{"source":"health","response":{"status":0}}]},"expect":{"failure":{"kind":"internal"}}}"#.to_owned(),
                "case \"a\": instance.id",
            ),
            (
                r#"{"name":"a","observation":{"instance":{"id":"0","scaleSet":"s"},"answers":[]},"expect":{"failure":{"kind":"internal"}}}"#.to_owned(),
                "/a.json`: case \"a\": `answers` is empty",
            ),
            (
                r#"{"name":"a","observation":{"instance":{"id":"0","scaleSet":"s"},"answers":[{"source":"health","response":{"status":600}}]},"expect":{"failure":{"kind":"internal"}}}"#.to_owned(),
                "/a.json`: case \"a\": answer `health`: `status` is 600; it is 100 to 599",
            ),
            (
                r#"[{"name":"a","expect":{"configureError":"x"}},{"name":"a","expect":{"configureError":"x"}}]"#.to_owned(),
                "two cases are named \"a\"",
            ),
        ] {
            let said = problem(&text);
            assert!(said.contains(expected), "{text}: {said}");
        }
    }
}
