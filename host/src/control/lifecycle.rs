//! The life of upgrades in the loop: how one starts, what a person may tell it, and what follows
//! when it has ended.

use super::commands::plan_now;
use super::run::{Control, Effect, Life, RunEffect};
use super::state::{InstanceState, SetState};
use super::{CommandError, CommandErrorKind, Quarantined, Selection, StartOptions, Wanted, WishFor, audit};
use crate::drivers::Creation;
use phasegate_core::domain::{
    Change, Checkpoints, Component, Digest, Goal, InstanceId, ScaleSetName, Timestamp, UpgradeId,
};
use phasegate_core::plan::{Candidate, Plan, changes};
use phasegate_core::record::{StoredModel, Write};
use phasegate_core::rollout::{
    Action, Event, FleetView, PartState, Purpose, StartUpgrade, Upgrade, UpgradeState, Wish, manual, refusal,
    rollback_of,
};
use phasegate_wire as wire;

impl Control {
    pub(super) fn start(
        &mut self,
        name: &ScaleSetName,
        options: StartOptions,
    ) -> Result<wire::StatusDetail, CommandError> {
        let set = self.set(name)?;
        let goal = wanted(set, &options.wanted)?;
        let by_hand = match &options.bypass {
            Some(reason) => format!("upgrade to {goal} was asked for in spite of any stop: {reason}"),
            None => format!("upgrade to {goal} was asked for"),
        };
        let first = Attempt { number: 1, why: by_hand };
        self.begin(name, goal, &options, first)?;
        self.status(name)
    }

    /// Starts an upgrade, unless something speaks against it.
    pub(super) fn begin(
        &mut self,
        name: &ScaleSetName,
        goal: Goal,
        options: &StartOptions,
        attempt: Attempt,
    ) -> Result<(), CommandError> {
        let now = self.clock.now();
        let set = self.set(name)?;
        if let Some(running) = set.upgrade.as_ref().filter(|upgrade| upgrade.is_active()) {
            return Err(still_running(running));
        }
        if let Some((_, trouble)) = &self.store_trouble {
            let message = format!("nothing can be recorded: {trouble}");
            return Err(CommandError::new(CommandErrorKind::Unavailable, message));
        }
        check_quarantine(set, &goal, options.quarantined)?;
        check_creation(set)?;
        let mut start = StartUpgrade {
            id: self.new_id(name, now)?,
            scale_set: name.clone(),
            goal: goal.clone(),
            policy: set.spec.policy.clone(),
            before: set.model.clone(),
            bypass: options.bypass.is_some(),
        };
        let upgrade = match &options.manual {
            Some(selection) => {
                // Everybody has been named: nobody is waited for, and nobody is asked.
                start.policy.checkpoints = Checkpoints::default();
                manual(start, &selected(set, selection, now)?, now)
            }
            None => {
                let mut upgrade = Upgrade::new(start, now);
                upgrade.attempt = attempt.number;
                if let Some(wanted) = options.plan {
                    let plan = plan_now(set, &goal, now);
                    check_digest(set, &plan, wanted)?;
                    upgrade.adopt(plan, &set.view(now).candidates());
                }
                upgrade
            }
        };
        let lift = goal.changes().map(|change| Write::Quarantine(name.clone(), change.clone(), None));
        let mut intent: Vec<Write> = lift.collect();
        intent.push(Write::Retry(name.clone(), None));
        if let (Some(_), Some(ended)) = (&set.retry, &set.upgrade) {
            let text = format!("is not tried again by itself: `{}` was started", upgrade.id);
            intent.push(audit::line(ended, None, "retry", text, now));
        }
        intent.extend(self.intent(&upgrade, attempt.why, now));
        self.store.commit(&intent).map_err(|error| {
            CommandError::new(CommandErrorKind::Unavailable, format!("nothing was started: {error}"))
        })?;
        intent.into_iter().for_each(audit::log);
        if let Some(set) = self.sets.get_mut(name) {
            goal.changes().for_each(|change| drop(set.quarantined.remove(change)));
            set.retry = None;
        }
        self.install(upgrade);
        self.step(name, &[]);
        Ok(())
    }

