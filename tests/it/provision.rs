//! The first deployment of real processes: in which order extensions come, what a kill and a failure come to, and that
//! secrets are nowhere but in the hands of the program.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::agent::{Agent, answer};
use crate::support::answers::Answers;
use crate::support::{Site, fleet, wait_for};

/// Three processes with three extensions, of which `app` comes after `base`.
fn toml(answers: &Answers, more: &str) -> String {
    let set = fleet::answered_by_the_test(&answers.ports, "builtin:azure-health");
    let model = format!(
        r#"extensionCommand = ["./install.sh", "{{id}}", "{{component}}", "{{version}}", "{{settingsFile}}", "{{protectedSettingsFile}}"]
[scaleSets.model]
version = "v1"
extensions = [
  {{ name = "app", version = "1", provisionAfterExtensions = ["base"] }},
  {{ name = "base", version = "1", settings = {{ level = "info" }}, protectedSettings = "secret" }},
  {{ name = "logs", version = "1", settings = "logs.json" }},
]
{more}"#
    );
    set.toml().replace("[scaleSets.model]\nversion = \"v1\"\n", &model)
}

/// Writes down every call and what it was given; an extension that is named in `held` waits, one in `bad` fails.
const INSTALL: &str = "#!/bin/sh
echo \"$1 $2 $3 $PHASEGATE_OPERATION\" >> calls
tr '\\0' ' ' < /proc/$$/cmdline >> arguments
env >> arguments
if [ -n \"$4\" ]; then echo \"$2 $(stat -c %a \"$4\") $(cat \"$4\")\" >> given; fi
if [ -n \"$5\" ]; then echo \"$2 $(stat -c %a \"$5\") $(cat \"$5\")\" >> given; fi
while grep -qx $2 held; do sleep 0.05; done
if grep -qx $2 bad; then echo 'no such package' >&2; exit 1; fi
";

const SECRET: &str = "hunter2-and-more";

fn prepared(more: &str) -> (Site, Answers) {
    let answers = Answers::start(&[0, 0, 0]);
    let site = Site::new();
    site.write("phasegate.toml", toml(&answers, more));
    let script = site.write("install.sh", INSTALL);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let secret = site.write("secret", SECRET);
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    site.write("logs.json", "{\"to\":\"disk\"}");
    site.write("held", "");
    site.write("bad", "");
    (site, answers)
}

/// What was installed on an instance, in order: `extension operation`.
fn calls(site: &Site, instance: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(site.path("calls")).unwrap_or_default();
    let mine = text.lines().filter(|line| line.starts_with(&format!("{instance} ")));
    let words = mine.map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    words.map(|words| (words[1].clone(), words[3].clone())).collect()
}

fn names(site: &Site, instance: &str) -> Vec<String> {
    calls(site, instance).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn extensions_come_in_their_order_before_an_instance_is_ready() {
    let (site, _answers) = prepared("extensionsTimeBudget = \"PT15M\"\n");
    site.write("held", "base\n");
    let checked = site.run(&["check"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    let host = site.host();
    let waiting = site.wait_for_instances("the second of three", |one| {
        let reason = one["reason"].as_str().unwrap_or_default();
        reason == "extension `base` 1 is being installed (1 of 3)"
    });
    assert!(waiting.iter().all(|one| one["health"] == "Initializing"), "{waiting:?}");
    let provisioning = &waiting[0]["provisioning"];
    assert_eq!(provisioning["state"], "Creating", "{provisioning}");
    assert_eq!(provisioning["extensions"][1]["name"], "app");
    site.write("held", "");
    let ready = site.wait_until_healthy();
    for id in ["0", "1", "2"] {
        assert_eq!(names(&site, id), ["base", "app", "logs"]);
    }
    assert!(ready[0]["provisioning"].is_null() && ready[0]["extensions"]["app"] == "1", "{}", ready[0]);
    let mut given: Vec<String> =
        fs::read_to_string(site.path("given")).unwrap().lines().map(str::to_owned).collect();
    given.sort();
    given.dedup();
    let secret = format!("base 600 {SECRET}");
    assert_eq!(given, [secret.as_str(), "base 600 {\"level\":\"info\"}", "logs 600 {\"to\":\"disk\"}"]);
    assert!(!fs::read_to_string(site.path("arguments")).unwrap().contains(SECRET));
    host.stop();
    assert!(!site.log().contains(SECRET));
    let grep =
        std::process::Command::new("grep").args(["-r", SECRET]).arg(site.path("data")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&grep.stdout), "", "neither in the record nor in a log");
    // One that ran before is not new.
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(names(&site, "0").len(), 3);
    host.stop();
}

#[test]
fn a_killed_host_goes_on_where_it_was_and_installs_nothing_twice() {
    let (site, _answers) = prepared("");
    site.write("held", "app\n");
    let host = site.host();
    wait_for("all of them to wait", || {
        ["0", "1", "2"].iter().all(|id| names(&site, id).len() == 2).then_some(())
    });
    host.kill();
    site.write("held", "");
    let host = site.host();
    site.wait_until_healthy();
    for id in ["0", "1", "2"] {
        let calls = calls(&site, id);
        let order: Vec<&str> = calls.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(order, ["base", "app", "app", "logs"], "{calls:?}");
        assert_eq!(calls[1].1, calls[2].1, "under the same name");
    }
    host.stop();
}

/// Files with what an extension is configured with, as long as a program has them in hand.
fn handed_out(site: &Site) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(site.path("data/settings")) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn settings_that_a_killed_host_has_left_are_for_nobody_else_and_go_with_the_next_start() {
    let (site, _answers) = prepared("");
    // As a folder that was made by hand, or came out of a backup: open to all.
    fs::create_dir_all(site.path("data/settings")).unwrap();
    for folder in ["data", "data/settings"] {
        fs::set_permissions(site.path(folder), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let foreign = site.write("data/settings/notes.json", "of somebody else");
    site.write("held", "base\n");
    let host = site.host();
    wait_for("all of them to have their settings in hand", || {
        ["0", "1", "2"].iter().all(|id| names(&site, id) == ["base"]).then_some(())
    });
    let held = handed_out(&site);
    assert_eq!(held.len(), 3 * 2 + 1, "{held:?}");
    host.kill();
    site.wait_until_nothing_is_left();
    let left = handed_out(&site);
    assert_eq!(left.len(), held.len(), "nobody was there to remove them: {left:?}");
    for path in left.iter().filter(|path| **path != foreign) {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
    }
    site.write("held", "");
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(handed_out(&site), std::slice::from_ref(&foreign));
    host.stop();
    assert_eq!(fs::read_to_string(foreign).unwrap(), "of somebody else");
}

#[test]
fn one_that_fails_stops_those_after_it_alone_and_an_upgrade_brings_it() {
    let (site, _answers) = prepared("");
    site.write("bad", "base\n");
    let host = site.host();
    let ready = site.wait_until_healthy();
    assert_eq!(names(&site, "1"), ["base", "logs"]);
    let reason = ready[1]["reason"].as_str().unwrap();
    assert!(reason.contains("extension `base` could not be installed"), "{reason}");
    assert!(reason.contains("no such package") && reason.contains("`app` was not installed"), "{reason}");
    assert_eq!(ready[1]["provisioning"]["state"], "Failed");
    assert_eq!(ready[1]["provisioning"]["extensions"][1]["state"], "not-installed");
    let log = site.run(&["log", "orders"]);
    assert!(log.stdout.contains("extension app=1 is not installed: it comes after `base`"), "{log:?}");
    site.write("bad", "");
    let brought = site.run(&["upgrade", "start", "orders", "--wait"]);
    assert_eq!(brought.code, 0, "{brought:?}");
    let there = site.wait_for_instances("all of them", |one| one["provisioning"].is_null());
    assert!(there.iter().all(|one| one["extensions"]["app"] == "1"), "{there:?}");
    host.stop();
}

#[test]
fn one_that_is_found_later_is_new() {
    let (site, answers) = prepared("");
    let text = fs::read_to_string(site.path("phasegate.toml")).unwrap();
    let (head, _) = text.split_once("[[scaleSets.instances]]").unwrap();
    let found =
        "[scaleSets.discovery]\nfile = \"targets.yaml\"\nidLabel = \"id\"\nrefreshInterval = \"PT1S\"\n";
    site.write("phasegate.toml", format!("{head}\n{found}"));
    let list = |count: usize| {
        let entry =
            |id: usize| format!("- targets: ['127.0.0.1:{}']\n  labels: {{id: {id}}}\n", answers.ports[id]);
        site.write("targets.yaml", (0..count).map(entry).collect::<String>());
    };
    list(2);
    let host = site.host();
    wait_for("two", || (site.instances().len() == 2).then_some(()));
    site.wait_until_healthy();
    site.write("held", "logs\n");
    list(3);
    wait_for("the third to wait for `logs`", || (names(&site, "2").len() == 3).then_some(()));
    let all = site.instances();
    assert_eq!((&all[2]["health"], &all[0]["health"]), (&"Initializing".into(), &"Healthy".into()));
    site.write("held", "");
    site.wait_until_healthy();
    assert_eq!(
        (names(&site, "2").as_slice(), names(&site, "0").len()),
        (&["base", "app", "logs"].map(str::to_owned)[..], 3)
    );
    host.stop();
}

#[test]
fn an_agent_is_given_the_settings_in_its_request_and_no_log_has_the_secret() {
    let answers = Answers::start(&[0]);
    let agent = Agent::start(|seen, _| match seen.method.as_str() {
        "POST" => answer(200, "", ""),
        _ => answer(200, "", r#"{"version":"v1"}"#),
    });
    let site = Site::new();
    let set = fleet::answered_by_the_test(&answers.ports, "builtin:azure-health");
    let (head, rest) =
        set.toml().split_once("[scaleSets.driver]").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let (_, rest) = rest.split_once("[scaleSets.model]\nversion = \"v1\"\n").unwrap();
    let port = agent.port;
    let driver = format!(
        r#"[scaleSets.driver]
kind = "http"
url = "http://127.0.0.1:{port}/up/{{id}}"
observeUrl = "http://127.0.0.1:{port}/version/{{id}}"
[scaleSets.model]
version = "v1"
extensions = [{{ name = "base", version = "1", settings = {{ level = "info" }}, protectedSettings = "secret" }}]
"#
    );
    site.write("phasegate.toml", format!("{head}{driver}{rest}"));
    let secret = site.write("secret", SECRET);
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let host = site.host();
    wait_for("the settings at the agent", || {
        let bodies = agent.seen().into_iter().filter(|seen| seen.method == "POST");
        let mut bodies = bodies.filter_map(|seen| serde_json::from_str::<serde_json::Value>(&seen.body).ok());
        let body = bodies.find(|body| body["component"] == "base")?;
        assert_eq!(
            (&body["settings"]["level"], &body["protectedSettings"]),
            (&"info".into(), &SECRET.into())
        );
        Some(())
    });
    host.stop();
    assert!(!site.log().contains(SECRET));
    let grep =
        std::process::Command::new("grep").args(["-r", SECRET]).arg(site.path("data")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&grep.stdout), "", "neither in the record nor in a log");
}

#[test]
fn orders_that_fight_and_settings_that_grow_to_ten_megabytes_change_nothing_that_runs() {
    let (site, _answers) = prepared("");
    let host = site.host();
    site.wait_until_healthy();
    let good = fs::read_to_string(site.path("phasegate.toml")).unwrap();
    let base = "name = \"base\", version = \"1\"";
    let fight = good.replace(base, &format!("{base}, provisionAfterExtensions = [\"app\"]"));
    let fight = fight.replace("name = \"app\"", "name = \"app\", settings = {}");
    site.write("phasegate.toml", &fight);
    let server = format!("127.0.0.1:{}", site.port());
    let refused = site.run(&["reload", "--server", &server]);
    assert!(refused.code == 1 && refused.stderr.contains("goes round in a circle"), "{refused:?}");
    // The file that was checked is replaced by one that is no setting: the effect fails, and says why.
    site.write(
        "phasegate.toml",
        good.replace("name = \"logs\", version = \"1\"", "name = \"logs\", version = \"2\""),
    );
    let reloaded = site.run(&["reload"]);
    assert_eq!(reloaded.code, 0, "{reloaded:?}");
    site.write("logs.json", vec![b' '; 10 * 1024 * 1024]);
    let before = names(&site, "0").len();
    let failed = site.run(&["upgrade", "start", "orders", "--wait"]);
    assert_eq!(failed.code, 1, "{failed:?}");
    let log = site.run(&["log", "orders"]);
    assert!(log.stdout.contains("have 10485760 bytes (limit 1048576)"), "{log:?}");
    assert_eq!(names(&site, "0").len(), before, "no program was begun without its settings");
    assert!(site.instances().iter().all(|one| one["health"] == "Healthy"), "{:?}", site.instances());
    host.stop();
}

#[test]
fn what_cannot_be_provisioned_is_refused() {
    let (site, answers) = prepared("");
    let good = toml(&answers, "");
    for (from, to, said) in [
        ("[\"base\"]", "[\"bases\"]", "has \"bases\", which is no extension of the model"),
        ("[\"base\"]", "[\"app\"]", "has \"app\" itself"),
        (
            "settings = { level = \"info\" }, protectedSettings = \"secret\"",
            "",
            "neither settings nor protectedSettings",
        ),
        (
            "name = \"base\", version = \"1\"",
            "name = \"base\", version = \"1\", provisionAfterExtensions = [\"logs\"]",
            "",
        ),
        (
            "version = \"v1\"\nextensions",
            "version = \"v1\"\nextensionsTimeBudget = \"PT3H\"\nextensions",
            "PT15M",
        ),
        (
            "protectedSettings = \"secret\"",
            "protectedSettings = \"logs.json\"",
            "can be read by others (mode 0644)",
        ),
        ("settings = \"logs.json\"", "settings = \"large\"", "have 10485760 bytes (limit 1048576)"),
        ("settings = \"logs.json\"", "settings = \"nowhere\"", "cannot read settings"),
    ] {
        fs::set_permissions(site.path("logs.json"), fs::Permissions::from_mode(0o644)).unwrap();
        site.write("large", vec![b' '; 10 * 1024 * 1024]);
        assert!(good.contains(from), "{from}");
        site.write("phasegate.toml", good.replacen(from, to, 1));
        let checked = site.run(&["check"]);
        let all = format!("{}{}", checked.stdout, checked.stderr);
        assert_eq!(checked.code == 0, said.is_empty(), "{to}: {checked:?}");
        assert!(all.contains(said), "{said}: {checked:?}");
    }
    let circle = good
        .replace("name = \"app\"", "name = \"app\", settings = {}")
        .replace("name = \"base\"", "name = \"base\", provisionAfterExtensions = [\"app\"]");
    site.write("phasegate.toml", circle);
    let checked = site.run(&["check"]);
    assert!(checked.code == 1 && format!("{checked:?}").contains("goes round in a circle"), "{checked:?}");
}
