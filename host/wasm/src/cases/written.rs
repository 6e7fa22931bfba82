//! Writes down what was seen and what came of it, as a case.

use phasegate_core::domain::{
    Answer, Claim, Decision, InstanceFacts, Observation, Participation, PluginFailure, ProbeFailure, Reason,
    Response, Verdict,
};
use serde_json::{Map, Value, json};

use super::base64;

/// A case that expects exactly what came of settings with this text; none where it was neither a decision nor the plugin's
/// own word that it cannot judge: what a limit of the host cut off is no behaviour to hold a plugin to.
#[must_use]
pub fn written(
    name: &str,
    settings: &str,
    now_ms: u64,
    observation: &Observation,
    verdict: &Verdict,
) -> Option<Value> {
    let expect = match verdict {
        Ok(decision) => json!({ "decision": self::decision(decision) }),
        Err(PluginFailure::Refused { kind, detail }) => {
            json!({ "failure": { "kind": kind, "detail": detail } })
        }
        Err(_) => return None,
    };
    let now = i64::try_from(now_ms).ok().and_then(|now| jiff::Timestamp::from_millisecond(now).ok())?;
    let mut case = Map::new();
    case.insert("name".to_owned(), name.into());
    let value = serde_json::from_str::<Value>(settings).ok().filter(|value| !value.is_null());
    // The text that whoever reads the case makes of it.
    let bare = value.as_ref().map(ToString::to_string).unwrap_or_default();
    match value {
        Some(_) if settings == "{}" => {}
        Some(value) if bare == settings => {
            case.insert("settings".to_owned(), value);
        }
        Some(_) | None => {
            case.insert("settingsText".to_owned(), settings.into());
        }
    }
    case.insert("now".to_owned(), now.to_string().into());
    case.insert("observation".to_owned(), self::observation(observation));
    case.insert("expect".to_owned(), expect);
    Some(case.into())
}

fn observation(seen: &Observation) -> Value {
    let InstanceFacts {
        id,
        scale_set,
        region,
        zone,
        fault_domain,
        update_domain,
        version,
        desired_version,
        labels,
    } = &*seen.instance;
    let mut instance = json!({ "id": id.to_string(), "scaleSet": scale_set.as_str() });
    put(&mut instance, "region", region.clone());
    put(&mut instance, "zone", zone.clone());
    put(&mut instance, "faultDomain", *fault_domain);
    put(&mut instance, "updateDomain", *update_domain);
    put(&mut instance, "version", version.as_ref().map(ToString::to_string));
    put(&mut instance, "desiredVersion", desired_version.as_ref().map(ToString::to_string));
    put(
        &mut instance,
        "labels",
        Some(labels).filter(|labels| !labels.is_empty()).map(|labels| json!(labels)),
    );
    let answers: Vec<Value> = seen.answers.iter().map(answer).collect();
    let mut all = json!({ "instance": instance, "answers": answers });
    put(&mut all, "memory", seen.memory.as_deref().map(base64::encode));
    put(&mut all, "attributes", pairs(&seen.attributes));
    all
}

fn answer(Answer { source, outcome }: &Answer) -> Value {
    match outcome {
        Ok(response) => json!({ "source": source, "response": self::response(response) }),
        Err(failure) => json!({ "source": source, "failure": self::failure(failure) }),
    }
}

fn response(Response { status, headers, body }: &Response) -> Value {
    let mut written = json!({ "status": status });
    put(&mut written, "headers", pairs(headers));
    match str::from_utf8(body) {
        Ok("") => {}
        Ok(text) => put(&mut written, "body", Some(text)),
        Err(_) => put(&mut written, "bodyBase64", Some(base64::encode(body))),
    }
    written
}

fn failure(failure: &ProbeFailure) -> Value {
    match failure {
        ProbeFailure::Timeout => json!({ "timeout": true }),
        ProbeFailure::Unreachable(why) => json!({ "unreachable": why }),
        ProbeFailure::Tls(why) => json!({ "tls": why }),
        ProbeFailure::InvalidResponse(why) => json!({ "invalidResponse": why }),
        ProbeFailure::BodyTooLarge(cap) => json!({ "bodyTooLarge": cap }),
    }
}

fn decision(decision: &Decision) -> Value {
    let Decision { claim, phase, participation, reason, memory, attributes } = decision;
    let health = match claim {
        Claim::Healthy => "healthy",
        Claim::Unhealthy => "unhealthy",
        Claim::Unknown => "unknown",
    };
    let participation = match participation {
        Participation::Proceed => "proceed",
        Participation::Defer => "defer",
        Participation::Skip => "skip",
    };
    let phase = phase.map(|phase| phase.get());
    let mut written = json!({ "health": health, "phase": phase, "participation": participation });
    let reason = reason.as_ref().map(|Reason { code, detail }| json!({ "code": code, "detail": detail }));
    put(&mut written, "reason", reason);
    let attributes: Map<String, Value> =
        attributes.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    put(
        &mut written,
        "attributes",
        Some(attributes).filter(|attributes| !attributes.is_empty()).map(Value::from),
    );
    put(&mut written, "memory", memory.as_deref().map(base64::encode));
    written
}

