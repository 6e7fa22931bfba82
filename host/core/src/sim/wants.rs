//! What people want of plugins: other components under every strategy, ways back, files that are written, and
//! a configuration that says something else. When all is quiet they see to it that something good decides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{
    Forbidden, Gate, Generation, Isolation, OnFailure, PluginLimits, PluginName, PluginSpec, RequestId,
    Strategy, SwapRules,
};
use crate::kernel::command::Reconfiguration;
use crate::kernel::{Answer, Command, Event};
use crate::lifecycle::{self, Offer, Place, Stage, SwapMode, SwapOptions};

use super::code::{GOOD, any_letter, component};
use super::people::Why;
use super::rng::Rng;
use super::world::{Happening, World};

/// A reload that waits until every plugin is ready for it.
pub(super) struct Preparing {
    /// What is to be taken up, by plugin.
    specs: BTreeMap<PluginName, Arc<PluginSpec>>,
    /// Under which requests.
    prepared: Vec<(PluginName, RequestId)>,
    /// How many have not answered.
    waits_for: usize,
    is_refused: bool,
}

/// What the configuration of a new world says of a plugin.
pub(super) fn spec(rng: &mut Rng, name: PluginName, on_failure: OnFailure) -> PluginSpec {
    PluginSpec {
        name,
        source: "one.wasm".to_owned(),
        settings: "{}".to_owned(),
        limits: PluginLimits::DEFAULT,
        isolation: Isolation::PerBatch,
        on_failure,
        digest: None,
        asks: String::new(),
        swap: rules(rng),
    }
}

fn rules(rng: &mut Rng) -> SwapRules {
    let forbid = if rng.chance(300) { vec![Forbidden::SkipAdded] } else { Vec::new() };
    let gate = Gate {
        changed_max: rng.pick(&[None, Some(50), Some(100)]).copied().flatten(),
        forbid,
        observations_min: u32::try_from(rng.between(1, 10)).unwrap(),
        time_min: Duration::from_secs(rng.between(5, 30)),
    };
    SwapRules {
        strategy: rng.pick(&Strategy::ALL).copied().unwrap(),
        gate: rng.chance(500).then_some(gate),
        watch_time: Duration::from_secs(if rng.chance(200) { 0 } else { rng.between(10, 60) }),
    }
}

impl World {
    /// A person may want something of a plugin.
    pub(super) fn people_and_plugins(&mut self) {
        let names: Vec<PluginName> = self.plugins.keys().cloned().collect();
        if self.is_quiet() {
            names.iter().for_each(|name| self.see_to(name));
        } else if self.rng.chance(self.scenario.faults.swaps)
            && let Some(name) = self.rng.pick(&names).cloned()
        {
            self.want(&name);
        }
    }

    /// Lets something good decide, and nothing wait for a person.
    fn see_to(&mut self, name: &PluginName) {
        let Some(kernel) = &self.kernel else { return };
        let Ok(life) = kernel.fleet().plugin(name) else { return };
        let (stage, is_new) = (life.report().stage, life.in_force().is_none());
        let judges = self.plugins.get(name).and_then(|plugin| plugin.hands.judges.as_ref());
        let is_bad = judges.is_some_and(|(_, code)| code.is_bad());
        match stage {
            _ if is_new => {}
            Some(Stage::Shadow) => {
                let done = [lifecycle::Command::Promote, lifecycle::Command::Discard];
                let done = self.rng.pick(&done).cloned().unwrap();
                self.ask_plugin(name, done);
            }
            Some(Stage::Watch) | None if is_bad => {
                let offer = Offer::Held { digest: component(GOOD), source: "upload".to_owned() };
                let options = SwapOptions { strategy: Some(Strategy::Immediate), mode: SwapMode::Force };
                self.ask_plugin(name, lifecycle::Command::Swap(offer, options));
            }
            Some(_) | None => {}
        }
    }

    fn want(&mut self, name: &PluginName) {
        let letter = any_letter(&mut self.rng);
        let numbers = self.plugins.get(name).and_then(|plugin| plugin.numbers.keys().next_back());
        let latest = numbers.map_or(1, |latest| latest.0);
        let command = match self.rng.between(0, 11) {
            0..=4 => {
                let modes =
                    [SwapMode::Force, SwapMode::DryRun, SwapMode::Heed, SwapMode::Heed, SwapMode::Heed];
                let mode = self.rng.pick(&modes).copied().unwrap();
                let strategy = self.rng.pick(&Strategy::ALL).copied().filter(|_| mode == SwapMode::Heed);
                let offer = if self.rng.chance(200) {
                    Offer::Reference(format!("oci://{}", char::from(letter)))
                } else {
                    Offer::Held { digest: component(letter), source: "upload".to_owned() }
                };
                lifecycle::Command::Swap(offer, SwapOptions { strategy, mode })
            }
            5 => lifecycle::Command::Rollback(None),
            6 => lifecycle::Command::Rollback(Some(Generation(self.rng.between(1, latest)))),
            7 => lifecycle::Command::Promote,
            8 => lifecycle::Command::Discard,
            9 => return self.write_file(name, letter),
            _ => return self.prepare_reload(),
        };
        self.ask_plugin(name, command);
    }

