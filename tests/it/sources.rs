//! Components that come from web servers and registries: what runs, what never does, and what goes
//! on when a server is away.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::Value;

use crate::support::answers::Answers;
use crate::support::plugin::{azure_health, db, generation, judged_by, stage, variant};
use crate::support::registry::{Asked, CA, Registry, Reply, Speaks, digest};
use crate::support::{Finished, Site, fleet, repository, wait_for};

/// A site whose plugin comes from there; `keys` are of `[[plugins]]`.
pub(crate) fn site(component: &str, keys: &str) -> (Site, Answers) {
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

pub(crate) fn swap(site: &Site, reference: &str) -> Finished {
    site.run(&["plugin", "swap", "db", reference])
}

/// A reference that fails at a stage and changes nothing.
pub(crate) fn refused(site: &Site, reference: &str, at: &str, why: &str) {
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
