//! `phasegate init`: what it writes is accepted and reaches the instances, and it writes over nothing.

use std::fs;

use crate::support::answers::Answers;
use crate::support::fleet::free_ports;
use crate::support::{Site, wait_for};

#[test]
fn five_instances_of_a_hosts_file_are_reached_by_what_it_writes() {
    let answers = Answers::start(&[0; 5]);
    let site = Site::new();
    let hosts: String = answers.ports.iter().map(|port| format!("127.0.0.1:{port} # ours\n")).collect();
    site.write("hosts", hosts);
    let written = site.run(&["init", "--hosts", "hosts", "--path", "/health", "--name", "orders"]);
    assert_eq!(written.code, 0, "{written:?}");
    assert!(written.stderr.contains("5 of 5 instances answered"), "{written:?}");
    let checked = site.run(&["check"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    let text = fs::read_to_string(site.path("phasegate.toml")).unwrap();
    assert!(text.contains("# Which plugin decides"), "{text}");
    let api = free_ports(1)[0];
    site.write("phasegate.toml", text.replace("127.0.0.1:8970", &format!("127.0.0.1:{api}")));
    let host = site.spawn(&["run"]);
    let server = format!("http://127.0.0.1:{api}");
    wait_for("five healthy instances", || {
        let fleet = site.run(&["fleet", "--server", &server, "--json"]);
        let instances = (fleet.code == 0).then(|| fleet.json()["scaleSets"][0]["instances"].clone())?;
        let healthy = instances.as_array()?.iter().filter(|one| one["health"] == "Healthy").count();
        (healthy == 5).then_some(())
    });
    host.stop();
    let again = site.run(&["init", "--hosts", "hosts"]);
    assert_eq!(again.code, 2, "{again:?}");
    assert!(again.stderr.contains("is there already, and stays as it is"), "{again:?}");
}

#[test]
fn a_range_of_ports_is_printed_and_silence_is_said() {
    let answers = Answers::start(&[0]);
    let (there, silent) = (answers.ports[0], free_ports(1)[0]);
    let site = Site::new();
    let printed =
        site.run(&["init", "--ports", &format!("{there},{silent}"), "--protocol", "tcp", "--output", "-"]);
    assert_eq!(printed.code, 0, "{printed:?}");
    assert!(printed.stderr.contains("1 of 2 instances answered"), "{printed:?}");
    assert!(printed.stderr.contains(&format!("127.0.0.1:{silent}: ")), "{printed:?}");
    site.write("printed.toml", &printed.stdout);
    assert_eq!(site.run(&["check", "--config", "printed.toml"]).code, 0, "{printed:?}");
    // What takes connections and speaks no TLS has not answered.
    let plain = site.run(&["init", "--ports", &there.to_string(), "--protocol", "https", "--output", "-"]);
    assert!(plain.stderr.contains("0 of 1 instances answered"), "{plain:?}");
    assert!(!site.path("phasegate.toml").exists());
    for (arguments, said) in [
        (&["init"][..], "give --ports 9001-9005"),
        (&["init", "--ports", "9-1"], "ends before it begins"),
        (&["init", "--hosts", "nowhere"], "cannot read `nowhere`"),
        (&["init", "--ports", "9001", "--driver", "process"], "--command"),
        (&["init", "--ports", "9001", "--name", "a b"], "makes no configuration"),
    ] {
        let refused = site.run(arguments);
        assert_eq!(refused.code, 2, "{arguments:?}: {refused:?}");
        assert!(refused.stderr.contains(said), "{arguments:?}: {refused:?}");
        assert!(!site.path("phasegate.toml").exists(), "{arguments:?}");
    }
    for more in
        [["process", "sleep 1000"], ["http", "http://127.0.0.1:1/{id}"], ["command", "true {version}"]]
    {
        let name = format!("{}.toml", more[0]);
        let flags =
            ["init", "--ports", "9001-9003", "--driver", more[0], "--command", more[1], "--output", &name];
        let written = site.run(&flags);
        assert_eq!(written.code, 0, "{written:?}");
        let checked = site.run(&["check", "--config", &name]);
        assert_eq!(checked.code, 0, "{name}: {checked:?}");
    }
}
