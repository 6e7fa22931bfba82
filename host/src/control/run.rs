//! The loop itself: take in events, step, record, act.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::audit::{self, Before};
use super::memory::Memories;
use super::state::{Place, SetParts, SetState};
use super::{ControlEvent, ControlHandle, EffectDone};
use crate::clock::Clock;
use crate::drivers::{Custody, DriverNote, DriverNoteKind};
use crate::plugins::PluginTrouble;
use crate::probe::Target;
use crate::recording::Used;
use phasegate_core::domain::{
    Component, Decided, Fence, InstanceId, Located, OnFailure, OperationId, Outcome, PluginName,
    ScaleSetName, Timestamp, Version,
};
use phasegate_core::record::{AuditEntry, StoppedLine, Store, Stored, Write};
use phasegate_core::rollout::{Event, Step, step};

/// Events taken in before the upgrades look at the result: one look for many answers.
const EVENTS_PER_TURN: usize = 1024;

/// How long to wait before trying again to write, or to start an instance that did not start.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How the prober is told that an instance is gone.
pub(super) type ForgetTarget = Arc<dyn Fn(&ScaleSetName, &InstanceId) + Send + Sync>;

/// How the recording is told of the decisions that an upgrade has gone by.
pub(super) type KeepUsed = Arc<dyn Fn(Vec<Used>) + Send + Sync>;

/// Everything that the loop is made of.
pub struct ControlParts {
    /// Time.
    pub clock: Clock,
    /// Scale sets with their drivers.
    pub sets: Vec<SetParts>,
    /// Where to record.
    pub store: Box<dyn Store>,
    /// What was recorded before.
    pub stored: Stored,
    /// Tells the prober about an instance; must not block.
    pub set_target: Arc<dyn Fn(Target) + Send + Sync>,
    /// Tells the prober that an instance is gone; must not block.
    pub forget_target: ForgetTarget,
    /// Tells the recording which decisions an upgrade has gone by; must not block.
    pub keep_used: KeepUsed,
    /// The way back to the loop, for drivers' answers.
    pub handle: ControlHandle,
    /// Where drivers' work runs.
    pub runtime: tokio::runtime::Handle,
}

/// The state of the loop.
pub(super) struct Control {
    pub(super) clock: Clock,
    pub(super) sets: BTreeMap<ScaleSetName, SetState>,
    /// A person stopped the line for all sets.
    pub(super) line: Option<StoppedLine>,
    pub(super) store: Box<dyn Store>,
    pub(super) fence: Fence,
    pub(super) set_target: Arc<dyn Fn(Target) + Send + Sync>,
    pub(super) forget_target: ForgetTarget,
    pub(super) keep_used: KeepUsed,
    pub(super) handle: ControlHandle,
    pub(super) runtime: tokio::runtime::Handle,
    /// What plugins asked to remember.
    pub(super) memories: Memories,
    /// To be recorded at the end of this turn.
    pub(super) writes: Vec<Write>,
    /// To be done once `writes` are durable, never before.
    pub(super) effects: Vec<Effect>,
    /// The store refused; when to try again, and why.
    pub(super) store_trouble: Option<(Timestamp, String)>,
}

/// Something that a driver shall do, under an operation id.
#[derive(Debug, Clone)]
pub(super) enum Effect {
    /// An instance shall run a version.
    Run(RunEffect),
    /// An instance shall come into being.
    Create {
        scale_set: ScaleSetName,
        instance: InstanceId,
        replaces: InstanceId,
        version: Version,
        operation: OperationId,
    },
    /// An instance shall go.
    Delete { scale_set: ScaleSetName, instance: InstanceId, operation: OperationId },
}

impl Effect {
    /// The scale set of its instance.
    pub(super) fn scale_set(&self) -> &ScaleSetName {
        match self {
            Self::Run(RunEffect { scale_set, .. })
            | Self::Create { scale_set, .. }
            | Self::Delete { scale_set, .. } => scale_set,
        }
    }

    /// Its instance, unless it is about an extension.
    pub(super) fn of_application(&self) -> Option<InstanceId> {
        match self {
            Self::Run(RunEffect { component: Component::Extension(_), .. }) => None,
            Self::Run(RunEffect { instance, .. })
            | Self::Create { instance, .. }
            | Self::Delete { instance, .. } => Some(instance.clone()),
        }
    }
}

