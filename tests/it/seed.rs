//! The three sample applications of the seed, as real Python processes under the default plugin.

use crate::support::fleet::free_ports;
use crate::support::{Site, repository};

/// Python is the one thing that this test needs beyond Rust. The project's CI demands it.
fn python() -> bool {
    let found = std::process::Command::new("python3").arg("--version").output().is_ok();
    assert!(
        found || std::env::var_os("PHASEGATE_REQUIRE_PYTHON").is_none(),
        "python3 is needed and not there"
    );
    if !found {
        eprintln!("NOT RUN: this test needs python3");
    }
    found
}

/// The samples in the order of their instances: what is asked for, and whether as text.
const SAMPLES: [(&str, &str); 6] = [
    ("combined", "no"),
    ("phase", "no"),
    ("skip", "no"),
    ("combined", "yes"),
    ("phase", "yes"),
    ("skip", "yes"),
];

fn configuration() -> String {
    let mut ports = free_ports(SAMPLES.len() + 1);
    let api = ports.pop().unwrap();
    let mut toml = format!(
        r#"[server]
listen = "127.0.0.1:{api}"
[[scaleSets]]
name = "seed"
[scaleSets.health]
protocol = "http"
requestPath = "/"
intervalInSeconds = 0.2
numberOfProbes = 1
gracePeriod = 30
[scaleSets.driver]
kind = "process"
command = ["python3", "{}", "--port", "{{port}}", "--version", "{{version}}",
  "--sample", "{{label.sample}}", "--text", "{{label.text}}"]
[scaleSets.model]
version = "v1"
"#,
        repository().join("tests/seed/server.py").display()
    );
    for (index, ((sample, text), port)) in SAMPLES.iter().zip(&ports).enumerate() {
        toml.push_str(&format!(
            "[[scaleSets.instances]]\nid = \"{index}\"\naddress = \"127.0.0.1:{port}\"\n\
             labels = {{ sample = \"{sample}\", text = \"{text}\" }}\n"
        ));
    }
    toml
}

#[test]
fn phase_order_skip_and_both_as_the_documentation_says() {
    if !python() {
        return;
    }
    let site = Site::new();
    site.write("phasegate.toml", configuration());
    let host = site.host();
    let instances = site.wait_until_healthy();
    let shown: Vec<String> = instances
        .iter()
        .map(|i| {
            format!("{} {} {}", i["id"].as_str().unwrap(), i["phase"], i["participation"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        shown,
        ["0 1 proceed", "1 0 proceed", "2 null skip", "3 1 proceed", "4 0 proceed", "5 null skip"],
        "string and object, bool and text"
    );

    let started = site.run(&["upgrade", "start", "seed", "--to", "v2", "--wait", "--json"]);
    assert_eq!(started.code, 0, "{started:?}");
    let status = started.json();
    assert_eq!(status["state"], "Completed");
    let order: Vec<&str> = status["batches"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|batch| batch["instances"].as_array().unwrap())
        .map(|id| id.as_str().unwrap())
        .collect();
    assert_eq!(order, ["1", "4", "0", "3"], "phase 0, then phase 1; skipped ones not at all");
    for instance in site.instances() {
        let skipped = instance["participation"] == "skip";
        assert_eq!(instance["version"], if skipped { "v1" } else { "v2" }, "{instance}");
    }
    host.stop();
}
