//! The drivers `command` and `http`: what is accepted, what is refused, what has to be there.

use std::ffi::OsStr;
use std::fs;

use super::*;
use crate::drivers::command::CommandConfig;
use crate::drivers::http::HttpConfig;
use crate::drivers::looking::Looking;

const FILE: &str = r#"
[[scaleSets]]
name = "orders"
model = { version = "v1" }
instances = [{ id = "0", address = "[::1]:1", labels = { a = "x/y" } }, { id = "1", address = "h:2" }]
[scaleSets.driver]
"#;

fn read(driver: &str) -> Result<DriverConfig, Problems> {
    let text = format!("{FILE}{}\n", driver.replace(" ; ", "\n"));
    parse(&text, Path::new("etc/f")).map(|config| config.scale_sets[0].driver.clone())
}

fn command(driver: &str) -> CommandConfig {
    read(driver).unwrap().of::<CommandConfig>().unwrap().clone()
}

fn http(driver: &str) -> HttpConfig {
    read(driver).unwrap().of::<HttpConfig>().unwrap().clone()
}

#[test]
fn defaults() {
    let config = command("kind = 'command' ; command = ['up', '{operation}-{generation}-{version}']");
    let text = |text| Template::parse(text, Scope::Apply).unwrap();
    let expected = CommandConfig {
        looking: Looking::default(),
        command: vec![text("up"), text("{operation}-{generation}-{version}")],
        observe: None,
        surge: None,
        environment: BTreeMap::new(),
        working_dir: "etc".into(),
        timeout: Duration::from_secs(600),
        retry_for: Duration::from_secs(600),
        max_concurrent: 64,
    };
    assert_eq!(config, expected);
    let config = http("kind = 'http' ; url = 'http://{address}/{id}/{version}?{operation}'");
    let expected = HttpConfig {
        looking: Looking::default(),
        url: text("http://{address}/{id}/{version}?{operation}"),
        observe_url: None,
        surge: None,
        token_file: None,
        ca_file: None,
        identity: None,
        timeout: Duration::from_secs(600),
        max_concurrent: 64,
    };
    assert_eq!(config, expected);
}

#[test]
fn everything_else() {
    let config = command(
        "kind = 'command' ; command = ['up'] ; observe = ['look', '{id}'] ; environment = { A = '{host}' } ; \
         workingDir = 'bin' ; timeoutInSeconds = 0.1 ; retryForInSeconds = 0 ; maxConcurrent = 1",
    );
    assert_eq!(config.observe.unwrap()[1].to_string(), "{id}");
    assert_eq!(config.working_dir, Path::new("etc/bin"));
    assert_eq!((config.timeout, config.retry_for), (Duration::from_millis(100), Duration::ZERO));
    let config = http(
        "kind = 'http' ; url = 'https://{host}/' ; observeUrl = 'http://{host}:8080/{name}' ; tokenFile = 't' ; \
         caFile = '/ca.pem' ; timeoutInSeconds = 86400 ; maxConcurrent = 1024",
    );
    assert_eq!(config.token_file.as_deref(), Some(Path::new("etc/t")));
    assert_eq!(config.ca_file.as_deref(), Some(Path::new("/ca.pem")));
    assert_eq!((config.timeout, config.max_concurrent), (Duration::from_secs(86_400), 1024));
}

