//! Each declared key with two values, and what becomes of a change from the one to the other.

const DIGEST: &str = "digest = \"sha256:1111111111111111111111111111111111111111111111111111111111111111\"";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    Restart(&'static str),
    Set(&'static str),
    Plugin,
    Access,
}
use Effect::{Access, Plugin, Restart, Set};

pub(super) type Row = (&'static str, &'static str, &'static str, Effect);

fn server_rows() -> Vec<Row> {
    vec![
        ("#server", "listen = \"127.0.0.1:1\"", "listen = \"127.0.0.1:2\"", Restart("server.listen changed")),
        ("#server", "dataDir = \"a\"", "dataDir = \"b\"", Restart("server.dataDir changed")),
        ("#server", "onExit = \"stop\"", "onExit = \"leave\"", Restart("server.onExit changed")),
        (
            "#server",
            "stopTimeout = \"PT30S\"",
            "stopTimeout = \"PT5S\"",
            Restart("server.stopTimeout changed"),
        ),
        ("#server", "resolvers = []", "resolvers = [\"::1\"]", Restart("server.resolvers changed")),
        ("#server", "tokenFile = \"a\"", "tokenFile = \"b\"", Access),
        ("#server", "tokenFile = \"a\"", "tokens = \"a\"", Access),
        ("#server", "tls = \"terminated\"", "tls = { certificate = \"a\", key = \"b\" }", Access),
        (
            "#server",
            "listen = \"unix:/s\"\nsocket = { mode = \"0600\" }",
            "listen = \"unix:/s\"\nsocket = { mode = \"0660\" }",
            Restart("server.socket.mode changed"),
        ),
        (
            "#server",
            "listen = \"unix:/s\"\nsocket = { group = \"a\" }",
            "listen = \"unix:/s\"\nsocket = { group = \"b\" }",
            Restart("server.socket.group changed"),
        ),
    ]
}

/// Place, one value of a key, another one, and what becomes of the change.
pub(super) fn host_and_plugin_rows() -> Vec<Row> {
    let mut rows = [limits(), server_rows()].concat();
    rows.extend([
        ("#recording", "maxMiB = 4", "maxMiB = 1", Restart("recording.maxMiB changed")),
        ("#recording", "maxMiB = 4", "maxMiB = 0", Restart("recording.maxMiB changed")),
        ("#recording", "maxAge = \"P1D\"", "maxAge = \"P2D\"", Restart("recording.maxAge changed")),
        ("#recording", "redact = []", "redact = [\"/role\"]", Restart("recording.redact changed")),
        ("#retention", "audit = \"P1D\"", "audit = \"P2D\"", Restart("retention.audit changed")),
        ("#retention", "auditLines = 1000", "auditLines = 2000", Restart("retention.auditLines changed")),
        ("#retention", "upgrades = 10", "upgrades = 20", Restart("retention.upgrades changed")),
        ("#retention", "members = 10", "members = 20", Restart("retention.members changed")),
        (
            "name = \"db\"",
            "name = \"db\"",
            "name = \"db\"\ncomponent = \"builtin:azure-health\"\n[[plugins]]\nname = \"b\"",
            Restart("the list of plugins changed"),
        ),
        (
            "component = \"https://h/a.wasm\"",
            "component = \"https://h/a.wasm\"",
            "component = \"https://h/b.wasm\"",
            Plugin,
        ),
        ("#plugin", "settings = {}", "settings = { a = 1 }", Plugin),
        ("#plugin", "onFailure = \"hold\"", "onFailure = \"azure\"", Plugin),
        ("#plugin", "isolation = \"batch\"", "isolation = \"reused\"", Plugin),
        ("#plugin", "", DIGEST, Plugin),
        ("#plugin", "strategy = \"rehearse\"", "strategy = \"shadow\"", Plugin),
        ("#plugin", "watchTime = \"PT1M\"", "watchTime = \"PT2M\"", Plugin),
        ("#plugin", "fetch.caFile = \"a\"", "fetch.caFile = \"b\"", Plugin),
        ("#plugin", "fetch.timeout = \"PT1M\"", "fetch.timeout = \"PT2M\"", Plugin),
        ("#plugin", "fetch.tokenFile = \"a\"", "fetch.tokenFile = \"b\"", Plugin),
        (
            "#plugin",
            "fetch = { usernameFile = \"a\", passwordFile = \"p\" }",
            "fetch = { usernameFile = \"b\", passwordFile = \"p\" }",
            Plugin,
        ),
        (
            "#plugin",
            "fetch = { passwordFile = \"a\", usernameFile = \"u\" }",
            "fetch = { passwordFile = \"b\", usernameFile = \"u\" }",
            Plugin,
        ),
        ("#plugin", "requireCases = false", "requireCases = true", Plugin),
        (
            "#plugin",
            "signature = { publicKeyFiles = [\"a\"], threshold = 1 }",
            "signature = { publicKeyFiles = [\"a\"], threshold = 2 }",
            Plugin,
        ),
        ("#plugin", "gate.maxChangedPercent = 1", "gate.maxChangedPercent = 2", Plugin),
        ("#plugin", "gate.forbid = []", "gate.forbid = [\"skip-added\"]", Plugin),
        ("#plugin", "gate.minObservations = 1", "gate.minObservations = 2", Plugin),
        ("#plugin", "gate.minTime = \"PT1M\"", "gate.minTime = \"PT2M\"", Plugin),
    ]);
    rows
}

fn limits() -> Vec<Row> {
    vec![
        ("#plugin", "limits.memoryMiB = 64", "limits.memoryMiB = 65", Plugin),
        ("#plugin", "limits.timeoutMs = 100", "limits.timeoutMs = 101", Plugin),
        ("#plugin", "limits.fuel = 10000", "limits.fuel = 10001", Plugin),
        ("#plugin", "limits.logLinesPerMinute = 1", "limits.logLinesPerMinute = 2", Plugin),
        ("#plugin", "limits.compile.cpuSeconds = 1", "limits.compile.cpuSeconds = 2", Plugin),
        ("#plugin", "limits.compile.memoryMiB = 64", "limits.compile.memoryMiB = 65", Plugin),
    ]
}

/// Keys of a source of instances; a source that comes or goes needs a restart.
fn discovery() -> Vec<Row> {
    let row = |from, to| ("#set", from, to, Set("discovery"));
    macro_rules! key {
        ($name:literal, $from:literal, $to:literal) => {
            row(
                concat!("discovery.file = \"a\"\ndiscovery.", $name, " = ", $from),
                concat!("discovery.file = \"a\"\ndiscovery.", $name, " = ", $to),
            )
        };
    }
    macro_rules! http {
        ($name:literal, $from:literal, $to:literal) => {
            row(
                concat!("discovery.http = { url = \"http://h:1/\", ", $from, " }"),
                concat!("discovery.http = { url = \"http://h:1/\", ", $to, " }"),
            )
        };
    }
    vec![
        ("#set", "", "discovery.file = \"a\"", Restart("scale set `orders` got a discovery")),
        ("#set", "discovery.file = \"a\"", "", Restart("scale set `orders` lost its discovery")),
        row("discovery.file = \"a\"", "discovery.file = \"b\""),
        row("discovery.dns = { srv = \"a\" }", "discovery.dns = { srv = \"b\" }"),
        row("discovery.dns = { host = \"a\", port = 1 }", "discovery.dns = { host = \"b\", port = 1 }"),
        row("discovery.dns = { host = \"a\", port = 1 }", "discovery.dns = { host = \"a\", port = 2 }"),
        row("discovery.http = { url = \"http://h:1/\" }", "discovery.http = { url = \"http://h:2/\" }"),
        http!("headers", "headers = { A = \"a\" }", "headers = { A = \"b\" }"),
        http!("tokenFile", "tokenFile = \"a\"", "tokenFile = \"b\""),
        http!(
            "usernameFile",
            "usernameFile = \"a\", passwordFile = \"p\"",
            "usernameFile = \"b\", passwordFile = \"p\""
        ),
        http!(
            "passwordFile",
            "usernameFile = \"a\", passwordFile = \"p\"",
            "usernameFile = \"a\", passwordFile = \"q\""
        ),
        http!("caFile", "caFile = \"a\"", "caFile = \"b\""),
        key!("idLabel", "\"a\"", "\"b\""),
        key!("regionLabel", "\"a\"", "\"b\""),
        key!("zoneLabel", "\"a\"", "\"b\""),
        key!("updateDomainLabel", "\"a\"", "\"b\""),
        key!("faultDomainLabel", "\"a\"", "\"b\""),
        key!("protectLabel", "\"a\"", "\"b\""),
        key!("refreshInterval", "\"PT1S\"", "\"PT2S\""),
        key!("timeout", "\"PT1S\"", "\"PT2S\""),
        key!("maxRemovedPercent", "1", "2"),
    ]
}

pub(super) fn set_rows() -> Vec<Row> {
    let health = Set("health");
    let mut rows = discovery();
    rows.extend(vec![
        (
            "name = \"orders\"",
            "name = \"orders\"",
            "name = \"stock\"",
            Restart("the list of scale sets changed"),
        ),
        ("plugin = \"db\"", "plugin = \"db\"", "plugin = \"azure-health\"", Set("plugin")),
        ("model.version = \"v1\"", "model.version = \"v1\"", "model.version = \"v2\"", Set("model")),
        ("#set", "", "model.extensions = [{ name = \"logs\", version = \"1\" }]", Set("model")),
        (
            "#set",
            "model.extensionsTimeBudget = \"PT20M\"",
            "model.extensionsTimeBudget = \"PT30M\"",
            Set("model"),
        ),
        ("[\"sleep\", \"9\"]", "[\"sleep\", \"9\"]", "[\"sleep\", \"8\"]", Set("driver")),
        ("127.0.0.1:1", "127.0.0.1:1", "127.0.0.1:2", Set("instances: 1 changed")),
        ("#set", "allow = [{ days = [\"Sat\"] }]", "allow = [{ days = [\"Sun\"] }]", Set("allow")),
        ("#set", "forgetAfter = \"PT1H\"", "forgetAfter = \"PT2H\"", Set("forgetAfter")),
        ("#health", "profile = \"fleet\"", "profile = \"azure\"", health.clone()),
        ("#health", "protocol = \"http\"", "protocol = \"https\"", health.clone()),
        ("#health", "port = 1", "port = 2", health.clone()),
        ("#health", "requestPath = \"/a\"", "requestPath = \"/b\"", health.clone()),
        ("#health", "intervalInSeconds = 5", "intervalInSeconds = 6", health.clone()),
        ("#health", "numberOfProbes = 1", "numberOfProbes = 2", health.clone()),
        ("#health", "gracePeriod = 5", "gracePeriod = 6", health.clone()),
        ("#health", "timeoutInSeconds = 1", "timeoutInSeconds = 2", health.clone()),
        ("#health", "maxBodyBytes = 1", "maxBodyBytes = 2", health.clone()),
        ("#health", "responseHeaders = []", "responseHeaders = [\"a\"]", health.clone()),
        ("#health", "connection = \"close\"", "connection = \"keep\"", health.clone()),
        ("#health", "requestHeaders = {}", "requestHeaders = { Host = \"a\" }", health.clone()),
        (
            "#health",
            "protocol = \"grpc\"\ngrpcService = \"a\"",
            "protocol = \"grpc\"\ngrpcService = \"b\"",
            health.clone(),
        ),
        (
            "#health",
            "protocol = \"h2\"\ncertificate = \"a\"\nkey = \"k\"",
            "protocol = \"h2\"\ncertificate = \"b\"\nkey = \"k\"",
            health.clone(),
        ),
        (
            "#health",
            "protocol = \"grpcs\"\ncertificate = \"a\"\nkey = \"k\"",
            "protocol = \"grpcs\"\ncertificate = \"a\"\nkey = \"l\"",
            health.clone(),
        ),
        ("#health", "sources = [{ name = \"a\" }]", "sources = [{ name = \"b\" }]", health.clone()),
        (
            "#health",
            "sources = [{ name = \"a\", protocol = \"https\", host = \"a\", port = 1, method = \"POST\", body = \"a\", \
             requestPath = \"/a\", requestHeaders = {}, responseHeaders = [], tokenFile = \"a\", caFile = \"a\", \
             serverName = \"a\", timeoutInSeconds = 1, maxBodyBytes = 1 }]",
            "sources = [{ name = \"a\", protocol = \"tcp\", send = \"a\", expect = [\"a\"], usernameFile = \"a\", \
             passwordFile = \"a\" }, { name = \"b\", protocol = \"exec\", command = [\"a\"], environment = { A = \"a\" } }]",
            health,
        ),
    ]);
    rows
}

/// Where a set stands, what of it is published, and how a release goes through regions.
pub(super) fn release_rows() -> Vec<Row> {
    const ONE: &str = "[[extensionTypes]]\npublisher = \"a\"\ntype = \"b\"\nmaxVersions = 5\n[recording]";
    const TWO: &str = "[[extensionTypes]]\npublisher = \"a\"\ntype = \"b\"\nmaxVersions = 6\nsource = \"v.json\"\n\
                       interval = \"PT1M\"\nchecker = [\"true\"]\n[recording]";
    let mut rows = vec![
        ("[recording]", ONE, "[recording]", Set("releases")),
        ("[recording]", ONE, TWO, Set("releases")),
        (
            "address = \"127.0.0.1:1\" }",
            "address = \"127.0.0.1:1\", zone = \"1\" }",
            "address = \"127.0.0.1:1\", zone = \"2\" }",
            Set("instances: 1 changed"),
        ),
        ("#set", "kind = \"uniform\"", "kind = \"serviceFabric\"", Set("kind")),
        ("#set", "location = \"a\"", "location = \"b\"", Set("location")),
        ("#set", "subscription = \"a\"", "subscription = \"b\"", Set("subscription")),
        ("#set", "resourceGroup = \"a\"", "resourceGroup = \"b\"", Set("resourceGroup")),
        (
            "model.version = \"v1\"",
            "model = { version = \"1.0\", application = { publisher = \"a\", type = \"b\" } }",
            "model = { version = \"1.0\", application = { publisher = \"a\", type = \"b\", enableAutomaticUpgrade = true } }",
            Set("model"),
        ),
        (
            "instances = [{ id = \"0\", address = \"127.0.0.1:1\" }]",
            "after = []\ninstances = [{ id = \"0\", address = \"127.0.0.1:1\" }]\n[[scaleSets]]\nname = \"db\"\n\
             driver = { kind = \"process\", command = [\"sleep\", \"9\"] }\nmodel.version = \"v1\"\n\
             instances = [{ id = \"0\", address = \"127.0.0.1:2\" }]",
            "after = [\"db\"]\ninstances = [{ id = \"0\", address = \"127.0.0.1:1\" }]\n[[scaleSets]]\nname = \"db\"\n\
             driver = { kind = \"process\", command = [\"sleep\", \"9\"] }\nmodel.version = \"v1\"\n\
             instances = [{ id = \"0\", address = \"127.0.0.1:2\" }]",
            Set("after"),
        ),
    ];
    let of_releases: [(&str, &str); 10] = [
        ("name = \"a\"", "name = \"b\""),
        ("version = 1", "version = 2"),
        ("regionPhases = []", "regionPhases = [[\"local\"]]"),
        ("geoPairs = []", "geoPairs = [[\"a\", \"b\"]]"),
        ("bake = \"PT1M\"", "bake = \"PT2M\""),
        (
            "unlisted = \"last\"\nregionPhases = [[\"local\"]]",
            "unlisted = \"refuse\"\nregionPhases = [[\"local\"]]",
        ),
        ("maxFailedSets = 1", "maxFailedSets = 2"),
        ("retryAfter = \"P1D\"", "retryAfter = \"P2D\""),
        ("retryLimit = 1", "retryLimit = 2"),
        ("requireFeature = false", "requireFeature = true"),
    ];
    rows.extend(of_releases.map(|(from, to)| ("#releases", from, to, Set("releases"))));
    rows
}

const POLICY: &[(&str, &str)] = &[
    (
        "rollingUpgradePolicy.maxBatchInstancePercent = 20",
        "rollingUpgradePolicy.maxBatchInstancePercent = 21",
    ),
    (
        "rollingUpgradePolicy.maxUnhealthyInstancePercent = 20",
        "rollingUpgradePolicy.maxUnhealthyInstancePercent = 21",
    ),
    (
        "rollingUpgradePolicy.maxUnhealthyUpgradedInstancePercent = 20",
        "rollingUpgradePolicy.maxUnhealthyUpgradedInstancePercent = 21",
    ),
    (
        "rollingUpgradePolicy.pauseTimeBetweenBatches = \"PT0S\"",
        "rollingUpgradePolicy.pauseTimeBetweenBatches = \"PT1S\"",
    ),
    (
        "rollingUpgradePolicy.enableCrossZoneUpgrade = false",
        "rollingUpgradePolicy.enableCrossZoneUpgrade = true",
    ),
    (
        "rollingUpgradePolicy.prioritizeUnhealthyInstances = false",
        "rollingUpgradePolicy.prioritizeUnhealthyInstances = true",
    ),
    (
        "rollingUpgradePolicy.rollbackFailedInstancesOnPolicyBreach = false",
        "rollingUpgradePolicy.rollbackFailedInstancesOnPolicyBreach = true",
    ),
    ("rollingUpgradePolicy.batches = [1]", "rollingUpgradePolicy.batches = [2]"),
    ("rollingUpgradePolicy.maxSurge = false", "rollingUpgradePolicy.maxSurge = true"),
    ("mode = \"Rolling\"", "mode = \"Automatic\""),
    ("restoreFailedInstances = true", "restoreFailedInstances = false"),
    ("rollbackOnPolicyBreach = false", "rollbackOnPolicyBreach = true"),
    ("pauseAfterPhase = [1]", "pauseAfterPhase = [2]"),
    ("approvalBeforePhase = [1]", "approvalBeforePhase = [2]"),
    ("decisions = \"snapshot\"", "decisions = \"live\""),
    ("retryAfter = \"P1D\"", "retryAfter = \"P2D\""),
    ("retryLimit = 1\nretryAfter = \"P1D\"", "retryLimit = 2\nretryAfter = \"P1D\""),
    ("freezeWindows = []", "freezeWindows = [{ days = [\"Sat\"] }]"),
    ("freezeWindows = [{ days = [\"Sat\"] }]", "freezeWindows = [{ days = [\"Sun\"] }]"),
    (
        "freezeWindows = [{ from = \"10:00\", to = \"12:00\" }]",
        "freezeWindows = [{ from = \"11:00\", to = \"12:00\" }]",
    ),
    ("freezeWindows = [{ to = \"10:00\" }]", "freezeWindows = [{ to = \"12:00\" }]"),
    (
        "freezeWindows = [{ timeZone = \"UTC\", to = \"10:00\" }]",
        "freezeWindows = [{ timeZone = \"Europe/Berlin\", to = \"10:00\" }]",
    ),
    (
        "freezeWindows = [{ firstDate = \"2026-12-20\", to = \"10:00\" }]",
        "freezeWindows = [{ firstDate = \"2026-12-21\", to = \"10:00\" }]",
    ),
    ("freezeWindows = [{ lastDate = \"2026-12-20\" }]", "freezeWindows = [{ lastDate = \"2026-12-21\" }]"),
    (
        "freezeWindows = [{ reason = \"a\", to = \"10:00\" }]",
        "freezeWindows = [{ reason = \"b\", to = \"10:00\" }]",
    ),
    ("deferDeadline = \"PT1M\"", "deferDeadline = \"PT2M\""),
    ("healthGate.wait = \"PT0S\"", "healthGate.wait = \"PT1S\""),
    ("healthGate.stableFor = \"PT0S\"", "healthGate.stableFor = \"PT1S\""),
    ("healthGate.deadline = \"PT5M\"", "healthGate.deadline = \"PT6M\""),
    ("canary.roundTrip = true", "canary.roundTrip = false"),
    ("bake.duration = \"PT1M\"", "bake.duration = \"PT2M\""),
    ("bake.probes = 1", "bake.probes = 2"),
    ("onBakeFailure = \"stop\"\nbake.probes = 1", "onBakeFailure = \"rollback\"\nbake.probes = 1"),
    ("batchTimeout = \"PT10M\"", "batchTimeout = \"PT20M\""),
    ("upgradeTimeout = \"PT1H\"", "upgradeTimeout = \"PT2H\""),
    ("approvalTimeout = \"P1D\"", "approvalTimeout = \"P2D\""),
    ("onTimeout = \"stop\"", "onTimeout = \"rollback\""),
];

pub(super) fn policy_rows() -> Vec<Row> {
    POLICY.iter().map(|(from, to)| ("#policy", *from, *to, Set("upgradePolicy"))).collect()
}
