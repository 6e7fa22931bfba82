//! Plugins that misbehave in a running host: Unknown and hold for their own instances, and nothing
//! for anybody else.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::http::request;
use crate::support::{Site, contracts, fleet, guests, wait_for};

pub(crate) fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer);
            let body = r#"{"ApplicationHealthState":"Healthy"}"#;
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    port
}

#[test]
fn a_failing_plugin_holds_its_instances_and_no_others() {
    let hostile =
        ["loop-evaluate", "memory-bomb", "trap-evaluate", "wrong-count", "huge-memory", "huge-phase"];
    let site = Site::new();
    let mut toml = String::new();
    let api = fleet::free_ports(1)[0];
    toml.push_str(&format!("[server]\nlisten = \"127.0.0.1:{api}\"\n"));
    let mut sets = vec!["good"];
    sets.extend(hostile);
    for name in &sets {
        site.write(&format!("{name}.wasm"), guests::component(name).unwrap());
        toml.push_str(&format!(
            "[[plugins]]\nname = \"{name}\"\ncomponent = \"{name}.wasm\"\nlimits = {{ memoryMiB = 16, timeoutMs = 50 }}\n"
        ));
    }
    for name in &sets {
        toml.push_str(&format!(
            r#"[[scaleSets]]
name = "{name}"
plugin = "{name}"
health = {{ intervalInSeconds = 0.2, gracePeriod = 1 }}
driver = {{ kind = "process", command = ["sleep", "1000"], stopTimeoutInSeconds = 1 }}
model = {{ version = "v1" }}
"#
        ));
        for id in 0..2 {
            toml.push_str(&format!(
                "[[scaleSets.instances]]\nid = \"{id}\"\naddress = \"127.0.0.1:{}\"\n",
                server()
            ));
        }
    }
    site.write("phasegate.toml", toml);
    let host = site.host();
    let fleet = wait_for("a verdict on every instance", || {
        let fleet = site.json(&["fleet"]);
        let sets = fleet["scaleSets"].as_array().unwrap().clone();
        let settled = |set: &serde_json::Value| {
            set["instances"].as_array().unwrap().iter().all(|instance| instance["health"] != "Initializing")
        };
        sets.iter().all(settled).then_some(sets)
    });
    for set in &fleet {
        let name = set["name"].as_str().unwrap();
        for instance in set["instances"].as_array().unwrap() {
            let good = name == "good";
            assert_eq!(instance["health"], if good { "Healthy" } else { "Unknown" }, "{name}: {instance}");
            let says = instance["participation"].as_str().unwrap_or("nothing");
            assert_eq!(says, if good { "proceed" } else { "nothing" }, "{name}: {instance}");
            let held = instance["held"]["code"].as_str().unwrap_or("no");
            assert_eq!(held, if good { "no" } else { "plugin-failed" }, "{name}: {instance}");
            if !good {
                let reason = instance["reason"].as_str().unwrap();
                assert!(reason.contains(&format!("plugin `{name}`")), "names the plugin: {reason}");
                assert!(reason.len() < 2_000, "{name}: {} bytes of reason", reason.len());
            }
        }
    }
    let ended = site.run(&["upgrade", "start", "good", "--to", "v2", "--wait", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let held = site.json(&["upgrade", "plan", "trap-evaluate", "--to", "v2"]);
    assert_eq!(held["batches"].as_array().unwrap().len(), 0);
    assert_eq!(held["holds"].as_array().unwrap().len(), 2);
    host.stop();
}

#[test]
fn twenty_that_loop_rest_and_the_good_one_is_asked_on() {
    let site = Site::new();
    let api = fleet::free_ports(1)[0];
    let mut toml = format!("[server]\nlisten = \"127.0.0.1:{api}\"\n");
    for name in ["good", "loop-evaluate"] {
        site.write(&format!("{name}.wasm"), guests::component(name).unwrap());
    }
    let loops: Vec<String> = (0..20).map(|number| format!("loop-{number}")).collect();
    let all =
        || std::iter::once(("good", "good")).chain(loops.iter().map(|name| (name.as_str(), "loop-evaluate")));
    for (name, file) in all() {
        toml.push_str(&format!(
            "[[plugins]]\nname = \"{name}\"\ncomponent = \"{file}.wasm\"\nlimits = {{ timeoutMs = 100 }}\n"
        ));
    }
    for (name, _) in all() {
        toml.push_str(&format!(
            "[[scaleSets]]\nname = \"{name}\"\nplugin = \"{name}\"\nhealth = {{ intervalInSeconds = 0.2, gracePeriod = 1 }}\n\
             driver = {{ kind = \"process\", command = [\"sleep\", \"1000\"], stopTimeoutInSeconds = 1 }}\n\
             model = {{ version = \"v1\" }}\n[[scaleSets.instances]]\nid = \"0\"\naddress = \"127.0.0.1:{}\"\n",
            server()
        ));
    }
    site.write("phasegate.toml", toml);
    let host = site.host();
    let counts = |name: &str| {
        let list = site.json(&["plugin", "list"]);
        let plugin =
            list["plugins"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone();
        plugin["counts"].clone()
    };
    wait_for("all loops rest", || {
        let metrics = request(api, "GET /metrics", "");
        let rests = |name: &String| {
            let line = format!("phasegate_plugin_failures_total{{plugin=\"{name}\",reason=\"resting\"}} ");
            metrics.lines().any(|seen| seen.strip_prefix(&line).is_some_and(|count| count != "0"))
        };
        loops.iter().all(rests).then_some(())
    });
    let before = counts("good");
    let judged = |counts: &serde_json::Value| {
        counts["evaluated"].as_u64().unwrap() + counts["unchanged"].as_u64().unwrap()
    };
    let after = wait_for("fifty more rounds of the good one", || {
        let now = counts("good");
        (judged(&now) >= judged(&before) + 50).then_some(now)
    });
    println!("beside twenty loops the good one was judged {} times", judged(&after));
    assert_eq!(after["failed"], 0, "none of its rounds was lost: {after}");
    let log = site.json(&["upgrade", "log", "good"]);
    assert!(!log.to_string().contains("Unknown"), "{log}");
    let good = &site.json(&["fleet"])["scaleSets"][0]["instances"][0];
    assert_eq!(good["health"], "Healthy", "{good}");
    let looping = site.run(&["instance", "show", "loop-7", "0"]).stdout;
    assert!(looping.contains("rests between") || looping.contains("ran longer"), "{looping}");
    host.stop();
}

#[test]
fn inspect_tells_what_a_file_is() {
    let site = Site::new();
    for name in ["good", "clock"] {
        site.write(&format!("{name}.wasm"), guests::component(name).unwrap());
    }
    site.write("core.wasm", guests::core_module("good").unwrap());
    site.write("page.wasm", "<html>");
    site.write("empty.wasm", "");
    let good = guests::component("good").unwrap();
    site.write("half.wasm", &good[..good.len() / 2]);
    let other =
        contracts::component_of_other_contract("good", |text| text.replace("@1.0.0", "@2.0.0")).unwrap();
    site.write("other.wasm", other);
    for (name, code, message) in [
        ("good.wasm", 0, "phasegate:policy/policy@1.0.0"),
        ("clock.wasm", 0, "phasegate:policy/timed-policy@1.0.0"),
        ("core.wasm", 1, "phasegate plugin componentize"),
        ("page.wasm", 1, "not WebAssembly"),
        ("empty.wasm", 1, "is empty"),
        ("half.wasm", 1, "damaged or incomplete"),
        ("other.wasm", 1, "2.0.0"),
    ] {
        let finished = site.run(&["plugin", "inspect", name]);
        assert_eq!(finished.code, code, "{name}: {finished:?}");
        assert!(finished.stdout.contains(message), "{name}: {finished:?}");
    }
    let report = site.json(&["plugin", "inspect", "good.wasm"]);
    assert_eq!(report["pure"], true);
    assert_eq!(report["version"], "1.0.0");
    assert_eq!(report["size"], good.len());
    assert!(report["digest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(site.json(&["plugin", "inspect", "clock.wasm"])["pure"], false);
    assert_eq!(site.run(&["plugin", "inspect", "absent.wasm"]).code, 2);

    let made = site.run(&["plugin", "componentize", "core.wasm", "-o", "made.wasm"]);
    assert_eq!(made.code, 0, "{made:?}");
    assert_eq!(site.run(&["plugin", "inspect", "made.wasm"]).code, 0);
    let refused = site.run(&["plugin", "componentize", "page.wasm", "-o", "never.wasm"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(!site.path("never.wasm").exists());
}
