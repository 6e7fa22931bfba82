//! The life of upgrades in the loop: how one starts, what a person may tell it, and what follows
//! when it has ended.

use super::commands::plan_now;
use super::run::{Control, Effect, Life};
use super::{CommandError, CommandErrorKind, Quarantined, StartOptions, audit};
use crate::api::wire;
use crate::domain::{Digest, ScaleSetName, Timestamp, UpgradeId};
use crate::plan::Plan;
use crate::rollout::{
    Action, Event, FleetView, Purpose, StartUpgrade, Upgrade, UpgradeState, Wish, rollback_of,
};
use crate::store::{StoredModel, Write};

impl Control {
    pub(super) fn start(
        &mut self,
        name: &ScaleSetName,
        options: StartOptions,
    ) -> Result<wire::StatusDetail, CommandError> {
        let now = self.clock.now();
        let set = self.set(name)?;
        if let Some(running) = set.upgrade.as_ref().filter(|upgrade| upgrade.is_active()) {
            return Err(still_running(running));
        }
        if let Some((_, trouble)) = &self.store_trouble {
            let message = format!("nothing can be recorded: {trouble}");
            return Err(CommandError::new(CommandErrorKind::Unavailable, message));
        }
        let to = options.to.unwrap_or_else(|| set.model.clone());
        if let (Some(reason), Quarantined::Refuse) = (set.quarantined.get(&to), options.quarantined) {
            let message =
                format!("{to} is in quarantine for scale set `{name}`: {reason}; try it again with --force");
            return Err(CommandError::new(CommandErrorKind::Conflict, message));
        }
        let start = StartUpgrade {
            id: self.new_id(name, now)?,
            scale_set: name.clone(),
            to: to.clone(),
            policy: set.spec.policy.clone(),
            gate: set.spec.gate,
            failure: set.spec.failure,
            checkpoints: set.spec.checkpoints.clone(),
            defer_max: set.spec.defer_max,
            prepare_max: set.prepare_max(),
        };
        let mut upgrade = Upgrade::new(start, now);
        if let Some(wanted) = options.plan {
            let plan = plan_now(set, &to, now);
            check_digest(&plan, wanted)?;
            upgrade.adopt(plan, &set.view(now).candidates());
        }
        let mut intent = vec![Write::Quarantine(name.clone(), to.clone(), None)];
        intent.extend(self.intent(&upgrade, format!("upgrade to {to} was asked for"), now));
        self.store.commit(&intent).map_err(|error| {
            CommandError::new(CommandErrorKind::Unavailable, format!("nothing was started: {error}"))
        })?;
        intent.into_iter().for_each(audit::log);
        if let Some(set) = self.sets.get_mut(name) {
            set.quarantined.remove(&to);
        }
        self.install(upgrade);
        self.step(name, &Event::Look);
        self.status(name)
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
        if let Some(set) = set {
            let configured = set.spec.model.version.clone();
            let model = StoredModel { version: upgrade.to.clone(), configured };
            writes.push(Write::Model(upgrade.scale_set.clone(), model));
        }
        writes.push(Write::Upgrade(Box::new(upgrade.clone())));
        for (id, member) in &upgrade.members {
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
        set.model = upgrade.to.clone();
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
        wish: Wish,
    ) -> Result<wire::StatusDetail, CommandError> {
        let now = self.clock.now();
        let set = self.set(name)?;
        let Some(upgrade) = set.upgrade.as_ref().filter(|upgrade| upgrade.is_active()) else {
            return self.wish_without_upgrade(name, wish);
        };
        if wish == Wish::RollBack && upgrade.purpose != Purpose::Forward {
            return Err(still_running(upgrade));
        }
        let (kind, text) = match wish {
            Wish::Cancel => ("cancel", "cancel was asked for; the batch in flight is finished first"),
            Wish::RollBack => ("rollback", "rollback was asked for; the batch in flight is finished first"),
            Wish::Pause => ("pause", "pause was asked for; no further batch is admitted"),
            Wish::Resume => ("resume", "resume was asked for"),
            Wish::Approve => ("approve", "the next phase was approved"),
        };
        self.writes.push(audit::line(upgrade, None, kind, text.to_owned(), now));
        self.step(name, &Event::Wish(wish));
        // The answer is a promise, so it must survive a crash.
        self.flush_or_say()?;
        self.status(name)
    }

    fn wish_without_upgrade(
        &mut self,
        name: &ScaleSetName,
        wish: Wish,
    ) -> Result<wire::StatusDetail, CommandError> {
        let ended = self.set(name)?.upgrade.clone();
        let message = match (wish, ended) {
            (Wish::RollBack, Some(ended)) => {
                self.roll_back(&ended)?;
                self.flush_or_say()?;
                return self.status(name);
            }
            // Azure's words for the same refusal.
            (Wish::Cancel, _) => "There is no ongoing Rolling Upgrade to cancel.".to_owned(),
            (Wish::RollBack | Wish::Pause | Wish::Resume | Wish::Approve, _) => {
                format!("scale set `{name}` has no running upgrade")
            }
        };
        Err(CommandError::new(CommandErrorKind::Conflict, message))
    }

    fn flush_or_say(&mut self) -> Result<(), CommandError> {
        self.flush();
        self.store_trouble.as_ref().map_or(Ok(()), |(_, trouble)| {
            let message = format!("it takes effect, but could not be recorded yet: {trouble}");
            Err(CommandError::new(CommandErrorKind::Unavailable, message))
        })
    }

    /// Puts the rollback of an ended upgrade in its place.
    fn roll_back(&mut self, ended: &Upgrade) -> Result<(), CommandError> {
        let now = self.clock.now();
        let name = ended.scale_set.clone();
        let refuse = |message: String| CommandError::new(CommandErrorKind::Conflict, message);
        if ended.purpose != Purpose::Forward {
            let message = format!("upgrade `{}` was a rollback itself; start an upgrade instead", ended.id);
            return Err(refuse(message));
        }
        let id = self.new_id(&name, now)?;
        let rollback = rollback_of(ended, id, now).ok_or_else(|| {
            refuse(format!("upgrade `{}` left nothing that could be rolled back", ended.id))
        })?;
        let text = format!("rolls back `{}` to {}", ended.id, rollback.to);
        let intent = self.intent(&rollback, text, now);
        self.writes.extend(intent);
        self.install(rollback);
        self.step(&name, &Event::Look);
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
            set.quarantined.insert(upgrade.to.clone(), reason.clone());
            self.writes.push(Write::Quarantine(name.clone(), upgrade.to.clone(), Some(reason)));
        }
        if upgrade.then_roll_back
            && let Err(error) = self.roll_back(&upgrade)
        {
            tracing::info!(scale_set = %name, "no rollback: {error}");
        }
    }

