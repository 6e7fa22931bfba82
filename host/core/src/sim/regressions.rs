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

/// 1809985 ms: invariant 14 (Ending): `set1` has no time, and nothing that it waits for
#[test]
fn seed_8712() {
    holds(
        3,
        r#"{"sets":3,"instances":2,"zones":0,"phases":0,"protected":100,"policy":{"maxBatchInstancePercent":20,"maxUnhealthyInstancePercent":20,"maxUnhealthyUpgradedInstancePercent":87,"pauseTimeBetweenBatches":{"secs":0,"nanos":0},"enableCrossZoneUpgrade":false,"prioritizeUnhealthyInstances":false,"maxSurge":false,"batchOf":"set","batches":[]},"gate":{"wait":{"secs":5,"nanos":0},"stableFor":{"secs":15,"nanos":0},"deadline":{"secs":135,"nanos":0}},"decisions":"live","health":{"numberOfProbes":3,"gracePeriod":{"secs":60,"nanos":0},"failState":"Unknown","atGraceEnd":"hearOut"},"faults":{"lostProbe":200,"slowStart":100,"zoneLoss":2,"driverFails":300,"driverHangs":100,"driverRepeats":200,"hostCrash":20,"line":100,"handLate":400,"again":300,"clock":50,"twice":200},"mode":"automatic","retry":{"after":{"secs":120,"nanos":0},"limit":1},"cutOff":[{"secs":161,"nanos":0},{"secs":282,"nanos":0}]}"#,
    );
}
