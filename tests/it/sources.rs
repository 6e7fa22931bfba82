//! Components that come from web servers and registries: what runs, what never does, and what goes
//! on when a server is away.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::Value;

use crate::pipeline::{azure_health, db, generation, judged_by, stage, variant};
use crate::support::answers::Answers;
use crate::support::registry::{Asked, CA, ISSUED, Registry, Reply, Speaks, digest};
use crate::support::{Finished, Site, fleet, repository, wait_for};

/// `alice:se-cret` as a header has it.
const LOGIN: &str = "YWxpY2U6c2UtY3JldA==";

/// A site whose plugin comes from there; `keys` are of `[[plugins]]`.
fn site(component: &str, keys: &str) -> (Site, Answers) {
    let site = Site::new();
    let answers = Answers::start(&[1, 2]);
    let fleet = fleet::answered_by_the_test(&answers.ports, component);
    site.write(
        "phasegate.toml",
        fleet.toml().replace("[[scaleSets]]\n", &format!("{keys}\n[[scaleSets]]\n")),
    );
    site.write("ca.pem", CA);
    (site, answers)
}

fn last_error(plugin: &Value) -> String {
    plugin["lastError"].as_str().unwrap_or_default().to_owned()
}

fn swap(site: &Site, reference: &str) -> Finished {
    site.run(&["plugin", "swap", "db", reference])
}

/// A reference that fails at a stage and changes nothing.
fn refused(site: &Site, reference: &str, at: &str, why: &str) {
    let before = generation(site);
    let finished = swap(site, reference);
    assert_eq!(finished.code, 1, "{why}: {finished:?}");
    assert!(finished.stderr.contains(&format!("stage {at}: {reference} ")), "{why}: {finished:?}");
    assert!(finished.stderr.contains(why), "{why}: {finished:?}");
    let plugin = db(site);
    assert_eq!(stage(&plugin, at).0, "failed", "{why}");
    assert!(last_error(&plugin).contains(why), "{why}: {plugin}");
    assert_eq!(plugin["generation"], before, "{why}");
}

#[test]
fn a_tag_that_moves_comes_with_a_reload_and_only_then() {
    let registry = Registry::start(Speaks::Http);
    registry.push("policies/db", "1", &azure_health());
    let reference = registry.oci("policies/db:1");
    let (site, _answers) = site(&reference, "");
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!((&db(&site)["source"], generation(&site)), (&Value::from(reference.clone()), 1));
    assert!(stage(&db(&site), "fetch").1.contains("bytes from 127.0.0.1:"), "{}", db(&site));
    assert_eq!(registry.paths().len(), 2, "a manifest and a blob");
    assert_eq!(site.instances()[0]["phase"], 1);
    let folder = std::fs::metadata(site.path("data/components")).unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o700, "what needs credentials is for nobody else");

    assert_eq!(site.json(&["reload"])["changed"], serde_json::json!([]));
    assert_eq!(registry.paths().len(), 1, "what is known by its digest does not come again");
    registry.push("policies/db", "1", &variant(b'1'));
    let changed = site.json(&["reload"])["changed"][0].as_str().unwrap().to_owned();
    assert!(changed.starts_with("plugin `db` (component "), "{changed}");
    judged_by(&site, 2);

    // What somebody decided here stands for as long as the tag stays where it is.
    assert_eq!(site.run(&["plugin", "rollback", "db"]).code, 0);
    assert_eq!(site.json(&["reload"])["changed"], serde_json::json!([]));
    assert_eq!((generation(&site), db(&site)["digest"].as_str()), (3, Some(&*digest(&azure_health()))));

    // A tag on something that does not load changes nothing, now and at a start.
    registry.push("policies/db", "1", b"<html>");
    let finished = site.run(&["reload"]);
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(finished.stderr.contains("stage shape"), "{finished:?}");
    assert_eq!(generation(&site), 3);
    registry.push("policies/db", "1", &variant(b'2'));

    // A registry that is away is no reason to refuse the rest of a file.
    registry.state().away = true;
    let finished = site.run(&["reload"]);
    assert_eq!((finished.code, finished.stdout.as_str()), (0, "nothing changed\n"), "{finished:?}");
    assert!(finished.stderr.contains("stage fetch") && finished.stderr.contains("stays active"));
    host.stop();

    let host = site.host();
    let plugin = db(&site);
    assert_eq!(plugin["generation"], 3);
    assert!(last_error(&plugin).contains("the bytes of its last load, generation 3"), "{plugin}");
    assert!(site.log().contains("WARN") && site.log().contains("of its last load"), "{}", site.log());
    site.wait_until_healthy();
    registry.state().away = false;
    assert!(site.json(&["reload"])["changed"][0].as_str().unwrap().starts_with("plugin `db` (component "));
    judged_by(&site, 4);
    host.stop();
}

