//! Key by key: what is accepted and what is refused.

use super::*;

const FILE: &str = r#"
[server]
#server
[[plugins]]
name = "db"
component = "db.wasm"
#plugin
[[scaleSets]]
name = "orders"
#set
[scaleSets.health]
#health
[scaleSets.upgradePolicy]
#mode
[scaleSets.upgradePolicy.rollingUpgradePolicy]
#policy
[scaleSets.upgradePolicy.healthGate]
#gate
[scaleSets.driver]
kind = "process"
command = ["true"]
#driver
[scaleSets.model]
version = "v1"
[[scaleSets.instances]]
id = "0"
address = "h:1"
#instance
"#;

/// The small file with `old`, which must be in it once, replaced.
pub(super) fn read(old: &str, new: &str) -> Result<Config, Problems> {
    assert_eq!(FILE.matches(old).count(), 1, "{old}");
    parse(&FILE.replace(old, new), Path::new("etc/f"))
}

#[test]
fn accepts_the_edges() {
    for (old, new) in [
        ("#server", "listen = '[::1]:0'"),
        ("#server", "listen = '[::ffff:127.0.0.1]:80'"),
        ("#server", "listen = '0.0.0.0:80'\ntokenFile = 'token'\ntls = 'terminated'"),
        ("#server", "listen = '0.0.0.0:80'\ntokens = 'tokens'\ntls = { certificate = 'c', key = 'k' }"),
        ("#server", "listen = 'unix:phasegate.sock'\nsocket = { mode = '0660', group = 'ops' }"),
        ("\"db.wasm\"", "'builtin:azure-health'"),
        ("#plugin", "limits = { memoryMiB = 1, timeoutMs = 1 }\nisolation = 'reused'"),
        ("#plugin", "limits = { memoryMiB = 4096, timeoutMs = 60_000 }\nisolation = 'batch'"),
        ("\"db\"", "'azure-health'"),
        ("#set", "plugin = 'azure-health'"),
        (
            "#health",
            "intervalInSeconds = 0.1\nnumberOfProbes = 100\ngracePeriod = 0\ntimeoutInSeconds = 0.05",
        ),
        ("#health", "intervalInSeconds = 3600\ngracePeriod = 14400\ntimeoutInSeconds = 3600.0"),
        ("#health", "maxBodyBytes = 1_048_576\nport = 0xffff"),
        ("#health", "protocol = 'tcp'"),
        ("#health", "protocol = 'h2'\nrequestPath = '/a?b'\ncertificate = 'c'\nkey = 'k'"),
        ("#health", "protocol = 'h2c'\nrequestHeaders = { Host = 'a', content-type = 'x' }"),
        ("#health", "protocol = 'grpc'\ngrpcService = 'orders.v1.Orders'"),
        ("#health", "protocol = 'grpcs'\nrequestHeaders = { authorization = 'Bearer x' }"),
        (
            "#health",
            "sources = [{ protocol = 'exec', command = ['psql', '{host}'], environment = { A = '{id}' } }, { name = 'b', \
             protocol = 'tcp', send = 'PING\\r\\n', expect = ['+PONG'], passwordFile = 'p' }]",
        ),
        (
            "#health",
            "sources = [{ name = 'a', protocol = 'https', method = 'POST', body = '{}', tokenFile = 't', caFile = 'c', \
             serverName = '{host}', requestHeaders = { Host = 'h' }, timeoutInSeconds = 5 }]",
        ),
        ("#mode", "mode = 'rolling'"),
        ("#mode", "mode = 'AUTOMATIC'\nretryLimit = 2"),
        // Rows R02 and R03: the accepted edges.
        ("#policy", "maxBatchInstancePercent = 5\nmaxUnhealthyInstancePercent = 5"),
        ("#policy", "maxBatchInstancePercent = 100\nmaxUnhealthyInstancePercent = 100"),
        ("#policy", "maxUnhealthyUpgradedInstancePercent = 0"),
        ("#policy", "maxUnhealthyUpgradedInstancePercent = 100"),
        (
            "#policy",
            "maxSurge = false\nrollbackFailedInstancesOnPolicyBreach = true\nbatches = [1, 5, \"20%\"]",
        ),
        (
            "#mode",
            "pauseAfterPhase = [0]\napprovalBeforePhase = [1, \"last\"]\nrollbackOnPolicyBreach = true",
        ),
        ("\"db.wasm\"", "'https://h/db.wasm'\nfetch = { caFile = 'a', timeout = 'PT4M', tokenFile = 'b' }"),
        ("\"db.wasm\"", "'oci://h/a:1'\nfetch = { usernameFile = 'a', passwordFile = 'b' }"),
        ("#plugin", "fetch = { caFile = 'a', timeout = 'PT1S' }"),
        ("#gate", "wait = 'PT2M'\nstableFor = 'PT2M59S'"),
        ("#driver", "environment = { PATH = '{host}', EMPTY = '' }\nstopTimeoutInSeconds = 0.1"),
        ("[\"true\"]", "['{id}', '', '{{}}']"),
        ("#instance", "updateDomain = 0\nfaultDomain = 1_000_000\nregion = 'Köln'"),
    ] {
        read(old, new).unwrap_or_else(|problems| panic!("{new}: {problems}"));
    }
}

