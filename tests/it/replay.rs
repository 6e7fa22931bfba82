//! The recording of a running host: replayed, proved, explained; and plugins that begin to fail.

use std::io::Write as _;

use serde_json::Value;

use crate::support::{Site, fleet, guests, wait_for};

fn recorded_site(more: &str) -> Site {
    let site = Site::new();
    let mut databases = fleet::databases(3);
    std::fs::copy(fleet::replicated_db(), site.path("db.wasm")).unwrap();
    databases.component = "db.wasm".to_owned();
    site.write("phasegate.toml", format!("{}\n{more}", databases.toml()));
    site
}

fn newest_segment(site: &Site) -> Option<std::path::PathBuf> {
    let files = std::fs::read_dir(site.path("data/recording")).unwrap().flatten().map(|file| file.path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "jsonl")).collect();
    files.sort();
    files.pop()
}

#[test]
fn what_was_decided_is_proved_and_explained_even_after_a_crash_and_a_swap() {
    let site = recorded_site("");
    let host = site.host();
    site.wait_until_healthy();
    let ended = site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let explained = site.json(&["upgrade", "explain", "orders", "0"]);
    assert_eq!(explained["same"], true, "{explained}");
    assert!(
        explained["verdict"].as_str().unwrap().starts_with("goes in batch 3, phase 1: Healthy, says proceed"),
        "{explained}"
    );
    assert_eq!(explained["plugin"]["generation"], 1);
    let nobody = site.run(&["upgrade", "explain", "orders", "99"]);
    assert_eq!(nobody.code, 2, "{nobody:?}");
    assert!(nobody.stderr.contains("scale set `orders` has no instance `99`"), "{nobody:?}");
    assert!(explained["fuel"].as_u64().unwrap() > 0);
    assert_eq!(explained["observation"]["instance"]["id"], "0");
    wait_for("the records that the upgrade has gone by", || {
        let folder = std::fs::read_dir(site.path("data/recording/kept/orders")).ok()?;
        let files = folder.flatten().map(|file| std::fs::read_to_string(file.path()).unwrap());
        // Those of the plan, and those on which each was let go.
        files.into_iter().any(|text| text.matches("{\"at\":").count() >= 3).then_some(())
    });
    let log = site.run(&["upgrade", "log", "orders"]);
    assert!(log.stdout.contains(" fuel, ") && log.stdout.contains(" ns, judged "), "{log:?}");
    let detail = site.run(&["fleet", "--json", "--detail"]).json();
    assert!(detail["scaleSets"][0]["instances"][0]["evaluation"]["fuel"].as_u64().unwrap() > 0);
    let counts = site.json(&["plugin", "list"])["plugins"][1]["counts"].clone();
    assert!(counts["evaluated"].as_u64().unwrap() > 0, "{counts}");

    site.write("good.wasm", guests::component("good").unwrap());
    assert_eq!(site.run(&["plugin", "swap", "db", "good.wasm"]).code, 0);
    host.kill();
    let mut file = std::fs::OpenOptions::new().append(true).open(newest_segment(&site).unwrap()).unwrap();
    file.write_all(b"{\"at\":12,\"plug").unwrap();
    drop(file);

    let proof = site.run(&["plugin", "replay", "data/recording", "--verify", "--json"]);
    assert_eq!(proof.code, 0, "{proof:?}");
    let proof = proof.json();
    assert!(proof["judged"].as_u64().unwrap() >= 3 && proof["judged"] == proof["same"], "{proof}");
    assert_eq!((&proof["damaged"], &proof["unproved"]), (&Value::from(1), &Value::Array(Vec::new())));

    let other = site.run(&["plugin", "replay", "data/recording", "--plugin", "good.wasm"]);
    assert_eq!(other.code, 1, "{other:?}");
    assert!(other.stdout.contains("phase 1"), "{other:?}");
    let same = site.run(&["plugin", "replay", "data/recording", "--plugin", "db", "--against", "db.wasm"]);
    assert_eq!(same.code, 0, "{same:?}");
    assert_eq!(site.run(&["plugin", "replay", "data/recording"]).code, 2, "nothing to replay with");
    assert_eq!(site.run(&["plugin", "replay", "absent", "--verify"]).code, 2);

    // Also when the ring has turned meanwhile.
    while let Some(segment) = newest_segment(&site) {
        std::fs::remove_file(segment).unwrap();
    }
    let host = site.host();
    site.wait_until_healthy();
    let explained = site.json(&["upgrade", "explain", "orders", "0"]);
    assert_eq!(
        (&explained["same"], &explained["plugin"]["generation"]),
        (&true.into(), &1.into()),
        "{explained}"
    );
    std::fs::remove_dir_all(site.path("data/recording/kept")).unwrap();
    let gone = site.run(&["upgrade", "explain", "orders", "0"]);
    assert_eq!(gone.code, 1, "{gone:?}");
    assert!(gone.stdout.contains("NOT judged again; its evaluation of 2"), "{gone:?}");
    host.stop();
}

