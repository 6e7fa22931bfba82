//! The conformance table under the azure profile; row ids are those of the table.
//!
//! Left out: V25 and V26 (protected settings) and V28 to V30 (`vmWatchSettings`), which this file
//! format does not have. Of V01 only that it is valid: the protocol is http here, not "always
//! healthy". All problems are reported, so V24 and V39 give two.

use super::*;

const FILE: &str = r#"
[[scaleSets]]
name = "orders"
driver = { kind = "process", command = ["true"] }
model = { version = "v1" }
instances = [{ id = "0", address = "127.0.0.1:9100" }]
[scaleSets.health]
profile = "azure"
"#;

fn health(settings: &str) -> Result<HealthSettings, String> {
    let config = parse(&format!("{FILE}{settings}"), Path::new("f")).map_err(|problems| {
        let list = problems.list.iter();
        let lines = list.map(|Problem { key, message, hint, .. }| {
            let key = key.strip_prefix("scaleSets[0].health.").unwrap_or(key);
            format!("{key} {message} ({})", hint.as_deref().unwrap_or_default())
        });
        lines.collect::<Vec<_>>().join("\n")
    })?;
    Ok(config.scale_sets.into_iter().next().unwrap().health)
}

#[test]
fn accepts_the_valid_rows() {
    for (row, settings) in [
        ("V01", ""),
        ("V04", "protocol = 'http'"),
        ("V04", "protocol = 'https'"),
        ("V08", "port = 1"),
        ("V08", "port = 65535"),
        ("V10", "requestPath = ''"),
        ("V10", "requestPath = 'health/Endpoint'"),
        ("V14", "intervalInSeconds = 5"),
        ("V14", "intervalInSeconds = 20"),
        ("V14", "intervalInSeconds = 60"),
        ("V18", "numberOfProbes = 1"),
        ("V18", "numberOfProbes = 2"),
        ("V18", "numberOfProbes = 3"),
        ("V23", "gracePeriod = 5"),
        ("V23", "gracePeriod = 7201"),
        ("V23", "gracePeriod = 14400"),
        ("V34", "protocol = 'tcp'\nport = 80"),
        ("V34", "protocol = 'http'\nrequestPath = '/health'"),
        ("V34", "protocol = 'https'\nrequestPath = '/health'"),
        ("V34", "protocol = 'https'\nintervalInSeconds = 30\nnumberOfProbes = 3"),
        ("V35", "protocol = 'http'"),
        ("V36", "intervalInSeconds = 60\nnumberOfProbes = 4"),
        ("V36", "intervalInSeconds = 10\nnumberOfProbes = 24"),
        ("V42", "intervalInSeconds = 10\nnumberOfProbes = 2\ngracePeriod = 10"),
        ("-", "protocol = 'tcp'\nport = 80\nrequestPath = ''"),
    ] {
        let health = health(settings).unwrap_or_else(|problems| panic!("{row} {settings}: {problems}"));
        assert_eq!(health.timeout, Duration::from_secs(30), "{row}");
    }
}

