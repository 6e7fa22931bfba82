//! Why an upgrade treated an instance as it did: the recorded decision, judged again.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use phasegate_core::domain::{InstanceId, ScaleSetName, UpgradeId};
use phasegate_wire as wire;

use crate::api::answer::Refusal;
use crate::api::host::{Again, DecidedLine, Host, JudgedAgain, Kept, Used, moment};
use crate::api::path::In;
use crate::api::query::{Nothing, Query};

/// The decision that the latest upgrade took about an instance: observation, outcome, plugin, and the
/// outcome when it is judged again (null where it cannot be).
///
/// `same` is null where nothing can be proved, `note` says why. `standsIn` is null, or says which failure
/// made an older decision count (`onFailure = "last-good"`).
#[utoipa::path(
    get,
    path = "/v1/scale-sets/{name}/explain/{instance}",
    params(In<ScaleSetName>, In<InstanceId>),
    responses((status = 200, description = "The decision.", body = wire::Explanation))
)]
pub(super) async fn explain(
    State(host): State<Arc<Host>>,
    In(set): In<ScaleSetName>,
    In(instance): In<InstanceId>,
    Query(Nothing): Query<Nothing>,
) -> Result<Json<wire::Explanation>, Refusal> {
    let decided = host.decided(&set, &instance).await?;
    let upgrade = decided.upgrade.id;
    let Some(DecidedLine { at, verdict, stands_in, judged_at }) = decided.line else {
        return Err(undecided(&host, &set, &instance, &upgrade));
    };
    let mut answer = wire::Explanation {
        scale_set: set.to_string(),
        upgrade: upgrade.clone(),
        instance: instance.to_string(),
        verdict,
        at,
        stands_in,
        plugin: None,
        observation: serde_json::Value::Null,
        outcome: serde_json::Value::Null,
        again: serde_json::Value::Null,
        fuel: None,
        same: None,
        note: None,
    };
    let off = "nothing is recorded; set recording.maxMiB above 0";
    let Some(at) = judged_at else {
        let note = if host.recorded.is_none() { off } else { "no plugin had judged it" };
        answer.note = Some(note.to_owned());
        return Ok(Json(answer));
    };
    let upgrade = UpgradeId::parse(&upgrade)
        .map_err(|error| Refusal::internal(format!("upgrade `{upgrade}` {error}")))?;
    match host.judged_again(Used { scale_set: set, upgrade, instance, at }).await? {
        Kept::Off => answer.note = Some(off.to_owned()),
        Kept::Missing => {
            answer.note = Some(format!(
                "its evaluation of {} is neither in the recording nor kept for this upgrade; records are \
                 kept for the latest upgrades of a scale set, as far as recording.maxMiB lets them",
                moment(at)
            ));
        }
        Kept::Unreadable(why) => answer.note = Some(why),
        Kept::Found(judged) => fill(&mut answer, *judged),
    }
    Ok(Json(answer))
}

/// Why there is no decision: a scale set without the instance, or one that no upgrade has looked at.
fn undecided(host: &Host, set: &ScaleSetName, instance: &InstanceId, upgrade: &str) -> Refusal {
    let known = host.view().set(set).is_ok_and(|set| set.instance(instance).is_some());
    Refusal::not_found(if known {
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
