//! What is wrong with the name or the manifest of a project.

use super::language::Language;

/// Why a name does not do; a fragment that follows it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongNameError {
    /// Nothing at all.
    #[error("it is empty; {RULE}")]
    Empty,
    /// More bytes than a name has.
    #[error("it is {bytes} bytes long (limit {max})")]
    TooLong {
        /// As typed.
        bytes: usize,
        /// What is allowed.
        max: usize,
    },
    /// Other characters, or in another order.
    #[error("{RULE}")]
    Characters,
    /// A word of the language.
    #[error("{} keeps this word for itself; use for example `{name}-policy`", language.name())]
    Reserved {
        /// As typed.
        name: String,
        /// Whose word it is.
        language: Language,
    },
}

const RULE: &str = "use lower-case letters, digits and single hyphens, beginning with a letter";

/// Why a manifest says nothing usable; a fragment that follows the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongManifestError {
    /// It is no TOML, in the parser's words.
    #[error("{0}")]
    Syntax(String),
    /// A key that it does not have.
    #[error("unknown key `{}`; known are name, language and world", .0.escape_debug())]
    UnknownKey(String),
    /// A value of another type.
    #[error("`{0}` is no text")]
    NoText(&'static str),
    /// A key that must be there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A language that is not known.
    #[error("`language` is {seen:?}; it can be {}", languages())]
    Language {
        /// As written.
        seen: String,
    },
    /// A name that does not do.
    #[error("`name` is {name:?}: {error}")]
    Name {
        /// As written.
        name: String,
        /// Why not.
        error: WrongNameError,
    },
    /// A world that is not known.
    #[error("`world` is {0:?}; it can be policy or timed-policy")]
    World(String),
}

fn languages() -> String {
    Language::ALL.iter().map(|language| language.name()).collect::<Vec<_>>().join(", ")
}
