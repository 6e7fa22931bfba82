//! Problems that depend on the machine, in a directory made for the test.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

const FILE: &str = r#"
[server]
tokenFile = "token"
[[plugins]]
name = "db"
component = "db.wasm"
[[scaleSets]]
name = "orders"
model = { version = "v1" }
instances = [
  { id = "0", address = "h:1", labels = { program = "server" } },
  { id = "1", address = "h:2", labels = { program = "server" } },
  { id = "2", address = "h:3", labels = { program = "other" } },
]
[scaleSets.driver]
kind = "process"
workingDir = "site"
command = ["COMMAND"]
"#;

/// The problems of the file with this program, found in a directory that the function prepares.
fn check(command: &str, search_path: Option<&str>, prepare: impl FnOnce(&Path)) -> String {
    let directory = tempfile::tempdir().unwrap();
    prepare(directory.path());
    let text = FILE.replace("COMMAND", command);
    let config = parse(&text, &directory.path().join("f.toml")).unwrap();
    let shown = directory.path().display().to_string();
    let search_path = search_path.map(|path| path.replace("[DIR]", &shown));
    let problems = machine_problems(&config, search_path.as_deref().map(OsStr::new));
    problems.to_string().replace(&shown, "[DIR]")
}

fn write(path: &Path, mode: u32) {
    fs::write(path, "#!/bin/sh\n").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn prepare(directory: &Path) {
    fs::write(directory.join("token"), "a-long-random-word-of-ours").unwrap();
    write(&directory.join("db.wasm"), 0o600);
    fs::create_dir_all(directory.join("site/directory")).unwrap();
    write(&directory.join("site/server"), 0o700);
    write(&directory.join("site/other"), 0o600);
}

#[test]
fn accepts_what_is_there() {
    assert_eq!(check("./server", None, prepare), "");
    assert_eq!(check("sh", None, prepare), "");
    assert_eq!(check("server", Some("/nothing:[DIR]/site"), prepare), "");
    assert_eq!(check("server", Some("."), prepare), "");
}

#[test]
fn reports_what_is_not() {
    insta::assert_snapshot!(check("./server", None, |_| ()), @"
    [DIR]/f.toml:3:13: server.tokenFile: cannot read `[DIR]/token`: there is no such file
    [DIR]/f.toml:6:13: plugins[0].component: cannot read `[DIR]/db.wasm`: there is no such file
    [DIR]/f.toml:17:14: scaleSets[0].driver.workingDir: `[DIR]/site` is not a directory
    ");
    insta::assert_snapshot!(check("./{label.program}", None, prepare), @r#"[DIR]/f.toml:18:11: scaleSets[0].driver.command: `[DIR]/site/./other` is not an executable file, for instance "2""#);
    insta::assert_snapshot!(check("./directory", None, prepare), @r#"[DIR]/f.toml:18:11: scaleSets[0].driver.command: `[DIR]/site/./directory` is not an executable file, for instance "0""#);
    insta::assert_snapshot!(check("{label.program}-{id}", Some("[DIR]/site"), prepare), @r#"[DIR]/f.toml:18:11: scaleSets[0].driver.command: cannot find `server-0` on the search path, for instance "0", and 2 more programs"#);
    insta::assert_snapshot!(check("sh", Some(""), |directory| {
        prepare(directory);
        fs::remove_file(directory.join("db.wasm")).unwrap();
        fs::create_dir(directory.join("db.wasm")).unwrap();
    }), @r#"
    [DIR]/f.toml:6:13: plugins[0].component: `[DIR]/db.wasm` is not a regular file
    [DIR]/f.toml:18:11: scaleSets[0].driver.command: cannot find `sh` on the search path, for instance "0"
    "#);
}

#[test]
fn a_search_path_of_the_set_wins() {
    let directory = tempfile::tempdir().unwrap();
    prepare(directory.path());
    let path = directory.path().join("f.toml");
    for (own_path, found) in [("{label.dir}", true), ("/nothing", false)] {
        let text = FILE.replace("COMMAND", "server").replace("labels = {", "labels = { dir = \".\", ")
            + &format!("environment = {{ PATH = \"{own_path}\" }}\n");
        let config = parse(&text, &path).unwrap();
        let problems = machine_problems(&config, Some(OsStr::new("/usr/bin")));
        assert_eq!(problems.is_empty(), found, "{problems}");
    }
}

#[test]
fn the_data_directory_must_be_one_or_be_creatable() {
    let directory = tempfile::tempdir().unwrap();
    prepare(directory.path());
    let said = |data_dir: &str| {
        let text =
            FILE.replace("COMMAND", "sh").replace("[server]", &format!("[server]\ndataDir = \"{data_dir}\""));
        let config = parse(&text, &directory.path().join("f.toml")).unwrap();
        let problems = machine_problems(&config, None).to_string();
        problems.replace(&directory.path().display().to_string(), "[DIR]")
    };
    assert_eq!(said("site"), "");
    assert_eq!(said("site/a/b"), "");
    insta::assert_snapshot!(said("token"), @"[DIR]/f.toml:3:11: server.dataDir: `[DIR]/token` is not a directory");
    insta::assert_snapshot!(said("token/a/b"), @"[DIR]/f.toml:3:11: server.dataDir: `[DIR]/token/a/b` cannot be created: `[DIR]/token` is not a directory");
}

#[test]
fn a_file_of_authorities_has_one_wherever_it_is_named() {
    let directory = tempfile::tempdir().unwrap();
    prepare(directory.path());
    let pem = directory.path().join("ca.pem");
    fs::write(&pem, "no certificate\n").unwrap();
    let key = "caFile = 'ca.pem'";
    let text = FILE.replace("COMMAND", "sh").replace(
        "[scaleSets.driver]",
        &format!(
            "[scaleSets.health]\nsources = [{{ protocol = 'https', {key} }}]\n\
             [scaleSets.discovery]\nhttp = {{ url = 'https://h/', {key} }}\n[scaleSets.driver]\n\
             hooks.beforeBatch = {{ url = 'https://h/', {key} }}"
        ),
    );
    let config = parse(&text, &directory.path().join("f.toml")).unwrap();
    let said = machine_problems(&config, Some(OsStr::new("/usr/bin:/bin"))).to_string();
    assert_eq!(said.matches("holds no usable certificate").count(), 3, "{said}");
    fs::write(&pem, include_bytes!("../../drivers/http/testdata/ca.pem")).unwrap();
    let said = machine_problems(&config, Some(OsStr::new("/usr/bin:/bin"))).to_string();
    assert_eq!(said, "");
}
