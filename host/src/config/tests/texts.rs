//! Places in odd texts, the largest text, and that no text makes the reader panic.

use super::*;

#[test]
fn places_are_those_of_an_editor() {
    for (text, place) in [
        ("", "1:1"),
        ("\u{feff}x = 1", "1:1"),
        ("\r\n  x = 1", "2:3"),
        ("é = 1", "1:1"),
        ("server = { \"é\" = 1 }", "1:12"),
        ("server = { é = 1 }", "1:12"),
        ("server = { \"éé\".x = 1 }", "1:12"),
        ("server.listen = \"é\" x", "1:21"),
        ("[server]\nlisten = \"\"\"\nx\"\"\"", "2:10"),
        ("x", "1:2"),
        ("\n\n[", "3:2"),
    ] {
        let problems = problems(text);
        let last = problems.lines().last().unwrap();
        assert!(last.starts_with(&format!("phasegate.toml:{place}: ")), "{text:?}: {last}");
    }
}

#[test]
fn survives_every_prefix() {
    for text in [SAMPLE, WRONG] {
        for (end, _) in text.char_indices() {
            let prefix = &text[..end];
            if let Err(problems) = parse(prefix, Path::new("phasegate.toml")) {
                assert!(!problems.is_empty());
                assert!(
                    problems.to_string().lines().all(|line| line.starts_with("phasegate.toml:")),
                    "{prefix}"
                );
            }
        }
    }
}

#[test]
fn survives_every_lost_and_doubled_character() {
    for (at, c) in SAMPLE.char_indices() {
        let (before, after) = SAMPLE.split_at(at);
        for replacement in ["", "\"", "[", "]]", "{", "}", "\n", "=", "\0"] {
            let text = format!("{before}{replacement}{}", &after[c.len_utf8()..]);
            if let Err(problems) = parse(&text, Path::new("phasegate.toml")) {
                assert!(!problems.to_string().contains("unknown reason"), "{text}");
            }
        }
    }
}

#[test]
fn reads_the_largest_fleet() {
    let mut text = sample_with("id = \"0\"\naddress = \"127.0.0.1:9100\"", "id = \"a\"\naddress = \"a:1\"");
    for id in 1..100_000 {
        text.push_str(&format!("[[scaleSets.instances]]\nid = \"{id}\"\naddress = \"h{id}:80\"\n"));
    }
    assert_eq!(problems(&text), "");
    text.push_str("[[scaleSets.instances]]\nid = \"b\"\naddress = \"b:1\"\n");
    insta::assert_snapshot!(problems(&text), @"phasegate.toml:30:1: scaleSets[0].instances: has 100001 instances (allowed: 1 to 100000)");
}
