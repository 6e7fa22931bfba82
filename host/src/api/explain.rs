//! Why an upgrade treated an instance as it did: the recorded decision, judged again.

use crate::control::{
    Command, CommandError, CommandErrorKind, ControlHandle, read_stamp, read_stand_in, rfc3339,
};
use crate::recording::{self, Record, RecordedOutcome, Recorder, Replay, Used};
use phasegate_core::domain::{InstanceId, ScaleSetName, UpgradeId};
use phasegate_wasm::Runtime;
use phasegate_wire as wire;

/// What explaining needs.
pub struct Explain {
    /// The recording.
    pub recorder: Recorder,
    /// Judges again; never with the instances that decide.
    pub runtime: Runtime,
}

/// Explains the latest decision that the latest upgrade took about an instance.
pub(super) async fn run(
    control: &ControlHandle,
    explain: Option<&Explain>,
    name: ScaleSetName,
    instance: InstanceId,
) -> Result<wire::Explanation, CommandError> {
    let asked = name.clone();
    let status = control.ask(|reply| Command::Status(asked, reply)).await?;
    let (asked, only) = (name.clone(), Some(instance.clone()));
    let log = control.ask(|reply| Command::Log(asked, only, reply)).await?;
    let upgrade = status.status.id;
    let of_it = |entry: &&wire::LogEntry| {
        entry.upgrade.as_deref() == Some(&upgrade)
            && matches!(entry.kind, wire::LogKind::Decision | wire::LogKind::Hold)
    };
    let Some(entry) = log.entries.iter().rfind(of_it) else {
        exists(control, &name, &instance).await?;
        let message = format!(
            "upgrade `{upgrade}` of scale set `{name}` has decided nothing about instance `{instance}`; \
             see `phasegate upgrade log {name}`"
        );
        return Err(CommandError::new(CommandErrorKind::NotFound, message));
    };
    let (said, judged_at) =
        read_stamp(&entry.text).map_or((entry.text.as_str(), None), |(s, at)| (s, Some(at)));
    let mut answer = wire::Explanation {
        scale_set: name.to_string(),
        upgrade: upgrade.clone(),
        instance: instance.to_string(),
        verdict: said.to_owned(),
        at: entry.at.clone(),
        stands_in: read_stand_in(said).map(str::to_owned),
        plugin: None,
        observation: serde_json::Value::Null,
        outcome: serde_json::Value::Null,
        again: serde_json::Value::Null,
        fuel: None,
        same: None,
        note: None,
    };
    let (explain, judged_at) = match (explain, judged_at) {
        (Some(explain), Some(at)) => (explain, at),
        (None, _) => {
            answer.note = Some("nothing is recorded; set recording.maxMiB above 0".to_owned());
            return Ok(answer);
        }
        (_, None) => {
            answer.note = Some("no plugin had judged it".to_owned());
            return Ok(answer);
        }
    };
    let upgrade = UpgradeId::parse(&upgrade).map_err(|error| {
        CommandError::new(CommandErrorKind::Unavailable, format!("upgrade `{upgrade}` {error}"))
    })?;
    let (recorder, runtime) = (explain.recorder.clone(), explain.runtime.clone());
    let work = move || {
        recorder.flush();
        let used = Used { scale_set: name, upgrade, instance, at: judged_at };
        match recording::find_used(recorder.folder(), &used) {
            Ok(Some(record)) => again(&mut answer, &record, &recorder, runtime),
            Ok(None) => {
                answer.note = Some(format!(
                    "its evaluation of {} is neither in the recording nor kept for this upgrade; records are \
                     kept for the latest upgrades of a scale set, as far as recording.maxMiB lets them",
                    rfc3339(judged_at)
                ));
            }
            Err(error) => answer.note = Some(error.to_string()),
        }
        answer
    };
    let unavailable = |error: tokio::task::JoinError| {
        CommandError::new(CommandErrorKind::Unavailable, format!("it could not be judged again: {error}"))
    };
    tokio::task::spawn_blocking(work).await.map_err(unavailable)
}

/// Whether a scale set has an instance now.
async fn exists(
    control: &ControlHandle,
    name: &ScaleSetName,
    instance: &InstanceId,
) -> Result<(), CommandError> {
    let fleet = control.ask(Command::Fleet).await?;
    let mut sets = fleet.scale_sets.iter().filter(|set| set.name == name.as_str());
    if sets.any(|set| set.instances.iter().any(|one| one.id == instance.as_str())) {
        return Ok(());
    }
    let message = format!("scale set `{name}` has no instance `{instance}`; see `phasegate fleet`");
    Err(CommandError::new(CommandErrorKind::NotFound, message))
}

fn json(outcome: &RecordedOutcome) -> serde_json::Value {
    serde_json::to_value(outcome).unwrap_or_default()
}

fn again(answer: &mut wire::Explanation, record: &Record, recorder: &Recorder, runtime: Runtime) {
    answer.plugin = Some(wire::Stamp {
        name: record.plugin.to_string(),
        digest: record.digest.to_string(),
        generation: record.generation.0,
    });
    answer.outcome = json(&record.outcome);
    let mut whole = serde_json::to_value(record).unwrap_or_default();
    let parts = ["instance", "answers", "memory", "attributes"];
    let taken =
        parts.into_iter().filter_map(|part| whole.get_mut(part).map(|value| (part.to_owned(), value.take())));
    answer.observation = serde_json::Value::Object(taken.collect());
    match Replay::new(runtime).as_recorded(record, recorder.folder()) {
        Ok(again) => {
            answer.again = json(&again.outcome);
            answer.fuel = Some(again.cost.fuel);
            if record.redacted {
                answer.note =
                    Some("parts of the body were not written down, so nothing is proved".to_owned());
            } else {
                answer.same = Some(again.outcome == record.outcome);
            }
            if !again.pure {
                answer.note = Some(
                    "the plugin asked for the time or for random numbers: it promises no same answer"
                        .to_owned(),
                );
            }
        }
        Err(error) => answer.note = Some(format!("it cannot be judged again: {error}")),
    }
}
