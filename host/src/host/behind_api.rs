//! Who gives the API what it asks for besides the loop: the one place where those rooms and the API meet.

use std::sync::Arc;

use axum::body::Bytes;
use phasegate_core::domain::{
    By, Digest, ExtensionType, PluginName, PluginStamp, ReleaseVersion, ScaleSetName,
};
use phasegate_core::kernel::effect::Used;
use phasegate_core::lifecycle::{Key, Pair, Ticket};
use phasegate_wasm::Runtime;
use phasegate_wire as wire;

use crate::api::{
    Accepting, Again, Catalogue, Checking, Configuration, Held, JudgedAgain, Kept, Lacks, Plugins, Recording,
    Reloading, Source, Sources, Work,
};
use crate::catalogue::{self, CheckError, SourceView, Watches};
use crate::discovery::{AcceptError, Discoveries, HeldView, Seen, View};
use crate::measure::ProbesSeen;
use crate::plugins::hands::{Hands, HandsView, Lost};
use crate::plugins::{Counts, signature};
use crate::probe::Prober;
use crate::recording::{self, RecordedOutcome, Recorder, Replay};
use crate::reload::Reloader;
use crate::shell::{CommandError, CommandErrorKind};

impl Plugins for Hands {
    fn hold(&self, bytes: Bytes, signatures: &str) -> Held {
        let held = Self::hold(self, bytes, signature::lines(signatures.replace(',', "\n").as_bytes()));
        Held { digest: held.digest(), hold: Box::new(held) }
    }

    fn work(&self, plugin: &PluginName) -> Work {
        let HandsView { counts, failing, missed, lost } = self.view(plugin);
        let Counts { evaluated, unchanged, failed, log_lines_dropped } = counts;
        let lost = lost.map(|(digest, Lost { signature, cases })| Lacks { digest, signature, cases });
        Work { evaluated, unchanged, failed, log_lines_dropped, failing, missed, lacks: lost }
    }

    fn changes(&self, plugin: &PluginName, ticket: Ticket) -> Vec<(Key, Pair)> {
        Self::changes(self, plugin, ticket)
    }
}

impl Configuration for Arc<Reloader> {
    fn reload(&self, by: By) -> Reloading<'_> {
        Box::pin(Reloader::reload(self, by))
    }
}

/// Where versions are listed and who accepts them, as the API is given it.
pub(super) fn catalogue(of: &Arc<Watches>) -> Arc<dyn Catalogue> {
    Arc::new(Published(Arc::clone(of)))
}

struct Published(Arc<Watches>);

impl Catalogue for Published {
    fn source(&self, subject: &ExtensionType) -> Option<wire::ExtensionSource> {
        let SourceView { place, looked_at, versions, failing, refused } = self.0.view(subject)?;
        let (failing_since, failing) = failing.map(|(since, why)| (since.to_string(), why)).unzip();
        let refused = refused.into_iter();
        let refused =
            refused.map(|(version, reason)| wire::RefusedVersion { version: version.to_string(), reason });
        Some(wire::ExtensionSource {
            place,
            looked_at: looked_at.map(|at| at.to_string()),
            versions,
            failing_since,
            failing,
            refused: refused.collect(),
        })
    }

    fn check(&self, subject: ExtensionType, version: ReleaseVersion, digest: Option<Digest>) -> Checking<'_> {
        let checker = self.0.checker(&subject);
        Box::pin(async move {
            catalogue::check(&checker, &subject, (&version, digest)).await.map_err(|error| {
                let kind = match &error {
                    CheckError::Refused { .. } => CommandErrorKind::Refused,
                    CheckError::NotChecked { .. } => CommandErrorKind::Unavailable,
                };
                CommandError::new(kind, error.to_string())
            })
        })
    }
}

/// Where instances are found, as the API is given it.
pub(super) fn sources(of: &Arc<Discoveries>) -> Arc<dyn Sources> {
    Arc::new(Found(Arc::clone(of)))
}

struct Found(Arc<Discoveries>);

impl Sources for Found {
    fn of(&self, set: &ScaleSetName) -> Option<Source> {
        let View { source, instances, refreshed_at, failure, held, refused, problems, looks, failures } =
            self.0.view(set)?;
        let shown = wire::Discovery {
            scale_set: set.to_string(),
            source,
            instances,
            refreshed_at: refreshed_at.map(|at| at.to_string()),
            failing: failure.map(|Seen { since, text }| wire::DiscoveryFailing {
                since: since.to_string(),
                reason: text,
            }),
            held: held.map(|HeldView { seen, removed, of, ids }| wire::DiscoveryHeld {
                since: seen.since.to_string(),
                removed,
                of,
                instances: ids,
                reason: seen.text,
            }),
            refused,
            problems,
        };
        Some(Source { shown, refreshed_at, looks, failures })
    }

    fn accept(&self, set: ScaleSetName, by: By) -> Accepting<'_> {
        Box::pin(async move {
            self.0.accept(&set, by).await.map(drop).map_err(|error| {
                let kind = match &error {
                    AcceptError::NoDiscovery(_) => CommandErrorKind::NotFound,
                    AcceptError::NothingHeld(_) | AcceptError::Source(_) => CommandErrorKind::Conflict,
                    AcceptError::Refused(_) | AcceptError::Ending => CommandErrorKind::Unavailable,
                };
                CommandError::new(kind, error.to_string())
            })
        })
    }
}

/// The recording, and what judges its decisions again: never the instances that decide.
struct Recorded {
    recorder: Recorder,
    runtime: Runtime,
}

/// What the API is given of a recording.
pub(super) fn recording(recorder: Recorder, runtime: Runtime) -> Arc<dyn Recording> {
    Arc::new(Recorded { recorder, runtime })
}

/// How probes go, for as long as there is a prober.
pub(super) fn probes(prober: &Arc<Prober>) -> Arc<dyn Fn() -> ProbesSeen + Send + Sync> {
    // The host takes the prober apart at its end, which nobody else may hold then.
    let prober = Arc::downgrade(prober);
    Arc::new(move || prober.upgrade().map_or_else(ProbesSeen::default, |prober| prober.seen()))
}

impl Recording for Recorded {
    fn lost(&self) -> u64 {
        self.recorder.lost()
    }

    fn judge_again(&self, used: &Used) -> Kept {
        let recorder = &self.recorder;
        recorder.flush();
        let record = match recording::find_used(recorder.folder(), used) {
            Ok(Some(record)) => record,
            Ok(None) => return Kept::Missing,
            Err(error) => return Kept::Unreadable(error.into()),
        };
        let again = Replay::new(self.runtime.clone()).as_recorded(&record, recorder.folder());
        let again = again.map_err(Into::into).map(|again| Again {
            outcome: json(&again.outcome),
            fuel: again.cost.fuel,
            same: again.outcome == record.outcome,
            pure: again.pure,
        });
        let mut whole = serde_json::to_value(&record).unwrap_or_default();
        let parts = ["instance", "answers", "memory", "attributes"];
        let taken = parts
            .into_iter()
            .filter_map(|part| whole.get_mut(part).map(|value| (part.to_owned(), value.take())));
        Kept::Found(Box::new(JudgedAgain {
            observation: serde_json::Value::Object(taken.collect()),
            outcome: json(&record.outcome),
            redacted: record.redacted,
            stamp: PluginStamp { name: record.plugin, digest: record.digest, generation: record.generation },
            again,
        }))
    }
}

fn json(outcome: &RecordedOutcome) -> serde_json::Value {
    serde_json::to_value(outcome).unwrap_or_default()
}
