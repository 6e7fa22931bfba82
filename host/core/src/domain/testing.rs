//! A whole policy and whole health settings for tests.
//!
//! A test names what it cares about and takes the rest from here, such as
//! `UpgradePolicy { decisions: Decisions::Live, ..upgrade_policy(limits(20)) }`.

use std::time::Duration;

use super::{
    Decisions, HealthGate, HealthSettings, Percent, ProbeConnection, ProbeProtocol, Profile,
    RollingUpgradePolicy, UpgradePolicy,
};

/// All three limits at `percent` %; no pause, no order of its own, nothing created.
pub(crate) fn limits(percent: u8) -> RollingUpgradePolicy {
    RollingUpgradePolicy::plain(Percent::clamped(u64::from(percent)))
}

/// A gate that looks at once, believes what it sees first, and waits so many seconds for it.
pub(crate) fn gate(deadline: u64) -> HealthGate {
    HealthGate { wait: Duration::ZERO, stable_for: Duration::ZERO, deadline: Duration::from_secs(deadline) }
}

/// A whole policy around limits: a gate of 300 s, no checkpoints, decisions as they were at the snapshot.
pub(crate) fn upgrade_policy(rolling: RollingUpgradePolicy) -> UpgradePolicy {
    UpgradePolicy {
        decisions: Decisions::Snapshot,
        defer_max: Duration::from_secs(1800),
        prepare_max: Duration::from_secs(60),
        ..UpgradePolicy::plain(rolling, gate(300))
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
