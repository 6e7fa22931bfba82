//! The whole file: what is accepted, and how problems read.

mod azure;
mod declared;
mod drivers;
mod files;
mod machine;
mod texts;
mod values;
mod windows;

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::drivers::process::ProcessConfig;
use crate::drivers::template::{Scope, Template};
use crate::plugins::config::ComponentSource;
use crate::plugins::fetch::FetchConfig;
use phasegate_core::domain::{
    Address, Checkpoints, Decisions, FailureRules, FreezeWindows, HealthGate, HealthSettings, Instance,
    InstanceId, Isolation, Model, OnFailure, Percent, PluginLimits, PluginName, PluginSpec, ProbeConnection,
    ProbeProtocol, Profile, Protection, RollingUpgradePolicy, ScaleSetName, SwapRules, UpgradePolicy,
    Version,
};

const SAMPLE: &str = r#"[server]
listen = "127.0.0.1:8970"
dataDir = "./phasegate-data"

[[plugins]]
name = "db"
component = "plugins/replicated-db/replicated-db.wasm"   # relative to this file; or "builtin:azure-health"
settings = { maxLagBytes = 1048576 }                     # handed to the plugin as JSON
limits = { memoryMiB = 32, timeoutMs = 50 }

[[scaleSets]]
name = "orders"
plugin = "db"
[scaleSets.health]
protocol = "http"
requestPath = "/health"
intervalInSeconds = 5
numberOfProbes = 1
gracePeriod = 30
[scaleSets.upgradePolicy.rollingUpgradePolicy]
maxBatchInstancePercent = 20
maxUnhealthyInstancePercent = 20
maxUnhealthyUpgradedInstancePercent = 20
pauseTimeBetweenBatches = "PT0S"
[scaleSets.driver]
kind = "process"
command = ["python3", "server.py", "--port", "{port}", "--version", "{version}"]
[scaleSets.model]
version = "v1"
[[scaleSets.instances]]
id = "0"
address = "127.0.0.1:9100"
zone = "1"
updateDomain = 0
faultDomain = 0
labels = { role = "replica" }
"#;

/// Reads the text as the file `phasegate.toml` and returns its problems, one per line.
fn problems(text: &str) -> String {
    parse(text, Path::new("phasegate.toml")).map_or_else(|problems| problems.to_string(), |_| String::new())
}

/// The sample with `old`, which must be in it once, replaced.
fn sample_with(old: &str, new: &str) -> String {
    assert_eq!(SAMPLE.matches(old).count(), 1, "{old}");
    SAMPLE.replace(old, new)
}

fn percent(value: u8) -> Percent {
    Percent::new(value).unwrap()
}

fn expected_health() -> HealthSettings {
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
        grace_period: Duration::from_secs(30),
        body_max: 65_536,
        headers: Vec::new(),
        connection: ProbeConnection::Close,
        request_headers: Vec::new(),
        sources: Vec::new(),
    }
}

const COMMAND: [&str; 6] = ["python3", "server.py", "--port", "{port}", "--version", "{version}"];

fn expected_instance() -> Instance {
    Instance {
        id: InstanceId::parse("0").unwrap(),
        address: Address { host: "127.0.0.1".to_owned(), port: 9100 },
        region: None,
        zone: Some("1".to_owned()),
        update_domain: Some(0),
        fault_domain: Some(0),
        labels: [("role".to_owned(), "replica".to_owned())].into(),
        protection: Protection::default(),
    }
}

fn expected_scale_set() -> ScaleSet<DriverConfig> {
    let instance = expected_instance();
    ScaleSet {
        name: ScaleSetName::parse("orders").unwrap(),
        plugin: PluginName::parse("db").unwrap(),
        health: expected_health(),
        policy: UpgradePolicy {
            rolling: RollingUpgradePolicy::plain(percent(20)),
            gate: HealthGate {
                wait: Duration::ZERO,
                stable_for: Duration::from_millis(7_500),
                deadline: Duration::from_secs(300),
            },
            failure: FailureRules::default(),
            checkpoints: Checkpoints::default(),
            decisions: Decisions::Snapshot,
            urgency: Default::default(),
            defer_max: Duration::from_secs(1800),
            bake: None,
            hooks: phasegate_core::domain::HookKinds::default(),
            round_trip: false,
            timeouts: phasegate_core::domain::Timeouts::default(),
            prepare_max: Duration::from_secs(45),
        },
        mode: phasegate_core::domain::UpgradeMode::Manual,
        retry: None,
        freeze: FreezeWindows::default(),
        estate: Default::default(),
        model: Model { version: Version::parse("v1").unwrap(), extensions: Vec::new() },
        instances: [(instance.id.clone(), std::sync::Arc::new(instance))].into(),
        provisioning: Default::default(),
        forget_after: Duration::from_secs(3600),
        driver: DriverConfig::new(ProcessConfig {
            command: COMMAND.iter().map(|text| Template::parse(text, Scope::Run).unwrap()).collect(),
            environment: BTreeMap::new(),
            working_dir: PathBuf::from("/etc/phasegate"),
            stop_timeout: Duration::from_secs(10),
            surge: None,
            extension_command: None,
        }),
    }
}