/// An instance that shall run a version, under an operation id.
#[derive(Debug, Clone)]
pub(super) struct RunEffect {
    pub(super) scale_set: ScaleSetName,
    pub(super) instance: InstanceId,
    pub(super) component: Component,
    pub(super) version: Version,
    pub(super) operation: OperationId,
    pub(super) life: Life,
}

/// What an effect means for the health of its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// It begins anew, with a grace period of its own.
    New,
    /// A start that failed is tried again: no second grace period, or it would be Initializing for
    /// ever.
    Same,
}

/// Runs the loop until it is told to shut down. Blocks the calling thread, which is its own: a
/// slow disk delays decisions, never probes.
///
/// # Errors
/// When the runtime of the thread cannot be made.
pub fn run(parts: ControlParts, events: mpsc::Receiver<ControlEvent>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let mut control = super::boot::start(parts);
    runtime.block_on(control.serve(events));
    Ok(())
}

impl Control {
    async fn serve(&mut self, mut events: mpsc::Receiver<ControlEvent>) {
        self.flush();
        self.turn_until_told(&mut events).await;
        let memories: Vec<Write> = self.memories.writes().collect();
        if let Err(error) = self.store.commit(&memories) {
            tracing::warn!("what plugins remember is a little older in the data file: {error}");
        }
    }

    async fn turn_until_told(&mut self, events: &mut mpsc::Receiver<ControlEvent>) {
        loop {
            let wait = self.next_wake().map_or(Duration::from_secs(3600), |at| at.since(self.clock.now()));
            let first = tokio::select! {
                event = events.recv() => match event {
                    Some(event) => Some(event),
                    None => return,
                },
                () = tokio::time::sleep(wait) => None,
            };
            let mut next = first;
            let mut taken = 0;
            while let Some(event) = next {
                if matches!(event, ControlEvent::Shutdown) {
                    return;
                }
                self.take_in(event);
                taken += 1;
                next = if taken < EVENTS_PER_TURN { events.try_recv().ok() } else { None };
            }
            self.look();
            self.flush();
        }
    }

    fn take_in(&mut self, event: ControlEvent) {
        match event {
            ControlEvent::Decided(batch) => batch.into_iter().for_each(|decided| self.decided(decided)),
            ControlEvent::EffectDone(done) => self.effect_done(done),
            ControlEvent::Created(created) => self.created(created),
            ControlEvent::Deleted(deleted) => self.deleted(deleted),
            ControlEvent::Observed(observed) => self.observed(observed),
            ControlEvent::PluginTrouble(trouble) => self.plugin_trouble(&trouble),
            ControlEvent::PluginWentBack(plugin, text) => {
                self.audit_plugin(&plugin, "plugin-reverted", &text);
            }
            ControlEvent::Note(note) => self.note(note),
            ControlEvent::Command(command) => self.command(command),
            ControlEvent::Shutdown => {}
        }
    }

    /// Tells every scale set of the plugin; the registry goes back to a former generation that does better.
    fn plugin_trouble(&mut self, trouble: &PluginTrouble) {
        let PluginTrouble { plugin, digest, generation, failed, judged, rounds, cause } = trouble;
        let text = format!(
            "plugin {plugin} ({} generation {}) failed for {failed} of {judged} instances, {rounds} rounds in a row: {cause}",
            digest.short(),
            generation.0
        );
        tracing::error!(%plugin, "{text}");
        self.audit_plugin(plugin, "plugin-trouble", &text);
    }

    /// A line about a plugin in the trail of each of its scale sets.
    fn audit_plugin(&mut self, plugin: &PluginName, kind: &'static str, text: &str) {
        if self.store_trouble.is_some() {
            return;
        }
        let at = self.clock.now();
        let line = |set: &SetState| {
            Write::Audit(AuditEntry {
                at,
                scale_set: set.spec.name.clone(),
                upgrade: None,
                instance: None,
                kind: kind.into(),
                text: text.to_owned(),
            })
        };
        self.writes.extend(self.sets.values().filter(|set| set.spec.plugin == *plugin).map(line));
    }

