//! Why a plugin cannot be loaded. Each message follows the plugin's name and says what to do.

use phasegate_core::domain::PluginFailure;

use super::text;
use super::world::{Import, ImportVerdict};

/// Largest component in bytes. Python and JavaScript components are 12 to 20 MiB.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;

/// Different reasons for refused imports that a message gives.
const REASONS_SHOWN_MAX: usize = 3;

/// Why a plugin cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadPluginError {
    /// No bytes at all.
    #[error("is empty; check that its build or download finished")]
    Empty,
    /// More bytes than any plugin needs.
    #[error("is {seen} bytes (limit {limit}); strip debug information from it")]
    TooLarge {
        /// Size in bytes.
        seen: usize,
        /// Limit in bytes.
        limit: usize,
    },
    /// Something else than WebAssembly.
    #[error("is not WebAssembly: {0}")]
    NotWasm(String),
    /// WebAssembly of a kind that this host does not know.
    #[error("has an unknown WebAssembly format {0:02x?}; build it with current tools")]
    UnknownFormat([u8; 4]),
    /// WebAssembly that is not valid, for example because its end is missing.
    #[error("is damaged or incomplete: {message} at byte {offset}; build or copy it again")]
    Damaged {
        /// What the parser said.
        message: String,
        /// Where.
        offset: usize,
    },
    /// WebAssembly that is valid, with a part that this host does not run.
    #[error(
        "uses {name}, a proposal of WebAssembly that this host does not run: {message} at byte {offset}; build it without"
    )]
    Proposal {
        /// The proposal.
        name: String,
        /// What the parser said.
        message: String,
        /// Where.
        offset: usize,
    },
    /// A core module.
    #[error("is a core module, not a component; run `phasegate plugin componentize FILE -o OUT`")]
    CoreModule,
    /// A component that is not a policy.
    #[error(
        "is a component of another world: it does not export `phasegate:policy/evaluator@1.x` but {}; \
         build it for the world `phasegate:policy/policy@1.0.0`",
        text::names(.exports)
    )]
    OtherWorld {
        /// What it exports.
        exports: Vec<String>,
    },
    /// A policy for another version of the contract.
    #[error(
        "is built for another version of the contract: it exports `{}`, this host runs \
         `phasegate:policy/evaluator@1.x`; rebuild it with wit/v1",
        text::one_line(.seen, 128)
    )]
    OtherVersion {
        /// The export.
        seen: String,
    },
    /// It needs more than a plugin gets.
    #[error("{}", refused_imports(.imports, .recipe.as_ref()))]
    RefusedImports {
        /// What it does not get.
        imports: Vec<Import>,
        /// How to build without WASI, in the language that it seems to be written in.
        recipe: Option<&'static str>,
    },
    /// Right names, other types.
    #[error("has types that differ from wit/v1: {0}; rebuild it with the contract of this host")]
    TypesDiffer(String),
    /// Valid, but the compiler does not take it.
    #[error("does not compile: {0}")]
    Compile(String),
    /// It did not come up, before `configure` was called.
    #[error("does not start: {0}")]
    Start(PluginFailure),
    /// The plugin refused its settings, in its own words.
    #[error("refuses its settings{}", said(.0))]
    SettingsRefused(String),
    /// `configure` trapped, ran too long or needed too much memory.
    #[error("failed in `configure`: {0}")]
    Configure(PluginFailure),
}

fn said(text: &str) -> String {
    if text.is_empty() { ", without a word about why".to_owned() } else { format!(": {text}") }
}

fn refused_imports(imports: &[Import], recipe: Option<&&'static str>) -> String {
    let names: Vec<String> = imports.iter().map(|import| import.name.clone()).collect();
    let mut reasons: Vec<&str> = Vec::new();
    for import in imports {
        if let ImportVerdict::Refused(why) = import.verdict
            && !reasons.contains(&why)
            && reasons.len() < REASONS_SHOWN_MAX
        {
            reasons.push(why);
        }
    }
    let why = reasons.join("; ");
    let advice = recipe.map(|recipe| format!("; {recipe}")).unwrap_or_default();
    format!("imports {}, which this host does not offer: {why}{advice}", text::names(&names))
}