#[test]
fn accepts_the_sample() {
    let config = parse(SAMPLE, Path::new("/etc/phasegate/phasegate.toml")).unwrap();
    assert_eq!(
        config.server,
        Server {
            listen: Endpoint::Tcp("127.0.0.1:8970".parse().unwrap()),
            socket: Socket { mode: 0o600, group: None },
            data_dir: PathBuf::from("/etc/phasegate/phasegate-data"),
            resolvers: Vec::new(),
            on_exit: None,
            stop_timeout: Duration::from_secs(30),
            access: Access::default(),
        }
    );
    let file = "/etc/phasegate/plugins/replicated-db/replicated-db.wasm";
    let db = PluginSpec {
        name: PluginName::parse("db").unwrap(),
        source: file.to_owned(),
        settings: "{\"maxLagBytes\":1048576}".to_owned(),
        limits: PluginLimits { memory_mib: 32, timeout: Duration::from_millis(50), ..PluginLimits::DEFAULT },
        isolation: Isolation::PerBatch,
        on_failure: OnFailure::Hold,
        digest: None,
        asks: String::new(),
        swap: SwapRules::default(),
    };
    let azure_health = PluginSpec {
        name: PluginName::parse("azure-health").unwrap(),
        source: "builtin:azure-health".to_owned(),
        settings: "{}".to_owned(),
        limits: PluginLimits::DEFAULT,
        isolation: Isolation::PerBatch,
        on_failure: OnFailure::Hold,
        digest: None,
        asks: String::new(),
        swap: SwapRules::default(),
    };
    let plugin = |spec, component| PluginConfig {
        spec,
        component,
        fetch: FetchConfig::default(),
        signature: None,
        cases: crate::plugins::config::Cases::Optional,
    };
    let db = plugin(db, ComponentSource::File(file.into()));
    let azure_health = plugin(azure_health, ComponentSource::Builtin("azure-health".to_owned()));
    assert_eq!(config.plugins, [db, azure_health]);
    assert_eq!(config.scale_sets, [expected_scale_set()]);
}

/// At least one mistake of every kind, some of them twice.
const WRONG: &str = r#"[server]
listen = "0.0.0.0:8970"
datadir = "data"
[[plugins]]
name = "db"
component = "builtin:nothing"
settings = { lag = nan }
[[plugins]]
name = "db"
limits = { memoryMiB = "32" }
[[scaleSets]]
name = "orders"
plugin = "bd"
[scaleSets.health]
requestpath = "/health"
protocol = "udp"
intervalInSeconds = 0.05
alien = 1
[scaleSets.upgradePolicy]
mode = "Manually"
rollingUpgradePolicy = { maxBatchInstancePercent = 4, pauseTimeBetweenBatches = "5s" }
healthGate = { wait = "PT5M", deadline = "PT1M" }
[scaleSets.driver]
kind = "process"
command = ["./server", "--rack={label.rack}", "{prot}"]
[[scaleSets.instances]]
id = "0"
address = "127.0.0.1:9100"
[[scaleSets.instances]]
id = "0"
address = "127.0.0.1:9100"
zone = 1.5
[[scaleSets]]
name = "orders"
model = "v1"
driver = { kind = "kubernetes", image = "orders" }
instances = [{ id = "a b", adress = "::1:80" }, { address = "10.0.0.1" }]
"#;

