//! `plugin try` and `plugin case` against live answers.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use crate::support::answers::Answers;
use crate::support::{Site, fleet};

#[test]
fn a_live_answer_is_judged_once_and_becomes_a_case_that_passes() {
    let site = Site::new();
    let answers = Answers::start(&[3]);
    let url = format!("http://127.0.0.1:{}/health", answers.ports[0]);
    let tried = site.json(&["plugin", "try", "builtin:azure-health", "--url", &url]);
    assert_eq!(tried["decision"]["phase"], 3, "{tried}");
    assert_eq!(tried["decision"]["health"], "healthy");
    assert_eq!(tried["answer"]["response"]["status"], 200);
    let shown = site.run(&["plugin", "try", "builtin:azure-health", "--url", &url]);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.stdout.contains("PhaseOrderingNumber") && shown.stdout.contains("phase 3"), "{shown:?}");

    answers.set(0, 1, true);
    std::fs::create_dir(site.path("cases")).unwrap();
    let case = |out: &str| {
        let name = ["--name", "says skip", "--out", out];
        let rest = ["--url", &url, "--instance", "7", "--label", "role=leader"];
        site.run(&[&["plugin", "case", "builtin:azure-health"], &name[..], &rest[..]].concat())
    };
    let made = case("cases/skip.json");
    assert_eq!(made.code, 0, "{made:?}");
    let text = std::fs::read_to_string(site.path("cases/skip.json")).unwrap();
    assert!(text.contains("says skip") && text.contains("\"role\": \"leader\""), "{text}");
    assert_eq!(case("cases/skip.json").code, 2, "a file is not written over");
    let passed = site.run(&["plugin", "test", "builtin:azure-health", "--cases", "cases"]);
    assert_eq!(passed.code, 0, "{passed:?}");
    std::fs::write(site.path("cases/skip.json"), text.replace("\"skip\"", "\"proceed\"")).unwrap();
    let failed = site.run(&["plugin", "test", "builtin:azure-health", "--cases", "cases"]);
    assert_eq!(failed.code, 1, "{failed:?}");
}

#[test]
fn who_does_not_answer_is_judged_too_and_nonsense_is_refused() {
    let site = Site::new();
    let nobody = format!("http://127.0.0.1:{}/", fleet::free_ports(1)[0]);
    let silent = site.json(&["plugin", "try", "builtin:azure-health", "--url", &nobody]);
    assert!(silent["answer"]["failure"]["unreachable"].is_string(), "{silent}");
    assert_eq!(silent["decision"]["health"], "unknown");
    for wrong in [
        vec!["--url", "ftp://h/"],
        vec!["--url", "tcp://nowhere"],
        vec!["--url", &nobody, "--settings", "{"],
        vec!["--url", &nobody, "--timeout", "-1"],
        vec!["--url", &nobody, "--label", "x"],
        vec!["--url", &nobody, "--request-header", "x"],
        vec![],
    ] {
        let refused = site.run(&[&["plugin", "try", "builtin:azure-health"], &wrong[..]].concat());
        assert_eq!(refused.code, 2, "{wrong:?}: {refused:?}");
    }
}

/// Sends back what it gets, until the program ends.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut line = String::new();
            let _ = BufReader::new(&stream).read_line(&mut line);
            let _ = (&stream).write_all(line.as_bytes());
        }
    });
    port
}

/// Three instances of a set that is asked in all ways, and what judges it.
fn asked_in_all_ways() -> (Site, Answers) {
    let answers = Answers::start(&[3, 1, 2]);
    let set = fleet::answered_by_the_test(&answers.ports, "builtin:azure-health");
    let sources = format!(
        r#"sources = [
  {{ name = "page", requestPath = "/{{id}}" }},
  {{ name = "line", protocol = "tcp", port = {}, send = "AUTH {{token}}\n", expect = "\n", tokenFile = "token" }},
  {{ name = "program", protocol = "exec", command = ["printf", "{{id}} at {{port}}"] }},
  {{ name = "nowhere", port = 1 }},
]
"#,
        echo()
    );
    let site = Site::new();
    site.write("token", "s3cret-w0rd\n");
    site.write(
        "phasegate.toml",
        set.toml().replace("[scaleSets.health]\n", &format!("[scaleSets.health]\n{sources}")),
    );
    (site, answers)
}