/// The driver's table (` ; ` is a line break), and a part of the one problem that follows.
const WRONG_VALUES: &str = r##"
kind = 'command' | driver.command: is missing (for example command = ["./upgrade.sh"
kind = 'command' ; command = [] | driver.command: is empty (for example command = ["./upgrade.sh"
kind = 'command' ; command = [''] | driver.command[0]: is empty
kind = 'command' ; command = 'up' | driver.command: is a string "up" (write an array of strings
kind = 'command' ; command = ['up', '{nope}'] | known: {id}, {name}, {version}, {address}, {host}, {port}, {zone}, {label.NAME}, {component}, {operation}, {generation}, {settingsFile}, {protectedSettingsFile};
kind = 'command' ; command = ['up', '{label.a}'] | driver.command[1]: cannot be filled in: instance "1" has no label "a"
kind = 'command' ; command = ['up'] ; observe = [] | driver.observe: is empty (for example observe = ["./version.sh"
kind = 'command' ; command = ['up'] ; observe = ['look', '{version}'] | driver.observe[1]: "{version}" has the unknown placeholder {version}
kind = 'command' ; command = ['up'] ; environment = { A = '{operation}' } | driver.environment.A: "{operation}" has the unknown placeholder
kind = 'command' ; command = ['up'] ; timeoutInSeconds = 0 | driver.timeoutInSeconds: is 0 (allowed: 0.1 to 86400)
kind = 'command' ; command = ['up'] ; timeoutInSeconds = '600' | driver.timeoutInSeconds: is a string "600" (write a number
kind = 'command' ; command = ['up'] ; retryForInSeconds = -1 | driver.retryForInSeconds: is -1 (allowed: 0 to 86400)
kind = 'command' ; command = ['up'] ; maxConcurrent = 0 | driver.maxConcurrent: is 0 (allowed: 1 to 1024)
kind = 'command' ; command = ['up'] ; stopTimeoutInSeconds = 1 | driver.stopTimeoutInSeconds: is not a known key
kind = 'command' ; command = ['up'] ; timeoutInSecond = 1 | did you mean "timeoutInSeconds"?
kind = 'http' | driver.url: is missing (for example url = "http://{host}:8080/upgrade/{id}")
kind = 'http' ; url = '' | driver.url: is empty
kind = 'http' ; url = '{address}/x' | driver.url: cannot be used for instance "0": `[::1]:1/x` does not begin with http:// or https:// (for example
kind = 'http' ; url = 'http://{host}/{label.a}' | driver.url: cannot be filled in: instance "1" has no label "a"
kind = 'http' ; url = 'http://{host}/a b' | `http://[::1]/a b` contains ' ', which must be escaped
kind = 'http' ; url = 'http://u:p@{host}/' | names a user; use tokenFile instead
kind = 'http' ; url = 'http://{host}:99999/' | has no port from 1 to 65535
kind = 'http' ; url = 'https://{host}/' | `https://[::1]/` is https, and nothing says which certificates to trust (add caFile =
kind = 'http' ; url = 'http://{host}/{nope}' | driver.url: "http://{host}/{nope}" has the unknown placeholder {nope}
kind = 'http' ; url = 'http://{host}/' ; observeUrl = 'http://{host}/{generation}' | driver.observeUrl: "http://{host}/{generation}" has the unknown
kind = 'http' ; url = 'http://{host}/' ; observeUrl = 'ftp://{host}/' | driver.observeUrl: cannot be used for instance "0": `ftp://[::1]/` does not begin
kind = 'command' ; command = ['up'] ; create = ['new', '{id}'] | driver.create: is given without delete (add delete, or leave both out
kind = 'command' ; command = ['up'] ; delete = ['del', '{id}'] | driver.delete: is given without create
kind = 'command' ; command = ['up'] ; confirm = { answers = 3 } | driver.confirm: is set although observe is not: nobody is asked what an instance runs (add observe, or leave confirm out
kind = 'http' ; url = 'http://{host}/' ; observeInterval = 'PT1M' | driver.observeInterval: is set although observeUrl is not
kind = 'command' ; command = ['up', '{replaces}'] | driver.command[1]: "{replaces}" has the unknown placeholder {replaces}
kind = 'command' ; command = ['up'] ; create = ['new'] ; delete = ['del', '{version}'] | driver.delete[1]: "{version}" has the unknown placeholder {version}
kind = 'http' ; url = 'http://{host}/' ; createUrl = 'http://{host}/' | driver.createUrl: is given without deleteUrl
kind = 'http' ; url = 'http://{host}/' ; createUrl = 'ftp://{host}/{replaces}' ; deleteUrl = 'http://{host}/' | driver.createUrl: cannot be used for instance "0": `ftp://[::1]/0` does not begin
kind = 'process' ; command = ['up'] ; surge = { } | driver.surge.ports: is missing (for example ports = "9100-9199")
kind = 'process' ; command = ['up'] ; surge = { ports = '9199-9100' } | driver.surge.ports: is "9199-9100" (write the lowest and the highest port
kind = 'process' ; command = ['up'] ; surge = { ports = '0-7' } | driver.surge.ports: is "0-7"
kind = 'process' ; command = ['up'] ; surge = { ports = 9100 } | driver.surge.ports: is the number 9100
kind = 'process' ; command = ['up'] ; surge = { port = '1-2' } | driver.surge.port: is not a known key (did you mean "ports"?
kind = 'http' ; url = 'http://{host}/' ; tokenFile = '' | driver.tokenFile: is empty
kind = 'http' ; url = 'http://{host}/' ; key = 'k' | driver.key: is given without certificate
kind = 'http' ; url = 'http://{host}/' ; timeoutInSeconds = 1e9 | driver.timeoutInSeconds: is 1e9 (allowed: 0.1 to 86400)
kind = 'http' ; url = 'http://{host}/' ; command = ['up'] | driver.command: is not a known key (known here: kind, hooks, url, observeUrl, confirm, observeInterval, createUrl, deleteUrl, tokenFile, caFile, certificate, key, timeoutInSeconds, maxConcurrent)
"##;

#[test]
fn refuses_wrong_values() {
    for row in WRONG_VALUES.trim().lines() {
        let (driver, expected) = row.split_once(" | ").unwrap();
        let problems = read(driver).map(|_| "accepted").unwrap_err();
        assert!(problems.to_string().contains(expected), "{row}\nseen: {problems}");
        assert_eq!(problems.list.len(), 1, "{row}\none mistake, one problem: {problems}");
        assert!(problems.list.iter().all(|problem| problem.place.line > 5), "{row}: {problems}");
    }
}

#[test]
fn a_label_cannot_become_the_host_of_a_url() {
    let text =
        FILE.replace("{ id = \"1\", address = \"h:2\" }", "") + "kind = 'http'\nurl = 'http://{label.a}/'";
    let problems = parse(&text, Path::new("f")).unwrap_err();
    assert!(problems.to_string().contains("`http://x%2Fy/` has a host that is neither"), "{problems}");
}

#[test]
fn what_has_to_be_on_the_machine() {
    let directory = tempfile::tempdir().unwrap();
    let check = |driver: &str| {
        let text = format!("{FILE}{}\n", driver.replace(" ; ", "\n"));
        let config = parse(&text, &directory.path().join("f.toml")).unwrap();
        let problems = machine_problems(&config, Some(OsStr::new("/usr/bin:/bin")));
        problems.to_string().replace(&directory.path().display().to_string(), "[DIR]")
    };
    insta::assert_snapshot!(check("kind = 'command' ; command = ['./up-{version}'] ; observe = ['no-look']"), @r#"
    [DIR]/f.toml:8:11: scaleSets[0].driver.command: cannot find `[DIR]/./up-v1`: there is no such file, for instance "0"
    [DIR]/f.toml:9:11: scaleSets[0].driver.observe: cannot find `no-look` on the search path, for instance "0"
    "#);
    insta::assert_snapshot!(check("kind = 'command' ; command = ['sh'] ; workingDir = 'x'"), @"[DIR]/f.toml:9:14: scaleSets[0].driver.workingDir: `[DIR]/x` is not a directory");
    assert_eq!(check("kind = 'command' ; command = ['sh'] ; observe = ['cat', '{id}']"), "");
    let files = "kind = 'http' ; url = 'https://{host}/' ; tokenFile = 't' ; caFile = 'ca'";
    insta::assert_snapshot!(check(files), @r"
    [DIR]/f.toml:9:13: scaleSets[0].driver.tokenFile: cannot read `[DIR]/t`: there is no such file
    [DIR]/f.toml:10:10: scaleSets[0].driver.caFile: cannot read `[DIR]/ca`: there is no such file
    ");
    fs::write(directory.path().join("t"), "secret").unwrap();
    fs::write(directory.path().join("ca"), "").unwrap();
    assert_eq!(check(files), "");
}

/// Two sets of processes; what follows is the second one's ports, and a part of the one problem.
#[test]
fn ports_for_new_instances_belong_to_one_set() {
    let set = |name: &str, address: &str, ports: &str| {
        format!(
            "[[scaleSets]]\nname = '{name}'\nmodel = {{ version = 'v1' }}\n\
             instances = [{{ id = '0', address = '{address}' }}]\n\
             upgradePolicy = {{ rollingUpgradePolicy = {{ maxSurge = true }} }}\n\
             [scaleSets.driver]\nkind = 'process'\ncommand = ['up']\nsurge = {{ ports = '{ports}' }}\n"
        )
    };
    for (second, address, expected) in [
        ("200-299", "h:2", ""),
        (
            "1-1",
            "h:2",
            "scaleSets[1].driver.surge.ports: holds port 1, which is that of scaleSets[0].instances[0].address",
        ),
        (
            "150-250",
            "h:2",
            "scaleSets[1].driver.surge.ports: has ports in common with scaleSets[0].driver.surge.ports in line 9",
        ),
        ("150-250", "other:2", ""),
        ("2-9", "h:2", ""),
    ] {
        let text = format!("{}{}", set("a", "h:1", "100-199"), set("b", address, second));
        let seen =
            parse(&text, Path::new("f")).map_or_else(|problems| problems.to_string(), |_| String::new());
        assert!(seen.contains(expected) && seen.is_empty() == expected.is_empty(), "{second}: {seen}");
    }
}
