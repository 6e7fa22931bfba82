//! The default policy: what an Azure scale set does with the answer of a health endpoint.
//!
//! HTTP status and body become health, phase and skip, a TCP probe becomes health alone, and every
//! decision says why. The reading of the body is `phasegate_sdk::azure`; this file only decides.
//!
//! Deliberately no memory and no debounce: custom metrics mirror the latest probe only, and the
//! host turns a sequence of claims into the committed health.

use phasegate_sdk::azure::{
    self, Diagnostic, InvalidSkip, MetricsStatus, ObjectMetrics, Options, Reading, Skip, State,
};
use phasegate_sdk::{Decision, Failure, Observation, Policy};

/// The contract's bound on the value of an attribute, in bytes.
const ATTRIBUTE_MAX: usize = 16 * 1024;

/// Most characters of what a gRPC server says that are shown.
const GRPC_SAID_MAX: usize = 300;

/// Settings of the plugin; see its README.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// What to do with `CustomMetrics` that is an object: `tolerant` (default) or `strict`.
    pub custom_metrics: ObjectMetrics,
    /// What to do with a `SkipUpgrade` that is neither true nor false: `hold` (default) or
    /// `ignore`.
    pub invalid_skip: InvalidSkip,
}

/// The policy.
#[derive(Debug)]
pub struct AzureHealth {
    options: Options,
}

impl Policy for AzureHealth {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        let Settings { custom_metrics, invalid_skip } = settings;
        Ok(Self { options: Options { object_metrics: custom_metrics, invalid_skip } })
    }

    fn decide(&self, observation: &Observation) -> Result<Decision, Failure> {
        let Some(answer) = observation.health() else {
            return Err(Failure::Unreadable("the observation has no answer".to_owned()));
        };
        // A closed port says that the application does not work; without an HTTP answer nothing
        // is known. Azure draws the line in the same place.
        let tcp = observation.attribute("probe-protocol") == Some("tcp");
        Ok(match &answer.outcome {
            Err(failure) if tcp => Decision::unhealthy().reason(failure.code(), failure.to_string()),
            Err(failure) => Decision::unknown().reason(failure.code(), failure.to_string()),
            Ok(response) if response.is_open_port() => {
                Decision::healthy().reason("port-open", "TCP port is open; no custom metrics")
            }
            Ok(response) if is_grpc(observation) => judge_grpc(&response.body),
            Ok(response) if response.is_success() => judge(azure::read(&response.body, &self.options)),
            Ok(response) => {
                let detail = format!("HTTP status is {}, expected 200 to 299", response.status);
                Decision::unknown().reason("http-status", detail)
            }
        })
    }
}

phasegate_sdk::export_policy!(AzureHealth);

fn is_grpc(observation: &Observation) -> bool {
    matches!(observation.attribute("probe-protocol"), Some("grpc" | "grpcs"))
}

/// What the health service of gRPC says, as the host writes it. There are no metrics in it.
fn judge_grpc(body: &[u8]) -> Decision {
    match body {
        br#"{"status":"SERVING"}"# => Decision::healthy().reason("grpc-serving", "the service is SERVING"),
        br#"{"status":"NOT_SERVING"}"# => {
            Decision::unhealthy().reason("grpc-not-serving", "the service is NOT_SERVING")
        }
        other => {
            let said: String = String::from_utf8_lossy(other).chars().take(GRPC_SAID_MAX).collect();
            Decision::unknown().reason("grpc-status", format!("the health service says {said}"))
        }
    }
}

