//! What is no configuration at all: one line each, and never a wait.

use std::os::unix::net::UnixListener;

use super::*;

fn said(error: &LoadConfigError) -> String {
    match error {
        LoadConfigError::Invalid(problems) => problems.to_string(),
        error => error.to_string(),
    }
}

#[test]
fn what_is_no_file_is_said_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let _socket = UnixListener::bind(path("socket")).unwrap();
    std::fs::File::create(path("sparse")).unwrap().set_len(1 << 40).unwrap();
    for (path, expected) in [
        (path("pipe"), "it is a pipe, and a configuration is a regular file"),
        (path("socket"), "it is a socket"),
        (directory.path().to_owned(), "it is a directory"),
        (PathBuf::from("/dev/zero"), "it is a device"),
        (path("sparse"), "it has 1099511627776 bytes, and a configuration at most 268435456"),
    ] {
        let error = load(&path).unwrap_err().to_string();
        assert!(error.starts_with("cannot read `") && error.contains(expected), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn other_languages_are_named() {
    for (text, language) in [
        ("{\"server\": {\"listen\": 1}}", "JSON"),
        ("{ \"server\": ", "JSON"),
        ("[{\"a\": 1}]", "JSON"),
        ("---\nserver:\n  listen: 127.0.0.1:1\n", "YAML"),
        ("# a comment\nserver:\n  listen: 127.0.0.1:1\nscaleSets:\n- name: orders\n", "YAML"),
        ("- name: orders\n", "YAML"),
    ] {
        let problems = parse(text, Path::new("f")).unwrap_err().to_string();
        assert!(
            problems.contains(&format!("this looks like {language}; phasegate reads TOML")),
            "{problems}"
        );
        assert_eq!(problems.lines().count(), 1, "{problems}");
    }
    for text in ["", "x", "[server]\nlisten: 1\n", "server.listen = \"a\nx: y", "http://x", "a: b\nc = d"] {
        let problems = parse(text, Path::new("f")).unwrap_err().to_string();
        assert!(!problems.contains("looks like"), "{text}: {problems}");
    }
}

#[test]
fn text_that_is_not_utf8_has_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("f");
    std::fs::write(&path, b"a = 1\nb = \"\xc3\xa9\xff\"").unwrap();
    let said = said(&load(&path).unwrap_err());
    assert!(said.ends_with("f:2:7: is not UTF-8 text from here on"), "{said}");
}

#[test]
fn a_mistake_that_is_made_over_and_over_is_told_once() {
    let mut text = sample_with("id = \"0\"\naddress = \"127.0.0.1:9100\"", "id = \"a\"\naddress = \"a:1\"");
    for id in 1..=894 {
        text.push_str(&format!(
            "[[scaleSets.instances]]\nid = \"{id}\"\naddress = \"h{id}:80\"\nzonee = 1\n"
        ));
    }
    insta::assert_snapshot!(problems(&text), @r#"phasegate.toml:40:1: scaleSets[0].instances[1].zonee: is not a known key (did you mean "zone"?); 894 times, also in lines 44, 48, 52, 56 and 889 more"#);
    let problems = parse(&text.replace("zonee", "zone = 'a'\nupdateDomain"), Path::new("f"));
    assert!(problems.is_ok(), "{problems:?}");
}

#[test]
fn a_mistake_of_one_kind_about_many_values_is_told_once_and_about_a_few_one_by_one() {
    let with = |count: usize| {
        let mut text =
            sample_with("id = \"0\"\naddress = \"127.0.0.1:9100\"", "id = \"a\"\naddress = \"a:1\"");
        for id in 1..=count {
            text.push_str(&format!(
                "[[scaleSets.instances]]\nid = \"{id}\"\naddress = \"db-{id}.example.com\"\n"
            ));
        }
        problems(&text)
    };
    assert_eq!(with(10).lines().count(), 10, "{}", with(10));
    let many = with(900);
    assert_eq!(many.lines().count(), 1, "{many}");
    assert!(many.contains("`db-1.example.com`") || many.contains("\"db-1.example.com\""), "{many}");
    assert!(many.contains("900 times with other values, also in lines"), "{many}");
}
