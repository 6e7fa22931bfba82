//! Whom a component is fetched from, and who is told the credentials for it.

use crate::sources::{refused, site, swap};
use crate::support::plugin::{azure_health, judged_by, variant};
use crate::support::registry::{ISSUED, Registry, Reply, Speaks};

/// `alice:se-cret` as a header has it.
const LOGIN: &str = "YWxpY2U6c2UtY3JldA==";

#[test]
fn web_servers_are_trusted_as_far_as_their_certificates() {
    let server = Registry::start(Speaks::Https);
    let elsewhere = Registry::start(Speaks::Https);
    server.put("/db.wasm", Reply::ok(azure_health()));
    let token = "to-ken-5d1e";
    let (site, _answers) =
        site(&server.url("/db.wasm"), "[plugins.fetch]\ncaFile = \"ca.pem\"\ntokenFile = \"token\"");
    site.write("token", format!("{token}\n"));
    let checked = site.run(&["check"]);
    assert_eq!((checked.code, checked.stdout.as_str()), (0, ""), "{checked:?}");
    assert!(checked.stderr.contains("plugin \"db\": fetching https://"), "{checked:?}");
    assert!(checked.stderr.contains("warning: plugin \"db\": nothing pins"), "{checked:?}");
    let host = site.host();
    site.wait_until_healthy();
    let sent = format!("Bearer {token}");
    assert!(server.state().asked.iter().all(|asked| asked.authorization.as_ref() == Some(&sent)));

    // Redirects take no token along, and never lead into the clear.
    elsewhere.put("/y.wasm", Reply::ok(variant(b'4')));
    server.put("/x.wasm", Reply::to(&elsewhere.url("/y.wasm?key=signed-9c")));
    let swapped = swap(&site, &server.url("/x.wasm"));
    assert_eq!(swapped.code, 0, "{swapped:?}");
    judged_by(&site, 2);
    assert_eq!(elsewhere.state().asked[0].authorization, None);
    swap(&site, &elsewhere.url("/y.wasm"));
    assert_eq!(elsewhere.state().asked[1].authorization, None, "a token is for one server");
    let plain = format!("http://127.0.0.1:{}/y.wasm?key=signed-9c", elsewhere.port);
    server.put("/plain.wasm", Reply::to(&plain));
    refused(&site, &server.url("/plain.wasm"), "fetch", "redirects to plain http at 127.0.0.1:");
    server.put("/loop.wasm", Reply::to("/loop.wasm"));
    refused(&site, &server.url("/loop.wasm"), "fetch", "more than 5 redirects");
    refused(&site, &server.url("/none.wasm"), "fetch", "status 404");

    // A body without end.
    server.put("/endless.wasm", Reply::Endless);
    refused(&site, &server.url("/endless.wasm"), "fetch", "sends more than 67108864 bytes");
    let sent = server.state().endless;
    assert!(sent < 80 << 20, "{sent} bytes were read");

    // Nobody vouches for this one.
    let toml = std::fs::read_to_string(site.path("phasegate.toml")).unwrap();
    host.stop();
    assert!(!site.log().contains(token) && !site.log().contains("signed-9c"), "{}", site.log());
    site.write("phasegate.toml", toml.replace("caFile = \"ca.pem\"\n", ""));
    let checked = site.run(&["check"]);
    assert_eq!(checked.code, 1, "{checked:?}");
    assert!(
        checked.stdout.contains("UnknownIssuer") && checked.stdout.contains("fetch.caFile"),
        "{checked:?}"
    );
    let url = server.url("/db.wasm");
    let unknown = site.run(&["plugin", "inspect", &url]);
    assert_eq!(unknown.code, 2, "{unknown:?}");
    assert!(unknown.stderr.contains("by `--ca-file`"), "{unknown:?}");
    let known = site.run(&["plugin", "inspect", &url, "--ca-file", "ca.pem"]);
    assert_eq!(known.code, 0, "{known:?}");
    // A certificate is for a name.
    let toml = toml.replace("https://127.0.0.1:", "https://127.0.0.2:");
    site.write("phasegate.toml", toml);
    let checked = site.run(&["check"]);
    assert_eq!(checked.code, 1, "{checked:?}");
}

#[test]
fn a_registry_that_wants_a_login_gets_one() {
    let registry = Registry::start(Speaks::Https);
    registry.push("policies/db", "1", &azure_health());
    registry.state().login = Some(LOGIN.to_owned());
    let keys = "[plugins.fetch]\ncaFile = \"ca.pem\"\nusernameFile = \"user\"\npasswordFile = \"password\"";
    let (site, _answers) = site(&registry.oci("policies/db:1"), keys);
    site.write("user", "alice\n");
    site.write("password", "wrong-pass");
    let finished = site.run(&["run"]);
    assert_eq!(finished.code, 2, "{finished:?}");
    assert!(finished.stderr.contains("(stage fetch)") && finished.stderr.contains("status 401"));
    assert!(finished.stderr.contains("does not accept what is in fetch.usernameFile"), "{finished:?}");
    assert!(!finished.stderr.contains("wrong-pass") && !finished.stderr.contains("d3Jvbmc"), "{finished:?}");

    site.write("password", "se-cret\n");
    registry.paths();
    let host = site.host();
    site.wait_until_healthy();
    {
        let state = registry.state();
        let asked: Vec<_> =
            state.asked.iter().map(|asked| asked.path.split(['?', ':']).next().unwrap()).collect();
        assert_eq!(asked[..3], ["/v2/policies/db/manifests/1", "/token", "/v2/policies/db/manifests/1"]);
        assert!(state.asked[1].path.contains("scope=repository%3Apolicies%2Fdb%3Apull"), "{:?}", state.asked);
        assert_eq!(state.asked[0].authorization, None, "a password is for the token server");
    }
    // Another server of the same machine is not told.
    let other = Registry::start(Speaks::Https);
    other.push("policies/db", "1", &variant(b'5'));
    other.state().login = Some(LOGIN.to_owned());
    refused(&site, &other.oci("policies/db:1"), "fetch", "status 401: it wants credentials");
    assert!(other.state().asked.iter().all(|asked| asked.authorization.is_none()));
    host.stop();
    let log = site.log();
    for secret in ["se-cret", LOGIN, ISSUED] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}
