//! The files of a new project, one set for each language; they are part of the program.
//!
//! `@NAME@` stands for the name of the project wherever it appears.

use super::language::Language;
use phasegate_wasm::CONTRACT;

/// Version of componentize-qjs that the templates name.
const COMPONENTIZE_QJS: &str = "0.4.5";
/// Version of the TypeScript compiler that the templates name.
const TYPESCRIPT: &str = "7.0.2";

/// A file: where it goes, and its text.
type File = (&'static str, &'static str);

macro_rules! file {
    ($folder:literal, $path:literal) => {
        ($path, include_str!(concat!("../../templates/", $folder, "/", $path)))
    };
}

const CASES: File = file!("common", "cases/first.json");
const IGNORE: &str = include_str!("../../templates/common/gitignore");
const README: &str = include_str!("../../templates/common/README.md");

fn own(language: Language) -> &'static [File] {
    match language {
        Language::Rust => &[
            file!("rust", "phasegate-plugin.toml"),
            file!("rust", "Cargo.toml"),
            file!("rust", "src/lib.rs"),
        ],
        Language::C => &[
            file!("c", "phasegate-plugin.toml"),
            file!("c", "policy.c"),
            file!("c", "bindings/policy.c"),
            file!("c", "bindings/policy.h"),
            file!("c", "bindings/evaluate.c"),
            file!("c", "bindings/evaluate.h"),
            file!("c", "bindings/clock.h"),
        ],
        Language::Cpp => &[
            file!("cpp", "phasegate-plugin.toml"),
            file!("cpp", "policy.cpp"),
            file!("c", "bindings/policy.c"),
            file!("c", "bindings/policy.h"),
            file!("c", "bindings/evaluate.c"),
            file!("c", "bindings/evaluate.h"),
            file!("c", "bindings/clock.h"),
        ],
        Language::Python => &[
            file!("python", "phasegate-plugin.toml"),
            file!("python", "policy.py"),
            file!("python", "guard.py"),
        ],
        Language::JavaScript => &[
            file!("javascript", "phasegate-plugin.toml"),
            file!("javascript", "package.json"),
            file!("javascript", "src/policy.js"),
            file!("javascript", "src/contract.js"),
            file!("javascript", "src/json.js"),
        ],
        Language::TypeScript => &[
            file!("typescript", "phasegate-plugin.toml"),
            file!("typescript", "package.json"),
            file!("typescript", "tsconfig.json"),
            file!("typescript", "src/policy.ts"),
            file!("typescript", "src/contract.ts"),
            file!("typescript", "src/types.ts"),
            file!("typescript", "src/engine.d.ts"),
            file!("typescript", "src/json.ts"),
        ],
        Language::Go => &[
            file!("go", "phasegate-plugin.toml"),
            file!("go", "go.mod"),
            file!("go", "main.go"),
            file!("go", "contract/abi.go"),
            file!("go", "contract/contract.go"),
            file!("go", "contract/native.go"),
            file!("go", "clock/clock.go"),
        ],
        Language::Zig => &[
            file!("zig", "phasegate-plugin.toml"),
            file!("zig", "src/policy.zig"),
            file!("zig", "src/contract.zig"),
            file!("zig", "src/clock.zig"),
        ],
    }
}

/// All files of a new project.
pub(super) fn files(language: Language, name: &str) -> Vec<(&'static str, String)> {
    let fill = |text: &str| {
        text.replace("@NAME@", name)
            .replace("@SOURCE@", source(language))
            .replace("@TOOLS@", tools(language))
            .replace("@QJS@", COMPONENTIZE_QJS)
            .replace("@TSC@", TYPESCRIPT)
    };
    let mut files: Vec<_> = own(language).iter().map(|(path, text)| (*path, fill(text))).collect();
    files.push((CASES.0, fill(CASES.1)));
    files.push((".gitignore", fill(IGNORE)));
    files.push(("README.md", fill(README)));
    files.push(("wit/policy.wit", CONTRACT.to_owned()));
    files
}

/// Where its author begins.
pub(super) fn source(language: Language) -> &'static str {
    match language {
        Language::Rust => "src/lib.rs",
        Language::C => "policy.c",
        Language::Cpp => "policy.cpp",
        Language::Python => "policy.py",
        Language::JavaScript => "src/policy.js",
        Language::TypeScript => "src/policy.ts",
        Language::Go => "main.go",
        Language::Zig => "src/policy.zig",
    }
}

fn tools(language: Language) -> &'static str {
    match language {
        Language::Rust => {
            "Needs Rust and its target `wasm32-unknown-unknown` (`rustup target add wasm32-unknown-unknown`)."
        }
        Language::C => {
            "Needs Zig, whose C compiler brings a C library for WebAssembly (`pip install ziglang`). The files in\n\
             `bindings/`, most of them written by `wit-bindgen c` from the contract, stay as they are; `bindings/clock.h` has the\n\
             time of the evaluation, for a policy that needs it."
        }
        Language::Cpp => {
            "Needs Zig, whose C++ compiler brings a library for WebAssembly (`pip install ziglang`); the first build makes\n\
             that library and takes a minute. C++20, without exceptions. The files in `bindings/`, most of them written\n\
             by `wit-bindgen c` from the contract, stay as they are; `bindings/clock.h` has the time of the evaluation,\n\
             for a policy that needs it."
        }
        Language::Python => {
            "Needs componentize-py (`pip install componentize-py`). `guard.py` turns exceptions and wrong answers of the\n\
             policy into failures, and stays as it is. Import modules at the top of a file: what is not imported when the\n\
             plugin is built is not in it."
        }
        Language::JavaScript => {
            "Needs Node.js with npm; `phasegate plugin build` runs `npm install` when `node_modules` is not there.\n\
             `src/contract.js` checks what `decide` answers, turns exceptions into failures and writes `console` to\n\
             the host's log; it stays as it is. `src/json.js` has `parseJson(body)`."
        }
        Language::TypeScript => {
            "Needs Node.js with npm; `phasegate plugin build` runs `npm install` when `node_modules` is not there.\n\
             `src/contract.ts` checks what `decide` answers, turns exceptions into failures and writes `console` to\n\
             the host's log; it and the types of the contract in `src/types.ts` stay as they are. `src/json.ts` has\n\
             `parseJson(body)`. Places in messages are those of the compiled files in `build/`."
        }
        Language::Go => {
            "Needs Go 1.24 or later. `contract/` is the contract in Go and stays as it is; `clock/` has the time of\n\
             the evaluation, for a policy that needs it."
        }
        Language::Zig => {
            "Needs Zig (`pip install ziglang`). `src/contract.zig` is the contract in Zig and stays as it is;\n\
             `src/clock.zig` has the time of the evaluation, for a policy that needs it."
        }
    }
}
