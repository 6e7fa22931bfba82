//! What the benches of a whole host share: a host in a process of its own, and what answers its probes.
//!
//! Deliberately measures nothing by itself and knows no goal.

pub(crate) mod answers;
pub(crate) mod peers;
pub(crate) mod running;
pub(crate) mod target;

use std::fmt::Write as _;
use std::time::Duration;

/// The fleet of a bench: one scale set, `fleet`, judged by the plugin `bench`.
pub(crate) struct Made {
    /// Instances.
    pub(crate) instances: usize,
    /// From one probe of an instance to the next.
    pub(crate) interval: Duration,
    /// Instances of a batch.
    pub(crate) batch: usize,
    /// Ports at which instances answer: one for each, or one for all. The first one is the agent's, too.
    pub(crate) ports: Vec<u16>,
    /// Further keys of its probes, a line each.
    pub(crate) health: &'static str,
}

impl Made {
    /// The configuration, with the API at this port.
    pub(crate) fn toml(&self, api: u16) -> String {
        let Self { instances, interval, batch, ports, health } = self;
        let (interval, agent) = (interval.as_secs_f64(), ports[0]);
        // No two instances have the same address; what answers for all of them stands behind one port.
        let (addresses, probed): (Vec<u16>, String) = match &ports[..] {
            [one] => ((1..=u16::MAX).collect(), format!("port = {one}")),
            each => (each.to_vec(), String::new()),
        };
        let mut text = format!(
            r#"
[server]
listen = "127.0.0.1:{api}"
dataDir = "data"
[[plugins]]
name = "bench"
component = "builtin:azure-health"
watchTime = "PT0S"
[[scaleSets]]
name = "fleet"
plugin = "bench"
model = {{ version = "v1" }}
[scaleSets.health]
intervalInSeconds = {interval}
timeoutInSeconds = 10
gracePeriod = 60
requestPath = "/health"
{probed}
{health}
[scaleSets.upgradePolicy.rollingUpgradePolicy]
maxBatchInstancePercent = 100
maxUnhealthyInstancePercent = 100
maxUnhealthyUpgradedInstancePercent = 100
batches = [{batch}]
[scaleSets.driver]
kind = "http"
url = "http://127.0.0.1:{agent}/make/{{id}}"
"#
        );
        for (id, port) in (0..*instances).zip(&addresses) {
            write!(text, "[[scaleSets.instances]]\nid = \"{id}\"\naddress = \"127.0.0.1:{port}\"\n").unwrap();
        }
        text
    }
}
