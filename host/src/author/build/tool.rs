//! Tools on this machine: finding one, running it, and what it said.

use std::path::Path;
use std::process::{Command, Stdio};

use super::BuildError;

/// How a tool is called: a program and the arguments that come first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tool {
    program: String,
    first: Vec<String>,
}

/// One command of a build.
#[derive(Debug)]
pub(super) struct Step {
    /// For the line that shows progress.
    pub(super) what: &'static str,
    pub(super) tool: Tool,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(&'static str, String)>,
    /// A line that says what to install, if the output contains this text.
    pub(super) missing: Option<(&'static str, &'static str)>,
}

impl Tool {
    pub(super) fn at(program: &Path) -> Self {
        Self { program: program.display().to_string(), first: Vec::new() }
    }

    /// The first of these that runs; each is a program with its first arguments and with those that
    /// show that it works.
    pub(super) fn find(candidates: &[(&[&str], &[&str])]) -> Option<Self> {
        candidates.iter().find_map(|(call, probe)| {
            let (program, first) = call.split_first()?;
            let works = Command::new(program)
                .args(first)
                .args(*probe)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success());
            let first = first.iter().map(|arg| (*arg).to_owned()).collect();
            works.then(|| Self { program: (*program).to_owned(), first })
        })
    }
}

impl Step {
    pub(super) fn new(what: &'static str, tool: Tool, args: &[&str]) -> Self {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Self { what, tool, args, env: Vec::new(), missing: None }
    }

    /// Runs it in a folder and gives what it wrote to stderr: warnings, where it did not fail.
    pub(super) fn run(&self, folder: &Path) -> Result<String, BuildError> {
        let Self { what: _, tool, args, env, missing } = self;
        let output = Command::new(&tool.program)
            .args(&tool.first)
            .args(args)
            .envs(env.iter().map(|(name, value)| (name, value)))
            // A tool's own stack is nothing that an author can act on.
            .env("RUST_BACKTRACE", "0")
            .current_dir(folder)
            .stdin(Stdio::null())
            .output();
        let command = std::iter::once(&tool.program).chain(&tool.first).chain(args);
        let command = command.map(String::as_str).collect::<Vec<_>>().join(" ");
        let output = match output {
            Ok(output) => output,
            Err(error) => return Err(BuildError::Failed { command, output: error.to_string() }),
        };
        let stderr = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            return Ok(stderr.into_owned());
        }
        let said = format!("{}{stderr}", String::from_utf8_lossy(&output.stdout));
        if let Some((sign, install)) = missing
            && said.contains(sign)
        {
            return Err(BuildError::Missing((*install).to_owned()));
        }
        Err(BuildError::Failed { command, output: said })
    }
}
