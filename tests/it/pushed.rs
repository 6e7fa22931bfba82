//! Components that are pushed into a registry, and come back out of it.

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::sources::{site, swap};
use crate::support::plugin::{azure_health, db, generation, stage, variant};
use crate::support::registry::{Registry, Speaks, digest};
use crate::support::{Finished, Site, repository};

fn push(site: &Site, file: &str, reference: &str, more: &[&str]) -> Finished {
    site.run(&[&["plugin", "push", file, reference][..], more].concat())
}

#[test]
fn what_a_host_would_not_take_is_not_pushed() {
    let (site, _answers) = site("db.wasm", "");
    site.write("db.wasm", azure_health());
    let registry = Registry::start(Speaks::Http);
    let to = registry.oci("policies/db:1");
    site.write("text.wasm", "no component");
    let mut cut = azure_health();
    cut.truncate(cut.len() / 2);
    site.write("cut.wasm", &cut);
    std::fs::create_dir_all(site.path("wrong/cases")).unwrap();
    site.write("wrong/a.wasm", azure_health());
    site.write("wrong/cases/a.json", crate::signed::WRONG);
    site.write("odd.wasm", azure_health());
    site.write("odd.wasm.sig", "no base64");
    for (file, why) in [
        ("text.wasm", "`text.wasm` "),
        ("cut.wasm", "`cut.wasm` "),
        ("wrong/a.wasm", "fails 1 of its 1 cases"),
        ("odd.wasm", "no signature in base64"),
    ] {
        let finished = push(&site, file, &to, &[]);
        assert!(finished.code == 1 && finished.stderr.contains(why), "{file}: {finished:?}");
    }
    let pinned = registry.oci(&format!("policies/db@{}", digest(b"x")));
    for (file, to, why) in [
        ("db.wasm", pinned.as_str(), "push to a tag"),
        ("db.wasm", "https://127.0.0.1:1/db.wasm", "is no place in a registry"),
        ("none.wasm", to.as_str(), "none.wasm"),
    ] {
        let finished = push(&site, file, to, &[]);
        assert!(finished.code == 2 && finished.stderr.contains(why), "{to}: {finished:?}");
    }
    assert_eq!(registry.paths(), Vec::<String>::new(), "nothing was sent");
}

#[test]
fn what_was_pushed_comes_back_with_its_signatures_and_cases() {
    let signer = crate::signed::Signer::new();
    let registry = Registry::start(Speaks::Http);
    let (site, _answers) = site(&registry.oci("policies/db:1"), crate::signed::RULE);
    crate::signed::write_keys(&site, &signer, &signer);
    crate::signed::write_signed(&site, "db.wasm", &azure_health(), &[signer.sign(&azure_health())]);
    let pushed = push(&site, "db.wasm", &registry.oci("policies/db:1"), &["--json"]);
    assert_eq!(pushed.code, 0, "{pushed:?}");
    let report: Value = serde_json::from_str(&pushed.stdout).unwrap();
    assert_eq!(report["digest"], json!(digest(&azure_health())), "{report}");
    assert_eq!(report["signatures"], json!(1), "{report}");
    let _host = site.host();
    site.wait_until_healthy();
    assert!(stage(&db(&site), "fetch").1.contains("signed by 1"), "{}", db(&site));

    // The same again changes nothing; one that nobody has signed is taken by the registry and not by the host.
    assert_eq!(push(&site, "db.wasm", &registry.oci("policies/db:1"), &[]).code, 0);
    site.write("next.wasm", variant(1));
    assert_eq!(push(&site, "next.wasm", &registry.oci("policies/db:2"), &[]).code, 0);
    let refused = swap(&site, &registry.oci("policies/db:2"));
    assert!(refused.code == 1 && refused.stderr.contains("is not signed"), "{refused:?}");
    assert_eq!(generation(&site), 1);
}

#[test]
fn cases_go_along_and_a_registry_may_want_a_login() {
    let registry = Registry::start(Speaks::Http);
    registry.state().login = Some(BASE64.encode(b"me:secret"));
    let (site, _answers) = site("db.wasm", "requireCases = true");
    site.write("user", "me");
    site.write("password", "secret");
    let from = repository().join("plugins/azure-health/azure-health.wasm").display().to_string();
    let to = registry.oci("policies/db:1");
    let stranger = push(&site, &from, &to, &[]);
    assert!(stranger.code == 2 && stranger.stderr.contains("--username-file"), "{stranger:?}");
    let login = ["--username-file", "user", "--password-file", "password", "--json"];
    let pushed = push(&site, &from, &to, &[&["--with-cases"][..], &login].concat());
    assert_eq!(pushed.code, 0, "{pushed:?}");
    let report: Value = serde_json::from_str(&pushed.stdout).unwrap();
    assert!(report["cases"].as_u64() > Some(0), "{report}");
    let inspected = registry.state().files.keys().filter(|path| path.contains("/manifests/")).count();
    assert_eq!(inspected, 2, "by its tag and by its digest");
}