    /// An id that no upgrade of the set has had.
    fn new_id(&self, name: &ScaleSetName, now: Timestamp) -> Result<UpgradeId, CommandError> {
        let latest = self.sets.get(name).and_then(|set| set.upgrade.as_ref());
        let before = latest.map_or(0, |upgrade| upgrade.started_at.0);
        let number = now.0.max(before.saturating_add(1));
        UpgradeId::parse(&format!("{name}-{number}")).map_err(|error| {
            CommandError::new(CommandErrorKind::Invalid, format!("the upgrade's id {error}"))
        })
    }

    /// What must be durable before anything of a new upgrade happens.
    fn intent(&self, upgrade: &Upgrade, text: String, now: Timestamp) -> Vec<Write> {
        let mut writes = Vec::new();
        let set = self.sets.get(&upgrade.scale_set);
        if let Some(set) = set.filter(|_| upgrade.purpose != Purpose::Manual) {
            let configured = set.spec.model.goal();
            for change in upgrade.goal.changes() {
                // A component that left the configuration belongs to no model any more.
                let Some(configured) = configured.of(&change.component).cloned() else { continue };
                let model = StoredModel { version: change.to.clone(), configured };
                writes.push(Write::Model(upgrade.scale_set.clone(), change.component.clone(), model));
            }
        }
        writes.push(Write::Upgrade(Box::new(upgrade.clone())));
        for (id, member) in upgrade.members.iter() {
            writes.push(Write::Member(upgrade.id.clone(), id.clone(), member.clone()));
        }
        writes.push(audit::line(upgrade, None, "start", text, now));
        if let Some(set) = set.filter(|_| upgrade.digest.is_some()) {
            writes.extend(audit::plan(upgrade, set, now));
        }
        writes
    }

    /// Makes a recorded upgrade the set's own, and tells every plugin of the new wanted version.
    fn install(&mut self, upgrade: Upgrade) {
        let name = upgrade.scale_set.clone();
        let Some(set) = self.sets.get_mut(&name) else { return };
        if upgrade.purpose != Purpose::Manual {
            let model = set.model.changes().chain(upgrade.goal.changes()).cloned();
            set.model = Goal::new(model.collect::<Vec<_>>());
        }
        set.upgrade = Some(upgrade);
        set.dirty = true;
        let ids: Vec<_> = set.instances.keys().cloned().collect();
        for id in ids {
            self.announce(&name, &id);
        }
    }

    pub(super) fn wish(
        &mut self,
        name: &ScaleSetName,
        wanted: WishFor,
    ) -> Result<wire::StatusDetail, CommandError> {
        let now = self.clock.now();
        let set = self.set(name)?;
        let WishFor { wish, reason } = wanted;
        let Some(upgrade) = set.upgrade.as_ref().filter(|upgrade| upgrade.is_active()) else {
            return self.wish_without_upgrade(name, wish);
        };
        if wish == Wish::RollBack && !upgrade.is_forward() && upgrade.purpose != Purpose::Manual {
            return Err(still_running(upgrade));
        }
        if let Some(why) = refusal(upgrade, &set.view(now), now, wish) {
            let message = format!("upgrade `{}` of scale set `{name}`: {why}", upgrade.id);
            return Err(CommandError::new(CommandErrorKind::Conflict, message));
        }
        let (kind, text) = match wish {
            Wish::Cancel => ("cancel", "cancel was asked for; the batch in flight is finished first"),
            Wish::RollBack => ("rollback", "rollback was asked for; the batch in flight is finished first"),
            Wish::Pause => ("pause", "pause was asked for; no further batch is admitted"),
            Wish::Resume => ("resume", "resume was asked for"),
            Wish::Approve => ("approve", "the next phase was approved"),
            Wish::Bypass => ("bypass", "goes on in spite of freeze windows and of a stopped line"),
        };
        let text = reason.map_or_else(|| text.to_owned(), |reason| format!("{text}: {reason}"));
        self.writes.push(audit::line(upgrade, None, kind, text, now));
        self.step(name, &[Event::Wish(wish)]);
        // The answer is a promise, so it must survive a crash.
        self.flush_or_say()?;
        self.status(name)
    }