#[test]
fn nothing_with_another_digest_runs() {
    let registry = Registry::start(Speaks::Http);
    let good = azure_health();
    let manifest = registry.push("policies/db", "1", &good);
    let reference = registry.oci("policies/db:1");
    let (site, _answers) = site(&reference, &format!("digest = \"{}\"", digest(&good)));
    let host = site.host();
    site.wait_until_healthy();
    registry.paths();

    let other = variant(b'3');
    registry.push("other", "1", &other);
    registry.put("/x.wasm", Reply::ok(other.clone()));
    // Pinned and kept: asked for nothing, whatever the tag says now.
    registry.push("policies/db", "1", &other);
    assert_eq!(site.json(&["reload"])["changed"], serde_json::json!([]));
    assert_eq!(registry.paths(), Vec::<String>::new());
    // Another place than the configured one is asked, and what it has is held against the digest.
    refused(&site, &registry.url("/x.wasm"), "digest", "the configuration asks for");
    refused(&site, &registry.url("/none.wasm"), "fetch", "status 404");
    host.stop();
    registry.state().away = true;
    let host = site.host();
    assert_eq!(stage(&db(&site), "fetch").1, "kept; no request was made");
    assert_eq!((last_error(&db(&site)), generation(&site)), (String::new(), 1));
    host.stop();
    registry.state().away = false;

    // Without the kept bytes nothing else will do either, and a check says so.
    std::fs::remove_dir_all(site.path("data")).unwrap();
    let finished = site.run(&["run"]);
    assert_eq!(finished.code, 2, "{finished:?}");
    assert!(finished.stderr.contains("(stage digest)"), "{finished:?}");
    let checked = site.run(&["check"]);
    assert_eq!(checked.code, 1, "{checked:?}");
    assert!(checked.stdout.contains("the configuration asks for"), "{checked:?}");

    // A manifest by its digest is as good as a pin.
    let fixed = registry.oci(&format!("policies/db@{manifest}"));
    let toml = std::fs::read_to_string(site.path("phasegate.toml")).unwrap();
    let toml = toml.replace(&reference, &fixed).replace("digest =", "#");
    site.write("phasegate.toml", toml);
    assert!(!site.run(&["check"]).stderr.contains("nothing pins"));
    let host = site.host();
    assert_eq!(db(&site)["digest"], digest(&good));

    // A registry that is mistaken, or lies.
    let blob = format!("/v2/other/blobs/{}", digest(&other));
    registry.put(&blob, Reply::ok([&other[..other.len() - 1], b"!"].concat()));
    refused(&site, &registry.oci("other:1"), "digest", "and its manifest says");
    let moved = registry.state().files["/v2/other/manifests/1"].clone();
    registry.put(&format!("/v2/other/manifests/{manifest}"), moved.clone());
    refused(&site, &registry.oci(&format!("other@{manifest}")), "digest", "and the reference says");
    let Reply::Whole(status, head, body) = moved else { panic!() };
    registry.put("/v2/other/manifests/1", Reply::Whole(status, head, [body, b" ".to_vec()].concat()));
    refused(&site, &registry.oci("other:1"), "digest", "and the registry says");
    // A blob that is longer than the manifest says is not read on.
    registry.push("other", "1", &other);
    registry.put(&blob, Reply::Endless);
    refused(&site, &registry.oci("other:1"), "fetch", "limit of the component by its manifest");
    refused(&site, &registry.oci("other:2"), "fetch", "status 404");
    host.stop();
}

