//! Cases that travel in the component itself, as a custom section: what is covered by its digest and by its signature.
//!
//! The section holds one JSON object, a member for each file with what is in the file. Deliberately says nothing about
//! whether cases must be there; that is for whoever loads the component.

use std::path::Path;

use serde_json::{Map, Value};

use super::section;
use super::{Case, CasesError, of_text, read_bounded};

/// Name of the custom section.
pub const SECTION: &str = "phasegate:cases";

/// Largest section that is read, in bytes.
const SECTION_BYTES_MAX: usize = 16 << 20;

/// Why cases cannot be put into a component.
#[derive(Debug, thiserror::Error)]
pub enum EmbedCasesError {
    /// They are none.
    #[error(transparent)]
    Cases(#[from] CasesError),
    /// They are too many.
    #[error("the cases have {bytes} bytes (limit {SECTION_BYTES_MAX})")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// It is no component.
    #[error("the component cannot be read: {0}")]
    Component(wasmparser::BinaryReaderError),
}

/// The cases that a component carries; none where it carries none.
///
/// # Errors
/// When what it carries is no cases.
pub fn embedded(component: &[u8]) -> Result<Option<Vec<Case>>, CasesError> {
    let wrong = |why: String| CasesError::Embedded(why);
    let section = section::all(component, SECTION).map_err(|error| wrong(error.to_string()))?;
    let [.., section] = section.as_slice() else { return Ok(None) };
    if section.data.len() > SECTION_BYTES_MAX {
        return Err(wrong(format!("it has {} bytes (limit {SECTION_BYTES_MAX})", section.data.len())));
    }
    let files: Map<String, Value> = serde_json::from_slice(section.data)
        .map_err(|error| wrong(format!("it is no object of files: {error}")))?;
    let mut cases = Vec::new();
    for (file, content) in files {
        let of_file = of_text(&file, &content.to_string());
        cases.extend(of_file.map_err(|error| wrong(format!("`{file}`: {error}")))?);
    }
    match cases.is_empty() {
        true => Err(wrong("it holds no case".to_owned())),
        false => Ok(Some(cases)),
    }
}

/// The component with the cases of a folder in it, in place of those that it had.
///
/// # Errors
/// When there are none, or they do not fit.
pub fn with_cases(component: &[u8], folder: &Path) -> Result<Vec<u8>, EmbedCasesError> {
    // Each file as a whole: what it says, not only what was understood of it.
    super::read(folder)?;
    let mut files = Map::new();
    let failed = |path: &Path, source| CasesError::Read { path: path.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(|error| failed(folder, error))? {
        let path = entry.map_err(|error| failed(folder, error))?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = read_bounded(&path).map_err(|error| failed(&path, error))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let content = serde_json::from_str(&text)
            .map_err(|error| CasesError::Embedded(format!("`{name}` cannot be put in: {error}")))?;
        files.insert(name, content);
    }
    files.sort_keys();
    let data = Value::Object(files).to_string().into_bytes();
    if data.len() > SECTION_BYTES_MAX {
        return Err(EmbedCasesError::TooLarge { bytes: data.len() });
    }
    section::replaced(component, SECTION, &data).map_err(EmbedCasesError::Component)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::AZURE_HEALTH;

    const CASE: &str = r#"[{"name":"a","observation":{"instance":{"id":"0","scaleSet":"s"},"answers":[{"source":"health",
        "response":{"status":200}}]},"expect":{"failure":{"kind":"internal"}}}]"#;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn what_is_put_in_is_found_and_the_rest_stays_as_it_was() {
        assert!(embedded(AZURE_HEALTH).unwrap().is_none());
        let one = folder(&[("b.json", CASE), ("a.json", CASE), ("notes.txt", "x")]);
        let with = with_cases(AZURE_HEALTH, one.path()).unwrap();
        assert_eq!(&with[..AZURE_HEALTH.len()], AZURE_HEALTH);
        let cases = embedded(&with).unwrap().unwrap();
        let files: Vec<&str> = cases.iter().map(|case| case.file.as_str()).collect();
        assert_eq!(files, ["a.json", "b.json"]);
        // Others take their place.
        let other = folder(&[("c.json", CASE)]);
        let again = with_cases(&with, other.path()).unwrap();
        assert_eq!(&again[..AZURE_HEALTH.len()], AZURE_HEALTH);
        let cases = embedded(&again).unwrap().unwrap();
        assert_eq!(cases.iter().map(|case| case.file.as_str()).collect::<Vec<_>>(), ["c.json"]);
        assert_eq!(with_cases(&again, one.path()).unwrap(), with, "the same cases, the same bytes");
    }

    #[test]
    fn what_is_no_cases_is_refused() {
        let section = |data: &[u8]| section::replaced(AZURE_HEALTH, SECTION, data).unwrap();
        for (data, expected) in [
            (b"no json".to_vec(), "it is no object of files"),
            (b"[]".to_vec(), "it is no object of files"),
            (b"{}".to_vec(), "it holds no case"),
            (br#"{"a.json":[{"name":"x"}]}"#.to_vec(), "`a.json`: "),
            (vec![b' '; SECTION_BYTES_MAX + 1], "limit 16777216"),
        ] {
            let said = embedded(&section(&data)).unwrap_err().to_string();
            assert!(said.contains(expected), "{said}");
        }
        let none = folder(&[]);
        assert!(with_cases(AZURE_HEALTH, none.path()).is_err());
        assert!(with_cases(b"no component", folder(&[("a.json", CASE)]).path()).is_err());
    }
}