/// An object; a list where a name is there twice, of which an object would lose one. None of nothing.
fn pairs(pairs: &[(String, String)]) -> Option<Value> {
    let object: Map<String, Value> =
        pairs.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let shown = if object.len() == pairs.len() { object.into() } else { json!(pairs) };
    Some(shown).filter(|_| !pairs.is_empty())
}

/// Puts a member in, where there is one.
fn put(to: &mut Value, name: &str, value: Option<impl Into<Value>>) {
    if let (Some(object), Some(value)) = (to.as_object_mut(), value) {
        object.insert(name.to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use phasegate_core::domain::{InstanceId, Phase, ScaleSetName};

    use super::super::{Got, build, typed};
    use super::*;

    fn seen(outcome: Result<Response, ProbeFailure>) -> Observation {
        Observation {
            instance: Arc::new(InstanceFacts {
                id: InstanceId::parse("3").unwrap(),
                scale_set: ScaleSetName::parse("web").unwrap(),
                region: None,
                zone: Some("1".to_owned()),
                fault_domain: None,
                update_domain: Some(2),
                version: None,
                desired_version: None,
                labels: [("role".to_owned(), "leader".to_owned())].into(),
            }),
            answers: [Answer { source: "health".to_owned(), outcome }].into(),
            memory: Some(vec![0, 255]),
            attributes: vec![("probe-protocol".to_owned(), "http".to_owned())],
        }
    }

    #[test]
    fn what_is_written_reads_back_and_passes_and_another_answer_does_not() {
        let body = |body: &[u8]| {
            let header = |value: &str| ("x-role".to_owned(), value.to_owned());
            let headers = if body.is_empty() { vec![header("b"), header("a")] } else { vec![header("a")] };
            Ok(Response { status: 200, headers, body: body.to_vec() })
        };
        let outcomes = [body(b"{\"a\":1}"), body(&[255, 0]), body(b""), Err(ProbeFailure::Timeout)];
        let good = Decision {
            claim: Claim::Healthy,
            phase: Phase::new(4),
            participation: Participation::Defer,
            reason: Some(Reason { code: "busy".to_owned(), detail: "3 games".to_owned() }),
            memory: Some(vec![7]),
            attributes: vec![("games".to_owned(), "3".to_owned())],
        };
        let refused = PluginFailure::Refused { kind: "unreadable".to_owned(), detail: "no JSON".to_owned() };
        for outcome in outcomes {
            let seen = seen(outcome);
            for verdict in [Ok(Arc::new(good.clone())), Err(refused.clone())] {
                let text = written("one", "{\"max\":3}", 1_767_268_800_123, &seen, &verdict).unwrap();
                let case = typed::parse(&text.to_string()).unwrap().pop().unwrap();
                let case = build("x.json", case).unwrap();
                assert_eq!(case.observation.as_ref(), Some(&seen), "{text}");
                assert_eq!((case.now_ms, case.settings.as_str()), (1_767_268_800_123, "{\"max\":3}"));
                assert_eq!(case.expected.compare(&Got::Judged(verdict)), [], "{text}");
                let other = Ok(Arc::new(Decision { participation: Participation::Skip, ..good.clone() }));
                assert_ne!(case.expected.compare(&Got::Judged(other)), [], "{text}");
            }
        }
        let cut = Err(PluginFailure::OutOfTime { limit_ms: 1 });
        assert_eq!(written("one", "{}", 0, &seen(Err(ProbeFailure::Timeout)), &cut), None);
    }

    #[test]
    fn settings_are_written_as_they_were() {
        for (text, expected) in [
            ("{}", json!({})),
            ("{\"a\":1}", json!({ "settings": { "a": 1 } })),
            (" {\"a\":1}\n", json!({ "settingsText": " {\"a\":1}\n" })),
            ("null", json!({ "settingsText": "null" })),
            ("no", json!({ "settingsText": "no" })),
        ] {
            let failure = PluginFailure::Refused { kind: "internal".to_owned(), detail: String::new() };
            let case = written("one", text, 0, &seen(Err(ProbeFailure::Timeout)), &Err(failure)).unwrap();
            let of = |key: &str| case.get(key).cloned();
            assert_eq!(of("settings"), expected.get("settings").cloned(), "{text}");
            assert_eq!(of("settingsText"), expected.get("settingsText").cloned(), "{text}");
            let read = build("x.json", typed::parse(&case.to_string()).unwrap().remove(0)).unwrap();
            assert_eq!(read.settings, text);
        }
    }
}
