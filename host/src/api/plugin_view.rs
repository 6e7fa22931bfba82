//! The JSON about plugins, made of what their lives and their hands report.
//!
//! Decides and formats nothing else: words of reasons come from the core.

use std::time::Duration;

use super::behind::{Plugins, Work};
use phasegate_core::domain::{PluginName, Timestamp, Verdict};
use phasegate_core::lifecycle::{Diff, Failing, Key, Load, Pair, Purity, Report, StepState, health};
use phasegate_wasm::settings_digest;
use phasegate_wire as wire;

/// One plugin; none before its first component decides.
#[must_use]
pub fn plugin(report: &Report, work: Work, now: Timestamp) -> Option<wire::Plugin> {
    let active = report.active.as_ref()?;
    let Work { evaluated, unchanged, failed, log_lines_dropped, failing, missed, lacks } = work;
    // Of another component it says nothing.
    let lacks = lacks.filter(|lacks| lacks.digest == active.digest);
    let failing =
        failing.map(|Failing { failed, instances, cause }| wire::PluginFailing { failed, instances, cause });
    let counters = report.counters;
    Some(wire::Plugin {
        name: report.name.to_string(),
        source: active.source.clone(),
        digest: active.digest.to_string(),
        generation: active.generation.0,
        world: active.facts.world.clone(),
        pure: active.facts.purity == Purity::Pure,
        size: active.size,
        loaded_at: active.loaded_at.to_string(),
        last_error: report.last_error.as_ref().map(ToString::to_string),
        signature_lost: lacks.as_ref().and_then(|lacks| lacks.signature.clone()),
        cases_missing: lacks.and_then(|lacks| lacks.cases),
        stage: report.stage.map(|stage| stage.name().into()),
        load: report.load.as_ref().map(|it| load(it, now)),
        beside: report.beside.as_ref().map(|it| load(it, now)),
        failing,
        counters: wire::PluginCounters {
            loads: counters.loads,
            refused: counters.refused,
            promoted: counters.promoted,
            reverted: counters.reverted,
            missed,
        },
        counts: wire::PluginCounts { evaluated, unchanged, failed, log_lines_dropped },
    })
}

fn load(load: &Load, now: Timestamp) -> wire::PluginLoad {
    let stage = |run: &phasegate_core::lifecycle::StageRun| {
        let running: Duration = now.since(run.began_at);
        let so_far = u64::try_from(running.as_millis()).unwrap_or(u64::MAX);
        wire::PluginStage {
            name: run.stage.name().into(),
            state: run.state.name().into(),
            ms: if run.state == StepState::Running { so_far } else { run.took_ms },
            note: run.note.clone(),
        }
    };
    wire::PluginLoad {
        source: load.source.clone(),
        strategy: load.strategy.name().into(),
        stages: load.trace.stages().iter().map(stage).collect(),
    }
}

/// A comparison, with the instances that the hands have of it.
#[must_use]
pub fn diff(name: &PluginName, diff: &Diff, hands: &dyn Plugins) -> wire::PluginDiff {
    let changed = |(key, pair): &(Key, Pair)| {
        let changes = pair.changes();
        (!changes.is_empty()).then(|| wire::PluginChange {
            scale_set: key.0.to_string(),
            instance: key.1.to_string(),
            changes,
            from: verdict(&pair.old),
            to: verdict(&pair.new),
        })
    };
    let seen = &diff.seen;
    wire::PluginDiff {
        plugin: name.to_string(),
        stage: diff.stage.name().into(),
        from: diff.from.to_string(),
        to: diff.to.to_string(),
        instances: seen.instances,
        compared: seen.compared,
        observations: seen.observations,
        missed: seen.missed,
        changed: seen.changed,
        failed_new: seen.failed_new,
        failed_old: seen.failed_old,
        refusal: diff.refusal.as_ref().map(|why| format!("it {why}")),
        changes: hands.changes(name, diff.ticket).iter().filter_map(changed).collect(),
    }
}

fn verdict(verdict: &Verdict) -> wire::PluginVerdict {
    match verdict {
        Ok(decision) => wire::PluginVerdict {
            health: Some(health(decision.claim).into()),
            phase: decision.phase.map(phasegate_core::domain::Phase::get),
            participation: Some(decision.participation.name().into()),
            reason: decision.reason.as_ref().map(|reason| reason.detail.clone()),
        },
        Err(failure) => wire::PluginVerdict {
            health: None,
            phase: None,
            participation: None,
            reason: Some(failure.to_string()),
        },
    }
}

/// The generations that can be gone back to.
#[must_use]
pub fn history(report: &Report) -> wire::PluginHistory {
    let generation = |row: &phasegate_core::record::StoredGeneration| wire::PluginGeneration {
        generation: row.generation.0,
        digest: row.digest.to_string(),
        settings: settings_digest(&row.settings).to_string(),
        source: row.source.clone(),
        at: row.at.to_string(),
        why: row.why.clone(),
    };
    wire::PluginHistory {
        name: report.name.to_string(),
        generations: report.history.iter().map(generation).collect(),
    }
}