    fn decided(&mut self, decided: Decided) {
        let Some(set) = self.sets.get_mut(&decided.scale_set) else { return };
        let id = decided.instance.clone();
        let stands_in = (set.on_failure == OnFailure::LastGood).then(|| set.spec.health.freshness());
        let Some(instance) = set.instances.get_mut(&id) else { return };
        self.memories.take(instance, &decided, self.clock.now());
        // Also the first of a generation: what another one has said is not in force.
        let by_another = |latest: &Outcome| latest.stamp != decided.outcome.stamp;
        let first = instance.latest.as_ref().is_none_or(by_another);
        let Some((before, after)) = instance.decided(decided, stands_in) else { return };
        if before != after {
            tracing::info!(
                scale_set = %set.spec.name, instance = %instance.spec.id,
                "health {} -> {}", before.name(), after.name()
            );
        }
        // A running upgrade looks again when something moved: a health, or the first answer.
        set.dirty |= first || before != after;
        // An instance that said "not now" may say something else.
        set.dirty |= set.upgrade.as_ref().is_some_and(|upgrade| upgrade.deferred.contains_key(&id));
    }

    fn effect_done(&mut self, done: EffectDone) {
        let now = self.clock.now();
        let Some(set) = self.sets.get_mut(&done.scale_set) else { return };
        let Some(instance) = set.instances.get_mut(&done.instance) else { return };
        if instance.busy.get(&done.component) != Some(&done.operation) {
            return;
        }
        instance.busy.remove(&done.component);
        if done.result.is_ok() {
            instance.down = false;
            instance.applied_at = now;
            instance.begin_life(&set.spec, now);
        }
        if instance.set_version(&done.component, done.observed.clone()) {
            let (name, id) = (done.scale_set.clone(), done.instance.clone());
            self.writes.push(Write::Version(name, id, done.component.clone(), done.observed));
        }
        if let Err(reason) = &done.result {
            tracing::warn!(scale_set = %done.scale_set, instance = %done.instance, "driver: {reason}");
            instance.trouble = Some((now, reason.clone()));
            if instance.version.is_none() && set.driver.custody() == Custody::Host {
                instance.retry_at = Some(now + RETRY_AFTER);
            }
        }
        if set.upgrade.as_ref().is_some_and(phasegate_core::rollout::Upgrade::is_active) {
            set.answers.push(Event::EffectDone {
                operation: done.operation,
                instance: done.instance.clone(),
                result: done.result,
            });
        }
        self.announce(&done.scale_set, &done.instance);
    }

    fn note(&mut self, note: DriverNote) {
        let now = self.clock.now();
        let Some(set) = self.sets.get_mut(&note.scale_set) else { return };
        let Some(instance) = set.instances.get_mut(&note.instance) else { return };
        let kind = match note.kind {
            DriverNoteKind::Exited => "exited",
            DriverNoteKind::Restarted => "restarted",
        };
        tracing::warn!(scale_set = %note.scale_set, instance = %note.instance, "{}", note.text);
        instance.trouble = Some((now, note.text.clone()));
        // A note about the process before the latest effect comes too late to matter.
        if note.at >= instance.applied_at {
            instance.down = note.kind == DriverNoteKind::Exited;
        }
        if self.store_trouble.is_none() {
            self.writes.push(Write::Audit(AuditEntry {
                at: now,
                scale_set: note.scale_set,
                upgrade: None,
                instance: Some(note.instance),
                kind: kind.into(),
                text: note.text,
            }));
        }
    }

    /// Lets every upgrade look that has a reason to.
    fn look(&mut self) {
        let now = self.clock.now();
        let due = |set: &SetState| {
            let active = set.upgrade.as_ref().is_some_and(phasegate_core::rollout::Upgrade::is_active);
            let woken = set.dirty || !set.answers.is_empty() || set.wake_at.is_some_and(|at| at <= now);
            active && woken
        };
        let names: Vec<ScaleSetName> =
            self.sets.iter().filter(|(_, set)| due(set)).map(|(name, _)| name.clone()).collect();
        for name in names {
            self.step(&name, &[]);
        }
        self.retry_starts(now);
        self.retry_deletions(now);
        self.retry_upgrades(now);
    }

