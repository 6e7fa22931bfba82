//! Takes no RabbitMQ node down on which a quorum depends, by what its management API says.
//!
//! `GET /api/health/checks/node-is-quorum-critical` answers 503 where quorum queues, streams or the metadata would lose
//! their majority without this node: it is deferred until others are back. Sources with the names `alarms` and
//! `in-service` are looked at, too, where they are configured. Deliberately drains nothing: that is
//! `rabbitmq-upgrade drain`, which belongs into a hook.

use phasegate_sdk::{Answer, Decision, Failure, NoSettings, Observation, Policy, Response};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Names of sources whose failed check means that the node does not serve.
const SERVING: [&str; 2] = ["alarms", "in-service"];

/// Most queues that a line for people names.
const NAMED_MAX: usize = 3;

/// The policy.
#[derive(Debug)]
pub struct RabbitmqQuorum;

/// What a health check of the management API answers.
#[derive(Debug, Deserialize)]
struct Check {
    status: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    queues: Vec<Queue>,
    /// Also so that a list is no record: without it one is read by position.
    #[serde(flatten)]
    _others: IgnoredAny,
}

#[derive(Debug, Deserialize)]
struct Queue {
    #[serde(default)]
    readable_name: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(flatten)]
    _others: IgnoredAny,
}

/// How a check came out.
enum Outcome {
    Passed(Check),
    Failed(Check),
    /// It could not be made: code and detail.
    Unknown(&'static str, String),
}

impl Policy for RabbitmqQuorum {
    type Settings = NoSettings;

    fn new(_: NoSettings) -> Result<Self, String> {
        Ok(Self)
    }

    fn decide(&self, observation: &Observation) -> Result<Decision, Failure> {
        let Some(answer) = observation.health() else {
            return Err(Failure::Unreadable("the observation has no answer".to_owned()));
        };
        let quorum = outcome(answer)?;
        for name in SERVING {
            let Some(answer) = observation.answer(name) else { continue };
            match outcome(answer)? {
                Outcome::Passed(_) => {}
                Outcome::Failed(check) => {
                    let why = check.reason.unwrap_or_else(|| "it gives no reason".to_owned());
                    let detail = format!("the check `{name}` fails: {why}");
                    let decision = Decision::unhealthy().phase(0).reason(name, detail);
                    return Ok(held(decision, &quorum));
                }
                Outcome::Unknown(code, detail) => {
                    return Ok(Decision::unknown().defer(code, format!("source `{name}`: {detail}")));
                }
            }
        }
        Ok(match &quorum {
            Outcome::Passed(check) => {
                let single = check.reason.as_deref() == Some("single node cluster");
                let (code, detail) = match single {
                    true => ("single-node", "the only node of its cluster"),
                    false => ("quorum-safe", "every quorum holds without this node"),
                };
                Decision::healthy().phase(0).reason(code, detail)
            }
            Outcome::Failed(_) => held(Decision::healthy().phase(0), &quorum),
            Outcome::Unknown(code, detail) => Decision::unknown().defer(*code, detail.clone()),
        })
    }
}

phasegate_sdk::export_policy!(RabbitmqQuorum);

/// Not now, where a quorum depends on the node or nobody knows.
fn held(decision: Decision, quorum: &Outcome) -> Decision {
    let said = decision.reason.as_ref().map(|reason| format!("; {}", reason.detail)).unwrap_or_default();
    match quorum {
        Outcome::Passed(_) => decision,
        Outcome::Failed(check) => decision.defer("quorum-critical", format!("{}{said}", critical(check))),
        Outcome::Unknown(code, detail) => decision.defer(*code, format!("{detail}{said}")),
    }
}

/// Which queues depend on the node.
fn critical(check: &Check) -> String {
    let name = |queue: &Queue| queue.readable_name.clone().or_else(|| queue.name.clone());
    let names: Vec<String> = check.queues.iter().filter_map(name).take(NAMED_MAX).collect();
    let more = match check.queues.len().saturating_sub(names.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match names.is_empty() {
        true => check.reason.clone().unwrap_or_else(|| "a quorum depends on this node".to_owned()),
        false => format!(
            "{} would lose their quorum without this node: {}{more}",
            check.queues.len(),
            names.join(", ")
        ),
    }
}

fn outcome(answer: &Answer) -> Result<Outcome, Failure> {
    let response = match &answer.outcome {
        Ok(response) => response,
        Err(failure) => return Ok(Outcome::Unknown(failure.code(), failure.to_string())),
    };
    match response.status {
        0 => Err(Failure::Unsupported(
            "a TCP probe brings nothing of RabbitMQ; probe its management API with http or https".to_owned(),
        )),
        401 | 403 => Err(Failure::Unsupported(format!(
            "the management API answers {}: it wants a user with the tag `monitoring`",
            response.status
        ))),
        404 => Err(Failure::Unsupported(
            "the management API has no such check; it came with RabbitMQ 3.8.10".to_owned(),
        )),
        200 | 503 => check(response),
        other => Ok(Outcome::Unknown("http-status", format!("HTTP status is {other}, expected 200 or 503"))),
    }
}

fn check(response: &Response) -> Result<Outcome, Failure> {
    let check: Check = match serde_json::from_slice(&response.body) {
        Ok(check) => check,
        // A proxy in front of it says 503 in its own words.
        Err(_) if response.status == 503 => {
            let detail = "503 without the answer of a check; it comes from somebody in between".to_owned();
            return Ok(Outcome::Unknown("http-status", detail));
        }
        Err(error) => {
            return Err(Failure::Unreadable(format!("the answer is no check of RabbitMQ: {error}")));
        }
    };
    match (check.status.as_str(), response.status) {
        ("ok", 200) => Ok(Outcome::Passed(check)),
        ("failed", _) => Ok(Outcome::Failed(check)),
        (other, status) => Err(Failure::Unreadable(format!(
            "the check says `{other}` with status {status}, which makes no sense"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases() {
        phasegate_sdk::testkit::run_cases::<RabbitmqQuorum>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }
}
