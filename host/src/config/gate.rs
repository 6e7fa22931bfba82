//! Declares `[plugins.gate]`: what a new component of a plugin may change.

use std::time::Duration;

use crate::keys::{Form, Is, Key, Section, Value, no_check};
use phasegate_core::domain::{Forbidden, Gate};

pub(super) const GATE: Section<Gate> = Section {
    keys: &[
        Key::<Gate>::optional(
            "maxChangedPercent",
            "5",
            Is::Whole(0, 100, |gate, max| gate.changed_max = Some(max)),
        )
        .doc(
            "share of the instances of the plugin whose decision may differ; those not judged yet count \
                 as unchanged",
        ),
        Key::<Gate>::optional(
            "forbid",
            "[\"healthy->unhealthy\", \"skip-removed\"]",
            Is::Own(
                || Form::List(Box::new(Form::Text)),
                |gate, value| {
                    let values = value.array("a list of changes")?;
                    let changes: Vec<Option<Forbidden>> = values.iter().map(forbidden).collect();
                    gate.forbid = changes.into_iter().collect::<Option<_>>()?;
                    Some(())
                },
            ),
        )
        .doc(
            "changes that no instance may see: `\"healthy->unhealthy\"` and every other two of healthy, \
             unhealthy and unknown, `\"phase-decrease\"`, `\"phase-increase\"`, `\"skip-removed\"`, \
             `\"skip-added\"`",
        ),
        // Three times each of a small fleet, and long enough for a few rounds.
        Key::<Gate>::preset(
            "minObservations",
            "100",
            Is::Whole(1, 1_000_000_000, |gate, least| gate.observations_min = least),
        )
        .doc("as a shadow: observations before it is promoted, and at least one of each instance"),
        Key::<Gate>::preset("minTime", "\"PT1M\"", Is::Span(None, |gate, least| gate.time_min = least))
            .doc("as a shadow: time before it is promoted"),
    ],
    check: no_check,
};

pub(super) fn blank() -> Gate {
    Gate { changed_max: None, forbid: Vec::new(), observations_min: 0, time_min: Duration::ZERO }
}

fn forbidden(value: &Value<'_>) -> Option<Forbidden> {
    let text = value.filled()?;
    let parsed = Forbidden::parse(text);
    if parsed.is_none() {
        let words: Vec<String> = Forbidden::WORDS.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        value.problem(
            format!("is the unknown change {text:?}"),
            format!("known: {}, and \"A->B\" with two of healthy, unhealthy and unknown", words.join(", ")),
        );
    }
    parsed
}