    /// Steps one upgrade with the drivers' answers and these events, and collects what it wants
    /// recorded and done.
    pub(super) fn step(&mut self, name: &ScaleSetName, events: &[Event]) {
        let now = self.clock.now();
        let Some(set) = self.sets.get_mut(name) else { return };
        set.dirty = false;
        let mut all = std::mem::take(&mut set.answers);
        all.extend_from_slice(events);
        let Some(mut upgrade) = set.upgrade.take() else { return };
        let before = Before::of(&upgrade);
        let Step { changed, head_changed, actions, wake_at } = step(&mut upgrade, &set.view(now), &all, now);
        set.wake_at = wake_at;
        self.writes.extend(audit::step(&upgrade, &before, &changed, set, now));
        for id in &changed {
            self.writes.push(match upgrade.members.get(id) {
                Some(member) => Write::Member(upgrade.id.clone(), id.clone(), member.clone()),
                None => Write::MemberLeft(upgrade.id.clone(), id.clone()),
            });
        }
        if head_changed {
            self.writes.push(Write::Upgrade(Box::new(upgrade.clone())));
        }
        let ended = before.was_active() && !upgrade.is_active();
        set.upgrade = Some(upgrade);
        self.effects_of(name, actions);
        if ended {
            self.ended(name);
        }
    }

    /// Makes the turn's writes durable, then performs its effects. While the store refuses,
    /// nothing is performed.
    pub(super) fn flush(&mut self) {
        let now = self.clock.now();
        if self.store_trouble.as_ref().is_some_and(|(retry_at, _)| now < *retry_at) {
            return;
        }
        if !self.writes.is_empty() || self.memories.due().is_some_and(|due| due <= now) {
            let own = self.writes.len();
            self.writes.extend(self.memories.writes());
            match self.store.commit(&self.writes) {
                Ok(()) => {
                    self.memories.recorded();
                    let used: Vec<Used> = self.writes.iter().filter_map(audit::used).collect();
                    if !used.is_empty() {
                        (self.keep_used)(used);
                    }
                    self.writes.drain(..).for_each(audit::log);
                    if self.store_trouble.take().is_some() {
                        tracing::info!("the store accepts writes again; going on");
                    }
                }
                Err(error) => {
                    // Memories wait where each instance has one.
                    self.writes.truncate(own);
                    tracing::error!("cannot record, so nothing is upgraded until it works again: {error}");
                    self.store_trouble = Some((now + RETRY_AFTER, error.to_string()));
                    return;
                }
            }
        }
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Run(effect) => self.perform(effect),
                Effect::Create { scale_set, instance, replaces, version, operation } => {
                    self.create((scale_set, instance, replaces), version, operation);
                }
                Effect::Delete { scale_set, instance, operation } => {
                    self.delete(scale_set, instance, operation);
                }
            }
        }
    }

    fn next_wake(&self) -> Option<Timestamp> {
        let upgrades = self.sets.values().filter_map(|set| set.wake_at);
        let starts = self.sets.values().flat_map(|set| set.instances.values().filter_map(|i| i.retry_at));
        let store = self.store_trouble.as_ref().map(|(retry_at, _)| *retry_at);
        let retries = self.sets.values().filter_map(SetState::retry_at);
        // While the store refuses, they wait for it.
        let memories = self.memories.due().filter(|_| self.store_trouble.is_none());
        upgrades.chain(starts).chain(store).chain(retries).chain(memories).min()
    }

    /// Tells the prober what it should know of an instance now.
    pub(super) fn announce(&self, name: &ScaleSetName, id: &InstanceId) {
        let Some(set) = self.sets.get(name) else { return };
        let Some(instance) = set.instances.get(id) else { return };
        // Nobody knows yet where it is, or what answers there means nothing any more.
        if instance.located == Located::Never || matches!(instance.place, Place::Leaving { .. }) {
            return;
        }
        (self.set_target)(Target {
            facts: Arc::new(set.facts(instance)),
            address: instance.spec.address.clone(),
            settings: Arc::new(set.spec.health.clone()),
            epoch: instance.epoch,
        });
    }
}
