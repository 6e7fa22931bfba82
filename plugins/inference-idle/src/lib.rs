//! Lets an inference server finish what it has begun before it is upgraded, by its own Prometheus page.
//!
//! Knows the gauges of vLLM, SGLang, Text Generation Inference and llama.cpp by their names; a page that has none of
//! them is a failure and never an idle server. Deliberately does not stop new requests from coming: that is the load
//! balancer's, or a hook's; until it has, a busy server may stay busy.

use phasegate_sdk::{Decision, Failure, Observation, Policy};
use serde::Deserialize;

/// A server, and its gauges.
struct Server {
    name: &'static str,
    /// Requests that are worked on.
    running: &'static [&'static str],
    /// Requests that wait.
    waiting: &'static [&'static str],
    /// The same, which not every release has.
    more: &'static [&'static str],
}

/// Each pair is documented by the project; the names with an underscore are what Prometheus makes of a colon.
const SERVERS: [Server; 4] = [
    Server {
        name: "vLLM",
        running: &["vllm:num_requests_running", "vllm_num_requests_running"],
        waiting: &["vllm:num_requests_waiting", "vllm_num_requests_waiting"],
        more: &["vllm:num_requests_swapped"],
    },
    Server {
        name: "SGLang",
        running: &["sglang:num_running_reqs", "sglang_num_running_reqs"],
        waiting: &["sglang:num_queue_reqs", "sglang_num_queue_reqs"],
        more: &[],
    },
    Server { name: "TGI", running: &["tgi_batch_current_size"], waiting: &["tgi_queue_size"], more: &[] },
    Server {
        name: "llama.cpp",
        running: &["llamacpp:requests_processing", "llamacpp_requests_processing"],
        waiting: &["llamacpp:requests_deferred", "llamacpp_requests_deferred"],
        more: &[],
    },
];

/// Settings of the plugin; see its README.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// Name of the source that brings the page.
    pub source: String,
    /// So many requests in all count as idle.
    pub idle_requests: u32,
    /// The phase of every server.
    pub phase: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { source: "health".to_owned(), idle_requests: 0, phase: 0 }
    }
}

/// The policy.
#[derive(Debug)]
pub struct InferenceIdle {
    settings: Settings,
}

impl Policy for InferenceIdle {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        match settings.source.is_empty() {
            true => Err("setting `source`: must name a source".to_owned()),
            false => Ok(Self { settings }),
        }
    }

    fn decide(&self, observation: &Observation) -> Result<Decision, Failure> {
        let Settings { source, idle_requests, phase } = &self.settings;
        let Some(answer) = observation.answer(source) else {
            return Err(Failure::Unsupported(format!(
                "there is no source `{source}`; name it in setting `source`"
            )));
        };
        let response = match &answer.outcome {
            Ok(response) => response,
            Err(failure) => return Ok(Decision::unknown().defer(failure.code(), failure.to_string())),
        };
        if response.is_open_port() {
            return Err(Failure::Unsupported(
                "a TCP probe brings no metrics; probe /metrics with http or https".to_owned(),
            ));
        }
        if !response.is_success() {
            let detail = format!("HTTP status is {}, expected 200 to 299", response.status);
            return Ok(Decision::unknown().defer("http-status", detail));
        }
        let page = std::str::from_utf8(&response.body).map_err(|error| {
            Failure::Unreadable(format!("the page is not UTF-8 from byte {}", error.valid_up_to()))
        })?;
        let Load { server, running, waiting } = load(page)?;
        let all = running + waiting;
        let detail = format!("{server}: {running} requests running, {waiting} waiting");
        let decision = Decision::healthy().phase(*phase);
        Ok(match all > f64::from(*idle_requests) {
            true => {
                let decision = decision.defer("busy", detail);
                decision.attribute("defer-progress", format!("{:.0}", all.ceil()))
            }
            false => decision.reason("idle", detail),
        })
    }
}

phasegate_sdk::export_policy!(InferenceIdle);

/// What a server has to do.
struct Load {
    server: String,
    running: f64,
    waiting: f64,
}

/// Finds the server to which the page belongs, or several that share it: then all of them have to be done.
fn load(page: &str) -> Result<Load, Failure> {
    let mut found: Option<Load> = None;
    for Server { name, running, waiting, more } in &SERVERS {
        let (running, waiting) = match (sum(page, running)?, sum(page, waiting)?) {
            (None, None) => continue,
            (Some(running), Some(waiting)) => (running, waiting + sum(page, more)?.unwrap_or(0.0)),
            (Some(_), None) => return Err(half(name, waiting)),
            (None, Some(_)) => return Err(half(name, running)),
        };
        found = Some(match found {
            None => Load { server: (*name).to_owned(), running, waiting },
            Some(before) => Load {
                server: format!("{} and {name}", before.server),
                running: before.running + running,
                waiting: before.waiting + waiting,
            },
        });
    }
    let known: Vec<&str> = SERVERS.iter().map(|server| server.name).collect();
    found.ok_or_else(|| Failure::Unreadable(format!("the page has no gauge of {}", known.join(", "))))
}

/// Half of what has to be known is nothing.
fn half(server: &str, missing: &[&str]) -> Failure {
    Failure::Unreadable(format!(
        "the page is that of {server} and lacks `{}`",
        missing.first().unwrap_or(&"")
    ))
}

/// The sum over all label sets of that of these gauges which has most; none where the page has none of them. A page that
/// has both spellings of a name says the same twice.
fn sum(page: &str, names: &[&str]) -> Result<Option<f64>, Failure> {
    let mut most: Option<f64> = None;
    for name in names {
        let mut total = None;
        for line in page.lines() {
            let Some(rest) = line.trim_start().strip_prefix(name) else { continue };
            let Some(value) = value_of(rest) else { continue };
            let read: Option<f64> =
                value.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0);
            let Some(value) = read else {
                return Err(Failure::Unreadable(format!(
                    "`{name}` is `{value}`, which is no count of requests"
                )));
            };
            total = Some(total.unwrap_or(0.0) + value);
        }
        most = total.map_or(most, |total| Some(most.map_or(total, |before| before.max(total))));
    }
    Ok(most)
}

/// The value behind the name of a gauge; none where the name goes on. Labels may hold braces and blanks in quotes.
fn value_of(rest: &str) -> Option<&str> {
    let rest = match rest.chars().next()? {
        '{' => {
            let (mut quoted, mut escaped) = (false, false);
            let end = rest.char_indices().find(|(_, c)| {
                let ends = !quoted && *c == '}';
                match c {
                    _ if escaped => escaped = false,
                    '\\' if quoted => escaped = true,
                    '"' => quoted = !quoted,
                    _ => {}
                }
                ends
            });
            rest.get(end?.0 + 1..)?
        }
        ' ' | '\t' => rest,
        _ => return None,
    };
    // A time may follow the value.
    rest.split_ascii_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases() {
        phasegate_sdk::testkit::run_cases::<InferenceIdle>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }

    #[test]
    fn labels_may_hold_anything() {
        for (rest, expected) in [
            (" 1", Some("1")),
            ("{a=\"b\"} 2.0 1700000000", Some("2.0")),
            ("{a=\"}\\\"} 9\"} 3", Some("3")),
            ("_total 4", None),
            ("{a=\"b", None),
            ("", None),
        ] {
            assert_eq!(value_of(rest), expected, "{rest}");
        }
    }
}
