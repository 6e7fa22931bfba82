//! The policy of @NAME@.

wit_bindgen::generate!({ path: "wit", world: "policy" });

use exports::phasegate::policy::evaluator::Guest;
use phasegate::policy::log;
use phasegate::policy::types::{
    Decision, Failure, Health, Observation, Participation, Reason, Response,
};

struct Policy;

impl Guest for Policy {
    /// Once for each new instance, before anything else. `settings` is JSON.
    fn configure(settings: String) -> Result<(), String> {
        // A panic ends as a trap; this line tells where.
        std::panic::set_hook(Box::new(|panic| log::write(log::Level::Error, &panic.to_string())));
        match settings.trim() {
            "{}" => Ok(()),
            other => Err(format!("@NAME@ has no settings, but was given {other}")),
        }
    }

    /// As many results as observations, in the same order; each depends on its own observation alone.
    fn evaluate(batch: Vec<Observation>) -> Vec<Result<Decision, Failure>> {
        batch.iter().map(decide).collect()
    }
}

export!(Policy);

fn decide(seen: &Observation) -> Result<Decision, Failure> {
    let Some(answer) = seen.answers.iter().find(|answer| answer.source == "health") else {
        return Err(Failure::Unsupported("there is no source `health`".to_owned()));
    };
    Ok(match &answer.outcome {
        Ok(response) => judge(response),
        Err(_) => decision(Health::Unknown, None, Participation::Proceed, "no-answer", "it does not answer"),
    })
}

fn judge(response: &Response) -> Decision {
    if response.status == 0 {
        // A TCP probe: all there is to know is that the port is open.
        return decision(Health::Healthy, Some(0), Participation::Proceed, "ok", "its port is open");
    }
    if !(200..300).contains(&response.status) {
        let detail = format!("HTTP status {}", response.status);
        return decision(Health::Unhealthy, None, Participation::Proceed, "http-status", &detail);
    }
    if response.body.starts_with(b"busy") {
        return decision(Health::Healthy, Some(0), Participation::Defer, "busy", "it says that it is busy");
    }
    decision(Health::Healthy, Some(0), Participation::Proceed, "ok", "it answers")
}

fn decision(
    health: Health,
    phase: Option<u32>,
    participation: Participation,
    code: &str,
    detail: &str,
) -> Decision {
    let reason = Reason { code: code.to_owned(), detail: detail.to_owned() };
    // `memory` is handed back with the next observation of this instance; nothing else survives.
    Decision { health, phase, participation, reason: Some(reason), memory: None, attributes: Vec::new() }
}
