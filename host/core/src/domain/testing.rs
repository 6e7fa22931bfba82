//! A whole policy and whole health settings for tests: the one place that a new rule has to be added to.
//!
//! A test names what it cares about and takes the rest from here, such as
//! `UpgradePolicy { decisions: Decisions::Live, ..upgrade_policy(limits(20)) }`.

use std::time::Duration;

use super::{
    Checkpoints, Decisions, FailureRules, HealthGate, HealthSettings, Percent, ProbeConnection,
    ProbeProtocol, Profile, RollingUpgradePolicy, Timeouts, UpgradePolicy,
};

/// All three limits at `percent` %; no pause, no order of its own, nothing created.
pub(crate) fn limits(percent: u8) -> RollingUpgradePolicy {
    let percent = Percent::clamped(u64::from(percent));
    RollingUpgradePolicy {
        max_batch_instance_percent: percent,
        max_unhealthy_instance_percent: percent,
        max_unhealthy_upgraded_instance_percent: percent,
        pause_time_between_batches: Duration::ZERO,
        enable_cross_zone_upgrade: false,
        prioritize_unhealthy_instances: false,
        max_surge: false,
        batches: Vec::new(),
    }
}

/// A gate that looks at once, believes what it sees first, and waits so many seconds for it.
pub(crate) fn gate(deadline: u64) -> HealthGate {
    HealthGate { wait: Duration::ZERO, stable_for: Duration::ZERO, deadline: Duration::from_secs(deadline) }
}

/// A whole policy around limits: a gate of 300 s, no checkpoints, decisions as they were at the snapshot.
pub(crate) fn upgrade_policy(rolling: RollingUpgradePolicy) -> UpgradePolicy {
    UpgradePolicy {
        rolling,
        gate: gate(300),
        failure: FailureRules::default(),
        checkpoints: Checkpoints::default(),
        decisions: Decisions::Snapshot,
        bake: None,
        hooks: Default::default(),
        round_trip: false,
        timeouts: Timeouts::default(),
        urgency: Default::default(),
        defer_max: Duration::from_secs(1800),
        prepare_max: Duration::from_secs(60),
    }
}

/// One probe over HTTP every 5 s is enough; 10 s of grace.
pub(crate) fn health() -> HealthSettings {
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
        grace_period: Duration::from_secs(10),
        body_max: 1 << 16,
        headers: Vec::new(),
        connection: ProbeConnection::Close,
        request_headers: Vec::new(),
        sources: Vec::new(),
    }
}
