//! What an application has sent of itself, as its plugin has received and passed it on.
//!
//! Deliberately reads nothing in it: what it means is the plugin's word, which is shown beside it.

use phasegate_wire as wire;

/// The custom metrics among what a plugin has said; at most so many bytes of them.
pub(crate) fn custom_metrics(attributes: &[(String, String)], max: usize) -> Option<wire::CustomMetrics> {
    let of = |wanted: &str| Some(&attributes.iter().find(|(name, _)| name == wanted)?.1);
    let text = of("custom-metrics")?;
    let kept = text.get(..text.floor_char_boundary(max)).unwrap_or_default();
    let cut = text.len().saturating_sub(kept.len());
    Some(wire::CustomMetrics {
        text: kept.to_owned(),
        status: of("custom-metrics-status").cloned(),
        cut: (cut > 0).then(|| u64::try_from(cut).unwrap_or(u64::MAX)),
    })
}

/// The same of a recorded outcome.
pub(crate) fn recorded_custom_metrics(outcome: &serde_json::Value) -> Option<wire::CustomMetrics> {
    let attributes = outcome.get("decision")?.get("attributes")?;
    let attributes: Vec<(String, String)> = serde_json::from_value(attributes.clone()).ok()?;
    custom_metrics(&attributes, usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_received_is_shown_up_to_a_limit() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(custom_metrics(&[pair("diagnostics", "x")], 10), None);
        let all = [pair("custom-metrics", "{\"a\":\"ü\"}"), pair("custom-metrics-status", "error")];
        let whole = custom_metrics(&all, 100).unwrap();
        assert_eq!(
            (whole.text.as_str(), whole.status.as_deref(), whole.cut),
            ("{\"a\":\"ü\"}", Some("error"), None)
        );
        // Never within a character.
        let cut = custom_metrics(&all, 7).unwrap();
        assert_eq!((cut.text.as_str(), cut.cut), ("{\"a\":\"", Some(4)));
    }

    #[test]
    fn it_is_found_in_a_record() {
        let outcome = serde_json::json!({"decision": {"attributes": [["custom-metrics", "{}"]]}});
        assert_eq!(recorded_custom_metrics(&outcome).unwrap().text, "{}");
        assert_eq!(recorded_custom_metrics(&serde_json::json!({"failure": "overloaded"})), None);
    }
}
