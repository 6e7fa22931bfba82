//! Worlds that once broke an invariant, made small and appended here by
//! `PHASEGATE_SEED=<seed> PHASEGATE_SHRINK=1 cargo test -p phasegate-core --lib every_seed -- --nocapture`.

use super::scenario::Scenario;
use super::world::run;

fn holds(seed: u64, scenario: &str) {
    let scenario: Scenario = serde_json::from_str(scenario).unwrap();
    assert_eq!(run(seed, &scenario).violations, []);
}

/// 1215695 ms: invariant 7 (WayBack): `0` goes back to v1, it had None
#[test]
fn seed_211() {
    holds(
        5,
        r#"{"instances":2,"policy":{"maxBatchInstancePercent":20,"maxUnhealthyInstancePercent":20,"maxUnhealthyUpgradedInstancePercent":20,"pauseTimeBetweenBatches":{"secs":0,"nanos":0},"enableCrossZoneUpgrade":false,"prioritizeUnhealthyInstances":true,"maxSurge":false,"batches":[]},"decisions":"live","interval":{"secs":10,"nanos":0},"faults":{"refuses":150,"lostProbe":20,"slowStart":100,"badVersion":1000,"zoneLoss":2,"driverFails":300,"fickle":5,"reloads":50,"exits":5,"hostCrash":20,"loses":30},"keeper":"HostAlone"}"#,
    );
}
