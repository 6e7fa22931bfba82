//! Runs the cases on a component as a host would, and looks for state that it keeps.
//!
//! A host may use an instance again, make a new one, and split, repeat and permute batches. So each
//! observation is judged alone by a new instance first; every other way of asking must bring the
//! same answer, or the plugin keeps something in its globals.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::cases::{Case, Difference, Got, show};
use super::{BATCH_MAX, CompiledPlugin, Isolation, Limits, LoadPluginError, LoadedPlugin};
use phasegate_core::domain::Observation;

/// State that is told of; one is enough to act on.
const STATES_MAX: usize = 3;

/// What came of all cases.
#[derive(Debug)]
pub struct Trial {
    /// One for each case, in order.
    pub outcomes: Vec<Outcome>,
    /// Answers that depend on more than their observation.
    pub states: Vec<HiddenState>,
    /// How near it came to the limits.
    pub budget: Budget,
}

/// What came of one case.
#[derive(Debug)]
pub struct Outcome {
    /// Its file.
    pub file: String,
    /// Its name.
    pub name: String,
    /// What differs; empty when it passed.
    pub differences: Vec<Difference>,
    /// One line about what came.
    pub got: String,
}

/// An observation whose answer depends on how it was asked.
#[derive(Debug)]
pub struct HiddenState {
    /// The case that it is from.
    pub case: String,
    /// How it was asked when the answer differed.
    pub when: &'static str,
    /// The answer of a new instance that was asked this alone.
    pub alone: String,
    /// The other answer.
    pub then: String,
}

/// How near a plugin came to its limits.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// CPU time of the longest call, with a full batch.
    pub longest: Duration,
    /// Observations in that call.
    pub batch: usize,
    /// The most memory that an instance had.
    pub memory_bytes: usize,
    /// The most work that one observation took.
    pub fuel: u64,
    /// What it may use.
    pub limits: Limits,
}

/// Observations with the same settings and time, and what a new instance answers to each alone.
struct Group<'a> {
    settings: &'a str,
    now_ms: u64,
    cases: Vec<(&'a str, Observation, Got)>,
}

/// Runs all cases.
///
/// # Errors
/// When the plugin does not even start, whatever its settings.
pub fn run(plugin: &CompiledPlugin, cases: &[Case], limits: Limits) -> Result<Trial, LoadPluginError> {
    if let Err(error @ LoadPluginError::Start(_)) = plugin.configure("{}", limits, Isolation::PerBatch) {
        return Err(error);
    }
    let mut groups: BTreeMap<(&str, u64), Group<'_>> = BTreeMap::new();
    let mut trial = Trial {
        outcomes: Vec::new(),
        states: Vec::new(),
        budget: Budget { longest: Duration::ZERO, batch: 0, memory_bytes: 0, fuel: 0, limits },
    };
    for case in cases {
        let got = ask_alone(plugin, case, limits);
        trial.outcomes.push(Outcome {
            file: case.file.clone(),
            name: case.name.clone(),
            differences: case.expected.compare(&got),
            got: show(&got),
        });
        if let (Some(observation), Got::Judged(_)) = (&case.observation, &got) {
            let group = groups.entry((&case.settings, case.now_ms)).or_insert_with(|| Group {
                settings: &case.settings,
                now_ms: case.now_ms,
                cases: Vec::new(),
            });
            group.cases.push((&case.name, observation.clone(), got));
        }
    }
    for group in groups.into_values() {
        // It was configured with these settings a moment ago; a second time it fails only by keeping
        // state outside of itself, which it cannot.
        let Ok(mut reused) = plugin.configure(group.settings, limits, Isolation::Reused) else { continue };
        look_for_state(plugin, &group, limits, &mut reused, &mut trial.states);
        measure(&group, &mut reused, &mut trial.budget);
    }
    Ok(trial)
}

pub(super) fn ask_alone(plugin: &CompiledPlugin, case: &Case, limits: Limits) -> Got {
    match plugin.configure(&case.settings, limits, Isolation::PerBatch) {
        Err(LoadPluginError::SettingsRefused(said)) => Got::Refused(said),
        Err(error) => Got::Broken(error.to_string()),
        Ok(mut loaded) => match &case.observation {
            Some(observation) => Got::Judged(one(&mut loaded, observation, case.now_ms)),
            None => Got::Accepted,
        },
    }
}

