//! What it takes to ask the instances of a configuration, and whether the recording has room for all of them.
//!
//! Goes by figures that were measured on one machine; deliberately asks nobody.

use crate::cli::output;
use crate::config::Config;
use crate::recording;
use phasegate_core::domain::{HealthSettings, ProbeConnection, ProbeProtocol};
use phasegate_wire as wire;

/// CPU time of one probe in microseconds, all the way into the state, with an answer that does not change: on a new
/// connection, and on one that is kept. See `host/PERFORMANCE.md`.
const NEW_US: f64 = 50.0;
const KEPT_US: f64 = 25.0;

/// Memory of one instance in KiB, at rest and with a connection that is kept.
const REST_KIB: u64 = 5;
const KEPT_KIB: u64 = 8;

/// A set of so many is worth a line.
const SAID_FROM: usize = 1_000;

/// What it takes to ask so many.
pub(super) fn of(health: &HealthSettings, instances: usize) -> wire::CheckProbing {
    let is_kept = health.connection == ProbeConnection::Keep;
    let each = match health.protocol {
        ProbeProtocol::Http if is_kept => Some(KEPT_US),
        ProbeProtocol::Http | ProbeProtocol::Tcp => Some(NEW_US),
        ProbeProtocol::Https
        | ProbeProtocol::H2
        | ProbeProtocol::H2c
        | ProbeProtocol::Grpc
        | ProbeProtocol::Grpcs => None,
    };
    let each = each.filter(|_| health.sources.is_empty());
    let count = u64::try_from(instances).unwrap_or(u64::MAX);
    let per_second =
        rounded(f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / health.interval.as_secs_f64());
    let kib = if is_kept { KEPT_KIB } else { REST_KIB };
    wire::CheckProbing {
        instances,
        per_second,
        cpu_percent: each.map(|each| rounded(per_second * each / 1e4)),
        memory_mib: count.saturating_mul(kib).div_ceil(1024),
    }
}

/// To a tenth.
fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Says it of large sets.
pub(super) fn say(checked: &wire::Check) {
    for set in &checked.scale_sets {
        let Some(probing) = set.probing.filter(|probing| probing.instances >= SAID_FROM) else { continue };
        let wire::CheckProbing { instances, per_second, cpu_percent, memory_mib } = probing;
        let cpu = cpu_percent.map(|percent| format!("about {percent} % of a core and ")).unwrap_or_default();
        let name = &set.name;
        output::talk(&format!(
            "scale set \"{name}\": {instances} instances are {per_second} probes a second: {cpu}about {memory_mib} MiB\n"
        ));
    }
}

/// A ring that is smaller than what all instances have said last loses some of it: what was decided on them cannot be
/// looked at, nor judged again.
pub(super) fn about_recording(config: &Config, sets: &[wire::CheckScaleSet]) -> Option<wire::CheckWarning> {
    let ring = config.recording.as_ref()?;
    let instances: usize = sets.iter().filter_map(|set| Some(set.probing?.instances)).sum();
    let least = recording::bytes_least(instances);
    let least_mib = least.div_ceil(1 << 20);
    let has_mib = ring.bytes_max >> 20;
    (least > ring.bytes_max).then(|| wire::CheckWarning {
        scale_set: None,
        plugin: None,
        code: wire::WarningCode::RecordingSmall,
        message: format!(
            "recording.maxMiB = {has_mib} has no room for a record of each of {instances} instances: with short answers \
             these take {least_mib} MiB, with long ones more; what is not kept cannot be judged again. Raise \
             recording.maxMiB"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use phasegate_core::domain::Profile;

    fn every_five_seconds() -> HealthSettings {
        HealthSettings {
            profile: Profile::Fleet,
            protocol: ProbeProtocol::Http,
            port: None,
            request_path: "/health".to_owned(),
            grpc_service: String::new(),
            identity: None,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
            number_of_probes: 1,
            grace_period: Duration::from_secs(5),
            body_max: 1_000,
            headers: Vec::new(),
            connection: ProbeConnection::Close,
            request_headers: Vec::new(),
            sources: Vec::new(),
        }
    }

    #[test]
    fn a_fleet_costs_by_its_number_and_its_rhythm() {
        let health = every_five_seconds();
        let kept = HealthSettings { connection: ProbeConnection::Keep, ..health.clone() };
        let secret = HealthSettings { protocol: ProbeProtocol::Https, ..health.clone() };
        let cost = |health: &HealthSettings| {
            let wire::CheckProbing { per_second, cpu_percent, memory_mib, .. } = of(health, 50_000);
            (per_second, cpu_percent, memory_mib)
        };
        assert_eq!(cost(&health), (10_000.0, Some(50.0), 245));
        assert_eq!(cost(&kept), (10_000.0, Some(25.0), 391));
        assert_eq!(cost(&secret), (10_000.0, None, 245));
        assert_eq!(of(&health, 3).per_second, 0.6);
    }
}
