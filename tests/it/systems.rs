//! Systems as they are asked by sources: servers of Debian where this machine has them, and stand-ins that answer what
//! the others document, over TLS and to who is let in.
//!
//! Where a program is not there a test says so and ends well, unless `PHASEGATE_REQUIRE_SERVICES=1` insists.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::examples::{Clusters, are_there, is_postgresql_there, redis, sql};
use crate::http::request;
use crate::support::answers::Answers;
use crate::support::fleet::{answered_by_the_test, free_ports};
use crate::support::registry::{CA, Registry, Reply, Speaks};
use crate::support::{Background, Site, repository, wait_for};

/// A set of plain processes beside these ports, judged by what its sources say.
fn judged(ports: &[u16], (component, settings): (&str, &str), health: &str) -> Site {
    let component = match component.contains([':', '/']) {
        true => component.to_owned(),
        false => repository().join(format!("plugins/{component}/{component}.wasm")).display().to_string(),
    };
    let toml = answered_by_the_test(ports, &component).toml();
    let head = "[scaleSets.health]\n";
    let at = toml.find(head).unwrap() + head.len();
    let end = at + toml[at..].find("\n[").unwrap();
    let text = format!("{}intervalInSeconds = 0.5\ngracePeriod = 60\n{health}{}", &toml[..at], &toml[end..]);
    let site = Site::new();
    let text = text.replace("settings = {}", &format!("settings = {settings}"));
    site.write("phasegate.toml", text.replace("timeoutMs = 200", "timeoutMs = 5000"));
    site
}

fn secret(site: &Site, name: &str, text: &str) {
    let path = site.write(name, text);
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Waits until each instance is judged for these reasons; any will do for an empty one, as long as it has no answer.
fn say(site: &Site, wanted: &[&str]) -> Vec<Value> {
    let what = format!("{wanted:?}");
    patiently(&what, || {
        let all = site.instances();
        let is = |(one, wanted): (&Value, &&str)| match wanted.is_empty() {
            true => one["health"] != "Healthy",
            false => one["reasonCode"] == *wanted,
        };
        let fits = all.len() == wanted.len() && all.iter().zip(wanted).all(is);
        fits.then_some(all)
    })
}

/// As `wait_for`, for servers that take minutes to come up on a machine that does much else.
fn patiently<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < Duration::from_secs(400), "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn started(site: &Site) -> Background<'_> {
    let host = site.spawn(&["run"]);
    patiently("the host", || {
        (site.log().contains("listening on ") && site.run(&["fleet"]).code == 0).then_some(())
    });
    host
}

fn phases(site: &Site) -> Vec<Value> {
    site.instances().into_iter().map(|one| one["phase"].clone()).collect()
}

/// An upgrade of all; gives in which order.
fn order(site: &Site, to: &str) -> Vec<String> {
    let done = site.run(&["upgrade", "start", "orders", "--to", to, "--wait"]);
    assert_eq!(done.code, 0, "{done:?}");
    let log = site.json(&["log", "orders"]);
    let applied = log["entries"].as_array().unwrap().iter().filter(|line| line["kind"] == "apply");
    applied.filter_map(|line| line["instance"].as_str().map(str::to_owned)).collect()
}

/// Servers of a test, each in a process group of its own; they end with it.
#[derive(Default)]
struct Servers(Vec<Child>);

impl Servers {
    fn start(&mut self, command: &mut Command) {
        let command =
            command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.0.push(command.spawn().unwrap());
    }

    /// Ends one without a word.
    fn kill(&mut self, index: usize) {
        let child = &mut self.0[index];
        let group = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = child.wait();
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        (0..self.0.len()).for_each(|index| self.kill(index));
    }
}

fn listens(port: u16) {
    patiently("a server to listen", || TcpStream::connect(("127.0.0.1", port)).ok());
}

/// What Redis makes of itself for `azure-health`, in one line: the leader is phase 1, a replica without it is ill.
const REDIS: &str = r#"local i=redis.call('INFO','replication') local m=i:find('role:master',1,true) local h=(m or i:find('master_link_status:up',1,true)) and 'Healthy' or 'Unhealthy' return '{"ApplicationHealthState":"'..h..'","CustomMetrics":{"rollingUpgrade":{"PhaseOrderingNumber":'..(m and 1 or 0)..'}}}'"#;

