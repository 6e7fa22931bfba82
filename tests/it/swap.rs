//! Replacing a plugin in a running host.

use crate::support::{Background, Site, fleet, guests, plugin, wait_for};

fn site_with_plugin() -> Site {
    let site = Site::new();
    let mut databases = fleet::databases(4);
    std::fs::copy(fleet::replicated_db(), site.path("db.wasm")).unwrap();
    databases.component = "db.wasm".to_owned();
    site.write("phasegate.toml", databases.toml());
    site
}

fn generation(site: &Site) -> u64 {
    site.json(&["plugin", "list"])["plugins"]
        .as_array()
        .unwrap()
        .iter()
        .find(|plugin| plugin["name"] == "db")
        .unwrap()["generation"]
        .as_u64()
        .unwrap()
}

fn wait_for_generation(site: &Site, generation: u64) {
    site.wait_for_instances("decisions of the new generation", |instance| {
        instance["plugin"]["generation"] == generation
    });
}

#[test]
fn by_command_and_back_by_file_and_across_a_restart() {
    let site = site_with_plugin();
    let host = site.host();
    let before = site.wait_until_healthy();
    assert_eq!(before[0]["phase"], 1, "the leader");
    assert_eq!(generation(&site), 1);

    // A policy that has no phase for anybody.
    site.write("other.wasm", guests::component("good").unwrap());
    let swapped = site.run(&["plugin", "swap", "db", "other.wasm"]);
    assert_eq!(swapped.code, 0, "{swapped:?}");
    wait_for_generation(&site, 2);
    assert!(site.instances().iter().all(|instance| instance["phase"].is_null()));
    assert!(site.instances().iter().all(|instance| instance["health"] == "Healthy"), "no probe was missed");

    host.stop();
    let host = site.host();
    wait_for_generation(&site, 2);
    assert!(
        site.instances().iter().all(|instance| instance["phase"].is_null()),
        "an upload survives a restart"
    );

    // Another file in the configured place wins over the upload.
    let mut rebuilt = std::fs::read(fleet::replicated_db()).unwrap();
    // An empty custom section: the same plugin under another digest.
    rebuilt.extend([0, 2, 1, b'x']);
    site.write("beside.wasm", rebuilt);
    std::fs::rename(site.path("beside.wasm"), site.path("db.wasm")).unwrap();
    wait_for_generation(&site, 3);
    assert_eq!(site.instances()[0]["phase"], 1);
    host.stop();
}

#[test]
fn what_a_former_generation_has_permitted_is_not_upgraded() {
    let site = Site::new();
    let mut databases = fleet::databases(4);
    std::fs::copy(fleet::replicated_db(), site.path("db.wasm")).unwrap();
    databases.component = "db.wasm".to_owned();
    // So far apart that no probe comes between a swap and a start.
    databases.health = "intervalInSeconds = 20\ngracePeriod = 60\nrequestPath = \"/health\"";
    site.write("phasegate.toml", databases.toml());
    site.write("skip.wasm", guests::component("skip").unwrap());
    let host = site.host();
    site.wait_until_healthy();

    assert_eq!(site.run(&["plugin", "swap", "db", "skip.wasm", "--force"]).code, 0);
    let started = site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]);
    let after = site.instances();
    assert!(after.iter().all(|instance| instance["version"] == "v1"), "{started:?} {after:?}");
    assert!(after.iter().all(|instance| instance["plugin"]["generation"] == 2), "{after:?}");
    assert!(after.iter().all(|instance| instance["health"] == "Healthy"), "judging again is no probe");

    // The way back counts as soon: a former permission does not lie in wait, and a new one is enough.
    assert_eq!(site.run(&["plugin", "rollback", "db"]).code, 0);
    let finished = site.run(&["upgrade", "plan", "orders", "--to", "v2", "--json"]);
    assert!(!finished.stdout.contains("\"Skip\""), "{finished:?}");
    host.stop();
}

