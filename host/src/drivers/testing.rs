//! What the tests of several drivers share: requests, and waiting for conditions.

pub(super) mod tls;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::looking::Confirm;
use super::{Again, Create, Delete, Ensure, Observe};
use phasegate_core::domain::{
    Address, Component, Fence, Instance, InstanceId, Located, OperationId, Protection, ScaleSetName, Seen,
    Version,
};

/// A server that stands for an agent.
#[path = "../../../tests/support/agent.rs"]
pub(super) mod stub;

/// Never reached in a good run; long enough for a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A request of generation 1 to an instance of the set `db`.
pub(super) fn request(instance: &str, version: &str, operation: &str) -> Ensure {
    let instance = Instance {
        id: InstanceId::parse(instance).unwrap(),
        address: Address { host: "127.0.0.1".to_owned(), port: 9 },
        region: None,
        zone: None,
        update_domain: None,
        fault_domain: None,
        labels: BTreeMap::new(),
        protection: Protection::default(),
    };
    Ensure {
        scale_set: ScaleSetName::parse("db").unwrap(),
        instance,
        component: Component::Application,
        version: Version::parse(version).unwrap(),
        previous: None,
        again: Again::No,
        operation: OperationId(operation.to_owned()),
        fence: fence(1),
    }
}

/// A question what an instance of the set `db` runs, of which nothing is recorded.
pub(super) fn question(instance: &str) -> Observe {
    let Ensure { scale_set, instance, component, .. } = request(instance, "v1", "");
    Observe { scale_set, instance: std::sync::Arc::new(instance), component, expected: None, epoch: 0 }
}

/// What was seen, in a word.
pub(super) fn word(seen: &Seen) -> String {
    match seen {
        Seen::Version(version) => version.to_string(),
        Seen::Nothing => "absent".to_owned(),
        Seen::Unknown => "unknown".to_owned(),
    }
}

/// A rule for tests: three answers in a row, at once, and not half a second for the first.
pub(super) const CONFIRM: Confirm =
    Confirm { answers: 3, over: Duration::ZERO, within: Duration::from_millis(400) };

/// A request of generation 1 that creates `instance` in the place of `0`.
pub(super) fn creation(instance: &str, version: &str, operation: &str) -> Create {
    let Ensure { scale_set, instance, version, operation, fence, .. } = request(instance, version, operation);
    let replaces = InstanceId::parse("0").unwrap();
    Create { scale_set, instance, replaces, version, taken: Vec::new(), operation, fence }
}

/// A request of generation 1 that deletes an instance.
pub(super) fn deletion(instance: &str, operation: &str) -> Delete {
    let Ensure { scale_set, instance, operation, fence, .. } = request(instance, "v1", operation);
    Delete { scale_set, instance, located: Located::Yes, operation, fence }
}

/// The fence of a host that has started so often.
pub(super) fn fence(starts: u32) -> Fence {
    Fence::new(starts, 0).unwrap()
}

/// Waits for a condition.
pub(super) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let watch = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, watch).await.is_ok(), "waited in vain: {what}");
}

/// Whole lines of a file; none while it does not exist.
pub(super) fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_inclusive('\n').filter_map(|line| Some(line.strip_suffix('\n')?.to_owned())).collect()
}