#[test]
fn all_sources_of_an_instance_of_a_configuration_are_judged_together() {
    let (site, answers) = asked_in_all_ways();
    let whom = ["--config", "phasegate.toml", "--scale-set", "orders", "--instance", "1"];
    let run = |more: &[&str]| site.run(&[more, &whom[..]].concat());
    let tried = run(&["plugin", "try", "builtin:azure-health", "--json"]);
    assert_eq!(tried.code, 0, "{tried:?}");
    let report = tried.json();
    assert_eq!(report["decision"]["phase"], 1, "{report}");
    let sources: Vec<&str> =
        report["answers"].as_array().unwrap().iter().map(|one| one["source"].as_str().unwrap()).collect();
    assert_eq!(sources, ["health", "page", "line", "program", "nowhere"]);
    let body = |at: usize| report["answers"][at]["response"]["body"].as_str().unwrap_or_default();
    assert_eq!(body(3), format!("1 at {}", answers.ports[1]));
    assert_eq!(body(2).trim_end(), "AUTH [redacted]", "what it was told it sends back: {report}");
    assert!(report["answers"][4]["failure"]["unreachable"].is_string(), "{report}");

    let shown = run(&["plugin", "try", "builtin:azure-health"]);
    for part in ["health: status 200", "program: status", "nowhere: ", "decision: healthy, phase 1"] {
        assert!(shown.stdout.contains(part), "{part}: {shown:?}");
    }
    let made = run(&["plugin", "case", "builtin:azure-health", "--name", "all of them"]);
    assert_eq!(made.code, 0, "{made:?}");
    for finished in [&tried, &shown, &made] {
        assert!(!format!("{finished:?}").contains("s3cret"), "{finished:?}");
    }
    std::fs::create_dir(site.path("cases")).unwrap();
    site.write("cases/all.json", &made.stdout);
    let passed = site.run(&["plugin", "test", "builtin:azure-health", "--cases", "cases"]);
    assert_eq!(passed.code, 0, "{passed:?}");

    for (wrong, part) in [
        (vec!["--scale-set", "nope"], "has no scale set `nope`"),
        (vec!["--scale-set", "orders", "--instance", "9"], "scale set `orders` has no instance `9`"),
        (vec!["--url", "http://127.0.0.1:1/"], "and not both"),
    ] {
        let config = ["plugin", "try", "builtin:azure-health", "--config", "phasegate.toml"];
        let refused = site.run(&[&config[..], &wrong[..]].concat());
        assert!(refused.code == 2 && refused.stderr.contains(part), "{refused:?}");
    }
}

#[test]
fn blanks_round_settings_and_headers_of_one_name_are_kept_in_a_case() {
    let site = Site::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(&stream);
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let body = r#"{"ApplicationHealthState":"Healthy"}"#;
            let length = body.len();
            let _ = write!(
                &stream,
                "HTTP/1.1 200 OK\r\nX-Part: b\r\nX-Part: a\r\nContent-Length: {length}\r\n\r\n{body}"
            );
        }
    });
    let made = site.run(&[
        "plugin",
        "case",
        "builtin:azure-health",
        "--url",
        &url,
        "--header",
        "x-part",
        "--settings",
        " {}\n",
    ]);
    assert_eq!(made.code, 0, "{made:?}");
    let case = made.json();
    assert_eq!(case["settingsText"], " {}\n", "{case}");
    let headers = &case["observation"]["answers"][0]["response"]["headers"];
    assert_eq!(*headers, serde_json::json!([["x-part", "b"], ["x-part", "a"]]));
    std::fs::create_dir(site.path("cases")).unwrap();
    site.write("cases/one.json", &made.stdout);
    let passed = site.run(&["plugin", "test", "builtin:azure-health", "--cases", "cases"]);
    assert_eq!(passed.code, 0, "{passed:?}");
}