/// Turns what a body says into a decision. Metrics count in every state, as upstream has it.
fn judge(reading: Reading) -> Decision {
    let Reading { state, metrics, diagnostics } = reading;
    let mut why = Why::default();
    let mut decision = match &metrics {
        Some(metrics) => Decision::unknown().phase(metrics.phase),
        None => Decision::unknown(),
    };
    match metrics.as_ref().map_or(Skip::No, |metrics| metrics.skip) {
        Skip::No => {}
        Skip::Yes => {
            decision = decision.skip("skip-upgrade", "");
            why.add("skip-upgrade", "SkipUpgrade is true in customMetrics");
        }
        Skip::Held => {
            decision = decision.skip("invalid-skip", "");
            why.add("invalid-skip", "held back because SkipUpgrade is not understood");
        }
    }
    decision.health = match state {
        State::Healthy => phasegate_sdk::Health::Healthy,
        State::Unhealthy => {
            why.add("reported-unhealthy", "the application reports Unhealthy");
            phasegate_sdk::Health::Unhealthy
        }
        State::Unknown(unclear) => {
            why.add(unclear.code(), &unclear.to_string());
            phasegate_sdk::Health::Unknown
        }
    };
    match (&metrics, decision.phase) {
        (_, Some(phase)) => why.add("phase", &format!("phase {phase} from customMetrics")),
        (Some(metrics), None) if metrics.status == MetricsStatus::Error => {
            why.add("invalid-metrics", "no phase, customMetrics is not usable");
        }
        (Some(_), None) if why.code.is_empty() => why.add("no-phase", "no phase in customMetrics"),
        (None, None) if why.code.is_empty() => why.add("no-phase", "no customMetrics"),
        (Some(_) | None, None) => {}
    }
    // What was understood all the same would only hide the reason; it goes into an attribute.
    let (form, content): (Vec<&Diagnostic>, Vec<_>) = diagnostics.iter().partition(|odd| odd.is_form_only());
    for diagnostic in content {
        why.add("", &diagnostic.to_string());
    }
    if !form.is_empty() {
        let codes: Vec<&str> = form.into_iter().map(Diagnostic::code).collect();
        decision = decision.attribute("diagnostics", codes.join(","));
    }
    if let Some(metrics) = metrics {
        decision = publish(decision, metrics, &mut why);
    }
    decision.reason(why.code, why.detail)
}

/// Adds the metrics as Azure's status document shows them.
fn publish(decision: Decision, metrics: azure::Metrics, why: &mut Why) -> Decision {
    let azure::Metrics { mut raw, mut status, .. } = metrics;
    if raw.len() > ATTRIBUTE_MAX {
        why.add("", &format!("customMetrics has {} bytes (limit {ATTRIBUTE_MAX}), shown cut", raw.len()));
        // Phase and skip were read from the whole text and stand; the cut text is not valid.
        status = MetricsStatus::Error;
        let end = (0..=ATTRIBUTE_MAX).rev().find(|at| raw.is_char_boundary(*at));
        raw.truncate(end.unwrap_or(0));
    }
    decision.attribute("custom-metrics", raw).attribute("custom-metrics-status", status.name())
}

/// The reason in the making: the first code given stays, the details are joined.
#[derive(Default)]
struct Why {
    code: &'static str,
    detail: String,
}

impl Why {
    fn add(&mut self, code: &'static str, detail: &str) {
        if self.code.is_empty() {
            self.code = code;
        }
        if !self.detail.is_empty() {
            self.detail.push_str("; ");
        }
        self.detail.push_str(detail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases() {
        phasegate_sdk::testkit::run_cases::<AzureHealth>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }

    #[test]
    fn long_metrics_are_cut_between_characters_and_still_count() {
        let pad = "é".repeat(ATTRIBUTE_MAX);
        let body = format!(
            r#"{{"ApplicationHealthState":"Healthy","CustomMetrics":{{"p":"{pad}","RollingUpgrade":{{"SkipUpgrade":true}}}}}}"#
        );
        let decision = judge(azure::read(body.as_bytes(), &Options::default()));
        assert_eq!(decision.participation, phasegate_sdk::Participation::Skip);
        let [(_, _), (_, raw), (_, status)] = decision.attributes.as_slice() else { panic!("{decision:?}") };
        assert_eq!((raw.len(), status.as_str()), (ATTRIBUTE_MAX, "error"));
        assert!(decision.reason.unwrap().detail.ends_with("(limit 16384), shown cut"));
    }
}