#[test]
fn reports_all_problems_at_once() {
    insta::assert_snapshot!(problems(WRONG), @r#"
    phasegate.toml:2:10: server.listen: is 0.0.0.0:8970, where other machines could start and stop upgrades without a token (add tokens = "phasegate.tokens" (`phasegate token new` writes it), or listen on 127.0.0.1)
    phasegate.toml:3:1: server.datadir: is not a known key (did you mean "dataDir"?)
    phasegate.toml:6:13: plugins[0].component: is the unknown built-in component "nothing" (write "builtin:azure-health", the path of a file, oci://… or https://…)
    phasegate.toml:7:20: plugins[0].settings.lag: is nan, which JSON cannot hold (write a finite number, or a string)
    phasegate.toml:8:1: plugins[1].component: is missing (for example component = "plugins/db.wasm", "oci://…" or "https://…")
    phasegate.toml:9:8: plugins[1].name: is "db", as is plugins[0].name in line 5 (must be unique)
    phasegate.toml:10:24: plugins[1].limits.memoryMiB: is a string "32" (write a whole number, for example memoryMiB = 64)
    phasegate.toml:11:1: scaleSets[0].model: is missing (for example model = { version = "v1" })
    phasegate.toml:13:10: scaleSets[0].plugin: is "bd", which is not defined (did you mean "db"? defined: "azure-health", "db")
    phasegate.toml:15:1: scaleSets[0].health.requestpath: is not a known key (did you mean "requestPath"?)
    phasegate.toml:16:12: scaleSets[0].health.protocol: is "udp" (known: "http", "https", "tcp", "h2", "h2c", "grpc", "grpcs")
    phasegate.toml:17:21: scaleSets[0].health.intervalInSeconds: is 0.05 (allowed: 0.1 to 3600)
    phasegate.toml:18:1: scaleSets[0].health.alien: is not a known key (known here: profile, protocol, connection, port, requestPath, grpcService, certificate, key, intervalInSeconds, numberOfProbes, gracePeriod, timeoutInSeconds, maxBodyBytes, responseHeaders, requestHeaders, sources)
    phasegate.toml:20:8: scaleSets[0].upgradePolicy.mode: is "Manually" (did you mean "Manual"? known: "Manual", "Rolling", "Automatic")
    phasegate.toml:21:52: scaleSets[0].upgradePolicy.rollingUpgradePolicy.maxBatchInstancePercent: is 4 (allowed: 5 to 100)
    phasegate.toml:21:81: scaleSets[0].upgradePolicy.rollingUpgradePolicy.pauseTimeBetweenBatches: "5s" is not an ISO-8601 duration; write for example PT0S, PT30S, PT5M, P1DT12H or P2W
    phasegate.toml:22:42: scaleSets[0].upgradePolicy.healthGate.deadline: leaves no time: wait and stableFor take 300 s, deadline is 60 s (make deadline longer than both together)
    phasegate.toml:25:24: scaleSets[0].driver.command[1]: cannot be filled in: instance "0" has no label "rack" (add it to every instance of the set, or drop the placeholder)
    phasegate.toml:25:47: scaleSets[0].driver.command[2]: "{prot}" has the unknown placeholder {prot}; known: {id}, {name}, {version}, {address}, {host}, {port}, {zone}, {label.NAME}; write {{ and }} for braces
    phasegate.toml:30:6: scaleSets[0].instances[1].id: is "0", as is scaleSets[0].instances[0].id in line 27 (must be unique)
    phasegate.toml:31:11: scaleSets[0].instances[1].address: is "127.0.0.1:9100", as is scaleSets[0].instances[0].address in line 28 (must be unique)
    phasegate.toml:32:8: scaleSets[0].instances[1].zone: is the number 1.5 (write a string, for example zone = "1")
    phasegate.toml:34:8: scaleSets[1].name: is "orders", as is scaleSets[0].name in line 12 (must be unique)
    phasegate.toml:35:9: scaleSets[1].model: is a string "v1" (write a table, for example model = { version = "v1" })
    phasegate.toml:36:19: scaleSets[1].driver.kind: is "kubernetes" (known: "process", "command", "http")
    phasegate.toml:37:21: scaleSets[1].instances[0].id: "a b" contains ' '; use letters, digits and ._-
    phasegate.toml:37:28: scaleSets[1].instances[0].adress: is not a known key (did you mean "address"?)
    phasegate.toml:37:49: scaleSets[1].instances[1].id: is missing (for example id = "0")
    phasegate.toml:37:61: scaleSets[1].instances[1].address: "10.0.0.1" has no port; write host:port, for example 10.0.0.1:9100, [2001:db8::1]:9100 or db-1.example.com:9100
    "#);
}

#[test]
fn reports_wrong_values_beside_wrong_syntax() {
    let text = sample_with("listen = \"127.0.0.1:8970\"", "listen = 127.0.0.1:8970")
        .replace("gracePeriod = 30", "gracePeriod = -1")
        .replace("name = \"orders\"", "name = \"orders")
        .replace("numberOfProbes = 1", "numberOfProbes = 1\nnumberOfProbes = 2");
    insta::assert_snapshot!(problems(&text), @r#"
    phasegate.toml:2:15: is not valid TOML: invalid float, expected nothing (text goes in quotes)
    phasegate.toml:12:15: is not valid TOML: invalid basic string, expected `"`
    phasegate.toml:19:1: is not valid TOML: duplicate key
    phasegate.toml:20:15: scaleSets[0].health.gracePeriod: is -1 (allowed: 0 to 14400)
    "#);
}

#[test]
fn an_unreadable_file_is_one_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("phasegate.toml");
    assert!(matches!(load(&path), Err(LoadConfigError::Unreadable { .. })));
    std::fs::write(&path, [b'#', 0xff]).unwrap();
    assert!(matches!(load(&path), Err(LoadConfigError::Invalid(_))), "not UTF-8 is a mistake in the file");
    std::fs::write(&path, "x = 1").unwrap();
    let error = load(&path).unwrap_err();
    assert_eq!(error.to_string(), format!("2 problems in `{}`", path.display()));
    std::fs::write(&path, SAMPLE).unwrap();
    assert_eq!(load(&path).unwrap().server.data_dir, directory.path().join("phasegate-data"));
}
