//! A source that is a program on the host: what it prints is the answer. How it is run, and ended, is in `program`.

use std::io;

use super::{Outcome, facts};
use crate::net::placed::in_text;
use crate::net::shortage::shortage;
use crate::net::text::{io_text, one_line};
use crate::probe::Target;
use crate::probe::failure::ProbeError;
use crate::program::{self, Program, Ran, RunError};
use phasegate_core::domain::source::{ExecSource, SOURCE_PATH};
use phasegate_core::domain::{ProbeFailure, Response, Shortage};

/// How much of what goes to standard error a plugin sees, in bytes.
const ERRORS_MAX: usize = 1024;

/// Status of a program that ended with 0, and of one that ended with another code.
const STATUS_DONE: u16 = 200;
const STATUS_FAILED: u16 = 500;

/// Runs the program to its end.
pub(super) async fn run(source: &ExecSource, body_max: usize, target: &Target) -> Outcome {
    let texts: Vec<String> = source.command.iter().map(|text| in_text(text, facts(target))).collect();
    let Some((program, arguments)) = texts.split_first() else {
        return Err(unreachable("there is no program to run"));
    };
    let own = source.environment.iter().map(|(name, text)| (name.clone(), in_text(text, facts(target))));
    let environment = std::iter::once(("PATH".to_owned(), SOURCE_PATH.to_owned())).chain(own).collect();
    let what = Program { program, arguments, environment, output_max: Some(body_max) };
    let Ran { status, output, errors } = program::run(what).await.map_err(|error| match error {
        RunError::NotStarted(error) => match shortage(&error).or_else(|| busy(&error)) {
            Some(short_of) => ProbeError::Host(short_of),
            None => unreachable(&format!("`{program}` cannot be started: {}", io_text(&error))),
        },
        RunError::Flooded => ProbeFailure::BodyTooLarge(u64::try_from(body_max).unwrap_or(u64::MAX)).into(),
        RunError::Wait(error) => unreachable(&format!("`{program}`: {}", io_text(&error))),
    })?;
    let Some(code) = status.code() else {
        let why = format!("`{program}` was ended: {status}");
        return Err(ProbeFailure::InvalidResponse(one_line(&why)).into());
    };
    let mut headers = vec![("exit-code".to_owned(), code.to_string())];
    let said = String::from_utf8_lossy(errors.get(..ERRORS_MAX).unwrap_or(&errors)).into_owned();
    let said = one_line(said.trim());
    if !said.is_empty() {
        headers.push(("stderr".to_owned(), said));
    }
    let status = if code == 0 { STATUS_DONE } else { STATUS_FAILED };
    Ok(Response { status, headers, body: output })
}

fn unreachable(text: &str) -> ProbeError {
    ProbeFailure::Unreachable(one_line(text)).into()
}

/// The system has no process left.
fn busy(error: &io::Error) -> Option<Shortage> {
    (error.kind() == io::ErrorKind::WouldBlock).then_some(Shortage::Memory)
}