#[test]
fn what_does_not_load_leaves_the_old_one_in_place() {
    let site = site_with_plugin();
    let host = site.host();
    site.wait_until_healthy();
    let good = std::fs::read(fleet::replicated_db()).unwrap();
    for (name, bytes, message) in [
        ("empty", Vec::new(), "is empty"),
        ("page", b"<html>".to_vec(), "not WebAssembly"),
        ("half", good[..good.len() / 2].to_vec(), "damaged or incomplete"),
        ("core", guests::core_module("good").unwrap(), "is a core module, not a component"),
        ("loops", guests::component("loop-configure").unwrap(), "raise limits."),
        ("traps", guests::component("trap-configure").unwrap(), "trap"),
        ("refuses", guests::component("refuse-settings").unwrap(), "settings"),
    ] {
        let file = format!("{name}.wasm");
        site.write(&file, bytes);
        let finished = site.run(&["plugin", "swap", "db", &file]);
        assert_eq!(finished.code, 1, "{name}: {finished:?}");
        assert!(finished.stderr.contains(message), "{name}: {finished:?}");
        assert!(finished.stderr.contains("generation 1 "), "{name}: {finished:?}");
    }
    // The same by file: said in the log and in the list.
    site.write("db.wasm", "garbage");
    let error = wait_for("the refusal in the list", || {
        let plugins = site.json(&["plugin", "list"])["plugins"].as_array().unwrap().clone();
        let db = plugins.into_iter().find(|plugin| plugin["name"] == "db").unwrap();
        db["lastError"].as_str().map(str::to_owned).filter(|error| error.contains("db.wasm"))
    });
    assert!(error.contains("stays active"), "{error}");
    assert_eq!(generation(&site), 1);
    site.wait_until_healthy();
    stop_unharmed(host, &site);
}

fn stop_unharmed(host: Background<'_>, site: &Site) {
    for instance in site.instances() {
        assert_eq!(instance["plugin"]["generation"], 1, "{instance}");
    }
    host.stop();
}

#[test]
fn a_folder_without_a_case_is_no_cases_and_said_unless_some_are_asked_for() {
    let (site, _answers) = plugin::site("");
    let host = plugin::started(&site);
    std::fs::create_dir(site.path("cases")).unwrap();
    site.write("cases/README.md", "none yet");
    site.write("new.wasm", plugin::variant(b'1'));
    let swapped = site.run(&["plugin", "swap", "db", "new.wasm"]);
    assert_eq!(swapped.code, 0, "{swapped:?}");
    assert!(swapped.stderr.contains("cases` holds no case; none was run"), "{swapped:?}");
    plugin::judged_by(&site, 2);
    // What is there and is no case is refused as ever.
    site.write("cases/broken.json", "{");
    let refused = site.run(&["plugin", "swap", "db", "new.wasm"]);
    assert!(refused.code == 2 && refused.stderr.contains("broken.json"), "{refused:?}");
    // A gigabyte is not read.
    std::fs::File::create(site.path("cases/broken.json")).unwrap().set_len(1 << 30).unwrap();
    for words in [&["plugin", "swap", "db", "new.wasm"][..], &["plugin", "test", "new.wasm"]] {
        let refused = site.run(words);
        assert!(refused.code == 2 && refused.stderr.contains("larger than 16777216 bytes"), "{refused:?}");
    }
    let checked = site.run(&["check"]);
    assert!(checked.code == 1 && checked.stdout.contains("larger than 16777216 bytes"), "{checked:?}");
    std::fs::remove_file(site.path("cases/broken.json")).unwrap();
    // One that carries cases is tested by these, whatever the folder beside it has.
    let folder = crate::support::repository().join("plugins/azure-health/cases");
    site.write("carries.wasm", phasegate_wasm::cases::with_cases(&plugin::azure_health(), &folder).unwrap());
    let tested = site.run(&["plugin", "test", "carries.wasm"]);
    assert_eq!(tested.code, 0, "{tested:?}");
    let untested = site.run(&["plugin", "test", "new.wasm"]);
    assert!(untested.code == 2 && untested.stderr.contains("holds no case"), "{untested:?}");
    let swapped = site.run(&["plugin", "swap", "db", "carries.wasm"]);
    assert_eq!(swapped.code, 0, "{swapped:?}");
    plugin::edit(&site, "name = \"db\"\n", "name = \"db\"\nrequireCases = true\n");
    site.write("db.wasm", std::fs::read(site.path("carries.wasm")).unwrap());
    let reloaded = site.run(&["reload"]);
    assert_eq!(reloaded.code, 0, "{reloaded:?}");
    wait_for("the watched file to be looked at", || plugin::db(&site)["stage"].is_null().then_some(()));
    let refused = site.run(&["plugin", "swap", "db", "new.wasm"]);
    assert!(refused.code == 1 && refused.stderr.contains("carries no cases"), "{refused:?}");
    host.stop();
}
