//! Signatures and cases that travel with a component: from a file, a web server, a registry and an upload.

use std::path::Path;

use data_encoding::BASE64;
use phasegate_wasm::cases::with_cases;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;

use crate::sources::{refused, site, swap};
use crate::support::plugin::{azure_health, db, generation, stage, variant};
use crate::support::registry::{Registry, Reply, Speaks, digest};
use crate::support::{Site, repository};

/// Somebody who signs.
pub(crate) struct Signer(EcdsaKeyPair);

impl Signer {
    pub(crate) fn new() -> Self {
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &SystemRandom::new()).unwrap())
    }

    fn public(&self) -> String {
        let mut key = BASE64.decode(b"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgA=").unwrap();
        key.extend_from_slice(self.0.public_key().as_ref());
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(&key))
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> String {
        BASE64.encode(self.0.sign(&SystemRandom::new(), bytes).unwrap().as_ref())
    }
}

pub(crate) const RULE: &str = "signature = { publicKeyFiles = [\"one.pub\", \"two.pub\"], threshold = 1 }";

pub(crate) fn write_keys(site: &Site, one: &Signer, two: &Signer) {
    site.write("one.pub", one.public());
    site.write("two.pub", two.public());
}

pub(crate) fn write_signed(site: &Site, name: &str, bytes: &[u8], signatures: &[String]) {
    site.write(name, bytes);
    site.write(&format!("{name}.sig"), signatures.join("\n"));
}

#[test]
fn a_file_and_an_upload_count_only_with_a_signature_that_counts_today() {
    let (one, two, stranger) = (Signer::new(), Signer::new(), Signer::new());
    let (site, _answers) = site("db.wasm", RULE);
    write_keys(&site, &one, &two);
    site.write("db.wasm", azure_health());
    let checked = site.run(&["check"]);
    assert!(checked.code == 1 && checked.stdout.contains("db.wasm.sig"), "nobody has signed it: {checked:?}");
    write_signed(&site, "db.wasm", &azure_health(), &[stranger.sign(&azure_health())]);
    let checked = site.run(&["check"]);
    assert!(checked.code == 1 && checked.stdout.contains("is signed by 0 of the keys"), "{checked:?}");
    write_signed(&site, "db.wasm", &azure_health(), &[one.sign(&azure_health())]);
    let _host = site.host();
    site.wait_until_healthy();
    assert!(stage(&db(&site), "fetch").1.contains("signed by 1"), "{}", db(&site));

    write_signed(&site, "next.wasm", &variant(1), &[stranger.sign(&variant(1)), two.sign(&variant(1))]);
    assert_eq!(swap(&site, "next.wasm").code, 0);
    assert_eq!(generation(&site), 2);
    for (name, bytes, signature, why) in [
        ("none.wasm", variant(2), None, "is not signed"),
        ("other.wasm", variant(2), Some(one.sign(&variant(1))), "is signed by 0 of the keys"),
        ("stranger.wasm", variant(2), Some(stranger.sign(&variant(2))), "is signed by 0 of the keys"),
        ("odd.wasm", variant(2), Some("no base64".to_owned()), "is not signed"),
    ] {
        site.write(name, bytes);
        if let Some(signature) = signature {
            site.write(&format!("{name}.sig"), signature);
        }
        let finished = swap(&site, name);
        assert!(finished.code == 1 && finished.stderr.contains(why), "{name}: {finished:?}");
        assert_eq!(generation(&site), 2, "{name}");
    }
    let warnings = site.json(&["reload"])["warnings"].to_string();
    assert!(!warnings.contains("it decides on"), "{warnings}");
    // A key that was taken away counts for nothing from then on, and who decides goes on to.
    site.write("two.pub", one.public());
    let warnings = site.json(&["reload"])["warnings"].to_string();
    assert!(warnings.contains("what runs of plugin `db` is signed by 0 of the keys"), "{warnings}");
    assert!(warnings.contains("it decides on"), "{warnings}");
    assert!(db(&site)["signatureLost"].to_string().contains("signed by 0"), "{}", db(&site));
    let listed = site.run(&["plugin", "list"]);
    assert!(listed.stdout.contains("what runs of db is signed by 0 of the keys"), "{listed:?}");
    write_signed(&site, "late.wasm", &variant(3), &[two.sign(&variant(3))]);
    let finished = swap(&site, "late.wasm");
    assert!(finished.code == 1 && finished.stderr.contains("is signed by 0 of the keys"), "{finished:?}");
    assert_eq!(generation(&site), 2);
    site.wait_until_healthy();
}

