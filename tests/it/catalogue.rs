//! Sources of versions on web servers and registries: what is new there is released by itself, and whatever else they
//! say changes nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::support::answers::Answers;
use crate::support::registry::{CA, Registry, Reply, Speaks};
use crate::support::{Site, fleet, wait_for};

/// One set of two, and where the versions of its agent are listed.
pub(crate) fn site(source: &str, keys: &str) -> (Site, Answers) {
    let answers = Answers::start(&[0, 0]);
    let site = Site::new();
    site.write("ca.pem", CA);
    let script = site.write("install.sh", "#!/bin/sh\necho \"$1 $2\" >> calls\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let text = format!(
        r#"[server]
listen = "127.0.0.1:{}"
dataDir = "./data"

[releases]
bake = "PT0S"

[[extensionTypes]]
publisher = "contoso"
type = "agent"
source = "{source}"
interval = "PT1S"
maxVersions = 9
{keys}

[[scaleSets]]
name = "web"
[scaleSets.health]
intervalInSeconds = 0.1
gracePeriod = 2
timeoutInSeconds = 1
[scaleSets.upgradePolicy.rollingUpgradePolicy]
maxUnhealthyInstancePercent = 50
[scaleSets.driver]
kind = "process"
command = ["sleep", "1000"]
stopTimeoutInSeconds = 2
extensionCommand = ["./install.sh", "{{id}}", "{{version}}"]
[scaleSets.model]
version = "v1"
extensions = [{{ name = "agent", version = "1.0", publisher = "contoso", type = "agent", enableAutomaticUpgrade = true }}]
[[scaleSets.instances]]
id = "0"
address = "127.0.0.1:{}"
[[scaleSets.instances]]
id = "1"
address = "127.0.0.1:{}"
"#,
        fleet::free_ports(1)[0],
        answers.ports[0],
        answers.ports[1]
    );
    site.write("phasegate.toml", text);
    (site, answers)
}

fn catalogue(site: &Site) -> Value {
    site.json(&["extension", "versions", "contoso/agent"])
}

fn versions(site: &Site) -> Vec<String> {
    let all = catalogue(site)["versions"].as_array().unwrap().clone();
    all.iter().map(|one| one["version"].as_str().unwrap().to_owned()).collect()
}

fn released(site: &Site, version: &str) {
    wait_for(&format!("a release of {version} that completed by itself"), || {
        let list = site.json(&["release", "list"]);
        let all = list["releases"].as_array().unwrap().clone();
        all.iter().any(|one| one["version"] == version && one["state"] == "Completed").then_some(())
    });
}

/// The source says nothing that can be used, for a reason; what is published stays, and nothing begins.
fn fails(site: &Site, said: &str) {
    let before = (versions(site), site.json(&["release", "list"]));
    wait_for(said, || {
        let failing = catalogue(site)["source"]["failing"].clone();
        failing.as_str().is_some_and(|why| why.contains(said)).then_some(())
    });
    assert_eq!((versions(site), site.json(&["release", "list"])), before, "{said}");
}

fn refuses(site: &Site, version: &str, said: &str) {
    wait_for(said, || {
        let refused = catalogue(site)["source"]["refused"].clone();
        let mut all = refused.as_array().unwrap().iter();
        all.any(|one| one["version"] == version && one["reason"].as_str().unwrap().contains(said))
            .then_some(())
    });
}

