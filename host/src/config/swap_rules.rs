//! Reads `strategy`, `watchTime` and `[plugins.gate]`: how a new component of a plugin takes over.

use std::time::Duration;

use super::table::Table;
use super::value::Value;
use phasegate_core::domain::{Forbidden, Gate, Strategy, SwapRules};

/// The keys of one plugin, already taken from its table.
pub(super) struct Typed<'a> {
    pub(super) strategy: Option<Value<'a>>,
    pub(super) watch_time: Option<Value<'a>>,
    pub(super) gate: Option<Value<'a>>,
}

pub(super) fn read(typed: Typed<'_>) -> Option<SwapRules> {
    let Typed { strategy, watch_time, gate } = typed;
    let default = SwapRules::default();
    let choices = Strategy::ALL.map(|strategy| (strategy.name(), strategy));
    let strategy = strategy.map_or(Some(default.strategy), |value| value.choice(&choices));
    let watch_time = watch_time.map_or(Some(default.watch_time), |value| value.iso_duration());
    let gate = gate.map_or(Some(None), |value| value.table().and_then(read_gate).map(Some));
    Some(SwapRules { strategy: strategy?, gate: gate?, watch_time: watch_time? })
}

fn read_gate(mut table: Table<'_>) -> Option<Gate> {
    let changed = table.optional("maxChangedPercent", "5");
    let forbid = table.optional("forbid", "[\"healthy->unhealthy\", \"skip-removed\"]");
    let observations = table.optional("minObservations", "100");
    let time = table.optional("minTime", "\"PT5M\"");
    table.finish();
    let changed = changed.map_or(Some(None), |value| value.integer(0, 100).map(Some));
    let forbid = forbid.map_or(Some(Vec::new()), |value| {
        let values = value.array("a list of changes")?;
        values.iter().map(forbidden).collect::<Vec<_>>().into_iter().collect()
    });
    // Three times each of a small fleet, and long enough for a few rounds.
    let observations = observations.map_or(Some(100), |value| value.integer(1, 1_000_000_000));
    let time = time.map_or(Some(Duration::from_secs(60)), |value| value.iso_duration());
    Some(Gate { changed_max: changed?, forbid: forbid?, observations_min: observations?, time_min: time? })
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
