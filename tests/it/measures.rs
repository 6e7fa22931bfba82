//! Metrics as a scrape gets them: in both formats, with every name that the manual has, and without complaint of promtool.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::http::request;
use crate::support::{Site, fleet};

/// Those of which there is a sample once an upgrade has ended; the others have one when something has happened.
const NAMES: &[&str] = &[
    "phasegate_build_info",
    "phasegate_driver_retries_total",
    "phasegate_driver_seconds_bucket",
    "phasegate_event_followers",
    "phasegate_exec_sources_kept_waiting_total",
    "phasegate_instances",
    "phasegate_line_stopped",
    "phasegate_plugin_evaluation_seconds_bucket",
    "phasegate_plugin_observations_total",
    "phasegate_probe_duration_seconds_bucket",
    "phasegate_probe_in_flight",
    "phasegate_probe_lateness_seconds_bucket",
    "phasegate_probe_skipped_total",
    "phasegate_quarantined_versions",
    "phasegate_store_commit_seconds_bucket",
    "phasegate_store_commits_refused_total",
    "phasegate_store_refusing",
    "phasegate_upgrade_held",
    "phasegate_upgrade_last_progress_timestamp_seconds",
    "phasegate_upgrade_waiting",
    "phasegate_upgrades_total",
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_threads",
];

/// What promtool says of a text; none where it is not installed.
fn complaints(text: &str) -> Option<String> {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut promtool) = promtool.spawn() else {
        let insists = std::env::var_os("PHASEGATE_REQUIRE_SERVICES").is_some_and(|value| value == "1");
        assert!(!insists, "PHASEGATE_REQUIRE_SERVICES=1, and there is no `promtool`");
        eprintln!("left out: there is no `promtool`");
        return None;
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let ended = promtool.wait_with_output().unwrap();
    let said = [ended.stdout, ended.stderr].concat();
    Some(format!("{}{}", ended.status, String::from_utf8_lossy(&said)))
}

#[test]
fn a_scrape_finds_every_measure_in_both_formats() {
    let site = Site::new();
    let databases = fleet::databases(3);
    let toml = databases.toml().replacen(
        "[[scaleSets.instances]]",
        "[[scaleSets.instances]]\nprotectionPolicy = { protectFromScaleSetActions = true }",
        1,
    );
    site.write("phasegate.toml", toml);
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]).code, 0);
    let plain = request(databases.api_port, "GET /metrics", "");
    assert!(plain.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{plain}");
    let (_, text) = plain.split_once("\r\n\r\n").unwrap();
    let has = |text: &str, name: &str| {
        text.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
    };
    for name in NAMES {
        assert!(has(text, name), "no `{name}` in {text}");
    }
    if let Some(said) = complaints(text) {
        assert_eq!(said, "exit status: 0");
    }
    let open = request(
        databases.api_port,
        "GET /metrics",
        "Accept: application/openmetrics-text; version=1.0.0\r\n",
    );
    assert!(open.contains("content-type: application/openmetrics-text"), "{open}");
    assert!(open.ends_with("# EOF\n") && has(&open, "phasegate_upgrades_total"), "{open}");
    host.stop();
}