    /// Takes the actions of a step as effects to perform.
    pub(super) fn effects_of(&mut self, name: &ScaleSetName, actions: Vec<Action>) {
        let effect = |Action::Apply { instance, version, operation }| Effect {
            scale_set: name.clone(),
            instance,
            version,
            operation,
            life: Life::New,
        };
        self.effects.extend(actions.into_iter().map(effect));
    }
}

fn still_running(upgrade: &Upgrade) -> CommandError {
    let message = format!(
        "upgrade `{}` of scale set `{}` to {} is still running; wait for it or cancel it first",
        upgrade.id, upgrade.scale_set, upgrade.to
    );
    CommandError::new(CommandErrorKind::Conflict, message)
}

/// Refuses a plan that is no longer the one that was shown, and says what the plan is now.
fn check_digest(plan: &Plan, wanted: Digest) -> Result<(), CommandError> {
    if plan.digest == wanted {
        return Ok(());
    }
    let ids = |batch: &crate::plan::Batch| {
        let ids: Vec<&str> = batch.instances.iter().map(crate::domain::InstanceId::as_str).collect();
        format!("[{}]", ids.join(","))
    };
    let batches: Vec<String> = plan.batches.iter().map(ids).collect();
    let held = |hold: &crate::plan::Hold| format!("{} ({})", hold.instance, hold.reason.code());
    let holds: Vec<String> = plan.holds.iter().map(held).collect();
    let message = format!(
        "the fleet has changed since plan {wanted} was shown, and nothing was started; the plan is now {}: \
         batches {}; left alone: {}",
        plan.digest,
        if batches.is_empty() { "none".to_owned() } else { batches.join(" ") },
        if holds.is_empty() { "none".to_owned() } else { holds.join(", ") },
    );
    Err(CommandError::new(CommandErrorKind::Conflict, message))
}