#[test]
fn a_threshold_that_cannot_be_met_is_a_problem() {
    let (one, two) = (Signer::new(), Signer::new());
    let (site, _answers) = site("db.wasm", &RULE.replace("threshold = 1", "threshold = 3"));
    write_keys(&site, &one, &two);
    let signatures = [one.sign(&azure_health()), two.sign(&azure_health())];
    write_signed(&site, "db.wasm", &azure_health(), &signatures);
    let checked = site.run(&["check"]);
    assert!(checked.code == 1 && checked.stdout.contains("3 keys must have signed it"), "{checked:?}");
    let toml = std::fs::read_to_string(site.path("phasegate.toml")).unwrap();
    site.write("phasegate.toml", toml.replace("threshold = 3", "threshold = 2"));
    let checked = site.run(&["check"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    site.write("db.wasm.sig", &signatures[0]);
    let checked = site.run(&["check"]);
    assert!(checked.code == 1 && checked.stdout.contains("is signed by 1 of the keys"), "{checked:?}");
}

/// Puts a signature into a registry, as `cosign sign --key` does.
fn sign(registry: &Registry, repository: &str, manifest: &str, named: &str, signer: &Signer) {
    sign_as("cosign container image signature", registry, repository, (manifest, named), signer);
}

fn sign_as(
    kind: &str,
    registry: &Registry,
    repository: &str,
    (manifest, named): (&str, &str),
    signer: &Signer,
) {
    let payload = json!({ "critical": {
        "identity": { "docker-reference": "" }, "image": { "docker-manifest-digest": named },
        "type": kind,
    }, "optional": null });
    let payload = payload.to_string().into_bytes();
    let layer = digest(&payload);
    let signatures = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "layers": [{
            "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "digest": layer, "size": payload.len(),
            "annotations": { "dev.cosignproject.cosign/signature": signer.sign(&payload) },
        }],
    });
    registry.put(&format!("/v2/{repository}/blobs/{layer}"), Reply::ok(payload));
    let tag = format!("{}.sig", manifest.replace(':', "-"));
    registry.put(&format!("/v2/{repository}/manifests/{tag}"), Reply::ok(signatures.to_string()));
}

#[test]
fn a_registry_and_a_web_server_bring_signatures_along() {
    let (one, two) = (Signer::new(), Signer::new());
    let registry = Registry::start(Speaks::Http);
    let first = registry.push("policies/db", "1", &azure_health());
    sign(&registry, "policies/db", &first, &first, &one);
    let (site, _answers) = site(&registry.oci("policies/db:1"), RULE);
    write_keys(&site, &one, &two);
    let _host = site.host();
    site.wait_until_healthy();
    assert!(stage(&db(&site), "fetch").1.contains("signed by 1"), "{}", db(&site));

    registry.push("policies/db", "none", &variant(1));
    refused(&site, &registry.oci("policies/db:none"), "digest", "is not signed");
    // What was signed was another manifest.
    let third = registry.push("policies/db", "other", &variant(2));
    sign(&registry, "policies/db", &third, &first, &one);
    refused(
        &site,
        &registry.oci("policies/db:other"),
        "digest",
        &format!("one is of another manifest ({first})"),
    );
    // And here it was no image that the key has signed.
    let fourth = registry.push("policies/db", "invoice", &variant(4));
    sign_as("an invoice", &registry, "policies/db", (&fourth, &fourth), &one);
    refused(&site, &registry.oci("policies/db:invoice"), "digest", "has the `critical.type` \"an invoice\"");

    let url = registry.url("/files/next.wasm");
    registry.put("/files/next.wasm", Reply::ok(variant(3)));
    refused(&site, &url, "digest", "is not signed");
    registry.put("/files/next.wasm.sig", Reply::ok(two.sign(&variant(3))));
    let finished = swap(&site, &url);
    assert_eq!(finished.code, 0, "{finished:?}");
    assert_eq!(generation(&site), 2);
}

