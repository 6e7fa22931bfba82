//! The reader against `serde_json`: both must accept the same texts and tell the same values.

use super::*;

/// Texts with every kind of token; each prefix and each foul byte of them is tried.
const SEEDS: &[&str] = &[
    r#" {"a":{"b":[1,-2.5e+3,0.1,0E-1,true,false,null,"x\"\\\/\b\f\n\r\t\u00e9"],"c":{}},"d":[],"é":"😀"} "#,
    r#"[[[{"a":[{}]},[]],"\ud83d\ude00"],0]"#,
    "\t[\r\n1 , 2\n]\n",
    "\"text of more than eight bytes, \u{7f} included\"",
    "-0.0e-0",
    "nul",
];

fn same(text: &str) {
    let theirs = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    assert_eq!(check(text).is_ok(), theirs, "{text:?}: {:?}", check(text));
    let object = theirs && Kind::of(text) == Kind::Object;
    assert_eq!(members(text, |_, _| ()).is_ok(), object, "{text:?}");
}

#[test]
fn accepts_what_serde_json_accepts() {
    for seed in SEEDS {
        same(seed);
        for (end, _) in seed.char_indices() {
            same(&seed[..end]);
        }
        for (at, character) in seed.char_indices() {
            for foul in
                [" ", "\0", "\"", "\\", "{", "}", "[", "]", ",", ":", "0", "1", ".", "e", "-", "u", "“"]
            {
                let rest = &seed[at + character.len_utf8()..];
                same(&format!("{}{foul}{rest}", &seed[..at]));
                same(&format!("{}{foul}{}", &seed[..at], &seed[at..]));
            }
        }
    }
    for text in [
        "",
        " ",
        "01",
        "-",
        "+1",
        "1.",
        ".1",
        "1e",
        "1e+",
        "1.e1",
        "--1",
        "1 2",
        "[1,]",
        "[,]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{1:2}",
        "[1}",
        "{\"a\":1]",
        "]",
        "tru",
        "truee",
        "True",
        "\"\u{1f}\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12G4\"",
        "\"\\ud800\"",
        "\u{feff}{}",
        "\u{a0}1",
        "\u{b}1",
        "1e999",
        "-1e-999",
        "NaN",
    ] {
        same(text);
    }
    for depth in [100, 20_000] {
        same(&"[".repeat(depth));
        same(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
        same(&format!("{}{{}}{}", "{\"a\":[".repeat(depth), "]}".repeat(depth)));
    }
}

#[test]
fn decodes_what_serde_json_decodes() {
    for literal in [
        r#""""#,
        r#""plain""#,
        r#""é😀""#,
        r#""\"\\\/\b\f\n\r\t""#,
        r#""a\u0041\u00e9\u2028b""#,
        r#""\ud83d\ude00\uD83D\uDE00""#,
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\u0041""#,
        r#""\ud800\ud800""#,
        r#""\ud800x""#,
        r#""\ud83d\n""#,
        r#""x\u0000""#,
    ] {
        let theirs = serde_json::from_str::<String>(literal).ok();
        assert_eq!(text(literal).map(Cow::into_owned), theirs, "{literal}");
    }
    assert!(matches!(text("\"plain\""), Some(Cow::Borrowed("plain"))));
    assert_eq!(content(r#""\ud800""#), r#""\ud800""#);
}

#[test]
fn says_where_a_text_is_malformed() {
    for (text, expected) in [
        ("", "ends too early at line 1 column 1"),
        ("{\n \"é\": x}", "expected a value at line 2 column 7"),
        ("{} {}", "text after the end at line 1 column 4"),
        ("[1 2]", "expected `,` or the end of the array at line 1 column 4"),
        ("{\"a\" 1}", "expected `:` at line 1 column 6"),
        ("{a:1}", "expected a name in double quotes at line 1 column 2"),
        ("\"\n\"", "control character in a string at line 1 column 2"),
        ("\"\\x\"", "invalid escape at line 1 column 2"),
        ("1.x", "invalid number at line 1 column 3"),
    ] {
        assert_eq!(check(text).unwrap_err().to_string(), expected, "{text}");
    }
}

#[test]
fn members_come_in_document_order_with_duplicates() {
    let mut seen = Vec::new();
    members(r#" {"b": 1, "a":[ 2 ], "\u0062":"x", "b":null} "#, |name, value| {
        seen.push(format!("{name}={value}"));
    })
    .unwrap();
    assert_eq!(seen, ["b=1", "a=[ 2 ]", "b=\"x\"", "b=null"]);
    assert!(members("{} {}", |_, _| ()).is_err());
    assert!(members("[]", |_, _| ()).is_err());
}

#[test]
fn excerpts_are_short_and_cut_between_characters() {
    assert_eq!(excerpt("x"), "`x`");
    assert_eq!(excerpt(&"é".repeat(61)).chars().count(), 63);
}

#[test]
fn text_is_what_the_standard_library_says_it_is() {
    for length in (0..200).chain([4096]) {
        let plain = vec![b'a'; length];
        assert_eq!(utf8(&plain), std::str::from_utf8(&plain));
        for foul in [&b"\x80"[..], b"\xff", b"\xc3\xa9", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\x00"] {
            for at in (0..=length).step_by(7) {
                let body = [&plain[..at], foul, &plain[at..]].concat();
                assert_eq!(utf8(&body), std::str::from_utf8(&body), "{foul:?} at {at} of {length}");
            }
        }
    }
}
