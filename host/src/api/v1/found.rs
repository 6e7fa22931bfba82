//! What a scrape is told of the sources of instances.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::metrics::{as_f64, counters, gauges};
use crate::api::behind::Source;

/// Families of all sources; none where there are none.
pub(super) fn sources(encoder: &mut DescriptorEncoder<'_>, all: &[Source]) -> Result<(), fmt::Error> {
    if all.is_empty() {
        return Ok(());
    }
    let each = |value: fn(&Source) -> f64| {
        all.iter().map(move |source| ([("scale_set", source.shown.scale_set.clone())], value(source)))
    };
    let found = each(|source| as_f64(source.shown.instances));
    gauges(encoder, "discovery_instances", "Instances that a source has found", found)?;
    let held = each(|source| source.shown.held.as_ref().map_or(0.0, |held| as_f64(held.removed)));
    let help = "Instances that a source names no longer, and that stay until a person accepts it";
    gauges(encoder, "discovery_held_instances", help, held)?;
    let refused = each(|source| as_f64(source.shown.refused));
    gauges(encoder, "discovery_refused_entries", "Entries of a source that make no instance", refused)?;
    let failing = each(|source| if source.shown.failing.is_some() { 1.0 } else { 0.0 });
    gauges(encoder, "discovery_failing", "1 while a source cannot be read", failing)?;
    let refreshed = all.iter().filter_map(|source| {
        // Milliseconds since the epoch stay whole far beyond any date.
        let at = source.refreshed_at?.0 as f64 / 1000.0;
        Some(([("scale_set", source.shown.scale_set.clone())], at))
    });
    let help = "When a source was last read, since the epoch";
    gauges(encoder, "discovery_last_refresh_timestamp_seconds", help, refreshed)?;
    let looks = all.iter().flat_map(|source| {
        let name = &source.shown.scale_set;
        [("good", source.looks), ("failed", source.failures)]
            .map(|(result, count)| ([("scale_set", name.clone()), ("result", result.to_owned())], count))
    });
    counters(encoder, "discovery_refreshes", "Looks at a source by how they went", looks)
}