pub(crate) const WRONG: &str = r#"[{"name":"never so","observation":{"instance":{"id":"0","scaleSet":"s"},"answers":[{"source":
    "health","response":{"status":200}}]},"expect":{"failure":{"kind":"internal"}}}]"#;

fn carrying(folder: &Path) -> Vec<u8> {
    with_cases(&azure_health(), folder).unwrap()
}

#[test]
fn cases_travel_in_the_component_and_must_pass_wherever_it_comes_from() {
    let good = carrying(&repository().join("plugins/azure-health/cases"));
    let (site, _answers) = site("db.wasm", "requireCases = true");
    site.write("db.wasm", azure_health());
    let checked = site.run(&["check"]);
    assert!(checked.code == 1 && checked.stdout.contains("carries no cases"), "{checked:?}");
    site.write("db.wasm", &good);
    let tested = site.run(&["plugin", "test", "db.wasm"]);
    assert_eq!(tested.code, 0, "its own cases: {tested:?}");
    let _host = site.host();
    site.wait_until_healthy();
    assert!(stage(&db(&site), "self-test").1.contains("cases"), "{}", db(&site));

    std::fs::create_dir(site.path("wrong")).unwrap();
    site.write("wrong/a.json", WRONG);
    let wrong = carrying(&site.path("wrong"));
    let registry = Registry::start(Speaks::Http);
    registry.push("policies/db", "wrong", &wrong);
    registry.push("policies/db", "none", &variant(1));
    registry.put("/wrong.wasm", Reply::ok(wrong.clone()));
    refused(&site, &registry.oci("policies/db:wrong"), "self-test", "fails 1 of its 1 cases");
    refused(&site, &registry.oci("policies/db:none"), "self-test", "carries no cases");
    refused(&site, &registry.url("/wrong.wasm"), "self-test", "fails 1 of its 1 cases");
    site.write("upload.wasm", &wrong);
    let finished = swap(&site, "upload.wasm");
    assert!(finished.code == 1 && finished.stderr.contains("fails 1 of its 1 cases"), "{finished:?}");
    let mut other = good.clone();
    other.extend([0, 2, 1, 7]);
    registry.push("policies/db", "good", &other);
    let finished = swap(&site, &registry.oci("policies/db:good"));
    assert_eq!(finished.code, 0, "{finished:?}");
    assert_eq!(generation(&site), 2);
}

#[test]
fn who_asks_for_cases_asks_them_of_what_comes_back_and_over_a_restart() {
    let good = carrying(&repository().join("plugins/azure-health/cases"));
    let (site, _answers) = site("db.wasm", "");
    site.write("db.wasm", azure_health());
    let host = site.host();
    site.wait_until_healthy();
    site.write("good.wasm", &good);
    assert_eq!(swap(&site, "good.wasm").code, 0);
    assert_eq!(generation(&site), 2);
    // From now on the file asks for cases, of which generation 1 has none.
    site.write("db.wasm", &good);
    let toml = std::fs::read_to_string(site.path("phasegate.toml")).unwrap();
    let asking = toml.replace("component = \"db.wasm\"", "component = \"db.wasm\"\nrequireCases = true");
    assert_ne!(asking, toml);
    site.write("phasegate.toml", &asking);
    host.stop();
    let host = site.host();
    site.wait_until_healthy();
    let before = generation(&site);
    let back = site.run(&["plugin", "rollback", "db", "--to", "1"]);
    assert!(back.code == 1 && back.stderr.contains("carries no cases"), "{back:?}");
    assert_eq!(generation(&site), before, "what was active stays");
    host.stop();

    // One without cases came to decide while nobody asked for them, and does not go on once somebody does.
    site.write("phasegate.toml", &toml);
    let host = site.host();
    site.wait_until_healthy();
    site.write("none.wasm", variant(1));
    assert_eq!(swap(&site, "none.wasm").code, 0);
    host.stop();
    site.write("phasegate.toml", &asking);
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(db(&site)["digest"], json!(digest(&good)), "what the file names decides: {}", db(&site));
    assert!(db(&site)["lastError"].to_string().contains("carries no cases"), "{}", db(&site));
    host.stop();
}

