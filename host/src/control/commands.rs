//! Requests of people and programs, answered from the loop's own state.

use super::run::Control;
use super::{Command, CommandError, CommandErrorKind, Reply, report};
use crate::api::wire;
use crate::domain::{ScaleSetName, UpgradeId, Version};
use crate::plan::{Plan, PlanInput, plan};
use crate::rollout::state::StartUpgrade;
use crate::rollout::{Event, FleetView, Upgrade};
use crate::store::{AuditEntry, StoredModel, Write};

use super::state::SetState;

impl Control {
    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::Ping(reply) => answer(reply, Ok(())),
            Command::Fleet(reply) => answer(reply, Ok(self.fleet())),
            Command::Plan(name, to, reply) => answer(reply, self.plan(&name, to)),
            Command::Start(name, to, reply) => answer(reply, self.start(&name, to)),
            Command::Status(name, reply) => answer(reply, self.status(&name)),
            Command::Cancel(name, reply) => answer(reply, self.cancel(&name)),
            Command::RecordPlugin(name, stored, reply) => {
                let recorded = self.store.commit(&[Write::Plugin(name, stored)]);
                let unavailable = |error: crate::store::StoreError| {
                    CommandError::new(CommandErrorKind::Unavailable, error.to_string())
                };
                answer(reply, recorded.map_err(unavailable));
            }
        }
    }

    fn set(&self, name: &ScaleSetName) -> Result<&SetState, CommandError> {
        self.sets.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.sets.keys().map(ScaleSetName::as_str).collect();
            let message =
                format!("there is no scale set `{name}`; the configuration has: {}", known.join(", "));
            CommandError::new(CommandErrorKind::NotFound, message)
        })
    }

    fn fleet(&self) -> wire::Fleet {
        let now = self.clock.now();
        wire::Fleet { scale_sets: self.sets.values().map(|set| report::scale_set(set, now)).collect() }
    }

    fn plan(&self, name: &ScaleSetName, to: Option<Version>) -> Result<wire::Plan, CommandError> {
        let set = self.set(name)?;
        let to = to.unwrap_or_else(|| set.model.clone());
        Ok(report::plan(&plan_now(set, &to, self.clock.now())))
    }

    fn start(
        &mut self,
        name: &ScaleSetName,
        to: Option<Version>,
    ) -> Result<wire::StatusDetail, CommandError> {
        let now = self.clock.now();
        let set = self.set(name)?;
        if let Some(running) = set.upgrade.as_ref().filter(|upgrade| upgrade.is_active()) {
            let message = format!(
                "upgrade `{}` of scale set `{name}` to {} is still running; wait for it or cancel it first",
                running.id, running.to
            );
            return Err(CommandError::new(CommandErrorKind::Conflict, message));
        }
        if let Some((_, trouble)) = &self.store_trouble {
            return Err(CommandError::new(
                CommandErrorKind::Unavailable,
                format!("nothing can be recorded: {trouble}"),
            ));
        }
        let to = to.unwrap_or_else(|| set.model.clone());
        let id = UpgradeId::parse(&format!("{name}-{}", now.0))
            .map_err(|error| CommandError::new(CommandErrorKind::Invalid, format!("upgrade id {error}")))?;
        let start = StartUpgrade {
            id: id.clone(),
            scale_set: name.clone(),
            to: to.clone(),
            policy: set.spec.policy.clone(),
            gate: set.spec.gate,
            prepare_max: set.prepare_max(),
        };
        let upgrade = Upgrade::new(start, now);
        let model = StoredModel { version: to.clone(), configured: set.spec.model.version.clone() };
        let audit = AuditEntry {
            at: now,
            scale_set: name.clone(),
            upgrade: Some(id),
            instance: None,
            kind: "start",
            text: format!("upgrade to {to} was asked for"),
        };
        let intent = [
            Write::Model(name.clone(), model),
            Write::Upgrade(Box::new(upgrade.clone())),
            Write::Audit(audit),
        ];
        self.store.commit(&intent).map_err(|error| {
            CommandError::new(CommandErrorKind::Unavailable, format!("nothing was started: {error}"))
        })?;
        if let Some(set) = self.sets.get_mut(name) {
            set.model = to;
            set.upgrade = Some(upgrade);
        }
        self.announce_all(name);
        self.step(name, &Event::Look);
        self.status(name)
    }

    fn status(&self, name: &ScaleSetName) -> Result<wire::StatusDetail, CommandError> {
        let set = self.set(name)?;
        let upgrade = set.upgrade.as_ref().ok_or_else(|| {
            let message = format!(
                "scale set `{name}` has had no upgrade yet; begin with `phasegate upgrade start {name}`"
            );
            CommandError::new(CommandErrorKind::NotFound, message)
        })?;
        let trouble = self.store_trouble.as_ref().map(|(_, text)| text.as_str());
        Ok(report::status(upgrade, set, trouble, self.clock.now()))
    }

    fn cancel(&mut self, name: &ScaleSetName) -> Result<wire::StatusDetail, CommandError> {
        let set = self.set(name)?;
        let Some(upgrade) = set.upgrade.as_ref().filter(|upgrade| upgrade.is_active()) else {
            // Azure's words for the same refusal.
            return Err(CommandError::new(
                CommandErrorKind::Conflict,
                "There is no ongoing Rolling Upgrade to cancel.",
            ));
        };
        self.writes.push(Write::Audit(AuditEntry {
            at: self.clock.now(),
            scale_set: name.clone(),
            upgrade: Some(upgrade.id.clone()),
            instance: None,
            kind: "cancel",
            text: "cancel was asked for; the batch in flight is finished first".to_owned(),
        }));
        self.step(name, &Event::Cancel);
        // The answer is a promise that no further batch is admitted, so it must survive a crash.
        self.flush();
        if let Some((_, trouble)) = &self.store_trouble {
            let message = format!("the upgrade stops, but that could not be recorded: {trouble}");
            return Err(CommandError::new(CommandErrorKind::Unavailable, message));
        }
        self.status(name)
    }

    /// After a change of the model: every plugin hears of the new wanted version.
    fn announce_all(&self, name: &ScaleSetName) {
        let Some(set) = self.sets.get(name) else { return };
        for id in set.instances.keys() {
            self.announce(name, id);
        }
    }
}

/// What an upgrade would do at this moment.
fn plan_now(set: &SetState, to: &Version, now: crate::domain::Timestamp) -> Plan {
    let candidates = set.view(now).candidates();
    plan(&PlanInput { scale_set: &set.spec.name, to, policy: &set.spec.policy, candidates: &candidates })
}

/// Nobody may be waiting any more; then the answer has no meaning.
fn answer<T>(reply: Reply<T>, result: Result<T, CommandError>) {
    let _ = reply.send(result);
}
