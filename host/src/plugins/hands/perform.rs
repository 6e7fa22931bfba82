//! From an effect of a life to what does it: a stage on a thread of its own, or the worker that decides.

use std::sync::Arc;

use super::job::{self, Job};
use super::{Hands, Plugin, beside, lock};
use crate::plugins::{PluginTrouble, PluginWorker, Watchers};
use phasegate_core::domain::{Decided, Digest, Generation, Observation, PluginName};
use phasegate_core::lifecycle::{Answer, Effect, Event, Failing, HandError, Ticket};
use phasegate_wasm::LoadedPlugin;

impl Hands {
    /// Does what a step wants, in order. What lasts goes on when this has returned.
    pub fn perform(&self, name: &PluginName, effects: Vec<Effect>) {
        for effect in effects {
            if self.shared.plugins.contains_key(name) {
                self.perform_one(name, effect);
            }
        }
    }

    fn perform_one(&self, name: &PluginName, effect: Effect) {
        let Some(plugin) = self.shared.plugins.get(name) else { return };
        match effect {
            Effect::Fetch(ticket, from) => {
                lock(&plugin.jobs).insert(ticket, Job::new(from));
                self.aside(name, ticket, job::fetch);
            }
            Effect::Compile(ticket) => self.aside(name, ticket, job::compile),
            Effect::Configure(ticket, setting) => {
                self.aside(name, ticket, move |at| job::configure(at, &setting));
            }
            Effect::SelfTest(ticket, limits) => {
                self.aside(name, ticket, move |at| job::self_test(at, limits));
            }
            Effect::Rehearse { ticket, gate, only } => {
                self.aside(name, ticket, move |at| job::rehearse(at, gate.as_ref(), only));
            }
            Effect::Keep(ticket) => self.aside(name, ticket, job::keep),
            Effect::BeginShadow(ticket, order) => {
                lock(&plugin.jobs).entry(ticket).or_insert_with(Job::beside);
                self.aside(name, ticket, move |at| beside::begin(at, &order));
            }
            Effect::EndShadow(ticket) => plugin.end_shadow(ticket),
            Effect::Activate { ticket, generation } => self.activate(plugin, ticket, generation),
            Effect::Cancel(ticket) => plugin.cancel(ticket),
            Effect::DropComparison(ticket) => {
                lock(&plugin.comparisons).remove(&ticket);
            }
            Effect::Retain(used) => {
                let held = plugin.kept_by_jobs();
                self.shared.disk.needs(name, used.into_iter().chain(held).collect());
                let shared = Arc::clone(&self.shared);
                let thread = std::thread::Builder::new().name("plugin-prune".to_owned());
                // Without a thread the next one tidies up.
                let _ = thread.spawn(move || shared.disk.prune());
            }
        }
    }

    /// Runs one stage on a thread of its own, and says how it went. A job that is over says nothing.
    fn aside(
        &self,
        name: &PluginName,
        ticket: Ticket,
        stage: impl FnOnce(&job::At<'_>) -> Result<Answer, HandError> + Send + 'static,
    ) {
        let (shared, owned) = (Arc::clone(&self.shared), name.clone());
        let run = move || {
            let Some(plugin) = shared.plugins.get(&owned) else { return };
            let at = job::At { shared: &shared, plugin, ticket };
            let answer = phasegate_wasm::guarded("a hand of the plugin", || stage(&at));
            let answer = answer.unwrap_or_else(|panic| Err(HandError::Broken(panic.to_string())));
            at.say(answer.unwrap_or_else(Answer::Failed));
        };
        let thread = std::thread::Builder::new().name(format!("hand-{name}")).stack_size(job::STACK_BYTES);
        if let Err(error) = thread.spawn(run) {
            let said = HandError::Broken(format!("no thread for it: {error}"));
            let answer = Answer::Failed(said);
            (self.shared.on_event)(name, Event::Hand(ticket, answer));
        }
    }

    /// Lets a component decide from now on. It is configured, so nothing but a missing thread is in the way.
    fn activate(&self, plugin: &Plugin, ticket: Ticket, generation: Generation) {
        plugin.end_shadow(ticket);
        let job = lock(&plugin.jobs).remove(&ticket);
        let spare =
            lock(&plugin.shadow).take_if(|(of, _)| *of == ticket).and_then(|(_, shadow)| shadow.spare());
        let Some(loaded) = spare.or_else(|| job.as_ref().and_then(Job::take_plugin)) else {
            tracing::error!(plugin = %plugin.name, "{ticket:?} is to decide and is not here; please report it");
            return;
        };
        let mut running = lock(&plugin.running);
        match &running.worker {
            Some(worker) => worker.swap(loaded, generation),
            None => match self.spawn(plugin, loaded, generation) {
                Ok(worker) => {
                    for (set, instance, memory) in std::mem::take(&mut running.memories) {
                        worker.remember(set, instance, memory);
                    }
                    running.worker = Some(worker);
                }
                Err(error) => {
                    tracing::error!(plugin = %plugin.name, "its worker cannot be started: {error}");
                }
            },
        }
    }

    fn spawn(
        &self,
        plugin: &Plugin,
        loaded: LoadedPlugin,
        generation: Generation,
    ) -> std::io::Result<PluginWorker> {
        let (taking, on_decisions) = (Arc::clone(&plugin.tap), Arc::clone(&self.shared.on_decisions));
        let on_decided = Box::new(move |batch: Vec<(Arc<Observation>, Decided)>| {
            let tapped = |(observation, decided)| {
                taking.take(observation, &decided);
                decided
            };
            on_decisions(batch.into_iter().map(tapped).collect());
        });
        let (troubled, on_failing) = (Arc::clone(&plugin.tap), Arc::clone(&self.shared.on_failing));
        let (on_event, name) = (Arc::clone(&self.shared.on_event), plugin.name.clone());
        let on_trouble = Box::new(move |trouble: PluginTrouble| {
            troubled.trouble(trouble.generation);
            let PluginTrouble { generation, failed, judged, cause, .. } = &trouble;
            let seen = Failing { failed: *failed, instances: *judged, cause: cause.clone() };
            let failing = troubled.failing().unwrap_or(seen);
            let event = Event::Trouble(*generation, failing);
            on_failing(trouble);
            on_event(&name, event);
        });
        let watchers = Watchers { on_decided, on_trouble, recorder: self.shared.recorder.clone() };
        let (name, clock) = (plugin.name.clone(), self.shared.clock);
        PluginWorker::spawn_watched(name, loaded, generation, watchers, clock)
    }
}

impl Plugin {
    /// Ends a job: what its hand still says is not passed on.
    fn cancel(&self, ticket: Ticket) {
        if let Some(job) = lock(&self.jobs).remove(&ticket) {
            job.stop();
        }
        lock(&self.shadow).take_if(|(of, _)| *of == ticket);
    }

    /// Ends what judges beside the active component; the instance that is to take over goes to its job.
    fn end_shadow(&self, ticket: Ticket) {
        let ended = lock(&self.shadow).take_if(|(of, _)| *of == ticket);
        let spare = ended.and_then(|(_, shadow)| shadow.spare());
        if let (Some(spare), Some(job)) = (spare, lock(&self.jobs).get(&ticket)) {
            job.give_plugin(spare);
        }
    }

    /// What jobs have put on the disk and no record names yet.
    fn kept_by_jobs(&self) -> Vec<Digest> {
        lock(&self.jobs).values().filter_map(Job::digest).collect()
    }
}
