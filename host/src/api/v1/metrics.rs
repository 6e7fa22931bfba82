//! `GET /metrics`: what the host knows, as text for Prometheus.
//!
//! Everything is counted elsewhere and read at each scrape, so there is nothing to keep in step. No
//! label takes its value from an instance: the number of series depends on the configuration alone.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::process::{self, Process};
use super::{found, measured};
use crate::api::answer::Refusal;
use crate::api::behind::Source;
use crate::api::host::{Host, Standing};
use crate::api::query::{Nothing, Query};
use crate::measure::{Measures, ProbesSeen};
use crate::net::shortage::{Missed, Shortages};
use phasegate_core::domain::{Health, Shortage};
use phasegate_core::kernel::report::Tally;
use phasegate_core::rollout::{Progress, UpgradeState};
use phasegate_wire as wire;

/// Media type of the answer.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Media type of the format from before it, which every scraper reads.
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Text for Prometheus, see below: OpenMetrics where `Accept` names it, else 0.0.4; also needs the token.
#[utoipa::path(
    get,
    path = "/metrics",
    responses((
        status = 200,
        description = "The same in one of two formats.",
        content((String = "application/openmetrics-text"), (String = "text/plain"))
    ))
)]
pub(super) async fn show(
    State(host): State<Arc<Host>>,
    Query(Nothing): Query<Nothing>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (tally, standing) = (host.tally(), host.standing().await?);
    let own = Own {
        shortages: Arc::clone(&host.shortages),
        log_lines_lost: crate::log::lost(),
        denied: host.denials.counts(),
        followers: host.events.followers(),
        refusing: host.door.view().refusing.is_some(),
        measures: Arc::clone(&host.measures),
        probes: (host.probes)(),
        process: process::read(),
    };
    let snapshot = Snapshot {
        tally,
        standing,
        sources: host.sources(),
        plugins: host.plugins(),
        lost_records: host.lost_records(),
        own,
    };
    let text = render(snapshot)
        .map_err(|error| Refusal::internal(format!("the metrics cannot be written: {error}")))?;
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("");
    Ok(match accept.contains("application/openmetrics-text") {
        true => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        false => ([(CONTENT_TYPE, CLASSIC)], classic(&text)).into_response(),
    })
}

