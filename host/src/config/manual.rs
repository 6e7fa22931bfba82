//! CONFIGURATION.md and the schema for editors, as the keys are declared.

use super::shape;
use crate::keys::manual::{ManualError, rewrite};
use crate::keys::schema;

/// The manual with its tables of keys written anew; everything outside the marks stays as it is.
///
/// # Errors
/// When a mark names no table, or is not closed.
pub fn manual(text: &str) -> Result<String, ManualError> {
    rewrite(text, &shape())
}

/// A JSON Schema (draft 2020-12) of the file.
#[must_use]
pub fn schema() -> serde_json::Value {
    schema::schema("phasegate.toml", &shape())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_is_up_to_date() {
        let text = include_str!("../../CONFIGURATION.md");
        let expected = manual(text).unwrap();
        let differs = text.lines().zip(expected.lines()).find(|(is, should)| is != should);
        assert!(
            text == expected,
            "CONFIGURATION.md is not as the keys are declared: {differs:#?}\n\
             write its tables anew with: cargo run -p phasegate -- config manual host/CONFIGURATION.md"
        );
    }
}
