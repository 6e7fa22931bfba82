//! The languages that `plugin new` and `plugin build` know.

/// A language with a template and a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Language {
    Rust,
    C,
    #[value(alias = "c++")]
    Cpp,
    Python,
    #[value(name = "javascript", alias = "js")]
    JavaScript,
    #[value(name = "typescript", alias = "ts")]
    TypeScript,
    Go,
    Zig,
}

/// Names that Cargo does not take for a package, or that its folders have.
const RUST_RESERVED: [&str; 64] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "union",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "wit-bindgen",
    "yield",
    "policy",
];
/// Names that npm keeps for itself.
const NPM_RESERVED: [&str; 2] = ["node-modules", "componentize-qjs"];

impl Language {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Rust,
        Self::C,
        Self::Cpp,
        Self::Python,
        Self::JavaScript,
        Self::TypeScript,
        Self::Go,
        Self::Zig,
    ];

    /// As the manifest and the command line write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::C => "c",
            Self::Cpp => "cpp",
            Self::Python => "python",
            Self::JavaScript => "javascript",
            Self::TypeScript => "typescript",
            Self::Go => "go",
            Self::Zig => "zig",
        }
    }

    /// The language of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.name() == name)
    }

    /// Whether a project of this name would not build.
    pub(super) fn reserves(self, name: &str) -> bool {
        match self {
            Self::Rust => RUST_RESERVED.contains(&name),
            Self::JavaScript | Self::TypeScript => NPM_RESERVED.contains(&name) || name == "typescript",
            // A folder of this name has a meaning of its own in an import.
            Self::Go => name == "vendor",
            // No file or module of these carries the project's name by itself.
            Self::C | Self::Cpp | Self::Python | Self::Zig => false,
        }
    }
}