#[test]
fn redis_is_asked_by_its_own_protocol_and_its_leader_goes_last_wherever_it_is() {
    if !are_there(&["redis-server", "redis-cli"]) {
        return;
    }
    let ports = free_ports(2);
    let inline = format!("EVAL \"{}\" 0\r\n", REDIS.replace('"', "\\\""));
    // The length of the text comes first, and the last turn is the text alone.
    let health = format!(
        "sources = [{{ protocol = \"tcp\", passwordFile = \"password\", send = [\"AUTH {{password}}\\r\\n\", {inline:?}, \
         \"PING\\r\\n\"], expect = [\"+OK\\r\\n\", \"\\r\\n\", \"\\r\\n\"] }}]"
    );
    let site = judged(&ports, ("builtin:azure-health", "{}"), &health);
    secret(&site, "password", "s3cret\n");
    let mut servers = Servers::default();
    for port in &ports {
        let folder = site.path(&port.to_string());
        fs::create_dir(&folder).unwrap();
        let mut server = Command::new("redis-server");
        server.args([
            "--bind",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--save",
            "",
            "--requirepass",
            "s3cret",
        ]);
        servers.start(server.args(["--masterauth", "s3cret"]).current_dir(folder));
        listens(*port);
    }
    let cli =
        |port: u16, words: &[&str]| redis(port, &[&["-a", "s3cret", "--no-auth-warning"], words].concat());
    let leader = ports[0].to_string();
    assert_eq!(cli(ports[1], &["replicaof", "127.0.0.1", &leader]), "OK");
    let checked = site.run(&["check"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    let host = started(&site);
    site.wait_until_healthy();
    wait_for("the leader in the last phase", || (phases(&site) == [json!(1), json!(0)]).then_some(()));
    assert_eq!(order(&site, "v2"), ["1", "0"]);
    // The other one leads now.
    assert_eq!(cli(ports[1], &["replicaof", "no", "one"]), "OK");
    assert_eq!(cli(ports[0], &["replicaof", "127.0.0.1", &ports[1].to_string()]), "OK");
    wait_for("the other leader", || (phases(&site) == [json!(0), json!(1)]).then_some(()));
    site.wait_until_healthy();
    // A wrong password is no answer.
    let nobody = |what: &str| {
        site.wait_for_instances(what, |one| one["health"] != "Healthy" && one["health"] != "Initializing");
    };
    secret(&site, "password", "wrong\n");
    nobody("nobody to be let in");
    secret(&site, "password", "s3cret\n");
    site.wait_until_healthy();
    // A replica whose leader is gone is ill.
    servers.kill(1);
    nobody("a replica without a leader");
    assert_eq!(site.instances()[0]["reasonCode"], "reported-unhealthy", "{}", site.instances()[0]);
    host.stop();
    assert!(!site.log().contains("s3cret"));
}

#[test]
fn postgresql_is_asked_by_its_own_client_and_the_primary_goes_last() {
    if !is_postgresql_there() {
        return;
    }
    let ports = free_ports(2);
    let query = "select json_build_object('ApplicationHealthState', 'Healthy', 'CustomMetrics', json_build_object(\
                 'rollingUpgrade', json_build_object('PhaseOrderingNumber', case when pg_is_in_recovery() then 0 else 1 end)))";
    let health = format!(
        "timeoutInSeconds = 10\nsources = [{{ protocol = \"exec\", command = [\"psql\", \"-XAtq\", \"-h\", \"{{host}}\", \
         \"-p\", \"{{port}}\", \"-U\", \"postgres\", \"-d\", \"postgres\", \"-c\", \"{query}\"], \
         environment = {{ PGCONNECT_TIMEOUT = \"2\" }} }}]"
    );
    let site = judged(&ports, ("builtin:azure-health", "{}"), &health);
    for file in ["lib.sh", "create.sh"] {
        fs::copy(repository().join("tests/examples/postgresql").join(file), site.path(file)).unwrap();
    }
    let clusters = Clusters::new(&site, &ports);
    for (port, of) in [(ports[0], String::new()), (ports[1], ports[0].to_string())] {
        assert!(clusters.sh(&format!("./create.sh {port} '{of}' v1")));
    }
    let host = started(&site);
    site.wait_until_healthy();
    wait_for("the primary in the last phase", || (phases(&site) == [json!(1), json!(0)]).then_some(()));
    assert_eq!(order(&site, "v2"), ["1", "0"]);
    // The primary is gone, and the standby takes over.
    assert!(clusters.sh(&format!("ctl {} stop -m immediate", ports[0])));
    assert!(clusters.sh(&format!("ctl {} promote", ports[1])));
    assert_eq!(sql(ports[1], "select pg_is_in_recovery()"), "f");
    wait_for("the promoted one, and nobody beside it", || {
        let all = site.instances();
        (all[1]["phase"] == 1 && all[1]["health"] == "Healthy" && all[0]["health"] != "Healthy").then_some(())
    });
    drop(clusters);
    host.stop();
}

/// One node of RabbitMQ, which finds the others.
fn rabbitmq(home: &std::path::Path, all: &[[u16; 3]], number: usize, epmd: u16) -> Command {
    let [amqp, management, distribution] = all[number];
    let folder = home.join(format!("node-{number}"));
    fs::create_dir(&folder).unwrap();
    let mut configuration = format!(
        "listeners.tcp.1 = 127.0.0.1:{amqp}\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {management}\n\
         cluster_formation.peer_discovery_backend = classic_config\n"
    );
    // Their names are of this test alone, as the ports are.
    let name = |number: usize| format!("t{}@localhost", all[number][0]);
    for other in 0..all.len() {
        configuration.push_str(&format!(
            "cluster_formation.classic_config.nodes.{} = {}\n",
            other + 1,
            name(other)
        ));
    }
    let file = |name: &str, text: &str| {
        fs::write(folder.join(name), text).unwrap();
        folder.join(name)
    };
    let mut server = Command::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
    server
        .env("HOME", home)
        .env("ERL_EPMD_PORT", epmd.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODENAME", name(number))
        .env("RABBITMQ_DIST_PORT", distribution.to_string())
        .env("RABBITMQ_MNESIA_BASE", folder.join("data"))
        .env("RABBITMQ_LOG_BASE", folder.join("log"))
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
        .env("RABBITMQ_CONFIG_FILE", file("rabbitmq.conf", &configuration))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", file("enabled_plugins", "[rabbitmq_management]."))
        .env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none",
        )
        .current_dir(&folder);
    server
}

#[test]
fn no_rabbitmq_goes_down_on_which_a_majority_depends() {
    if !are_there(&["rabbitmq-server", "epmd"]) {
        return;
    }
    let ports = free_ports(10);
    let nodes: Vec<[u16; 3]> = ports[..9].chunks(3).map(|three| [three[0], three[1], three[2]]).collect();
    let management: Vec<u16> = nodes.iter().map(|node| node[1]).collect();
    let source = |name: &str, check: &str| {
        format!(
            "{{ {name}requestPath = \"/api/health/checks/{check}\", usernameFile = \"user\", passwordFile = \"password\" }}"
        )
    };
    let health = format!(
        "timeoutInSeconds = 20\nsources = [{}, {}]",
        source("", "node-is-quorum-critical"),
        source("name = \"alarms\", ", "local-alarms")
    );
    let site = judged(&management, ("rabbitmq-quorum", "{}"), &health);
    for file in ["user", "password"] {
        secret(&site, file, "guest\n");
    }
    let home = tempfile::tempdir().unwrap();
    let cookie = home.path().join(".erlang.cookie");
    fs::write(&cookie, "PHASEGATETESTS").unwrap();
    fs::set_permissions(&cookie, fs::Permissions::from_mode(0o400)).unwrap();
    let mut servers = Servers::default();
    let epmd = ports[9];
    servers.start(Command::new("epmd").args(["-address", "127.0.0.1", "-port", &epmd.to_string()]));
    for number in 0..nodes.len() {
        servers.start(&mut rabbitmq(home.path(), &nodes, number, epmd));
    }
    management.iter().for_each(|port| listens(*port));
    let host = started(&site);
    say(&site, &["quorum-safe", "quorum-safe", "quorum-safe"]);
    let wanted = r#"{"durable":true,"arguments":{"x-queue-type":"quorum"}}"#;
    let head = format!("Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\nContent-Length: {}\r\n", wanted.len());
    let queue = request(management[0], "PUT /api/queues/%2F/orders", &format!("{head}\r\n{wanted}"));
    assert!(queue.starts_with("HTTP/1.1 201 "), "{queue}");
    // One of three is gone: the others keep the majority together, and neither may go.
    // The first of the servers is the one that knows their ports.
    servers.kill(3);
    let all = say(&site, &["quorum-critical", "quorum-critical", ""]);
    assert!(all.iter().all(|one| one["participation"] == "defer"), "{all:?}");
    assert!(all[..2].iter().all(|one| one["health"] == "Healthy"), "{all:?}");
    assert!(all[0]["reason"].as_str().unwrap().contains("orders"), "it names the queue: {}", all[0]);
    secret(&site, "password", "wrong\n");
    wait_for("nobody to be let in", || (site.instances()[0]["health"] == "Unknown").then_some(()));
    host.stop();
}

#[test]
fn etcd_is_asked_by_http_and_the_member_that_leads_says_not_now() {
    if !are_there(&["etcd"]) {
        return;
    }
    let ports = free_ports(6);
    let (clients, peers) = ports.split_at(3);
    // Its page of metrics is larger than what is read where nobody says more.
    let health = "requestPath = \"/metrics\"\nmaxBodyBytes = 1048576\ntimeoutInSeconds = 5";
    let settings = "{ metric = \"etcd_server_is_leader\", deferAbove = 0 }";
    let site = judged(clients, ("prometheus-gauge", settings), health);
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let all: Vec<String> = (0..3).map(|one| format!("m{one}={}", url(peers[one]))).collect();
    let mut servers = Servers::default();
    for one in 0..3 {
        let (client, peer) = (url(clients[one]), url(peers[one]));
        servers.start(
            Command::new("etcd")
                .args(["--name", &format!("m{one}"), "--data-dir"])
                .arg(site.path(&format!("m{one}")))
                .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
                .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                .args(["--initial-cluster", &all.join(",")]),
        );
    }
    let host = started(&site);
    // Who leads, where all three are known and one does.
    let leader = || {
        let all = site.instances();
        let codes: Vec<&str> = all.iter().filter_map(|one| one["reasonCode"].as_str()).collect();
        let leads = codes.iter().position(|code| *code == "gauge-high")?;
        let others = codes.iter().filter(|code| **code == "gauge-low").count();
        Some((leads, others))
    };
    let first = patiently("one leader of three", || leader().filter(|(_, others)| *others == 2)).0;
    assert_eq!(site.instances()[first]["participation"], "defer");
    servers.kill(first);
    let (second, _) =
        patiently("another leader", || leader().filter(|(leads, others)| *leads != first && *others == 1));
    assert_ne!(first, second);
    // One that was up for less than its grace period may still be Initializing.
    let gone = site.instances()[first].clone();
    assert!(gone["health"] != "Healthy" && gone["participation"] == "defer", "{gone}");
    host.stop();
}

/// What Patroni documents of a member.
fn documented(name: &str) -> String {
    let path = repository().join("plugins/patroni/cases/documented.json");
    let cases: Vec<Value> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let case = cases.iter().find(|case| case["name"] == name).unwrap();
    case["observation"]["answers"][0]["response"]["bodyJson"].to_string()
}

#[test]
fn patroni_says_who_leads_and_the_replicas_go_first() {
    let answers = Answers::start(&[0, 0, 0]);
    let (leads, follows) = (documented("a running primary"), documented("a running replica"));
    let member = |one: usize, text: &str| answers.say(one, text);
    [&leads, &follows, &follows].iter().enumerate().for_each(|(one, text)| member(one, text));
    let site = judged(&answers.ports, ("patroni", "{}"), "requestPath = \"/patroni\"");
    let host = started(&site);
    say(&site, &["leader", "replica", "replica"]);
    site.wait_until_healthy();
    let order = order(&site, "v2");
    assert_eq!(order[2], "0", "{order:?}");
    // Nobody leads: nobody goes.
    let unlocked = documented("an unlocked cluster");
    (0..3).for_each(|one| member(one, &unlocked));
    let all = say(&site, &["no-leader", "no-leader", "no-leader"]);
    assert!(all.iter().all(|one| one["participation"] == "defer" && one["health"] == "Healthy"), "{all:?}");
    // And the one that took over goes last.
    [&follows, &leads, &follows].iter().enumerate().for_each(|(one, text)| member(one, text));
    say(&site, &["replica", "leader", "replica"]);
    host.stop();
}

/// Stand-ins that speak TLS with the certificate of a self-made authority and let in who says this.
fn guarded(authorization: &str, path: &str, body: &str) -> Registry {
    let server = Registry::start(Speaks::Https);
    server.state().guarded = Some(authorization.to_owned());
    server.put(path, Reply::ok(body));
    server
}

/// The plugin for Elasticsearch where CI has built it, or the host's own; with what they say of a good answer and of none.
fn for_elasticsearch() -> (String, [&'static str; 3]) {
    let fresh = std::env::var_os("PHASEGATE_FRESH_PLUGINS").map(std::path::PathBuf::from);
    let fresh = fresh.map(|folder| folder.join("elasticsearch-node.wasm")).filter(|file| file.is_file());
    match fresh {
        Some(file) => (file.display().to_string(), ["master", "http-status", "no-answer"]),
        None => {
            eprintln!("no fresh elasticsearch-node: asked all the same, and judged by azure-health");
            ("builtin:azure-health".to_owned(), ["no-state", "http-status", "tls"])
        }
    }
}

#[test]
fn a_secured_elasticsearch_and_a_kubelet_let_in_who_has_the_secret_and_the_authority() {
    let shard = json!([{ "state": "STARTED" }]);
    let state = json!({
        "master_node": "a", "nodes": { "a": { "name": "0" }, "b": { "name": "1" } },
        "routing_nodes": { "unassigned": [], "nodes": { "a": shard, "b": shard } },
    });
    let (search, basic) = ("/_cluster/state?local=true", "Basic ZWxhc3RpYzpjaGFuZ2VtZQ==");
    let elastic = guarded(basic, search, &state.to_string());
    let kubelet = guarded("Bearer kubelet-token", "/metrics", "kubelet_running_pods 7\n");
    let (component, codes) = for_elasticsearch();
    let gauge = "{ metric = \"kubelet_running_pods\", deferAbove = 10 }";
    for (server, path, plugin, secrets, [good, refused, unknown]) in [
        (
            &elastic,
            search,
            (&*component, "{}"),
            "usernameFile = \"user\", passwordFile = \"password\"",
            codes,
        ),
        (
            &kubelet,
            "/metrics",
            ("prometheus-gauge", gauge),
            "tokenFile = \"token\"",
            ["gauge-low", "http-status", "no-answer"],
        ),
    ] {
        let health = format!(
            "sources = [{{ protocol = \"https\", requestPath = \"{path}\", {secrets}, caFile = \"ca.pem\" }}]"
        );
        let site = judged(&[server.port], plugin, &health);
        site.write("ca.pem", CA);
        let secrets = |password: &str, token: &str| {
            for (file, text) in [("user", "elastic"), ("password", password), ("token", token)] {
                secret(&site, file, &format!("{text}\n"));
            }
        };
        secrets("changeme", "kubelet-token");
        let checked = site.run(&["check"]);
        assert_eq!(checked.code, 0, "{checked:?}");
        let host = started(&site);
        say(&site, &[good]);
        // Another secret: who says no is no answer of the application.
        secrets("stolen", "stolen");
        let all = say(&site, &[refused]);
        assert_ne!(all[0]["health"], "Healthy");
        secrets("changeme", "kubelet-token");
        say(&site, &[good]);
        // Without the authority nobody vouches for it, and the secret is not sent.
        let toml = fs::read_to_string(site.path("phasegate.toml")).unwrap();
        site.write("phasegate.toml", toml.replace(", caFile = \"ca.pem\"", ""));
        let reloaded = site.run(&["reload"]);
        assert_eq!(reloaded.code, 0, "{reloaded:?}");
        let all = say(&site, &[unknown]);
        assert_ne!(all[0]["health"], "Healthy");
        let asked = server.state().asked.len();
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(server.state().asked.len(), asked);
        site.write("phasegate.toml", &toml);
        assert_eq!(site.run(&["reload"]).code, 0);
        say(&site, &[good]);
        host.stop();
        let log = site.log();
        assert!(
            !log.contains("changeme") && !log.contains("kubelet-token") && !log.contains("stolen"),
            "{log}"
        );
    }
}
