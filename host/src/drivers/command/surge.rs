//! Programs that create and delete instances, and what their ends mean.

use super::environment;
use super::error::{Ending, ProgramError, Report};
use super::run::{Attempt, EXIT_BUSY, Shared};
use crate::drivers::ends::End;
use crate::drivers::local::{Capture, Finished, output};
use crate::drivers::words::Voice;
use crate::drivers::{Create, Delete};
use crate::net::address::parse_address;
use phasegate_core::domain::Address;

/// The site has no more room: it would have to be made first, so it is not tried again.
const EXIT_NO_ROOM: i32 = 76;

impl Shared {
    pub(super) async fn create(&self, request: &Create, end: &End) -> Result<Address, ProgramError> {
        let voice = self.voice((&request.scale_set, &request.instance.id), &request.operation);
        self.persist((&request.scale_set, &request.instance.id), (end, &voice), || {
            self.try_create(request, (end, &voice))
        })
        .await
    }

    pub(super) async fn delete(&self, request: &Delete, end: &End) -> Result<(), ProgramError> {
        let voice = self.voice((&request.scale_set, &request.instance.id), &request.operation);
        self.persist((&request.scale_set, &request.instance.id), (end, &voice), || {
            self.try_delete(request, (end, &voice))
        })
        .await
    }

    async fn try_create(
        &self,
        request: &Create,
        heard: (&End, &Voice),
    ) -> Result<Attempt<Address>, ProgramError> {
        let Create { scale_set, instance, operation, version, .. } = request;
        let command = self.settings.commands.create(request)?;
        let mut command = command.ok_or(ProgramError::NoCreation)?;
        command.environment.extend(environment::of_creation(request));
        let program = command.argv.first().cloned().unwrap_or_default();
        let finished = self.run(command, Capture::Apart, self.settings.timeout, heard).await?;
        let how = Ending::of(&finished, self.settings.timeout);
        let title = format!("operation {} creates it with version {version}: {how}", operation.0);
        let log = self.keep(scale_set, &instance.id, &all(&finished), &title);
        let Finished { output, errors, .. } = finished;
        match how.code() {
            Some(0) => named(program, &output).map(Attempt::Done),
            code => {
                let output = if errors.is_empty() { output } else { errors };
                let report = Report { program, how, output, log: Some(log) };
                match code {
                    Some(EXIT_BUSY) => Ok(Attempt::Busy(report)),
                    Some(EXIT_NO_ROOM) => Err(ProgramError::NoRoom(report)),
                    Some(_) | None => Err(ProgramError::Failed(report)),
                }
            }
        }
    }

    async fn try_delete(&self, request: &Delete, heard: (&End, &Voice)) -> Result<Attempt<()>, ProgramError> {
        let Delete { scale_set, instance, operation, .. } = request;
        let Some(mut command) = self.settings.commands.delete(request)? else {
            tracing::warn!(
                %scale_set, instance = %instance.id,
                "it never had an address, and cannot be deleted without one; is anything left of it?"
            );
            return Ok(Attempt::Done(()));
        };
        command.environment.extend(environment::of_deletion(request));
        let program = command.argv.first().cloned().unwrap_or_default();
        let finished = self.run(command, Capture::Together, self.settings.timeout, heard).await?;
        let how = Ending::of(&finished, self.settings.timeout);
        let title = format!("operation {} deletes it: {how}", operation.0);
        let log = self.keep(scale_set, &instance.id, &finished.output, &title);
        let report = Report { program, how, output: finished.output, log: Some(log) };
        match how.code() {
            Some(0) => Ok(Attempt::Done(())),
            Some(EXIT_BUSY) => Ok(Attempt::Busy(report)),
            Some(_) | None => Err(ProgramError::Failed(report)),
        }
    }
}

/// The address on the last line that a program printed.
fn named(program: String, output: &[u8]) -> Result<Address, ProgramError> {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let shown = || output::in_one_line(line.as_bytes());
    parse_address(line).map_err(|error| ProgramError::NoAddress { program, line: shown(), error })
}

/// What a program wrote, errors last.
fn all(finished: &Finished) -> Vec<u8> {
    let mut bytes = finished.output.clone();
    if !bytes.is_empty() && !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(&finished.errors);
    bytes
}