    fn wish_without_upgrade(
        &mut self,
        name: &ScaleSetName,
        wish: Wish,
    ) -> Result<wire::StatusDetail, CommandError> {
        let set = self.set(name)?;
        let (ended, retry) = (set.upgrade.clone(), set.retry.is_some());
        let message = match (wish, ended) {
            (Wish::RollBack, Some(ended)) => {
                let touched = self.last_touching(ended)?;
                self.roll_back(&touched)?;
                self.drop_retry(name, "a rollback was asked for");
                self.flush_or_say()?;
                return self.status(name);
            }
            (Wish::Cancel, Some(_)) if retry => {
                self.drop_retry(name, "cancel was asked for");
                self.flush_or_say()?;
                return self.status(name);
            }
            // Azure's words for the same refusal.
            (Wish::Cancel, _) => "There is no ongoing Rolling Upgrade to cancel.".to_owned(),
            (Wish::RollBack | Wish::Pause | Wish::Resume | Wish::Approve | Wish::Bypass, _) => {
                format!("scale set `{name}` has no running upgrade")
            }
        };
        Err(CommandError::new(CommandErrorKind::Conflict, message))
    }

    pub(super) fn flush_or_say(&mut self) -> Result<(), CommandError> {
        self.flush();
        self.store_trouble.as_ref().map_or(Ok(()), |(_, trouble)| {
            let message = format!("it takes effect, but could not be recorded yet: {trouble}");
            Err(CommandError::new(CommandErrorKind::Unavailable, message))
        })
    }

    /// The latest upgrade that did anything: one that found everybody there already does not hide
    /// the one before it from a rollback.
    fn last_touching(&self, latest: Upgrade) -> Result<Upgrade, CommandError> {
        let idle = |upgrade: &Upgrade| {
            let touched = upgrade.members.values().any(|member| member.attempt > 0);
            !touched && !matches!(upgrade.purpose, Purpose::Rollback { .. })
        };
        let mut upgrade = latest.clone();
        while idle(&upgrade) {
            let before = self.store.upgrade_before(&upgrade.scale_set, upgrade.started_at);
            match before.map_err(|error| super::commands::unavailable(&error))? {
                Some(before) => upgrade = before,
                None => return Ok(latest),
            }
        }
        Ok(upgrade)
    }

    /// Puts the rollback of an ended upgrade in its place.
    fn roll_back(&mut self, ended: &Upgrade) -> Result<(), CommandError> {
        let now = self.clock.now();
        let name = ended.scale_set.clone();
        let refuse = |message: String| CommandError::new(CommandErrorKind::Conflict, message);
        if matches!(ended.purpose, Purpose::Rollback { .. }) {
            let message = format!("upgrade `{}` was a rollback itself; start an upgrade instead", ended.id);
            return Err(refuse(message));
        }
        let id = self.new_id(&name, now)?;
        let mut rollback = rollback_of(ended, id, now).ok_or_else(|| {
            refuse(format!("upgrade `{}` left nothing that could be rolled back", ended.id))
        })?;
        if let Some(set) = self.sets.get(&name) {
            // What the configuration no longer has stays as it is.
            let is_there = |id: &InstanceId| set.instances.get(id).is_some_and(InstanceState::is_member);
            rollback.reconfigured(is_there, |_| false, now);
        }
        let text = format!("takes `{}` (to {}) back to what each instance had before", ended.id, ended.goal);
        let intent = self.intent(&rollback, text, now);
        self.writes.extend(intent);
        self.install(rollback);
        self.step(&name, &[]);
        Ok(())
    }