#[test]
fn a_changed_record_is_found_out_and_a_redacted_one_claims_nothing() {
    let site = recorded_site("");
    let host = site.host();
    site.wait_until_healthy();
    host.stop();
    let path = newest_segment(&site).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let forged = text.replacen("\"claim\":\"Healthy\"", "\"claim\":\"Unhealthy\"", 1);
    assert_ne!(text, forged);
    std::fs::write(&path, forged).unwrap();
    let proof = site.run(&["plugin", "replay", "data/recording", "--verify"]);
    assert_eq!(proof.code, 1, "{proof:?}");
    assert!(proof.stdout.contains("1 differ"), "{proof:?}");

    let site = recorded_site("[recording]\nmaxMiB = 8\nmaxAge = \"PT1H\"\nredact = [\"/*\"]\n");
    let host = site.host();
    site.wait_until_healthy();
    host.stop();
    let proof = site.run(&["plugin", "replay", "data/recording", "--verify"]);
    assert!(proof.stdout.contains("not proved: parts of the body were not written down"), "{proof:?}");
    assert!(
        !std::fs::read_to_string(newest_segment(&site).unwrap()).unwrap().contains("\\\"role\\\":\\\"leader")
    );
    let two = ["plugin", "replay", "data/recording", "--plugin", "db", "--against", "db.wasm"];
    let two = site.run(&two);
    assert!(two.stdout.contains("not proved: parts of the body were not written down"), "{two:?}");

    let site = recorded_site("[recording]\nmaxMiB = 0\n");
    let host = site.host();
    site.wait_until_healthy();
    host.stop();
    assert!(!site.path("data/recording").exists());
}

/// A site with a scale set for each plugin, all of one component, which has judged each once at least.
fn recorded_site_of(plugins: &[&str]) -> Site {
    let site = Site::new();
    site.write("good.wasm", guests::component("good").unwrap());
    let port = fleet::free_ports(1)[0];
    let mut toml = format!("[server]\nlisten = \"127.0.0.1:{port}\"\ndataDir = \"data\"\n");
    for name in plugins {
        toml.push_str(&format!("[[plugins]]\nname = \"{name}\"\ncomponent = \"good.wasm\"\n"));
    }
    for name in plugins {
        let port = super::hostile_plugins::server();
        toml.push_str(&format!(
            "[[scaleSets]]\nname = \"set-{name}\"\nplugin = \"{name}\"\n\
             health = {{ intervalInSeconds = 0.2, gracePeriod = 1 }}\n\
             driver = {{ kind = \"process\", command = [\"sleep\", \"1000\"], stopTimeoutInSeconds = 1 }}\n\
             model = {{ version = \"v1\" }}\n\
             [[scaleSets.instances]]\nid = \"0\"\naddress = \"127.0.0.1:{port}\"\n"
        ));
    }
    site.write("phasegate.toml", toml);
    let host = site.host();
    wait_for("an answer of each", || {
        let sets = site.json(&["fleet"])["scaleSets"].as_array().unwrap().clone();
        sets.iter().all(|set| set["instances"][0]["health"] == "Healthy").then_some(())
    });
    host.stop();
    site
}

