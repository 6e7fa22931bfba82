//! Requests of people and programs, answered from the loop's own state.

use super::run::Control;
use super::state::SetState;
use super::{Command, CommandError, CommandErrorKind, Reply, Wanted, lifecycle, report};
use phasegate_core::domain::{Goal, InstanceId, ScaleSetName, Timestamp};
use phasegate_core::plan::{Plan, PlanInput, plan};
use phasegate_core::record::{StoreError, Write};
use phasegate_core::rollout::FleetView;
use phasegate_wire as wire;

/// Lines of the audit trail in one answer; the data file has them all.
const LOG_MAX: u32 = 10_000;

impl Control {
    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::Ping(reply) => answer(reply, Ok(())),
            Command::Fleet(reply) => answer(reply, Ok(self.fleet())),
            Command::Tally(reply) => answer(reply, Ok(self.tally())),
            Command::Plan(name, wanted, reply) => answer(reply, self.plan(&name, &wanted)),
            Command::Line(reply) => answer(reply, Ok(self.line())),
            Command::SetLine(reason, reply) => answer(reply, self.set_line(reason)),
            Command::Start(name, options, reply) => answer(reply, self.start(&name, options)),
            Command::Status(name, reply) => answer(reply, self.status(&name)),
            Command::Wish(name, wish, reply) => answer(reply, self.wish(&name, wish)),
            Command::Log(name, instance, reply) => answer(reply, self.log(&name, instance.as_ref())),
            Command::RecordPlugin(name, stored, reply) => {
                let generation = stored.generation;
                let recorded = self.store.commit(&[Write::Plugin(name.clone(), stored)]);
                if recorded.is_ok() {
                    self.in_force(&name, generation);
                }
                answer(reply, recorded.map_err(|error| unavailable(&error)));
            }
            Command::Reconfigure(change, reply) => answer(reply, self.reconfigure(change)),
        }
    }

    pub(super) fn set(&self, name: &ScaleSetName) -> Result<&SetState, CommandError> {
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

    fn plan(&mut self, name: &ScaleSetName, wanted: &Wanted) -> Result<wire::PlanDetail, CommandError> {
        let set = self.set(name)?;
        let goal = lifecycle::wanted(set, wanted)?;
        let now = self.clock.now();
        let plan = plan_now(set, &goal, now);
        let shown = report::plan(&plan, set, now);
        if let Some(set) = self.sets.get_mut(name) {
            set.remember(plan);
        }
        Ok(shown)
    }

    pub(super) fn status(&self, name: &ScaleSetName) -> Result<wire::StatusDetail, CommandError> {
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

    fn log(&self, name: &ScaleSetName, instance: Option<&InstanceId>) -> Result<wire::Log, CommandError> {
        self.set(name)?;
        let entries = self.store.audit(name, instance, LOG_MAX).map_err(|error| unavailable(&error))?;
        Ok(report::log(name, &entries))
    }
}

/// What an upgrade would do at this moment.
pub(super) fn plan_now(set: &SetState, goal: &Goal, now: Timestamp) -> Plan {
    let candidates = set.view(now).candidates();
    plan(&PlanInput {
        scale_set: &set.spec.name,
        goal,
        policy: &set.spec.policy,
        candidates: &candidates,
        total: candidates.len(),
        batches_before: 0,
    })
}

/// A refusal of the store, as an answer.
pub(super) fn unavailable(error: &StoreError) -> CommandError {
    CommandError::new(CommandErrorKind::Unavailable, error.to_string())
}

/// Nobody may be waiting any more; then the answer has no meaning.
fn answer<T>(reply: Reply<T>, result: Result<T, CommandError>) {
    let _ = reply.send(result);
}