    /// What follows when an upgrade has just ended: a version that failed goes into quarantine, and
    /// a rollback that was asked for begins. Part of the same turn, so durable together.
    pub(super) fn ended(&mut self, name: &ScaleSetName) {
        let Some(set) = self.sets.get_mut(name) else { return };
        let Some(upgrade) = set.upgrade.clone() else { return };
        let blamed = upgrade.error.as_ref().filter(|error| error.code.blames_the_version());
        if let (UpgradeState::Faulted, Purpose::Forward, Some(error)) =
            (upgrade.state, &upgrade.purpose, blamed)
        {
            let reason = error.message.clone();
            for change in blamed_changes(&upgrade) {
                set.quarantined.insert(change.clone(), reason.clone());
                self.writes.push(Write::Quarantine(name.clone(), change, Some(reason.clone())));
            }
        }
        self.plan_retry(name);
        if upgrade.then_roll_back
            && let Err(error) = self.roll_back(&upgrade)
        {
            tracing::info!(scale_set = %name, "no rollback: {error}");
        }
    }

    /// Takes the actions of a step as effects to perform.
    pub(super) fn effects_of(&mut self, name: &ScaleSetName, actions: Vec<Action>) {
        for action in actions {
            let effect = match action {
                Action::Apply { instance, component, version, operation } => Some(Effect::Run(RunEffect {
                    scale_set: name.clone(),
                    instance,
                    component,
                    version,
                    operation,
                    life: Life::New,
                })),
                Action::Create { .. } => self.intend_creation(name, &action),
                Action::Delete { .. } => self.intend_deletion(name, &action),
            };
            self.effects.extend(effect);
        }
    }
}

/// Which try of an upgrade, and why it is made.
pub(super) struct Attempt {
    pub(super) number: u32,
    pub(super) why: String,
}

/// What of the goal failed on any instance; all of it when that cannot be told.
fn blamed_changes(upgrade: &Upgrade) -> Vec<Change> {
    let failed = |change: &&Change| {
        let parts = upgrade.members.values().flat_map(|member| &member.parts);
        let mut mine = parts.filter(|part| part.component == change.component);
        mine.any(|part| matches!(part.state, PartState::Failed { .. }))
    };
    let blamed: Vec<Change> = upgrade.goal.changes().filter(failed).cloned().collect();
    if blamed.is_empty() { upgrade.goal.changes().cloned().collect() } else { blamed }
}

/// What an upgrade shall bring: what was named, or the whole model.
pub(super) fn wanted(set: &SetState, wanted: &Wanted) -> Result<Goal, CommandError> {
    if wanted.to.is_none() && wanted.extensions.is_empty() {
        return Ok(set.model.clone());
    }
    let application = wanted.to.iter().map(|to| Change { component: Component::Application, to: to.clone() });
    let mut changes: Vec<Change> = application.collect();
    for (name, version) in &wanted.extensions {
        let component = Component::Extension(name.clone());
        let Some(model) = set.model.of(&component) else {
            let known: Vec<&str> =
                set.model.changes().map(|change| change.component.as_str()).skip(1).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let message = format!(
                "scale set `{}` has no extension `{name}`; extensions of its model: {known}",
                set.spec.name
            );
            return Err(CommandError::new(CommandErrorKind::Invalid, message));
        };
        let to = version.as_ref().unwrap_or(model).clone();
        if changes.iter().any(|change| change.component == component) {
            let message = format!("extension `{name}` is named twice; name it once");
            return Err(CommandError::new(CommandErrorKind::Invalid, message));
        }
        changes.push(Change { component, to });
    }
    // An instance gets them in the order of the model, however they were named.
    let place = |change: &Change| set.model.changes().position(|model| model.component == change.component);
    changes.sort_by_key(place);
    Ok(Goal::new(changes))
}

