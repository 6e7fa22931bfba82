//! The measures as a scrape sees them: durations of commits, drivers, plugins and probes, and the process itself.

use std::fmt;
use std::sync::atomic::Ordering;

use phasegate_core::rollout::UpgradeState;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::metrics::{Sample, counters, family, gauges};
use super::process::Process;
use crate::measure::{Distribution, Measures, ProbesSeen, Went, Work};

/// A distribution as a metric.
struct Shown(Distribution);

impl EncodeMetric for Shown {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let Distribution { buckets, sum, count } = &self.0;
        encoder.encode_histogram::<NoLabelSet>(*sum, *count, buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

fn histograms<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: impl IntoIterator<Item = Sample<N, Distribution>>,
) -> fmt::Result {
    let samples = samples.into_iter().map(|(labels, seen)| (labels, Shown(seen)));
    family(encoder.encode_descriptor(name, help, None, MetricType::Histogram)?, samples)
}

/// Of all the measures.
pub(super) fn measures(
    encoder: &mut DescriptorEncoder<'_>,
    measures: &Measures,
    probes: &ProbesSeen,
) -> fmt::Result {
    let help = "How long the record took for a commit";
    histograms::<0>(encoder, "store_commit_seconds", help, [([], measures.commits.read())])?;
    let refused = measures.refused.load(Ordering::Relaxed);
    let help = "Commits that the record refused, or of which it did not say";
    counters::<0>(encoder, "store_commits_refused", help, [([], refused)])?;
    let help = "How late probes started";
    let ProbesSeen { late, took, in_flight, skipped, failures, sources_kept_waiting } = probes;
    histograms::<0>(encoder, "probe_lateness_seconds", help, [([], late.clone())])?;
    histograms::<0>(encoder, "probe_duration_seconds", "How long probes took", [([], took.clone())])?;
    let help = "Probes that are under way";
    gauges::<0>(
        encoder,
        "probe_in_flight",
        help,
        [([], f64::from(u32::try_from(*in_flight).unwrap_or(u32::MAX)))],
    )?;
    let help = "Probes that were not made, because the one before them started an interval late or more";
    counters::<0>(encoder, "probe_skipped", help, [([], *skipped)])?;
    let help = "Sources that are programs and have waited for their turn for longer than they may run";
    counters::<0>(encoder, "exec_sources_kept_waiting", help, [([], *sources_kept_waiting)])?;
    let samples = failures.iter().map(|(kind, count)| ([("kind", (*kind).to_owned())], *count));
    counters(encoder, "probe_failures", "Probes that brought no response, by why", samples)?;
    let drivers = measures.drivers.read().into_iter().map(|((set, work, went), seen)| {
        let work = match work {
            Work::Ensure => "ensure",
            Work::Create => "create",
            Work::Delete => "delete",
        };
        let result = match went {
            Went::Well => "done",
            Went::Badly => "failed",
        };
        let labels =
            [("scale_set", set.to_string()), ("work", work.to_owned()), ("result", result.to_owned())];
        (labels, seen)
    });
    histograms(encoder, "driver_seconds", "How long drivers took, by what came of it", drivers)?;
    let plugins = measures.plugins.read().into_iter();
    let plugins = plugins.map(|(plugin, seen)| ([("plugin", plugin.to_string())], seen));
    histograms(encoder, "plugin_evaluation_seconds", "How long plugins took for an observation", plugins)?;
    let failures =
        measures.failures.read().into_iter().map(|((plugin, why), count)| {
            ([("plugin", plugin.to_string()), ("reason", why.to_owned())], count)
        });
    counters(encoder, "plugin_failures", "Observations that brought no decision, by why", failures)
}

/// How often drivers have asked again.
pub(super) fn retries(
    encoder: &mut DescriptorEncoder<'_>,
    measures: &Measures,
    sets: &[String],
) -> fmt::Result {
    let seen = measures.retries.read();
    let samples = sets.iter().map(|set| {
        let count = seen.iter().find(|(name, _)| name.as_str() == set).map_or(0, |(_, count)| *count);
        ([("scale_set", set.clone())], count)
    });
    let help = "What drivers asked again because a program or an agent was busy, or could not be reached";
    counters(encoder, "driver_retries", help, samples)
}

/// How upgrades of the sets have ended since the host started.
pub(super) fn ended(
    encoder: &mut DescriptorEncoder<'_>,
    measures: &Measures,
    sets: &[String],
) -> fmt::Result {
    let seen = measures.ended.read();
    let all = [UpgradeState::Completed, UpgradeState::Cancelled, UpgradeState::Faulted];
    let samples = sets.iter().flat_map(|set| {
        let count = |state: UpgradeState| {
            let of = seen.iter().find(|((name, was), _)| name.as_str() == set && *was == state.name());
            of.map_or(0, |(_, count)| *count)
        };
        all.map(|state| ([("scale_set", set.clone()), ("result", state.name().to_owned())], count(state)))
    });
    counters(encoder, "upgrades", "Upgrades that have ended since the host started", samples)
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self { cpu_seconds, resident, virtual_size, open_fds, max_fds, threads, started_at } = *self;
        let cpu = [([], prometheus_client::metrics::counter::ConstCounter::new(cpu_seconds))];
        let help = "User and system time that the process has used";
        let family_of = encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
        family::<0>(family_of, cpu.into_iter())?;
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Resident memory", resident),
            ("process_virtual_memory_bytes", "Virtual memory", virtual_size),
            ("process_open_fds", "Open descriptors", open_fds),
            ("process_max_fds", "Descriptors that may be open", max_fds),
            ("process_threads", "Threads", threads),
            ("process_start_time_seconds", "When the process was started, since the epoch", started_at),
        ] {
            gauges::<0>(&mut encoder, name, help, [([], value)])?;
        }
        Ok(())
    }
}