#[test]
fn a_new_tag_of_a_registry_is_released_by_itself() {
    let registry = Registry::start(Speaks::Http);
    let (site, _answers) = site(&registry.oci("agents/agent"), "");
    let tags = |path: &str, all: &[&str], head: &str| {
        let body = json!({ "name": "agents/agent", "tags": all }).to_string();
        registry.put(path, Reply::Whole(200, head.to_owned(), body.into_bytes()));
    };
    let list = "/v2/agents/agent/tags/list";
    let digest = registry.push("agents/agent", "1.1", b"one");
    tags(list, &["1.1", "latest"], "");
    let host = site.host();
    site.wait_until_healthy();
    released(&site, "1.1");
    let known = catalogue(&site)["versions"][0].clone();
    assert_eq!((&known["version"], &known["digest"]), (&"1.1".into(), &digest.into()), "{known}");

    // The registry gives its tags page by page.
    registry.push("agents/agent", "v1.2", b"two");
    tags(list, &["1.1"], "Link: </v2/agents/agent/tags/list?n=1&last=1.1>; rel=\"next\"\r\n");
    tags(&format!("{list}?n=1&last=1.1"), &["v1.2"], "");
    released(&site, "1.2");
    // A page that leads to itself.
    tags(list, &["1.1", "v1.2"], "Link: </v2/agents/agent/tags/list?n=1>; rel=\"next\"\r\n");
    registry.push("agents/agent", "v1.2", b"something else under the same tag");
    refuses(&site, "1.2", "one content");

    let many: Vec<String> = (0..10_000).map(|number| format!("2.{number}")).collect();
    registry.paths();
    tags(list, &many.iter().map(String::as_str).collect::<Vec<_>>(), "");
    fails(&site, "10000 versions (limit maxVersions = 9)");
    assert!(
        registry.paths().iter().all(|path| path.contains("tags/list")),
        "nobody is asked for them one by one"
    );
    registry.put(list, Reply::ok("<html>"));
    fails(&site, "no such list");
    registry.state().login = Some("bm9ib2R5OnNlY3JldA==".to_owned());
    fails(&site, "401");
    registry.state().away = true;
    fails(&site, "cannot be fetched");
    registry.state().login = None;
    registry.state().away = false;
    // In the moment of a push: the tag is listed, and there is no manifest.
    tags(list, &["1.3"], "");
    refuses(&site, "1.3", "names no manifest");
    assert_eq!(versions(&site), ["1.1", "1.2"], "nothing is published of it");
    let digest = registry.push("agents/agent", "1.3", b"three");
    released(&site, "1.3");
    assert_eq!(catalogue(&site)["versions"][2]["digest"], digest, "with the digest that it has");
    assert_eq!(versions(&site), ["1.1", "1.2", "1.3"]);
    host.stop();
}

#[test]
fn a_list_of_a_web_server_is_taken_over_and_what_else_it_says_changes_nothing() {
    let server = Registry::start(Speaks::Https);
    let clear = Registry::start(Speaks::Http);
    let list = "/versions.json";
    server.put(list, Reply::ok(r#"["1.1", "1.10"]"#));
    let (site, _answers) = site(&server.url(list), "caFile = \"ca.pem\"");
    let host = site.host();
    site.wait_until_healthy();
    released(&site, "1.10");
    assert_eq!(versions(&site), ["1.1", "1.10"]);
    assert_eq!(site.json(&["release", "list"])["releases"].as_array().unwrap().len(), 1, "one for both");

    let many: Vec<String> = (0..10_000).map(|number| format!("2.{number}")).collect();
    let unauthorized = Reply::Whole(401, "WWW-Authenticate: Basic realm=\"x\"\r\n".to_owned(), Vec::new());
    for (reply, said) in [
        (Reply::ok("garbage"), "no list of versions"),
        (Reply::ok(""), "no list of versions"),
        (Reply::ok(r#"["1.11", "newest"]"#), "\"newest\""),
        (Reply::ok(serde_json::to_vec(&many).unwrap()), "10000 versions (limit maxVersions = 9)"),
        (Reply::Endless, "a list of versions"),
        (unauthorized, "401"),
        (Reply::Whole(500, String::new(), Vec::new()), "500"),
        (Reply::to(list), "redirects"),
        (Reply::to(&clear.url(list)), "plain http"),
    ] {
        server.put(list, reply);
        fails(&site, said);
    }
    assert!(clear.paths().is_empty(), "nothing went into the clear");

    server.put("/moved.json", Reply::ok(r#"["1.11"]"#));
    server.put(list, Reply::to("/moved.json"));
    released(&site, "1.11");
    let digest = format!("sha256:{}", "0".repeat(64));
    server.put(list, Reply::ok(json!([{ "version": "1.11", "digest": digest }]).to_string()));
    refuses(&site, "1.11", "one content");
    assert!(catalogue(&site)["source"]["failing"].is_null());
    host.stop();
}
