//! What a batch is admitted on: answers to probes that began after the batch before it had ended.
//!
//! Everybody's health counts for the limits, so everybody is waited for; who has no answer then counts as not
//! Healthy, and is no candidate of this batch. Deliberately not for what goes back or was named by a person:
//! that waits for nobody.

use std::time::Duration;

use crate::domain::{Health, InstanceId, Participation, Timestamp};
use crate::plan::{Candidate, Hold, HoldReason, Standing};

use super::batch::{BatchProgress, BatchState};
use super::member::Member;
use super::state::Upgrade;
use super::step::Step;
use super::view::{Evidence, FleetView};
use super::waiting::{self, Waiting};
use super::{gate, limits, verdict};

/// Times are whole milliseconds: the answer that ended a batch may have begun in the same one.
pub(super) const MOMENT: Duration = Duration::from_millis(1);

/// A release leaves those out that are ill before it comes to them: that they do not become well says nothing of the
/// version.
pub(super) fn of_release(upgrade: &Upgrade, candidates: Vec<Candidate>) -> Vec<Candidate> {
    if upgrade.releases.is_empty() || !upgrade.is_forward() {
        return candidates;
    }
    let is_ill = |candidate: &Candidate| match candidate.health {
        Health::Unhealthy | Health::Unknown => !candidate.is_at(&upgrade.goal),
        Health::Healthy | Health::Initializing => false,
    };
    let left_out = |candidate: Candidate| {
        let (phase, says) = (candidate.standing.phase(), candidate.standing.said());
        let goes =
            matches!(candidate.standing, Standing::Decided { participation: Participation::Proceed, .. });
        if !goes || !is_ill(&candidate) {
            return candidate;
        }
        let detail = format!("was {} before the release came to it", candidate.health.name());
        Candidate { standing: Standing::Unknown { detail, phase, says }, ..candidate }
    };
    candidates.into_iter().map(left_out).collect()
}

/// Why no batch may be judged by the limits yet; none when everybody was asked, or cannot be waited for any longer.
pub(super) fn awaited(upgrade: &Upgrade, fleet: &dyn FleetView) -> Option<Waiting> {
    match fleet.evidence(upgrade.evidence_from) {
        Evidence::Awaited { until } => Some(Waiting::Evidence { until }),
        Evidence::Complete | Evidence::Overdue => None,
    }
}

/// Whether the limits hold only as long as what was heard last is not believed: an answer that is worse than the
/// committed health counts at once for what goes forward, and ends nothing before it is committed.
pub(super) fn is_in_doubt(upgrade: &Upgrade, fleet: &dyn FleetView) -> bool {
    let doubted = fleet.doubted(upgrade.evidence_from);
    if doubted.is_empty()
        || limits::is_fleet_over_limit(upgrade, fleet)
        || gate::is_over_limit(upgrade, fleet)
    {
        return false;
    }
    let rolling = &upgrade.policy.rolling;
    let down = fleet.unhealthy_count() + doubted.len();
    let upgraded = doubted.iter().filter(|id| gate::upgraded_at(upgrade, id).is_some()).count();
    let bad = gate::upgraded_down(upgrade, fleet) + upgraded;
    rolling.max_unhealthy_instance_percent.is_exceeded_by(down, fleet.total())
        || (upgraded > 0
            && rolling
                .max_unhealthy_upgraded_instance_percent
                .is_exceeded_by(bad + verdict::failed(upgrade), gate::upgraded(upgrade)))
}

/// Asks the batch that ended and the one that is next, out of turn; everybody else is asked in its rhythm.
pub(super) fn ask(upgrade: &Upgrade, out: &mut Step) {
    let near = upgrade.current.checked_sub(1).into_iter().chain([upgrade.current]);
    let numbers = near.filter_map(|index| upgrade.batches.get(index)).map(|batch| batch.number);
    for number in numbers {
        let watched =
            |id: &InstanceId| upgrade.members.get(id).map_or_else(|| id.clone(), |it| it.watched(id).clone());
        out.ask.extend(upgrade.members.of_batch(number).map(watched));
    }
}

/// Members of the next batch on which nothing ran, and at which nobody has looked since the batch before had ended.
pub(crate) fn unlooked<'a, 'f>(
    upgrade: &'a Upgrade,
    fleet: &'f dyn FleetView,
) -> impl Iterator<Item = &'a InstanceId> + use<'a, 'f> {
    let next = upgrade.batches.get(upgrade.current).map(|batch| batch.number);
    let members = next.into_iter().flat_map(|number| upgrade.members.of_batch(number));
    members.filter(move |id| fleet.is_unlooked(id, upgrade.evidence_from))
}

