//! Programs that create and delete instances, and what their ends mean.

use super::environment;
use super::run::{Attempt, EXIT_BUSY, Shared, ending, shown};
use crate::drivers::local::{Capture, Finished};
use crate::drivers::{Create, Delete};
use crate::net::address::parse_address;
use phasegate_core::domain::Address;

/// The site has no more room: it would have to be made first, so it is not tried again.
const EXIT_NO_ROOM: i32 = 76;

impl Shared {
    pub(super) async fn create(&self, request: &Create) -> Result<Address, String> {
        self.persist((&request.scale_set, &request.instance.id), || self.try_create(request)).await
    }

    pub(super) async fn delete(&self, request: &Delete) -> Result<(), String> {
        self.persist((&request.scale_set, &request.instance.id), || self.try_delete(request)).await
    }

    async fn try_create(&self, request: &Create) -> Result<Attempt<Address>, String> {
        let Create { scale_set, instance, operation, version, .. } = request;
        let command = self.settings.commands.create(request).map_err(|error| error.to_string())?;
        let mut command = command.ok_or("the driver has not been told how to create instances")?;
        command.environment.extend(environment::of_creation(request));
        let name = command.argv.first().cloned().unwrap_or_default();
        let limit = self.settings.timeout;
        let finished = self.run(command, Capture::Apart, limit).await?;
        let how = ending(&finished, limit);
        let title = format!("operation {} creates it with version {version}: {how}", operation.0);
        let log = self.keep(scale_set, &instance.id, &all(&finished), &title);
        let said = if finished.errors.is_empty() { &finished.output } else { &finished.errors };
        let reason = || format!("`{name}` {how}, {} ({log})", shown(said));
        match finished.status.and_then(|status| status.code()) {
            Some(0) => {
                let text = String::from_utf8_lossy(&finished.output);
                let line =
                    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
                let address = parse_address(line);
                address.map(Attempt::Done).map_err(|error| {
                    format!(
                        "`{name}` did not print an address on its last line: `{}` {error}",
                        shown(line.as_bytes())
                    )
                })
            }
            Some(EXIT_BUSY) => Ok(Attempt::Busy(reason())),
            Some(EXIT_NO_ROOM) => Err(format!("no more room: {}", reason())),
            Some(_) | None => Err(reason()),
        }
    }

    async fn try_delete(&self, request: &Delete) -> Result<Attempt<()>, String> {
        let Delete { scale_set, instance, operation, .. } = request;
        let Some(mut command) = self.settings.commands.delete(request).map_err(|error| error.to_string())?
        else {
            tracing::warn!(
                %scale_set, instance = %instance.id,
                "it never had an address, and cannot be deleted without one; is anything left of it?"
            );
            return Ok(Attempt::Done(()));
        };
        command.environment.extend(environment::of_deletion(request));
        let name = command.argv.first().cloned().unwrap_or_default();
        let limit = self.settings.timeout;
        let finished = self.run(command, Capture::Together, limit).await?;
        let how = ending(&finished, limit);
        let title = format!("operation {} deletes it: {how}", operation.0);
        let log = self.keep(scale_set, &instance.id, &finished.output, &title);
        let reason = || format!("`{name}` {how}, {} ({log})", shown(&finished.output));
        match finished.status.and_then(|status| status.code()) {
            Some(0) => Ok(Attempt::Done(())),
            Some(EXIT_BUSY) => Ok(Attempt::Busy(reason())),
            Some(_) | None => Err(reason()),
        }
    }
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