#[test]
fn refuses_the_invalid_rows() {
    for (row, settings, expected) in [
        ("V02", "protocol = ['foo']", "protocol is an array (write a string"),
        ("V03", "protocol = 'udp'", "protocol is \"udp\" (known: \"http\", \"https\", \"tcp\","),
        (
            "-",
            "protocol = 'h2'",
            "protocol is \"h2\" in the azure profile (\"http\", \"https\" and \"tcp\" there",
        ),
        ("-", "protocol = 'grpc'", "protocol is \"grpc\" in the azure profile"),
        ("V03", "protocol = 'HTTP'", "protocol is \"HTTP\" (did you mean \"http\"?"),
        ("V05", "port = 'foo'", "port is a string \"foo\" (write a whole number"),
        ("V06", "port = 0", "port is 0 (allowed: 1 to 65535)"),
        ("V07", "port = 65536", "port is 65536 (allowed: 1 to 65535)"),
        ("V09", "requestPath = ['foo']", "requestPath is an array (write a string"),
        ("V11", "intervalInSeconds = 'foo'", "intervalInSeconds is a string \"foo\" (write a whole number"),
        ("V12", "intervalInSeconds = 0", "intervalInSeconds is 0 (allowed: 5 to 60 in the azure profile)"),
        ("V13", "intervalInSeconds = 70", "intervalInSeconds is 70 (allowed: 5 to 60"),
        ("V15", "numberOfProbes = 'foo'", "numberOfProbes is a string \"foo\" (write a whole number"),
        ("V16", "numberOfProbes = 0", "numberOfProbes is 0 (allowed: 1 to 24 in the azure profile)"),
        ("V17", "numberOfProbes = 25", "numberOfProbes is 25 (allowed: 1 to 24"),
        ("V19", "gracePeriod = 'foo'", "gracePeriod is a string \"foo\" (write a whole number"),
        ("V20", "gracePeriod = 0", "gracePeriod is 0 (allowed: 5 to 14400 in the azure profile)"),
        ("V21", "gracePeriod = 4", "gracePeriod is 4 (allowed: 5 to 14400"),
        ("V22", "gracePeriod = 15000", "gracePeriod is 15000 (allowed: 5 to 14400"),
        ("V24", "protocol = 'date'\nalien = 0", "protocol is \"date\" (known"),
        ("V24", "alien = 0", "alien is not a known key (known here: "),
        ("V27", "badElement = 0", "badElement is not a known key"),
        ("V31", "protocol = 'tcp'", "port is missing (required for tcp"),
        (
            "V32",
            "protocol = 'tcp'\nport = 80\nrequestPath = '/a'",
            "requestPath is \"/a\" although protocol is",
        ),
        (
            "V33",
            "protocol = 'http'\nintervalInSeconds = 60\nnumberOfProbes = 5",
            "numberOfProbes is 5 with intervalInSeconds = 60, together 300 s (allowed: up to 240 s",
        ),
        (
            "V33",
            "intervalInSeconds = 30\nnumberOfProbes = 9",
            "numberOfProbes is 9 with intervalInSeconds = 30",
        ),
        ("V37", "Port = 80", "Port is not a known key (did you mean \"port\"?)"),
        (
            "V38",
            "intervalInSeconds = 5.5",
            "intervalInSeconds is the number 5.5 (write a whole number in the azure",
        ),
        ("V38", "intervalInSeconds = '5'", "intervalInSeconds is a string \"5\" (write a whole number"),
        ("V39", "protocol = 'tcp'\nrequestPath = '/a'", "port is missing"),
        ("-", "timeoutInSeconds = 30", "timeoutInSeconds cannot be set in the azure profile, where it is 30"),
    ] {
        let problems = health(settings).map(|_| "accepted").unwrap_err();
        assert!(problems.starts_with(expected), "{row} {settings}: {problems}");
    }
    let both = health("protocol = 'date'\nalien = 0").unwrap_err();
    assert_eq!(both.lines().count(), 2, "V24 reports both: {both}");
    let both = health("protocol = 'tcp'\nrequestPath = '/a'").unwrap_err();
    assert_eq!(both.lines().count(), 2, "V39 reports both: {both}");
}

#[test]
fn grace_period_defaults_to_the_confirmation_time() {
    for (row, settings, seconds) in [
        ("V40", "intervalInSeconds = 7\nnumberOfProbes = 3", 21),
        ("V41", "", 5),
        ("V42", "intervalInSeconds = 10\nnumberOfProbes = 2\ngracePeriod = 10", 10),
    ] {
        assert_eq!(health(settings).unwrap().grace_period, Duration::from_secs(seconds), "{row}");
    }
}

#[test]
fn request_path_is_escaped_as_a_path() {
    for (row, path, expected) in [
        ("A1", "/test", "/test"),
        ("A5", "test", "/test"),
        ("A11", "", "/"),
        ("A12", "/a?b=1", "/a%3Fb=1"),
        ("A13", "/a#b", "/a%23b"),
        ("A13", "/a%2Fb", "/a%252Fb"),
        ("A13", "/a b", "/a%20b"),
        ("-", "/é\t", "/%C3%A9%09"),
        ("-", "/A-z_.~$&+,/:;=@0", "/A-z_.~$&+,/:;=@0"),
        ("-", "/!'()*[]", "/%21%27%28%29%2A%5B%5D"),
    ] {
        let settings = format!("requestPath = {path:?}");
        assert_eq!(health(&settings).unwrap().request_path, expected, "{row}");
    }
}