fn check_quarantine(set: &SetState, goal: &Goal, quarantined: Quarantined) -> Result<(), CommandError> {
    if quarantined == Quarantined::Allow {
        return Ok(());
    }
    let bad = goal.changes().find_map(|change| set.quarantined.get(change).map(|reason| (change, reason)));
    bad.map_or(Ok(()), |(change, reason)| {
        let name = &set.spec.name;
        let message =
            format!("{change} is in quarantine for scale set `{name}`: {reason}; try it again with --force");
        Err(CommandError::new(CommandErrorKind::Conflict, message))
    })
}

/// The instances that a person named; a name that is none, or that is protected, is refused.
fn selected(set: &SetState, selection: &Selection, now: Timestamp) -> Result<Vec<Candidate>, CommandError> {
    let all = set.view(now).candidates();
    let Selection::These(ids) = selection else { return Ok(all) };
    let name = &set.spec.name;
    let invalid = |message: String| Err(CommandError::new(CommandErrorKind::Invalid, message));
    if ids.is_empty() {
        return invalid("no instance is named; name them, or `*` for all".to_owned());
    }
    let unknown: Vec<&str> =
        ids.iter().filter(|id| !all.iter().any(|c| c.id == **id)).map(InstanceId::as_str).collect();
    if !unknown.is_empty() {
        let known: Vec<&str> = set.instances.keys().take(20).map(InstanceId::as_str).collect();
        let more = set.instances.len().saturating_sub(known.len());
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let message = format!(
            "scale set `{name}` has no instance {}; it has: {}{more}",
            unknown.join(", "),
            known.join(", ")
        );
        return Err(CommandError::new(CommandErrorKind::NotFound, message));
    }
    let named: Vec<Candidate> = all.into_iter().filter(|candidate| ids.contains(&candidate.id)).collect();
    if let Some(candidate) = named.iter().find(|candidate| candidate.protection.from_scale_set_actions) {
        let message = format!(
            "instance `{}` of scale set `{name}` is protected (protectFromScaleSetActions); \
             take the protection away or leave it out",
            candidate.id
        );
        return Err(CommandError::new(CommandErrorKind::Conflict, message));
    }
    Ok(named)
}

fn still_running(upgrade: &Upgrade) -> CommandError {
    let message = format!(
        "upgrade `{}` of scale set `{}` to {} is still running; wait for it or cancel it first",
        upgrade.id, upgrade.scale_set, upgrade.goal
    );
    CommandError::new(CommandErrorKind::Conflict, message)
}

/// The configuration is checked before; a driver that cannot create must all the same never be
/// taken for one that changes instances in place.
fn check_creation(set: &SetState) -> Result<(), CommandError> {
    if set.spec.policy.rolling.max_surge && set.driver.creation() == Creation::NotTold {
        let message = format!("scale set `{}` wants maxSurge, and its driver cannot create", set.spec.name);
        return Err(CommandError::new(CommandErrorKind::Invalid, message));
    }
    Ok(())
}

/// Refuses a plan that is no longer the one that was shown, and says what has changed since.
fn check_digest(set: &SetState, plan: &Plan, wanted: Digest) -> Result<(), CommandError> {
    if plan.digest == wanted {
        return Ok(());
    }
    let changed = match set.shown.iter().find(|shown| shown.digest == wanted) {
        Some(shown) if shown.goal != plan.goal => {
            format!("it was to {}, and this start is to {}", shown.goal, plan.goal)
        }
        Some(shown) => match changes(shown, plan) {
            same if same.is_empty() => "the limits are others".to_owned(),
            changed => changed,
        },
        None => format!("this host has not shown it; {}", summary(plan)),
    };
    let message = format!(
        "the fleet has changed since plan {wanted} was shown, and nothing was started: {changed}; \
         the plan is now {}",
        plan.digest
    );
    Err(CommandError::new(CommandErrorKind::Conflict, message))
}

fn summary(plan: &Plan) -> String {
    let planned: usize = plan.batches.iter().map(|batch| batch.instances.len()).sum();
    let (batches, held) = (plan.batches.len(), plan.holds.len());
    format!("{planned} instances would be upgraded in {batches} batches and {held} left alone")
}
