//! `plugin try` and `plugin case` against live answers.

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