/// The same in the format from before OpenMetrics: a counter has the name of its samples, and nothing marks the end.
fn classic(open_metrics: &str) -> String {
    let counter = |line: &&str| line.starts_with("# TYPE ") && line.ends_with(" counter");
    let counters: BTreeSet<&str> =
        open_metrics.lines().filter(counter).filter_map(|line| line.split(' ').nth(2)).collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(name) => {
                text.push_str(&format!("# {what} {name}_total {rest}\n"));
            }
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

/// What a scrape sees.
#[derive(Debug)]
struct Snapshot {
    tally: Tally,
    standing: Vec<Standing>,
    /// Where instances are found.
    sources: Vec<Source>,
    plugins: wire::Plugins,
    /// Records of decisions that were lost; none when nothing is recorded.
    lost_records: Option<u64>,
    own: Own,
}

/// What the host itself lacks.
#[derive(Debug)]
struct Own {
    shortages: Arc<Shortages>,
    log_lines_lost: u64,
    /// Requests that the guard has turned away, by reason.
    denied: [(&'static str, u64); 7],
    /// Those who follow the events.
    followers: usize,
    /// Whether the record takes no writes.
    refusing: bool,
    measures: Arc<Measures>,
    probes: ProbesSeen,
    /// None where the system does not say.
    process: Option<Process>,
}

/// Labels and a value.
pub(super) type Sample<const N: usize, V> = ([(&'static str, String); N], V);

/// The text of a scrape.
fn render(snapshot: Snapshot) -> Result<String, fmt::Error> {
    let mut common = Registry::default();
    if let Some(process) = snapshot.own.process {
        common.register_collector(Box::new(process));
    }
    let mut registry = Registry::with_prefix("phasegate");
    registry.register_collector(Box::new(snapshot));
    let mut text = String::new();
    encode_registry(&mut text, &registry)?;
    encode_registry(&mut text, &common)?;
    encode_eof(&mut text)?;
    Ok(text)
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.fleet(&mut encoder)?;
        self.standing(&mut encoder)?;
        found::sources(&mut encoder, &self.sources)?;
        self.plugin_gauges(&mut encoder)?;
        self.plugin_counters(&mut encoder)?;
        self.own(&mut encoder)?;
        measured::measures(&mut encoder, &self.own.measures, &self.own.probes)?;
        if let Some(lost) = self.lost_records {
            let help = "Records of decisions that were not written to the recording";
            counters::<0>(&mut encoder, "recording_lost", help, [([], lost)])?;
        }
        Ok(())
    }
}

impl Snapshot {
    fn fleet(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Tally { line_stopped, holding, sets } = &self.tally;
        let health = sets.iter().flat_map(|set| {
            [Health::Initializing, Health::Healthy, Health::Unhealthy, Health::Unknown].map(|health| {
                let labels = [("scale_set", set.name.to_string()), ("health", health.name().to_owned())];
                (labels, as_f64(set.health.of(health)))
            })
        });
        gauges(encoder, "instances", "Instances by committed health", health)?;
        let reasons = sets.iter().flat_map(|set| {
            set.reasons.iter().map(|(code, count)| {
                ([("scale_set", set.name.to_string()), ("code", code.clone())], as_f64(*count))
            })
        });
        let help = "Instances by the code of what their plugin says of them, the most frequent ones";
        gauges(encoder, "instance_reasons", help, reasons)?;
        let upgrades = || sets.iter().filter_map(|set| Some((set.name.to_string(), set.upgrade?)));
        let states = upgrades().flat_map(|(name, (state, _))| {
            let all = [
                UpgradeState::RollingForward,
                UpgradeState::Completed,
                UpgradeState::Cancelled,
                UpgradeState::Faulted,
            ];
            all.map(|one| {
                let labels = [("scale_set", name.clone()), ("state", one.name().to_owned())];
                (labels, if one == state { 1.0 } else { 0.0 })
            })
        });
        gauges(encoder, "upgrade_state", "1 for the state of the latest upgrade", states)?;
        let progress = upgrades().flat_map(|(name, (_, progress))| {
            let Progress { successful, failed, in_progress, pending } = progress;
            let counts = [
                ("successful", successful),
                ("failed", failed),
                ("inProgress", in_progress),
                ("pending", pending),
            ];
            counts.map(|(progress, count)| {
                ([("scale_set", name.clone()), ("progress", progress.to_owned())], as_f64(count))
            })
        });
        gauges(encoder, "upgrade_instances", "Instances of the latest upgrade by progress", progress)?;
        let stopped = if *line_stopped { 1.0 } else { 0.0 };
        gauges::<0>(encoder, "line_stopped", "1 while the line is stopped", [([], stopped)])?;
        let holds = if *holding { 1.0 } else { 0.0 };
        let help = "1 while the host holds until a person adopts its record";
        gauges::<0>(encoder, "holding", help, [([], holds)])
    }

    fn standing(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let waiting = self.standing.iter().filter(|set| set.upgrade).flat_map(|set| {
            wire::WaitingCode::KNOWN.iter().map(|code| {
                let labels = [("scale_set", set.scale_set.to_string()), ("reason", (*code).to_owned())];
                let is = set.waiting.as_ref().is_some_and(|waiting| waiting.as_str() == *code);
                (labels, if is { 1.0 } else { 0.0 })
            })
        });
        gauges(encoder, "upgrade_waiting", "1 for what the latest upgrade waits for", waiting)?;
        let quarantined = self
            .standing
            .iter()
            .map(|set| ([("scale_set", set.scale_set.to_string())], as_f64(set.quarantined)));
        gauges(
            encoder,
            "quarantined_versions",
            "Versions that faulted and are not tried again",
            quarantined,
        )?;
        let stalled =
            self.standing.iter().map(|set| ([("scale_set", set.scale_set.to_string())], as_f64(set.stalled)));
        let help = "Instances that say \"not now\" to the running upgrade and have shown no progress in five answers";
        gauges(encoder, "upgrade_deferred_stalled", help, stalled)?;
        let held = self.standing.iter().flat_map(|set| {
            set.held.iter().map(|(reason, count)| {
                let labels = [("scale_set", set.scale_set.to_string()), ("reason", (*reason).to_owned())];
                (labels, as_f64(*count))
            })
        });
        gauges(encoder, "upgrade_held", "Instances that the latest upgrade leaves out, by the reason", held)?;
        let progressed = self.standing.iter().filter_map(|set| {
            // Milliseconds since the epoch stay whole far beyond any date.
            let at = set.progressed?.0 as f64 / 1000.0;
            Some(([("scale_set", set.scale_set.to_string())], at))
        });
        let help = "When the latest upgrade was brought on last, since the epoch";
        gauges(encoder, "upgrade_last_progress_timestamp_seconds", help, progressed)?;
        let sets: Vec<String> = self.standing.iter().map(|set| set.scale_set.to_string()).collect();
        measured::retries(encoder, &self.own.measures, &sets)?;
        measured::ended(encoder, &self.own.measures, &sets)
    }

    fn own(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let unasked =
            self.tally.sets.iter().map(|set| ([("scale_set", set.name.to_string())], as_f64(set.unasked)));
        let help = "Instances that the host could not ask last, being short of something";
        gauges(encoder, "instances_not_asked", help, unasked)?;
        let Own { shortages, log_lines_lost, denied, followers, refusing, .. } = &self.own;
        let refusing = if *refusing { 1.0 } else { 0.0 };
        let help = "1 while the record takes no writes, so that nothing is upgraded";
        gauges::<0>(encoder, "store_refusing", help, [([], refusing)])?;
        let help = "Readers that follow the events";
        gauges::<0>(encoder, "event_followers", help, [([], as_f64(*followers))])?;
        let version = [("version", env!("CARGO_PKG_VERSION").to_owned())];
        gauges(encoder, "build_info", "1, with the version of this program", [(version, 1.0)])?;
        let denied = denied.iter().map(|(reason, count)| ([("reason", (*reason).to_owned())], *count));
        counters(encoder, "api_denied", "Requests that were turned away", denied)?;
        let shortages = [("probe", Missed::Probe), ("connection", Missed::Connection)].into_iter().flat_map(
            |(name, missed)| {
                Shortage::ALL.map(|short_of| {
                    let labels = [("missed", name.to_owned()), ("short_of", short_of.name().to_owned())];
                    (labels, shortages.count(missed, short_of))
                })
            },
        );
        counters(
            encoder,
            "shortages",
            "What was not done because the host was short of something",
            shortages,
        )?;
        let help = "Lines of the log that were lost because nobody read stderr, or it took none";
        counters::<0>(encoder, "log_lines_lost", help, [([], *log_lines_lost)])
    }

    fn plugin_gauges(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let plugins = &self.plugins.plugins;
        let generations = plugins.iter().map(|plugin| {
            let labels = [("plugin", plugin.name.clone()), ("digest", plugin.digest.clone())];
            // A generation past 2^53 is not reached.
            (labels, plugin.generation as f64)
        });
        gauges(encoder, "plugin_generation", "Generation that decides", generations)?;
        let stages = plugins.iter().flat_map(|plugin| {
            // Of the other load only what runs: the rest is over, and names the same stages.
            let beside = plugin.beside.iter().flat_map(|load| &load.stages);
            let beside = beside.filter(|stage| stage.state == wire::PluginStageState::Running);
            let stages = plugin.load.iter().flat_map(|load| &load.stages).chain(beside);
            stages.map(|stage| {
                let labels = [
                    ("plugin", plugin.name.clone()),
                    ("stage", stage.name.to_string()),
                    ("state", stage.state.to_string()),
                ];
                (labels, stage.ms as f64 / 1000.0)
            })
        });
        let help = "How long each stage of the latest load has taken";
        gauges(encoder, "plugin_load_stage_seconds", help, stages)
    }

    fn plugin_counters(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let plugins = &self.plugins.plugins;
        let loads = plugins.iter().flat_map(|plugin| {
            let wire::PluginCounters { loads, refused, promoted, reverted, missed: _ } = plugin.counters;
            [("begun", loads), ("refused", refused), ("promoted", promoted), ("reverted", reverted)]
                .map(|(event, count)| ([("plugin", plugin.name.clone()), ("event", event.to_owned())], count))
        });
        counters(encoder, "plugin_loads", "What became of loads since the host started", loads)?;
        let missed = plugins.iter().map(|plugin| ([("plugin", plugin.name.clone())], plugin.counters.missed));
        let help = "Observations that a component beside the active one did not see, being too slow";
        counters(encoder, "plugin_shadow_missed", help, missed)?;
        let dropped =
            plugins.iter().map(|plugin| ([("plugin", plugin.name.clone())], plugin.counts.log_lines_dropped));
        let help = "Lines of the plugin's log that were dropped because they came too fast";
        counters(encoder, "plugin_log_lines_dropped", help, dropped)?;
        let observations = plugins.iter().flat_map(|plugin| {
            let wire::PluginCounts { evaluated, unchanged, failed, log_lines_dropped: _ } = plugin.counts;
            [("judged", evaluated.saturating_sub(failed)), ("unchanged", unchanged), ("failed", failed)].map(
                |(result, count)| ([("plugin", plugin.name.clone()), ("result", result.to_owned())], count),
            )
        });
        counters(encoder, "plugin_observations", "Observations by what the plugin made of them", observations)
    }
}

pub(super) fn gauges<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: impl IntoIterator<Item = Sample<N, f64>>,
) -> Result<(), fmt::Error> {
    let samples = samples.into_iter().map(|(labels, value)| (labels, ConstGauge::new(value)));
    family(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?, samples)
}

pub(super) fn counters<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: impl IntoIterator<Item = Sample<N, u64>>,
) -> Result<(), fmt::Error> {
    let samples = samples.into_iter().map(|(labels, value)| (labels, ConstCounter::new(value)));
    family(encoder.encode_descriptor(name, help, None, MetricType::Counter)?, samples)
}

pub(super) fn family<const N: usize>(
    mut encoder: MetricEncoder<'_>,
    samples: impl Iterator<Item = Sample<N, impl EncodeMetric>>,
) -> Result<(), fmt::Error> {
    for (labels, value) in samples {
        // Without labels there are no braces either.
        match labels.is_empty() {
            true => return value.encode(encoder),
            false => value.encode(encoder.encode_family(&labels)?)?,
        }
    }
    Ok(())
}

pub(super) fn as_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_names_counters_by_their_samples() {
        let open = "# HELP a_lost Lost.\n# TYPE a_lost counter\na_lost_total{of=\"x y z\"} 3\n# HELP b It is.\n\
                    # TYPE b gauge\nb 1.0\n# EOF\n";
        let expected = "# HELP a_lost_total Lost.\n# TYPE a_lost_total counter\na_lost_total{of=\"x y z\"} 3\n\
                        # HELP b It is.\n# TYPE b gauge\nb 1.0\n";
        assert_eq!(classic(open), expected);
    }
}
