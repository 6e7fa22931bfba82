//! How something goes that a driver has in hand for an upgrade, and what it said last. Reads no output of a driver.

use std::time::Duration;

use super::waiting::{WaitsFor, is_about, members};
use crate::domain::{DriverPace, Now, Timestamp};
use crate::kernel::state::{Said, SetState};
use crate::rollout::Upgrade;

/// What works and says nothing for so long may hang: a program that copies something says so more often, and one that
/// restarts a service is done by then.
const SILENT_AFTER: Duration = Duration::from_secs(15);

/// As long for one that is busy: a driver asks it again once a minute at least.
const SILENT_AFTER_BUSY: Duration = Duration::from_secs(90);

/// What a driver is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverWork {
    /// The version before.
    BringBack,
    /// New instances.
    Create,
    /// That instances go.
    Delete,
    /// A version.
    Change,
    /// That what it does ends.
    Stop,
}

/// How something goes that a driver has in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverGoes {
    /// As far as anybody knows it goes on.
    On,
    /// What it asks is busy, or cannot be reached.
    Busy,
    /// Nothing was heard of it for long.
    Silent {
        /// Since when.
        since: Timestamp,
    },
}

/// A wait for a driver.
pub(super) fn driver<'a>(
    upgrade: &'a Upgrade,
    set: &'a SetState,
    work: DriverWork,
    now: Now,
) -> WaitsFor<'a> {
    let latest = latest(upgrade, set, work);
    let busy = latest.is_some_and(|said| said.pace == DriverPace::Busy);
    // Whatever any member of the batch has come to is a sign of life: they wait for each other's places at the driver.
    let moved = upgrade.members.in_flight().chain(upgrade.members.of_batch(current(upgrade)));
    let moved = moved.filter_map(|id| upgrade.members.get(id)).map(|member| member.state.since());
    let since = moved.chain(latest.map(|said| said.at)).max().unwrap_or(now.at);
    let patience = if busy { SILENT_AFTER_BUSY } else { SILENT_AFTER };
    let goes = match (now.at.since(since) >= patience, busy) {
        (true, _) => DriverGoes::Silent { since },
        (false, true) => DriverGoes::Busy,
        (false, false) => DriverGoes::On,
    };
    let instances = members(upgrade, |member| is_about(work, &member.state));
    WaitsFor::Driver { work, instances, goes, says: latest.map(|said| said.text.as_str()) }
}

/// Number of the batch that comes or is in flight.
fn current(upgrade: &Upgrade) -> u32 {
    upgrade.batches.get(upgrade.current).map_or(u32::MAX, |batch| batch.number)
}

/// What was said last of any of them.
fn latest<'a>(upgrade: &Upgrade, set: &'a SetState, work: DriverWork) -> Option<&'a Said> {
    if set.drivers_say.is_empty() {
        return None;
    }
    let theirs = upgrade.members.in_flight().filter_map(|id| {
        let member = upgrade.members.get(id).filter(|member| is_about(work, &member.state))?;
        let ids = [id, member.watched(id)];
        let busy =
            ids.into_iter().filter_map(|id| set.instance(id)).flat_map(|instance| instance.busy.values());
        busy.filter_map(|busy| set.drivers_say.get(&busy.operation)).max_by_key(|said| said.at)
    });
    theirs.max_by_key(|said| said.at)
}