/// Looks at them, while the others are asked, and once the batch could begin but for that.
pub(super) fn look(
    upgrade: &Upgrade,
    fleet: &dyn FleetView,
    resume_at: Timestamp,
    now: Timestamp,
    out: &mut Step,
) {
    if !upgrade.is_forward() || now < resume_at || waiting::stopped(upgrade, fleet, now).is_some() {
        return;
    }
    let mut unlooked = unlooked(upgrade, fleet).peekable();
    if unlooked.peek().is_some() && now < upgrade.evidence_from {
        return out.wake(upgrade.evidence_from);
    }
    out.look.extend(unlooked.cloned());
}

/// Whether an instance may be a member of the next batch.
pub(super) fn is_candidate(upgrade: &Upgrade, fleet: &dyn FleetView, id: &InstanceId) -> bool {
    // A person wants those first of which nothing is known.
    upgrade.policy.rolling.prioritize_unhealthy_instances || fleet.has_answered(id, upgrade.evidence_from)
}

/// Members of the next batch that have not answered.
fn silent(upgrade: &Upgrade, fleet: &dyn FleetView, number: u32) -> Vec<InstanceId> {
    let all = upgrade.members.of_batch(number);
    all.filter(|id| !is_candidate(upgrade, fleet, id)).cloned().collect()
}

/// Until when a batch is waited for that was set aside and of which none has answered yet.
pub(super) fn patience(upgrade: &Upgrade, fleet: &dyn FleetView, now: Timestamp) -> Option<Waiting> {
    let batch = upgrade.batches.get(upgrade.current)?;
    let until = batch.set_aside_at? + upgrade.policy.prepare_max;
    let is_silent = || upgrade.members.of_batch(batch.number).all(|id| !is_candidate(upgrade, fleet, id));
    (now < until && is_silent()).then_some(Waiting::Evidence { until })
}

/// Sets those members of the next batch aside that have not answered: to the end of their phase, and who was
/// there before is left out. Gives whether any was.
pub(super) fn set_aside(
    upgrade: &mut Upgrade,
    fleet: &dyn FleetView,
    now: Timestamp,
    out: &mut Step,
) -> bool {
    let Some(batch) = upgrade.batches.get(upgrade.current).cloned() else { return false };
    let silent = silent(upgrade, fleet, batch.number);
    if silent.is_empty() {
        return false;
    }
    out.changed.extend(silent.iter().cloned());
    match batch.set_aside_at {
        Some(since) => leave_out(upgrade, &silent, now.since(since).as_secs(), out),
        None => to_the_end_of_the_phase(upgrade, &batch, &silent, now, out),
    }
    if upgrade.members.count_of(batch.number) == 0 {
        upgrade.batches.remove(upgrade.current);
        out.batches_changed.insert(batch.number);
        out.order_changed = true;
    }
    true
}

fn to_the_end_of_the_phase(
    upgrade: &mut Upgrade,
    batch: &BatchProgress,
    silent: &[InstanceId],
    now: Timestamp,
    out: &mut Step,
) {
    let number = upgrade.new_number();
    for (position, id) in silent.iter().enumerate() {
        upgrade.members.place(id, number, position);
    }
    let ahead = upgrade.batches.iter().skip(upgrade.current);
    let here = ahead.take_while(|other| other.phase == batch.phase).count();
    let later =
        BatchProgress { number, state: BatchState::Pending, set_aside_at: Some(now), ..batch.clone() };
    upgrade.batches.insert(upgrade.current + here, later);
    out.batches_changed.insert(number);
    out.order_changed = true;
}

fn leave_out(upgrade: &mut Upgrade, silent: &[InstanceId], waited: u64, out: &mut Step) {
    for id in silent {
        let member = upgrade.members.remove(id);
        debug_assert!(member.as_ref().is_none_or(|member: &Member| !member.state.is_in_flight()));
        let detail = format!(
            "gave no answer that says how it is, neither when its turn came nor at the end of its phase, {waited} s later"
        );
        upgrade.holds.push_back(Hold::of_host(id.clone(), HoldReason::Unknown(detail)));
    }
    upgrade.holds.sort_by(|a, b| a.instance.cmp(&b.instance));
    out.left_out_changed = true;
}