#[test]
fn web_servers_are_trusted_as_far_as_their_certificates() {
    let server = Registry::start(Speaks::Https);
    let elsewhere = Registry::start(Speaks::Https);
    server.put("/db.wasm", Reply::ok(azure_health()));
    let token = "to-ken-5d1e";
    let (site, _answers) =
        site(&server.url("/db.wasm"), "[plugins.fetch]\ncaFile = \"ca.pem\"\ntokenFile = \"token\"");
    site.write("token", format!("{token}\n"));
    let checked = site.run(&["check"]);
    assert_eq!((checked.code, checked.stdout.as_str()), (0, ""), "{checked:?}");
    assert!(checked.stderr.contains("plugin \"db\": fetching https://"), "{checked:?}");
    assert!(checked.stderr.contains("warning: plugin \"db\": nothing pins"), "{checked:?}");
    let host = site.host();
    site.wait_until_healthy();
    let sent = format!("Bearer {token}");
    assert!(server.state().asked.iter().all(|asked| asked.authorization.as_ref() == Some(&sent)));

    // Redirects take no token along, and never lead into the clear.
    elsewhere.put("/y.wasm", Reply::ok(variant(b'4')));
    server.put("/x.wasm", Reply::to(&elsewhere.url("/y.wasm?key=signed-9c")));
    let swapped = swap(&site, &server.url("/x.wasm"));
    assert_eq!(swapped.code, 0, "{swapped:?}");
    judged_by(&site, 2);
    assert_eq!(elsewhere.state().asked[0].authorization, None);
    swap(&site, &elsewhere.url("/y.wasm"));
    assert_eq!(elsewhere.state().asked[1].authorization, None, "a token is for one server");
    let plain = format!("http://127.0.0.1:{}/y.wasm?key=signed-9c", elsewhere.port);
    server.put("/plain.wasm", Reply::to(&plain));
    refused(&site, &server.url("/plain.wasm"), "fetch", "redirects to plain http at 127.0.0.1:");
    server.put("/loop.wasm", Reply::to("/loop.wasm"));
    refused(&site, &server.url("/loop.wasm"), "fetch", "more than 5 redirects");
    refused(&site, &server.url("/none.wasm"), "fetch", "status 404");

    // A body without end.
    server.put("/endless.wasm", Reply::Endless);
    refused(&site, &server.url("/endless.wasm"), "fetch", "sends more than 67108864 bytes");
    let sent = server.state().endless;
    assert!(sent < 80 << 20, "{sent} bytes were read");

    // Nobody vouches for this one.
    let toml = std::fs::read_to_string(site.path("phasegate.toml")).unwrap();
    host.stop();
    assert!(!site.log().contains(token) && !site.log().contains("signed-9c"), "{}", site.log());
    site.write("phasegate.toml", toml.replace("caFile = \"ca.pem\"\n", ""));
    let checked = site.run(&["check"]);
    assert_eq!(checked.code, 1, "{checked:?}");
    assert!(
        checked.stdout.contains("UnknownIssuer") && checked.stdout.contains("fetch.caFile"),
        "{checked:?}"
    );
    let url = server.url("/db.wasm");
    let unknown = site.run(&["plugin", "inspect", &url]);
    assert_eq!(unknown.code, 2, "{unknown:?}");
    assert!(unknown.stderr.contains("by `--ca-file`"), "{unknown:?}");
    let known = site.run(&["plugin", "inspect", &url, "--ca-file", "ca.pem"]);
    assert_eq!(known.code, 0, "{known:?}");
    // A certificate is for a name.
    let toml = toml.replace("https://127.0.0.1:", "https://127.0.0.2:");
    site.write("phasegate.toml", toml);
    let checked = site.run(&["check"]);
    assert_eq!(checked.code, 1, "{checked:?}");
}