/// What is replaced in the small file, by what (` ; ` is a line break), and a part of the one
/// problem that follows. The percentages are rows R02 of the conformance table.
const WRONG_VALUES: &str = r##"
#server | listen = '' | server.listen: is empty
#server | listen = 'localhost:80' | server.listen: "localhost:80" is not an IP address and a port
#server | listen = '127.0.0.1' | server.listen: "127.0.0.1" is not
#server | listen = '[::]:80' | server.listen: is [::]:80, where other machines
#server | listen = '[::]:80' ; tokenFile = 't' | server.listen: is [::]:80, where other machines could read the tokens
#server | listen = 'unix:' | server.listen: "unix:" has a path of 0 bytes
#server | listen = 'unix:/s' ; socket = { mode = '0400' } | server.socket.mode: "0400" is no mode of a socket
#server | listen = 'unix:/s' ; socket = { mode = '4755' } | server.socket.mode: "4755" is no mode of a socket
#server | socket = { mode = '0600' } | server.socket: goes with a socket, and listen is an address
#server | tokenFile = 'a' ; tokens = 'b' | server.tokenFile: is at odds with tokens
#server | tls = 'on' | server.tls: is no way to encrypt
#server | tls = { certificate = 'c' } | server.tls.key: is missing
#server | listen = 'unix:/s' ; tls = { certificate = 'c', key = 'k' } | server.tls: encrypts a socket
#server | dataDir = '' | server.dataDir: is empty
#server | dataDir = "a\u0000" | server.dataDir: contains a NUL character
#server | tokenFile = 1 | server.tokenFile: is the number 1 (write a string, for example tokenFile =
"db" | '' | plugins[0].name: is empty
"db" | 'a b' | plugins[0].name: "a b" contains ' '
component = "db.wasm" |  | plugins[0].component: is missing
"db.wasm" | 'builtin:' | plugins[0].component: is the unknown built-in component ""
"db.wasm" | 'http://h/x' | plugins[0].component: "http://h/x" would be fetched in the clear, which only a
"db.wasm" | 'oci://h/db' | plugins[0].component: "oci://h/db" names no version; add :TAG
"db.wasm" | 'file:///x' | plugins[0].component: "file:///x" has an unknown scheme; write https://…
"db.wasm" | 'oci://h/a:1' ; fetch = { timeout = 'PT0S' } | plugins[0].fetch.timeout: is "PT0S" (allowed: PT1S to PT4M)
"db.wasm" | 'oci://h/a:1' ; fetch = { timeout = 60 } | plugins[0].fetch.timeout: is the number 60
"db.wasm" | 'oci://h/a:1' ; fetch = { caFile = '' } | plugins[0].fetch.caFile: is empty
"db.wasm" | 'oci://h/a:1' ; fetch = { token = 'x' } | plugins[0].fetch.token: is not a known key
"db.wasm" | 'oci://h/a:1' ; fetch = { usernameFile = 'x' } | usernameFile: is there without passwordFile
"db.wasm" | 'oci://h/a:1' ; fetch = { passwordFile = 'x' } | passwordFile: is there without usernameFile
"db.wasm" | 'oci://h/a:1' ; fetch = { tokenFile = 'x', passwordFile = 'y' } | tokenFile: is at odds with
#plugin | fetch = { tokenFile = 'x' } | plugins[0].fetch.tokenFile: goes with a component that is fetched
#server | [recording] ; maxAge = 'PT1S' | recording.maxAge: is "PT1S" (allowed: PT1M to P365D)
#server | [recording] ; redact = ['/x/~2'] | recording.redact[0]: "/x/~2" is no JSON pointer
#server | [retention] ; audit = 'PT1S' | retention.audit: is "PT1S" (allowed: PT1M to P366D)
#server | [retention] ; upgrades = 2 | retention.upgrades: is 2 (allowed: 3 to 1000000)
#server | [retention] ; members = 0 | retention.members: is 0 (allowed: 3 to 1000000)
#server | [retention] ; auditLines = 99 | retention.auditLines: is 99 (allowed: 100 to 1000000000)
#plugin | settings = 'x' | plugins[0].settings: is a string "x" (write a table
#plugin | settings = { a = [{ b = inf }] } | plugins[0].settings.a[0].b: is inf, which JSON cannot hold
#plugin | settings = { a = 9223372036854775808 } | plugins[0].settings.a: is a number that does not fit
#plugin | limits = 5 | plugins[0].limits: is the number 5 (write a table
#plugin | limits.compile = { memoryMiB = 63 } | plugins[0].limits.compile.memoryMiB: is 63 (allowed: 64 to 65536)
#plugin | limits = { memoryMiB = 0 } | plugins[0].limits.memoryMiB: is 0 (allowed: 1 to 4096)
#plugin | limits = { memoryMiB = 64.0 } | plugins[0].limits.memoryMiB: is the number 64.0 (write a whole
#plugin | limits = { timeoutMs = 60001 } | plugins[0].limits.timeoutMs: is 60001 (allowed: 1 to 60000)
#plugin | isolation = 'reuse' | plugins[0].isolation: is "reuse" (did you mean "reused"?
"orders" | '-orders' | scaleSets[0].name: "-orders" starts with '-'
#set | plugin = 'bd' | scaleSets[0].plugin: is "bd", which is not defined (did you mean "db"?
#health | profile = 'aws' | scaleSets[0].health.profile: is "aws" (known: "fleet", "azure")
#health | intervalInSeconds = '5' | is a string "5" (write a number, for example intervalInSeconds = 5)
#health | intervalInSeconds = nan | intervalInSeconds: is nan (allowed: 0.1 to 3600)
#health | intervalInSeconds = -inf | intervalInSeconds: is -inf (allowed: 0.1 to 3600)
#health | intervalInSeconds = 99999999999999999999 | intervalInSeconds: is 99999999999999999999 (allowed
#health | numberOfProbes = 101 | numberOfProbes: is 101 (allowed: 1 to 100)
#health | numberOfProbes = 1.0 | numberOfProbes: is the number 1.0 (write a whole number
#health | gracePeriod = 14400.1 | gracePeriod: is 14400.1 (allowed: 0 to 14400)
#health | gracePeriod = 1979-05-27 | gracePeriod: is the date or time 1979-05-27 (write a number
#health | timeoutInSeconds = 0.01 | timeoutInSeconds: is 0.01 (allowed: 0.05 to 3600)
#health | maxBodyBytes = 0 | maxBodyBytes: is 0 (allowed: 1 to 1048576)
#health | requestPath = 'a b' | requestPath: contains ' ', which a request path cannot hold (write %20)
#health | requestPath = '/a#b' | requestPath: contains '#', which a request path cannot hold (write %23)
#health | requestPath = '/é' | requestPath: contains 'é', which a request path cannot hold (write %C3%A9)
#health | protocol = 'tcp' ; requestPath = '/' | requestPath: is "/" although protocol is "tcp"
#health | protocol = 'grpc' ; requestPath = '/' | requestPath: is "/" although protocol is "grpc"
#health | protocol = 'grpc' ; grpcService = '' | grpcService: is empty (for example grpcService = "orders.v1.Orders")
#health | protocol = 'grpc' ; grpcService = 'a b' | grpcService: contains ' ' (printable ASCII without blanks)
#health | grpcService = 'a' | grpcService: is set although protocol is "http" (leave it out, or write protocol = "grpc")
#health | certificate = 'c' ; key = 'k' | certificate: is set although protocol is "http"
#health | protocol = 'https' ; certificate = 'c' | certificate: is given without key
#health | protocol = 'grpcs' ; key = 'k' | key: is given without certificate
#health | protocol = 'h2' ; connection = 'keep' | connection: is "keep" although protocol is "h2"
#health | protocol = 'h2c' ; requestHeaders = { TE = 'a' } | requestHeaders: set TE although protocol is "h2c" (leave it out)
#health | protocol = 'grpc' ; requestHeaders = { Content-Type = 'a' } | requestHeaders: set Content-Type although protocol
#health | responseHeaders = 'a' | responseHeaders: is a string "a" (write an array of strings
#health | responseHeaders = ['a:'] | responseHeaders[0]: contains ':', which a header name
#health | sources = [{ name = 'a' }, { name = 'health' }] | sources[1].name: is "health", which only the first
#health | sources = [{}, {}] | sources[1].name: is missing
#health | sources = [{ name = 'a' }, { name = 'a' }] | sources[1].name: 
#health | sources = [{ name = 'a b' }] | sources[0].name: is "a b", which is no name
#health | sources = [{ protocol = 'exec' }] | sources[0].command: is missing
#health | sources = [{ protocol = 'exec', command = ['./a'] }] | sources[0].command: begins with "./a"
#health | sources = [{ protocol = 'tcp', requestPath = '/' }] | sources[0].requestPath: goes with protocol http or https
#health | sources = [{ send = 'a' }] | sources[0].send: goes with protocol tcp
#health | sources = [{ caFile = 'a' }] | sources[0].caFile: goes with protocol https
#health | sources = [{ passwordFile = 'a' }] | sources[0].passwordFile: is there without usernameFile
#health | sources = [{ tokenFile = 'b', usernameFile = 'a', passwordFile = 'a' }] | sources[0].tokenFile: is at odds
#health | sources = [{ requestPath = '/a b' }] | sources[0].requestPath: contains ' '
#health | sources = [{ name = 'a', timeoutInSeconds = 60 }] | health.sources: give `a` 60s
#health | requestPath = '/a' ; sources = [{ }] | health.requestPath: is there although the first source
#health | profile = 'azure' ; sources = [{ name = 'a' }] | health.sources: are set in the azure profile
#health | responseHeaders = ['a', 'A'] | responseHeaders[1]: names "a" a second time
#mode | mode = 'auto' | upgradePolicy.mode: is "auto"
#mode | mode = 'roling' | upgradePolicy.mode: is "roling" (did you mean "Rolling"?
#policy | maxBatchInstancePercent = 4 | maxBatchInstancePercent: is 4 (allowed: 5 to 100)
#policy | maxBatchInstancePercent = 101 | maxBatchInstancePercent: is 101 (allowed: 5 to 100)
#policy | maxUnhealthyInstancePercent = 4 | maxUnhealthyInstancePercent: is 4 (allowed: 5 to 100)
#policy | maxUnhealthyInstancePercent = 101 | maxUnhealthyInstancePercent: is 101 (allowed: 5
#policy | maxUnhealthyUpgradedInstancePercent = -1 | InstancePercent: is -1 (allowed: 0 to 100)
#policy | maxUnhealthyUpgradedInstancePercent = 101 | InstancePercent: is 101 (allowed: 0 to 100)
#policy | pauseTimeBetweenBatches = 5 | pauseTimeBetweenBatches: is the number 5 (write a string
#policy | enableCrossZoneUpgrade = 'true' | enableCrossZoneUpgrade: is a string "true" (write true or
#policy | prioritizeUnhealthyInstances = 1 | prioritizeUnhealthyInstances: is the number 1 (write true
#policy | maxSurge = true | maxSurge: is true, and the driver has not been told how to create instances (add a table [scaleSets.driver.surge]
#policy | batches = [] | batches: has 0 entries (write 1 to 100
#policy | batches = [0] | batches[0]: is 0 (allowed: 1 to 1000000)
#policy | batches = [1, "x"] | batches[1]: is "x" (write a count such as 5, or a share from "1%" to "100%")
#policy | batches = ["0%"] | batches[0]: is "0%"
#policy | batches = ["101%"] | batches[0]: is "101%"
#policy | batches = "1" | batches: is a string "1"
#mode | pauseAfterPhase = 1 | pauseAfterPhase: is the number 1
#mode | pauseAfterPhase = [-1] | pauseAfterPhase[0]: is -1 (allowed: 0 to 2147483647)
#mode | approvalBeforePhase = ["lst"] | approvalBeforePhase[0]: is "lst" (did you mean "last"?
#mode | restoreFailedInstances = "yes" | restoreFailedInstances: is a string "yes"
#policy | batches = ["+5%"] | batches[0]: is "+5%"
#policy | batches = [1.5] | batches[0]: is the number 1.5 (write a count, or a share such as "20%"
#policy | maxSurge = "25%" | maxSurge: is a string "25%" (write true or false
#policy | pauseTimeBetweenBatches = "30s" | "30s" is not an ISO-8601 duration; write for example PT0S
#policy | pauseTimeBetweenBatches = "pt5m" | "pt5m" has small letters; write
#policy | pauseTimeBetweenBatches = "P5M" | "P5M" uses years or months, whose length varies (minutes come after
#policy | pauseTimeBetweenBatches = "PT5" | "PT5" has a number without a unit; write
#policy | pauseTimeBetweenBatches = "P400D" | "P400D" is longer than a year
#policy | pauseTimeBetweenBatches = 00:05:00 | is the date or time 00:05:00 (write a string
#mode | pauseAfterPhase = ["0"] | pauseAfterPhase[0]: is "0" (write 0 without quotes)
#mode | pauseAfterPhase = [true] | pauseAfterPhase[0]: is the boolean true (write a phase number or "last"
#mode | approvalBeforePhase = [1, "last", 1] | approvalBeforePhase[2]: names the same phase a second time
#mode | decisions = "lve" | decisions: is "lve" (did you mean "live"? known: "snapshot", "live")
#mode | decisions = true | decisions: is the boolean true (write a string
#mode | retryAfter = 3 | retryAfter: is the number 3 (write a string, for example retryAfter = "P3D")
#mode | retryAfter = "3d" | retryAfter: "3d" is not an ISO-8601 duration
#mode | retryAfter = "PT59S" | retryAfter: is "PT59S" (allowed: PT1M to P365D)
#mode | retryAfter = "P1D" ; retryLimit = 0 | retryLimit: is 0 (allowed: 1 to 100)
#mode | retryAfter = "P1D" ; retryLimit = 101 | retryLimit: is 101 (allowed: 1 to 100)
#mode | retryLimit = 3 | retryLimit: is set although retryAfter is not
#mode | onBakeFailure = "stop" | onBakeFailure: is set although bake is not
#mode | retryLimit = "3" | retryLimit: is a string "3"
#gate | deadline = 'PT0S' | healthGate.deadline: leaves no time: wait and stableFor take 0 s, deadline is 0
#gate | stableFor = 'P1Y' | healthGate.stableFor: "P1Y" uses years or months
"process" | 'systemd' | driver.kind: is "systemd" (known: "process", "command", "http")
kind = "process" |  | driver.kind: is missing
["true"] | 'true' | driver.command: is a string "true" (write an array of strings
["true"] | [] | driver.command: is empty
["true"] | [''] | driver.command[0]: is empty
["true"] | ['a', 5] | driver.command[1]: is the number 5 (write a string
["true"] | ['a', '{'] | driver.command[1]: "{" has a { that is not closed
["true"] | ['a', '{zone}'] | driver.command[1]: cannot be filled in: instance "0" has no zone
#driver | environment = { A = 1 } | driver.environment.A: is the number 1 (write a string
#driver | environment = { 'A=' = 'x' } | driver.environment."A=": is not a name of an environment
#driver | environment = { A = '{label.x}' } | driver.environment.A: cannot be filled in: instance "0" has no
#driver | stopTimeoutInSeconds = 0 | stopTimeoutInSeconds: is 0 (allowed: 0.1 to 3600)
version = "v1" |  | model.version: is missing (for example version = "v1")
"v1" | 'a/b' | model.version: "a/b" contains '/'
"0" | 0 | instances[0].id: is the number 0 (write a string, for example id = "0")
"h:1" | 'h' | instances[0].address: "h" has no port
#instance | zone = '' | instances[0].zone: is empty (leave it out)
#instance | region = "a\n" | instances[0].region: contains the control character '\n'
#instance | updateDomain = -1 | instances[0].updateDomain: is -1 (allowed: 0 to 1000000)
#instance | faultDomain = 1000001 | instances[0].faultDomain: is 1000001 (allowed: 0 to 1000000)
#instance | labels = { a = [] } | instances[0].labels.a: is an array (write a string
#instance | labels = { '' = 'a' } | instances[0].labels."": is not a name of a label
#instance | protectionPolicy = { protectFromScaleIn = false, protectFromScaleSetActions = true } | protectFromScaleIn: is false although protectFromScaleSetActions is true
"##;

#[test]
fn refuses_wrong_values() {
    for row in WRONG_VALUES.trim().lines() {
        let [old, new, expected] = row.split(" | ").collect::<Vec<_>>().try_into().unwrap();
        let problems = read(old, &new.replace(" ; ", "\n")).map(|_| "accepted").unwrap_err();
        assert!(problems.to_string().contains(expected), "{row}\nseen: {problems}");
        assert_eq!(problems.list.len(), 1, "{row}\none mistake, one problem: {problems}");
        assert!(problems.list.iter().all(|problem| problem.place.line > 1), "{row}: {problems}");
    }
}

#[test]
fn settings_become_json_in_the_order_of_the_file() {
    let settings = r#"
settings.z = 1
settings.a = { t = 1979-05-27T07:32:00Z, l = [1, -1.5, "x\n", true, {}] }
settings."ü b" = 0xff
"#;
    let config = read("#plugin", settings).unwrap();
    insta::assert_snapshot!(config.plugins[0].spec.settings, @r#"{"z":1,"a":{"t":"1979-05-27T07:32:00Z","l":[1,-1.5,"x\n",true,{}]},"ü b":255}"#);
}

#[test]
fn fleet_defaults() {
    let health = |new| read("#health", new).unwrap().scale_sets.remove(0).health;
    let seconds = Duration::from_secs_f64;
    for (new, timeout, grace_period) in [
        ("", 5.0, 5.0),
        ("intervalInSeconds = 0.1\nnumberOfProbes = 3", 1.0, 0.3),
        ("intervalInSeconds = 120\nnumberOfProbes = 100", 30.0, 12_000.0),
    ] {
        assert_eq!(health(new).timeout, seconds(timeout), "{new}");
        assert_eq!(health(new).grace_period, seconds(grace_period), "{new}");
    }
    assert_eq!(health("").request_path, "/");
    assert_eq!(health("requestPath = 'a?b=%20'").request_path, "/a?b=%20");
    assert_eq!(health("protocol = 'tcp'").request_path, "");
    assert_eq!(health("responseHeaders = ['X-A', 'b']").headers, ["x-a", "b"]);
    // Row R01.
    assert_eq!(
        read("#policy", "").unwrap().scale_sets[0].policy.rolling,
        expected_scale_set().policy.rolling
    );
}

#[test]
fn other_conversions() {
    let config = read("#instance", "zone = 1\nlabels = { a = 1, b = true, 'c.d' = '' }").unwrap();
    let instance = config.scale_sets[0].instances.values().next().unwrap();
    assert_eq!(instance.zone.as_deref(), Some("1"));
    let labels: Vec<_> = instance.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(labels, ["a=1", "b=true", "c.d="]);

    let protection = |new| {
        let config = read("#instance", &format!("protectionPolicy = {new}")).unwrap();
        config.scale_sets[0].instances.values().next().unwrap().protection
    };
    let actions = Protection { from_scale_set_actions: true, from_scale_in: true };
    assert_eq!(protection("{ protectFromScaleSetActions = true }"), actions);
    let scale_in = Protection { from_scale_set_actions: false, from_scale_in: true };
    assert_eq!(protection("{ protectFromScaleIn = true }"), scale_in);

    let config = read("\"db\"", "'azure-health'").unwrap();
    assert_eq!(config.plugins.len(), 1, "the implicit plugin gives way");
    assert_eq!(config.scale_sets[0].plugin.as_str(), AZURE_HEALTH);
    assert_eq!(config.plugins[0].component, ComponentSource::File("etc/db.wasm".into()));

    let working_dir = |path: &str| {
        let config = parse(FILE, Path::new(path)).unwrap();
        config.scale_sets[0].driver.of::<ProcessConfig>().unwrap().working_dir.clone()
    };
    assert_eq!(working_dir("f.toml"), Path::new("."));
    assert_eq!(working_dir("/etc/f.toml"), Path::new("/etc"));
}