    fn ask_plugin(&mut self, name: &PluginName, command: lifecycle::Command) {
        self.ask(Command::Plugin(name.clone(), Box::new(command)), Why::Whatever);
    }

    /// Swaps a component in, and insists: under the first of the plugins, as often as it is not heard.
    pub(super) fn swap(&mut self, letter: u8) {
        let Some(name) = self.plugins.keys().next().cloned() else { return };
        let offer = Offer::Held { digest: component(letter), source: "upload".to_owned() };
        let options = SwapOptions { strategy: Some(Strategy::Rehearse), mode: SwapMode::Force };
        let command = lifecycle::Command::Swap(offer, options);
        self.ask(Command::Plugin(name, Box::new(command)), Why::Swap(letter));
    }

    /// A person who heard that a swap was not made tries again.
    pub(super) fn swap_again(&mut self, letter: u8) {
        let after = self.seconds(5, 10);
        self.at(after, Happening::Swap(letter));
    }

    /// The file that the configuration names holds something else.
    fn write_file(&mut self, name: &PluginName, letter: u8) {
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        plugin.places.insert(plugin.in_use.source.clone(), letter);
        if self.is_open() {
            let event = lifecycle::Event::FileSeen(component(letter));
            self.inbox.push(Event::Plugin(name.clone(), event));
        }
    }

    /// The configuration file says something else of each plugin; it is read again when all of them are ready.
    fn prepare_reload(&mut self) {
        if self.preparing.is_some() || !self.is_open() {
            return;
        }
        let mut specs = BTreeMap::new();
        for (name, plugin) in &mut self.plugins {
            let rng = &mut self.rng;
            let file = &mut plugin.file;
            match rng.between(0, 4) {
                0 => file.settings = format!("{{\"a\":{}}}", rng.between(1, 2)),
                1 => file.settings = "{}".to_owned(),
                2 => rng.pick(&["one.wasm", "two.wasm"]).copied().unwrap().clone_into(&mut file.source),
                3 => drop(plugin.places.insert(file.source.clone(), any_letter(rng))),
                _ => file.swap = rules(rng),
            }
            specs.insert(name.clone(), Arc::new(file.clone()));
        }
        let waits_for = specs.len();
        self.preparing =
            Some(Preparing { specs: specs.clone(), prepared: Vec::new(), waits_for, is_refused: false });
        for (name, spec) in specs {
            let command = lifecycle::Command::Prepare(spec, Place::MayMove);
            self.ask(Command::Plugin(name.clone(), Box::new(command)), Why::Prepare(name));
        }
    }

    /// A plugin is ready for what the file says, or is not.
    pub(super) fn prepared(&mut self, name: PluginName, request: RequestId, answer: &Answer) {
        let Some(preparing) = &mut self.preparing else { return };
        preparing.waits_for -= 1;
        match answer {
            Ok(_) => preparing.prepared.push((name, request)),
            Err(_) => preparing.is_refused = true,
        }
        if preparing.waits_for > 0 {
            return;
        }
        if preparing.is_refused {
            return self.abandon();
        }
        let plugins = preparing.prepared.clone();
        let change = Reconfiguration { plugins, ..Reconfiguration::default() };
        self.ask(Command::Reconfigure(change), Why::TakeUp);
    }

    /// What was prepared is in force, all of it, or nothing is.
    pub(super) fn taken_up(&mut self, answer: &Answer) {
        if answer.is_err() {
            return self.abandon();
        }
        for (name, spec) in self.preparing.take().into_iter().flat_map(|preparing| preparing.specs) {
            if let Some(plugin) = self.plugins.get_mut(&name) {
                plugin.in_use = spec;
            }
        }
    }

    fn abandon(&mut self) {
        for (name, request) in self.preparing.take().into_iter().flat_map(|preparing| preparing.prepared) {
            let abandon = lifecycle::Event::Wanted(request, lifecycle::Command::Abandon);
            self.inbox.push(Event::Plugin(name, abandon));
        }
    }
}
