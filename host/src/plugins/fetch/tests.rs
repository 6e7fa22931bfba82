//! What servers may send, and what becomes of it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use super::FetchConfig;
use super::challenge::{self, Challenge};
use super::manifest::{self, Layer};
use super::{Fetch, FetchError, Fetched, Signatures};
use crate::net::reference::RemoteSource;
use phasegate_core::domain::Digest;

const SHA: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
    Challenge::Bearer {
        realm: realm.to_owned(),
        service: service.map(str::to_owned),
        scope: scope.map(str::to_owned),
    }
}

#[test]
fn challenges_of_real_and_of_hostile_servers() {
    let hub = r#"Bearer realm="https://auth.example.com/token",service="registry",scope="repository:a/b:pull,push""#;
    for (text, expected) in [
        (
            hub,
            vec![bearer(
                "https://auth.example.com/token",
                Some("registry"),
                Some("repository:a/b:pull,push"),
            )],
        ),
        ("BEARER  Realm = \"r\"", vec![bearer("r", None, None)]),
        ("Basic realm=\"x\"", vec![Challenge::Basic]),
        ("Basic", vec![Challenge::Basic]),
        (
            "Basic realm=\"x\", Negotiate, Bearer realm=\"r\", service=s",
            vec![Challenge::Basic, bearer("r", Some("s"), None)],
        ),
        (r#"Bearer realm="a\"b""#, vec![bearer("a\"b", None, None)]),
        ("Bearer service=\"s\"", vec![]),
        ("Bearer realm=\"never ends", vec![]),
        ("Digest realm=\"x\"", vec![]),
        ("Bearer realm=(x)", vec![bearer("", None, None)]),
        ("", vec![]),
        (",,, ,", vec![]),
        ("=\"x\"", vec![]),
        ("\"Bearer realm=x\"", vec![]),
    ] {
        assert_eq!(challenge::parse(text), expected, "{text}");
    }
    assert_eq!(challenge::parse(&"Basic ,".repeat(1000)).len(), 1000);
}

fn layer(media_type: &str) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"{SHA}","size":12,"annotations":{{"a":"b"}}}}"#)
}

fn image(layers: &[String]) -> String {
    let layers = layers.join(",");
    format!(r#"{{"schemaVersion":2,"mediaType":"{IMAGE}","config":{{}},"layers":[{layers}]}}"#)
}

#[test]
fn the_one_component_of_a_manifest_is_found() {
    let expected = Layer { digest: Digest::parse(SHA).unwrap(), size: 12 };
    for media_type in [
        "application/wasm",
        "application/vnd.wasm.content.layer.v1+wasm",
        "application/vnd.module.wasm.content.layer.v1+wasm",
    ] {
        let text = image(&[layer("text/plain"), layer(media_type)]);
        assert_eq!(manifest::component(text.as_bytes(), None).unwrap(), expected, "{media_type}");
    }
    let untyped = image(&[layer("application/wasm")]).replace(&format!("\"mediaType\":\"{IMAGE}\","), "");
    assert_eq!(
        manifest::component(untyped.as_bytes(), Some(&format!("{IMAGE}; charset=utf-8"))).unwrap(),
        expected
    );
}

#[test]
fn other_manifests_are_refused_with_a_reason() {
    let wasm = layer("application/wasm");
    let good = image(std::slice::from_ref(&wasm));
    let index = r#"{"schemaVersion":2,"manifests":[{"digest":"x"}]}"#.to_owned();
    let deep = format!("{{\"schemaVersion\":2,\"layers\":{}", "[".repeat(100_000));
    for (text, message) in [
        (String::new(), "cannot be read"),
        ("<html>".to_owned(), "cannot be read"),
        ("{}".to_owned(), "cannot be read: missing field `schemaVersion`"),
        (deep, "cannot be read"),
        (good.replace("\"size\":12", "\"size\":-1"), "cannot be read"),
        (good.replace("\"size\":12", "\"size\":1e300"), "cannot be read"),
        (good.replace("\"layers\":[", "\"layers\":[],\"layers\":["), "duplicate field"),
        (index, "is an index of several manifests"),
        (good.replace("image.manifest.v1", "image.index.v1"), "is an index and an image at once"),
        (good.replace("\"config\"", "\"manifests\":[],\"config\""), "is an index and an image at once"),
        (good.replace("\"schemaVersion\":2", "\"schemaVersion\":1"), "schema 1"),
        (good.replace(IMAGE, "text/\\u001b[2J"), "is of type \"text/\\\\u{1b}[2J\""),
        (image(&[]), "has no component: it holds no layer at all"),
        (image(&[layer("application/gzip")]), "has no component: it holds \"application/gzip\""),
        (image(&[wasm.clone(), layer("text/plain"), wasm]), "has 2 components"),
        (good.replace("sha256:", "sha512:"), "only sha256 is known"),
        (good.replace(SHA, "sha256:../../etc/passwd"), "only sha256 is known"),
    ] {
        let error = manifest::component(text.as_bytes(), None).unwrap_err().to_string();
        assert!(error.contains(message), "{message}: {error}");
        assert!(error.len() < 500, "{error}");
    }
}

/// Answers every connection with these bytes; gives the port.
fn server(answers: Vec<String>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for (answer, stream) in answers.into_iter().zip(listener.incoming()) {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.replace("PORT", &port.to_string()).as_bytes());
        }
        // Whoever comes later waits without an answer.
        drop(listener.incoming().collect::<Vec<_>>());
    });
    port
}

