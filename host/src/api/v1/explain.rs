//! Why an upgrade treated an instance as it did: the recorded decision, judged again.

use std::sync::Arc;

use axum::extract::State;
use phasegate_core::domain::{InstanceId, ScaleSetName, UpgradeId};
use phasegate_core::kernel::effect::Used;
use phasegate_core::record::audit::Stamp;
use phasegate_wire as wire;

use crate::api::answer::{Json, Refusal};
use crate::api::behind::{Again, JudgedAgain, Kept};
use crate::api::host::{Decided, Host};
use crate::api::path::{In, Named};
use crate::api::query::{FromQuery, Key, Query, Times};
use crate::api::v1::view;

/// Which upgrade decided.
#[derive(Debug, Default)]
pub(super) struct Of {
    upgrade: Option<UpgradeId>,
}

impl FromQuery for Of {
    const KEYS: &'static [Key] =
        &[Key { name: "upgrade", about: "The upgrade of this id, not the latest.", times: Times::Once }];

    fn set(&mut self, _: &str, value: &str) -> Result<(), Refusal> {
        self.upgrade = Some(<UpgradeId as Named>::parse(value)?);
        Ok(())
    }
}

/// The decision that the latest upgrade, or that of `upgrade`, took about an instance: observation, outcome, plugin, and the
/// outcome when it is judged again (null where it cannot be).
///
/// Of an instance that was let go, that is the decision on which it was (`admission`).
/// `same` is null where nothing can be proved, `note` says why. `standsIn` is null, or says which failure
/// made an older decision count (`onFailure = "last-good"`).
#[utoipa::path(
    get,
    path = "/v1/scale-sets/{name}/explain/{instance}",
    params(In<ScaleSetName>, In<InstanceId>, Query<Of>),
    responses((status = 200, description = "The decision.", body = wire::Explanation))
)]
pub(super) async fn explain(
    State(host): State<Arc<Host>>,
    In(set): In<ScaleSetName>,
    In(instance): In<InstanceId>,
    Query(Of { upgrade }): Query<Of>,
) -> Result<Json<wire::Explanation>, Refusal> {
    let Decided { upgrade, entry } = host.decided(&set, &instance, upgrade).await?;
    let Some(entry) = entry else { return Err(undecided(&host, &set, &instance, &upgrade)) };
    let mut answer = wire::Explanation {
        scale_set: set.to_string(),
        upgrade: upgrade.to_string(),
        instance: instance.to_string(),
        verdict: entry.said(),
        at: entry.at.to_string(),
        stands_in: entry.stamp.as_ref().and_then(Stamp::older),
        admission: view::admission(&entry),
        plugin: None,
        observation: serde_json::Value::Null,
        outcome: serde_json::Value::Null,
        custom_metrics: None,
        again: serde_json::Value::Null,
        fuel: None,
        same: None,
        note: None,
    };
    let off = "nothing is recorded; set recording.maxMiB above 0";
    let Some(at) = entry.stamp.map(|stamp| stamp.judged_at) else {
        let note = if host.recording.is_none() { off } else { "no plugin had judged it" };
        answer.note = Some(note.to_owned());
        return Ok(Json(answer));
    };
    match host.judged_again(Used { scale_set: set, upgrade, instance, at }).await? {
        None => answer.note = Some(off.to_owned()),
        Some(Kept::Missing) => {
            answer.note = Some(format!(
                "its evaluation of {at} is neither in the recording nor kept for this upgrade; records are \
                 kept for the latest upgrades of a scale set, as far as recording.maxMiB lets them"
            ));
        }
        Some(Kept::Unreadable(why)) => answer.note = Some(why.to_string()),
        Some(Kept::Found(judged)) => fill(&mut answer, *judged),
    }
    Ok(Json(answer))
}

/// Why there is no decision: a scale set without the instance, or an upgrade that has not looked at it.
fn undecided(host: &Host, set: &ScaleSetName, instance: &InstanceId, upgrade: &UpgradeId) -> Refusal {
    Refusal::not_found(if host.has(set, instance) {
        format!(
            "upgrade `{upgrade}` of scale set `{set}` has decided nothing about instance `{instance}`; \
             see `phasegate upgrade log {set}`"
        )
    } else {
        format!("scale set `{set}` has no instance `{instance}`; see `phasegate fleet`")
    })
}

fn fill(answer: &mut wire::Explanation, judged: JudgedAgain) {
    let JudgedAgain { stamp, observation, outcome, redacted, again } = judged;
    answer.plugin = Some(wire::Stamp {
        name: stamp.name.to_string(),
        digest: stamp.digest.to_string(),
        generation: stamp.generation.0,
    });
    answer.observation = observation;
    answer.custom_metrics = view::recorded_custom_metrics(&outcome);
    answer.outcome = outcome;
    match again {
        Ok(Again { outcome, fuel, same, pure }) => {
            answer.again = outcome;
            answer.fuel = Some(fuel);
            answer.same = (!redacted).then_some(same);
            let note = match (pure, redacted) {
                (false, _) => {
                    Some("the plugin asked for the time or for random numbers: it promises no same answer")
                }
                (true, true) => Some("parts of the body were not written down, so nothing is proved"),
                (true, false) => None,
            };
            answer.note = note.map(str::to_owned);
        }
        Err(why) => answer.note = Some(format!("it cannot be judged again: {why}")),
    }
}