fn one(loaded: &mut LoadedPlugin, observation: &Observation, now_ms: u64) -> phasegate_core::domain::Verdict {
    let lost = || Err(phasegate_core::domain::PluginFailure::BadOutput("no result".to_owned()));
    loaded.evaluate(std::slice::from_ref(observation), now_ms).pop().unwrap_or_else(lost)
}

fn look_for_state(
    plugin: &CompiledPlugin,
    group: &Group<'_>,
    limits: Limits,
    reused: &mut LoadedPlugin,
    states: &mut Vec<HiddenState>,
) {
    // A failure ends an instance, so that the one after it is new: no state to find there, and a
    // batch with one is split, which costs time and shows nothing.
    let sound: Vec<usize> = (0..group.cases.len()).filter(|at| group.is_sound(*at)).collect();
    for when in ["in an instance that judged others before", "when it was asked once more"] {
        for &at in &sound {
            let Some((_, observation, _)) = group.cases.get(at) else { continue };
            let got = Got::Judged(one(reused, observation, group.now_ms));
            group.note(at, when, &got, states);
        }
    }
    let Ok(mut fresh) = plugin.configure(group.settings, limits, Isolation::PerBatch) else { return };
    let mut reversed = sound.clone();
    reversed.reverse();
    let mut turned = sound.clone();
    turned.rotate_left(sound.len() / 2);
    for (when, order) in [
        ("in a batch with others", &sound),
        ("in a batch in another order", &reversed),
        ("in a batch in another order", &turned),
    ] {
        for loaded in [&mut fresh, &mut *reused] {
            let batch: Vec<Observation> =
                order.iter().filter_map(|at| group.cases.get(*at)).map(|(_, seen, _)| seen.clone()).collect();
            let results = loaded.evaluate(&batch, group.now_ms);
            for (at, result) in order.iter().zip(results) {
                group.note(*at, when, &Got::Judged(result), states);
            }
        }
    }
}

impl Group<'_> {
    /// Whether a case is one that no failure of the plugin, other than its own word, ends.
    fn is_sound(&self, at: usize) -> bool {
        use phasegate_core::domain::PluginFailure::Refused;
        self.cases.get(at).is_some_and(|(_, _, got)| matches!(got, Got::Judged(Ok(_) | Err(Refused { .. }))))
    }

    fn note(&self, at: usize, when: &'static str, got: &Got, states: &mut Vec<HiddenState>) {
        let Some((name, _, alone)) = self.cases.get(at) else { return };
        let known = states.iter().any(|state| state.case == *name && state.when == when);
        if alone != got && !known && states.len() < STATES_MAX {
            let case = (*name).to_owned();
            states.push(HiddenState { case, when, alone: show(alone), then: show(got) });
        }
    }
}

/// The work of each case alone, and the time of a full batch made of them.
fn measure(group: &Group<'_>, reused: &mut LoadedPlugin, budget: &mut Budget) {
    let sound = (0..group.cases.len()).filter(|at| group.is_sound(*at));
    let cases: Vec<&Observation> =
        sound.filter_map(|at| group.cases.get(at)).map(|(_, seen, _)| seen).collect();
    if cases.is_empty() {
        return;
    }
    for seen in &cases {
        let alone = reused.judge(std::slice::from_ref(*seen), group.now_ms);
        let fuel = alone.costs.iter().map(|cost| cost.fuel).max().unwrap_or(0);
        budget.fuel = budget.fuel.max(fuel);
    }
    let full: Vec<Observation> = cases.iter().copied().cycle().take(BATCH_MAX).cloned().collect();
    let clock = Arc::clone(reused.clock());
    let before = clock.thread_cpu();
    let _ = reused.evaluate(&full, group.now_ms);
    let took = clock.thread_cpu().saturating_sub(before);
    if took > budget.longest {
        (budget.longest, budget.batch) = (took, full.len());
    }
    budget.memory_bytes = budget.memory_bytes.max(reused.memory_bytes());
}
