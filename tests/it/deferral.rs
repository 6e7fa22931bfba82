//! Upgrades that wait for instances which say "not now": what is said when those come no nearer, and how urgent an
//! upgrade is.

use serde_json::Value;

use crate::http::request;
use crate::support::answers::Answers;
use crate::support::{Site, fleet, repository, wait_for};

const BUSY: &str = "llamacpp:requests_processing 3\nllamacpp:requests_deferred 0\n";
const IDLE: &str = "llamacpp:requests_processing 0\nllamacpp:requests_deferred 0\n";

/// Two servers of models, the first of which is busy.
fn busy_and_idle(policy: &'static str) -> (Site, Answers) {
    let answers = Answers::start(&[0, 0]);
    answers.say(0, BUSY);
    answers.say(1, IDLE);
    let plugin = repository().join("plugins/inference-idle/inference-idle.wasm").display().to_string();
    let mut set = fleet::answered_by_the_test(&answers.ports, &plugin);
    set.policy = policy;
    let site = Site::new();
    site.write("phasegate.toml", set.toml());
    (site, answers)
}

fn status(site: &Site) -> Value {
    site.json(&["upgrade", "status", "orders", "--detail"])
}

#[test]
fn one_that_never_comes_nearer_is_said_and_one_that_does_is_upgraded() {
    let (site, answers) = busy_and_idle("maxBatchInstancePercent = 100\nmaxUnhealthyInstancePercent = 100");
    let _host = site.host();
    site.wait_until_healthy();
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    wait_for("no progress in five answers", || {
        let status = status(&site);
        let waiting = status["waiting"].as_str().unwrap_or_default().to_owned();
        waiting.ends_with("; no progress for long in instance 0").then_some(())
    });
    let why = wait_for("its reason", || {
        let status = status(&site);
        let reason = status["notYet"][0]["reason"].as_str()?.to_owned();
        reason.contains("no progress in").then_some(reason)
    });
    assert!(why.contains("3 requests running") && why.contains("(defer-progress stays 3)"), "{why}");
    let line = "phasegate_upgrade_deferred_stalled{scale_set=\"orders\"} 1";
    let metrics = request(site.port(), "GET /metrics", "");
    assert!(metrics.contains(line), "{metrics}");
    let log = site.json(&["upgrade", "log", "orders"]);
    let stalled = |log: &Value| log.to_string().matches("\"stalled\"").count();
    assert_eq!(stalled(&log), 1, "said once: {log}");

    answers.say(0, IDLE);
    assert_eq!(site.run(&["upgrade", "watch", "orders"]).code, 0);
}

#[test]
fn an_emergency_waits_for_nobody_and_its_plan_says_so() {
    let (site, _answers) = busy_and_idle(
        "maxBatchInstancePercent = 100\nmaxUnhealthyInstancePercent = 100\npauseTimeBetweenBatches = \"PT1H\"",
    );
    let _host = site.host();
    site.wait_until_healthy();
    let digest = |urgency: &str| {
        let plan = site.json(&["upgrade", "plan", "orders", "--to", "v2", "--urgency", urgency]);
        plan["digest"].as_str().unwrap().to_owned()
    };
    let (routine, emergency) = (digest("routine"), digest("emergency"));
    assert_ne!(routine, emergency);
    let other = site.run(&["upgrade", "start", "orders", "--to", "v2", "--plan", &emergency]);
    assert_eq!(other.code, 1, "routine is another plan: {other:?}");
    let whenever = site.run(&["upgrade", "start", "orders", "--to", "v2", "--urgency", "whenever"]);
    assert_eq!(whenever.code, 2, "{whenever:?}");

    let start = ["upgrade", "start", "orders", "--to", "v2", "--urgency", "emergency", "--plan", &emergency];
    let ended = site.run(&[&start[..], &["--wait"][..]].concat());
    assert_eq!(ended.code, 0, "who says not now is left out at once: {ended:?}");
    let ended = status(&site);
    assert_eq!(ended["urgency"], "emergency", "{ended}");
    assert_eq!(ended["status"]["progress"]["successful"], 1, "{ended}");
    let log = site.run(&["upgrade", "log", "orders"]).stdout;
    assert!(log.contains(", urgency emergency"), "{log}");
}