#[test]
fn a_registry_that_wants_a_login_gets_one() {
    let registry = Registry::start(Speaks::Https);
    registry.push("policies/db", "1", &azure_health());
    registry.state().login = Some(LOGIN.to_owned());
    let keys = "[plugins.fetch]\ncaFile = \"ca.pem\"\nusernameFile = \"user\"\npasswordFile = \"password\"";
    let (site, _answers) = site(&registry.oci("policies/db:1"), keys);
    site.write("user", "alice\n");
    site.write("password", "wrong-pass");
    let finished = site.run(&["run"]);
    assert_eq!(finished.code, 2, "{finished:?}");
    assert!(finished.stderr.contains("(stage fetch)") && finished.stderr.contains("status 401"));
    assert!(finished.stderr.contains("does not accept what is in fetch.usernameFile"), "{finished:?}");
    assert!(!finished.stderr.contains("wrong-pass") && !finished.stderr.contains("d3Jvbmc"), "{finished:?}");

    site.write("password", "se-cret\n");
    registry.paths();
    let host = site.host();
    site.wait_until_healthy();
    {
        let state = registry.state();
        let asked: Vec<_> =
            state.asked.iter().map(|asked| asked.path.split(['?', ':']).next().unwrap()).collect();
        assert_eq!(asked[..3], ["/v2/policies/db/manifests/1", "/token", "/v2/policies/db/manifests/1"]);
        assert!(state.asked[1].path.contains("scope=repository%3Apolicies%2Fdb%3Apull"), "{:?}", state.asked);
        assert_eq!(state.asked[0].authorization, None, "a password is for the token server");
    }
    // Another server of the same machine is not told.
    let other = Registry::start(Speaks::Https);
    other.push("policies/db", "1", &variant(b'5'));
    other.state().login = Some(LOGIN.to_owned());
    refused(&site, &other.oci("policies/db:1"), "fetch", "status 401: it wants credentials");
    assert!(other.state().asked.iter().all(|asked| asked.authorization.is_none()));
    host.stop();
    let log = site.log();
    for secret in ["se-cret", LOGIN, ISSUED] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

/// Repositories whose blob was asked for so far.
fn downloads(registry: &Registry) -> Vec<String> {
    let state = registry.state();
    let blob = |asked: &Asked| Some(asked.path.strip_prefix("/v2/")?.split_once("/blobs/")?.0.to_owned());
    let mut found: Vec<String> = state.asked.iter().filter_map(blob).collect();
    found.sort();
    found
}

#[test]
fn plugins_are_fetched_side_by_side() {
    let registry = Registry::start(Speaks::Http);
    let mut keys = String::new();
    for name in ["db", "other"] {
        registry.push(name, "1", &azure_health());
        if name != "db" {
            keys.push_str(&format!(
                "[[plugins]]\nname = \"{name}\"\ncomponent = \"{}\"\n",
                registry.oci("other:1")
            ));
        }
    }
    registry.state().held = true;
    let (site, _answers) = site(&registry.oci("db:1"), &keys);
    let host = site.spawn(&["run"]);
    wait_for("both downloads, of which none has ended", || {
        (downloads(&registry) == ["db", "other"]).then_some(())
    });
    registry.state().held = false;
    wait_for("the host to answer", || (site.run(&["fleet"]).code == 0).then_some(()));
    site.wait_until_healthy();
    host.stop();
}

#[test]
fn a_download_keeps_nobody_waiting() {
    let registry = Registry::start(Speaks::Http);
    registry.push("db", "1", &azure_health());
    registry.push("slow", "1", &variant(b'6'));
    let slow = registry.oci("slow:1");
    let (site, _answers) = site(&registry.oci("db:1"), "");
    let host = site.host();
    site.wait_until_healthy();
    site.write("new.wasm", variant(b'7'));
    assert_eq!(site.run(&["plugin", "swap", "db", "new.wasm"]).code, 0);
    registry.state().held = true;
    let waiting = site.command(&["plugin", "swap", "db", &slow]).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the download", || (downloads(&registry) == ["db", "slow"]).then_some(()));

    for second in [&slow, "new.wasm"] {
        let refused = swap(&site, second);
        assert_eq!(refused.code, 1, "{refused:?}");
        let said = format!("plugin `db` is being loaded already from {slow} (stage fetch)");
        assert!(refused.stderr.contains(&said), "{refused:?}");
    }
    let promoted = site.run(&["plugin", "promote", "db"]);
    assert!(promoted.stderr.contains("has no shadow"), "{promoted:?}");
    assert_eq!(site.run(&["plugin", "rollback", "db"]).code, 0);
    judged_by(&site, 3);

    // What it was compared with is not active any more.
    registry.state().held = false;
    let overtaken = Finished::from(waiting.wait_with_output().unwrap());
    assert_eq!(overtaken.code, 1, "{overtaken:?}");
    assert!(overtaken.stderr.contains("generation 2, and generation 3 ("), "{overtaken:?}");
    assert_eq!(generation(&site), 3);
    assert_eq!(swap(&site, &slow).code, 0);
    judged_by(&site, 4);
    host.stop();
}

#[test]
fn a_reference_will_do_where_a_path_does() {
    let registry = Registry::start(Speaks::Http);
    registry.push("db", "1", &azure_health());
    let reference = registry.oci("db:1");
    let (site, _answers) = site("builtin:azure-health", "");
    let host = site.host();
    site.wait_until_healthy();
    host.stop();
    // The folder that one happens to be in is not beside what came from elsewhere.
    std::fs::create_dir(site.path("cases")).unwrap();
    site.write("cases/other.json", "of another plugin");
    let untold = site.run(&["plugin", "test", &reference]);
    assert_eq!((untold.code, untold.stderr.lines().count()), (2, 1), "{untold:?}");
    assert!(untold.stderr.contains("name their folder with `--cases DIR`"), "{untold:?}");

    let cases = repository().join("plugins/azure-health/cases");
    let cases = cases.to_str().unwrap();
    let tested = site.json(&["plugin", "test", &reference, "--cases", cases]);
    assert_eq!((&tested["plugin"], &tested["good"]), (&reference.as_str().into(), &true.into()), "{tested}");
    assert!(site.json(&["plugin", "bench", &reference])["observations"].as_u64().unwrap() > 0);
    let replayed = site.json(&["plugin", "replay", "data/recording", "--plugin", &reference]);
    assert!(replayed["judged"].as_u64().unwrap() > 0 && replayed["judged"] == replayed["same"], "{replayed}");

    for verb in [["test"].as_slice(), &["bench"], &["inspect"], &["replay", "data/recording", "--plugin"]] {
        let absent = registry.oci("db:2");
        let finished = site.run(&[&["plugin"], verb, &[absent.as_str()]].concat());
        assert_eq!((finished.code, finished.stderr.lines().count()), (2, 1), "{verb:?}: {finished:?}");
        assert!(
            finished.stderr.contains(&format!("`{absent}` cannot be fetched: ")),
            "{verb:?}: {finished:?}"
        );
    }
}

#[test]
fn a_check_makes_no_request_that_it_does_not_announce() {
    let registry = Registry::start(Speaks::Http);
    let reference = registry.oci("policies/db:1");
    let (site, _answers) = site(&reference, "");
    let offline = site.run(&["check", "--offline", "--json"]);
    assert_eq!((offline.code, registry.paths().len()), (0, 0), "{offline:?}");
    let codes: Vec<Value> =
        offline.json()["warnings"].as_array().unwrap().iter().map(|one| one["code"].clone()).collect();
    assert!(codes.contains(&"unpinned".into()) && codes.contains(&"not-fetched".into()), "{codes:?}");

    let away = site.run(&["check"]);
    assert_eq!((away.code, registry.paths().len()), (1, 1), "{away:?}");
    assert!(away.stdout.contains("plugins[0].component") && away.stdout.contains("status 404"), "{away:?}");

    let toml = std::fs::read_to_string(site.path("phasegate.toml")).unwrap();
    for (component, message) in [
        ("http://registry.example.com/db.wasm", "in the clear"),
        ("oci://registry.example.com/db", "names no version"),
        ("s3://bucket/db.wasm", "unknown scheme"),
    ] {
        site.write("phasegate.toml", toml.replace(&reference, component));
        let checked = site.run(&["check"]);
        assert_eq!(checked.code, 1, "{checked:?}");
        assert!(checked.stdout.contains(message), "{component}: {checked:?}");
    }
    registry.push("policies/db", "1", &azure_health());
    let inspected = site.json(&["plugin", "inspect", &reference]);
    assert_eq!((&inspected["fits"], &inspected["digest"]), (&true.into(), &digest(&azure_health()).into()));
}
