//! Which language a component was written in, told by what its tools leave in it.
//!
//! Only for advice, and for one exception: Python's C library imports sockets in every program.

use memchr::memmem;

/// A language whose tools this host knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Python,
    /// By componentize-qjs.
    QuickJs,
    /// By jco or componentize-js.
    StarlingMonkey,
    Go,
    Zig,
    Rust,
    Other,
}

/// Guesses the language of a component.
pub(crate) fn language(bytes: &[u8]) -> Language {
    let has = |word: &str| memmem::find(bytes, word.as_bytes()).is_some();
    if has("libpython3") && has("componentize-py") {
        Language::Python
    } else if has("rquickjs") || has("__cqjs") {
        Language::QuickJs
    } else if has("StarlingMonkey") || has("starlingmonkey") || has("ComponentizeJS") {
        Language::StarlingMonkey
    } else if has("Go build ID") || has("go:buildid") {
        Language::Go
    } else if has("\u{7}zig lib/std") || has("std.builtin.panic") {
        Language::Zig
    } else if has("/rustc/") || has("\u{5}rustc") {
        Language::Rust
    } else {
        Language::Other
    }
}

impl Language {
    /// How to build without what was refused.
    pub(crate) fn recipe(self) -> &'static str {
        match self {
            Self::Python => "build it with `componentize-py … componentize --stub-wasi`",
            Self::QuickJs => "build it with `componentize-qjs … --sync --stub-wasi`",
            Self::StarlingMonkey => {
                "build it with `jco componentize … --disable all`, or with `componentize-qjs … --sync --stub-wasi`"
            }
            Self::Go => {
                "use no package that needs a network, such as net/http; `phasegate plugin build` replaces the rest by stubs"
            }
            Self::Rust => {
                "build it for the target wasm32-unknown-unknown, and leave these interfaces out of its world"
            }
            Self::Zig => "build it with `phasegate plugin build`, and use nothing of the system",
            Self::Other => {
                "build without WASI: Rust for the target wasm32-unknown-unknown, C and Zig with \
                 `phasegate plugin build`, Python with `componentize-py … componentize --stub-wasi`, \
                 JavaScript with `componentize-qjs … --sync --stub-wasi` or `jco componentize … --disable all`"
            }
        }
    }
}