#[test]
fn an_upload_without_cases_is_named_once_a_reload_asks_for_some() {
    let good = carrying(&repository().join("plugins/azure-health/cases"));
    let (site, _answers) = site("db.wasm", "");
    site.write("db.wasm", &good);
    let host = site.host();
    site.wait_until_healthy();
    site.write("none.wasm", variant(1));
    assert_eq!(swap(&site, "none.wasm").code, 0);
    assert!(db(&site)["casesMissing"].is_null(), "{}", db(&site));
    let toml = std::fs::read_to_string(site.path("phasegate.toml")).unwrap();
    let asking = toml.replace("component = \"db.wasm\"", "component = \"db.wasm\"\nrequireCases = true");
    site.write("phasegate.toml", &asking);
    let checked = site.run(&["check"]);
    assert_eq!(checked.code, 0, "what the file names is fine: {checked:?}");
    let said = "what decides for `db` by the record carries no cases, and requireCases wants some";
    assert!(checked.stderr.contains(said), "{checked:?}");
    for _ in 0..2 {
        let reloaded = site.run(&["reload"]);
        let said = "what runs of plugin `db` carries no cases, and requireCases wants some";
        assert!(reloaded.code == 0 && format!("{reloaded:?}").contains(said), "{reloaded:?}");
    }
    assert_eq!(generation(&site), 2, "it decides on");
    assert!(db(&site)["casesMissing"].to_string().contains("carries no cases"), "{}", db(&site));
    let listed = site.run(&["plugin", "list"]);
    assert!(listed.stdout.contains("what runs of db carries no cases"), "{listed:?}");
    // What carries some takes over, and nothing is said any more.
    let other = [good, vec![0, 2, 1, b'x']].concat();
    site.write("other.wasm", &other);
    let swapped = swap(&site, "other.wasm");
    assert_eq!(swapped.code, 0, "{swapped:?}");
    assert!(db(&site)["casesMissing"].is_null(), "{}", db(&site));
    assert!(!site.run(&["check"]).stderr.contains("what decides for"));
    assert!(!format!("{:?}", site.run(&["reload"])).contains("carries no cases"));
    host.stop();
    assert!(!site.run(&["check"]).stderr.contains("what decides for"));
}

#[test]
fn what_was_kept_counts_only_while_its_signature_does() {
    let (one, two) = (Signer::new(), Signer::new());
    let (site, _answers) = site("db.wasm", RULE);
    write_keys(&site, &one, &two);
    write_signed(&site, "db.wasm", &azure_health(), &[one.sign(&azure_health())]);
    let host = site.host();
    site.wait_until_healthy();
    write_signed(&site, "next.wasm", &variant(1), &[two.sign(&variant(1))]);
    assert_eq!(swap(&site, "next.wasm").code, 0);
    assert_eq!(generation(&site), 2);
    host.stop();

    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(generation(&site), 2, "it is signed as it was, by what was kept with it");
    let next = digest(&variant(1));
    assert_eq!(db(&site)["digest"], json!(next), "{}", db(&site));
    host.stop();

    // The key that has signed what ran is taken away: what the file names is signed by the other one.
    site.write("two.pub", one.public());
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(db(&site)["digest"], json!(digest(&azure_health())), "{}", db(&site));
    let back = site.run(&["plugin", "rollback", "db", "--to", "2"]);
    assert!(back.code == 1 && back.stderr.contains("is signed by 0 of the keys"), "{back:?}");
    host.stop();
}