fn fetch(reference: &str, timeout: Duration) -> Result<Fetched, FetchError> {
    let source = RemoteSource::parse(reference).unwrap();
    let settings = FetchConfig { timeout, ..FetchConfig::default() };
    let fetch = Fetch {
        source: &source,
        settings: &settings,
        wanted: None,
        signatures: Signatures::Left,
        kept: &|_| None,
        on_bytes: &|_| (),
    };
    fetch.run()
}

#[test]
fn answers_that_are_no_component_end_with_a_reason() {
    let redirect = |to: &str| format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
    let again = redirect("http://127.0.0.1:PORT/again?key=secret");
    for (answers, message) in [
        (vec![again.clone(); 6], "more than 5 redirects"),
        (vec![redirect("http://registry.example.com/x?key=secret")], "redirects to plain http at registry"),
        (vec![redirect("file:///etc/passwd")], "redirects to something that"),
        (vec![redirect("//u:secret@h/")], "names a user"),
        (vec!["HTTP/1.1 302 Found\r\n\r\n".to_owned()], "no place to go"),
        (vec!["HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\nsecret".to_owned()], "status 404"),
        (vec!["HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n".to_owned()], "it wants credentials"),
        (vec!["HTTP/1.1 200 OK\r\nContent-Length: 68719476736\r\n\r\n".to_owned()], "limit of a component"),
        (
            vec!["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort".to_owned()],
            "was closed before the response was complete",
        ),
        (vec!["SSH-2.0-x\r\n\r\n".to_owned()], "does not speak HTTP"),
        (vec![], "is not complete within 1 s (0 bytes came)"),
    ] {
        let port = server(answers);
        let patience = if message.contains("within") { 1 } else { 20 };
        let reference = format!("http://127.0.0.1:{port}/x");
        let error = fetch(&reference, Duration::from_secs(patience)).unwrap_err().to_string();
        assert!(error.starts_with("cannot be fetched: ") && error.contains(message), "{message}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn a_file_comes_through_redirects() {
    let found = "HTTP/1.1 307 Go\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n".to_owned();
    let port = server(vec![found, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\0asm".to_owned()]);
    let fetched = fetch(&format!("http://localhost:{port}/x"), Duration::from_secs(20)).unwrap();
    assert_eq!(fetched.bytes, b"\0asm");
    assert_eq!(fetched.note, format!("4 bytes from localhost:{port}"));
}

#[test]
fn token_servers_are_not_asked_in_the_clear() {
    let realm = |realm: &str| {
        format!("HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer realm=\"{realm}\"\r\nContent-Length: 0\r\n\r\n")
    };
    for (answers, message) in [
        (vec![realm("http://auth.example.com/token")], "plain http at auth.example.com:80"),
        (vec![realm("/token")], "names a token server that does not begin with http"),
        (vec![realm("http://127.0.0.1:PORT/t"), "HTTP/1.1 200 OK\r\n\r\n{}".to_owned()], "without a token"),
        (
            vec![
                realm("http://127.0.0.1:PORT/t"),
                "HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{\"token\":\"a\\r\\nb: c\"}".to_owned(),
            ],
            "without a token",
        ),
        (vec!["HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n".to_owned()], "it wants credentials"),
    ] {
        let port = server(answers);
        let error = fetch(&format!("oci://127.0.0.1:{port}/db:1"), Duration::from_secs(20));
        let error = error.unwrap_err().to_string();
        assert!(error.contains(message), "{message}: {error}");
    }
}