#[test]
fn the_records_of_one_plugin_are_judged_and_a_file_that_is_no_recording_is_refused() {
    let site = recorded_site_of(&["one", "two"]);
    let replay = |more: &[&str]| {
        let mut arguments = vec!["plugin", "replay", "data/recording", "--json"];
        arguments.extend_from_slice(more);
        site.run(&arguments)
    };
    let all = replay(&["--verify"]).json()["judged"].as_u64().unwrap();
    let refused = replay(&["--plugin", "good.wasm"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(
        refused.stderr.contains("several plugins: `one`, `two`; say with `--name PLUGIN`"),
        "{refused:?}"
    );
    // A folder of that name does not hide the plugin.
    std::fs::create_dir(site.path("one")).unwrap();
    for choice in [
        &["--plugin", "good.wasm", "--name", "one"][..],
        &["--plugin", "good.wasm", "--scale-set", "set-one"],
        &["--plugin", "one"],
        &["--plugin", "one", "--against", "good.wasm"],
        &["--plugin", "two", "--name", "one"],
        &["--verify", "--name", "one"],
    ] {
        let judged = replay(choice);
        assert_eq!(judged.code, 0, "{choice:?}: {judged:?}");
        let judged = judged.json()["judged"].as_u64().unwrap();
        assert!(judged > 0 && judged < all, "{choice:?}: {judged} of {all}");
    }
    for (choice, expected) in [
        (&["--verify", "--name", "three"][..], "no records of plugin `three`; it has those of `one`, `two`"),
        (&["--verify", "--scale-set", "three"], "of scale set `three`; it has those of `set-one`, `set-two`"),
        (&["--verify", "--name", "a b"], "--name `a b` "),
    ] {
        let refused = replay(choice);
        assert_eq!(refused.code, 2, "{choice:?}: {refused:?}");
        assert!(refused.stderr.contains(expected), "{choice:?}: {refused:?}");
    }

    site.write("core.wasm", b"\0asm\x01\0\0\0");
    site.write("noise", b"\x07\xff\nnoise\n\0");
    for (arguments, expected) in [
        (["good.wasm", "--verify"], "`good.wasm` is no recording: none of its "),
        (["noise", "--verify"], "`noise` is no recording: none of its 3 lines is a record"),
        (["data", "--verify"], "did you mean `data/recording`?"),
        (["data/recording", "--plugin=core.wasm"], "is a core module, not a component"),
    ] {
        let refused = site.run(&[&["plugin", "replay"][..], &arguments].concat());
        assert_eq!(refused.code, 2, "{arguments:?}: {refused:?}");
        assert!(refused.stderr.contains(expected), "{arguments:?}: {refused:?}");
    }
}

#[test]
fn each_plugin_fails_in_its_own_way() {
    let site = Site::new();
    let answers = fleet::free_ports(1)[0];
    let mut toml = format!("[server]\nlisten = \"127.0.0.1:{answers}\"\n");
    let kinds = ["hold", "last-good", "azure"];
    site.write("good.wasm", guests::component("good").unwrap());
    site.write("traps.wasm", guests::component("trap-evaluate").unwrap());
    for name in kinds {
        toml.push_str(&format!(
            "[[plugins]]\nname = \"{name}\"\ncomponent = \"good.wasm\"\nonFailure = \"{name}\"\n"
        ));
    }
    for name in kinds {
        let port = super::hostile_plugins::server();
        toml.push_str(&format!(
            "[[scaleSets]]\nname = \"{name}\"\nplugin = \"{name}\"\n\
             health = {{ intervalInSeconds = 0.2, gracePeriod = 1 }}\n\
             driver = {{ kind = \"process\", command = [\"sleep\", \"1000\"], stopTimeoutInSeconds = 1 }}\n\
             model = {{ version = \"v1\" }}\n\
             [[scaleSets.instances]]\nid = \"0\"\naddress = \"127.0.0.1:{port}\"\n"
        ));
    }
    site.write("phasegate.toml", toml);
    let host = site.host();
    let of = |name: &str| {
        let sets = site.json(&["fleet"])["scaleSets"].as_array().unwrap().clone();
        let set = sets.into_iter().find(|set| set["name"] == name).unwrap();
        set["instances"][0].clone()
    };
    for name in kinds {
        wait_for("an answer that is the same as the one before", || {
            let plugins = site.json(&["plugin", "list"])["plugins"].as_array().unwrap().clone();
            let plugin = plugins.into_iter().find(|plugin| plugin["name"] == name).unwrap();
            let unchanged = plugin["counts"]["unchanged"].as_u64().unwrap() > 0;
            (unchanged && of(name)["health"] == "Healthy").then_some(())
        });
        assert_eq!(site.run(&["plugin", "swap", name, "traps.wasm", "--force"]).code, 0);
    }
    for (name, health, participation) in [
        ("hold", "Unknown", Value::Null),
        ("azure", "Unknown", "proceed".into()),
        ("last-good", "Healthy", "proceed".into()),
    ] {
        let seen = wait_for(name, || {
            let seen = of(name);
            (seen["health"] == health && seen["plugin"]["generation"] == 2).then_some(seen)
        });
        assert_eq!(seen["participation"], participation, "{name}: {seen}");
        let stands_in = seen["standsIn"]["failure"].as_str().unwrap_or_default();
        assert_eq!(stands_in.contains("plugin `last-good`"), name == "last-good", "{seen}");
        let said = seen["reason"].as_str().unwrap_or_default().contains("the last good decision, of 2");
        assert_eq!(said, name == "last-good", "{seen}");
    }
    // What was gone by is explained, not what came in its place.
    assert_eq!(site.run(&["upgrade", "start", "last-good", "--to", "v2"]).code, 0);
    let explained = wait_for("the decision", || {
        let explained = site.run(&["upgrade", "explain", "last-good", "0", "--json"]);
        (explained.code == 0).then(|| explained.json())
    });
    assert_eq!(explained["plugin"]["generation"], 1, "{explained}");
    assert!(explained["standsIn"].as_str().unwrap().contains("stands in: plugin `last-good`"), "{explained}");
    wait_for("the trouble in the audit trail", || {
        let log = site.run(&["upgrade", "log", "hold"]);
        log.stdout.contains("plugin-trouble").then_some(())
    });
    let plugins = site.json(&["plugin", "list"])["plugins"].as_array().unwrap().clone();
    let hold = plugins.iter().find(|plugin| plugin["name"] == "hold").unwrap();
    assert!(hold["counts"]["failed"].as_u64().unwrap() > 0, "{hold}");
    assert!(hold["counts"]["unchanged"].as_u64().unwrap() > 0, "{hold}");
    host.stop();
}
