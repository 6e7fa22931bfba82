//! Details below the case files of `plugins/azure-health`, which hold the conformance rows, and
//! input that nobody sends on purpose.

use super::*;

fn tolerant(body: &str) -> Reading {
    read(body.as_bytes(), &Options::default())
}

/// Reads a healthy body with these metrics, given as the text inside the string.
fn metrics(text: &str, options: &Options) -> (Metrics, Vec<String>) {
    let literal = serde_json::to_string(text).unwrap();
    let body = format!(r#"{{"ApplicationHealthState":"Healthy","CustomMetrics":{literal}}}"#);
    let Reading { state, metrics, diagnostics } = read(body.as_bytes(), options);
    assert_eq!(state, State::Healthy, "metrics never touch the health: {text}");
    (metrics.unwrap(), diagnostics.iter().map(|d| d.code().to_owned()).collect())
}

#[test]
fn phase_table() {
    for (written, phase, diagnostic) in [
        ("0", Some(0), None),
        ("1.0", Some(1), None),
        ("1e0", Some(1), None),
        ("2147483647", Some(PHASE_MAX), None),
        (r#""7""#, Some(7), Some("phase-coerced")),
        (r#"" 007\t""#, Some(7), Some("phase-coerced")),
        (r#""\u0031""#, Some(1), Some("phase-coerced")),
        ("2147483648", None, Some("phase-ignored")),
        ("-1", None, Some("phase-ignored")),
        ("1.5", None, Some("phase-ignored")),
        ("1e99", None, Some("phase-ignored")),
        ("1e999999999999", None, Some("phase-ignored")),
        ("null", None, Some("phase-ignored")),
        ("true", None, Some("phase-ignored")),
        ("[1]", None, Some("phase-ignored")),
        ("{}", None, Some("phase-ignored")),
        (r#""""#, None, Some("phase-ignored")),
        (r#""+1""#, None, Some("phase-ignored")),
        (r#""-0""#, None, Some("phase-ignored")),
        (r#""1.0""#, None, Some("phase-ignored")),
        (r#""٣""#, None, Some("phase-ignored")),
        (r#""99999999999999999999""#, None, Some("phase-ignored")),
        (r#""\ud800""#, None, Some("phase-ignored")),
    ] {
        let text = format!(r#"{{"rollingUpgrade":{{"PhaseOrderingNumber":{written}}}}}"#);
        let (metrics, diagnostics) = metrics(&text, &Options::default());
        assert_eq!((metrics.phase, metrics.skip), (phase, Skip::No), "{written}");
        let fits = written != "1e999999999999";
        assert_eq!(metrics.status == MetricsStatus::Success, fits, "{written}");
        assert_eq!(diagnostics.first().map(String::as_str), diagnostic, "{written}");
    }
}

#[test]
fn skip_table() {
    let ignore = Options { invalid_skip: InvalidSkip::Ignore, ..Options::default() };
    for (written, held, ignored, diagnostic) in [
        ("true", Skip::Yes, Skip::Yes, None),
        ("false", Skip::No, Skip::No, None),
        ("null", Skip::No, Skip::No, None),
        (r#""true""#, Skip::Yes, Skip::Yes, Some("skip-coerced")),
        (r#"" TRUE ""#, Skip::Yes, Skip::Yes, Some("skip-coerced")),
        (r#""False""#, Skip::No, Skip::No, Some("skip-coerced")),
        ("1", Skip::Held, Skip::No, Some("skip-invalid")),
        ("0", Skip::Held, Skip::No, Some("skip-invalid")),
        (r#""yes""#, Skip::Held, Skip::No, Some("skip-invalid")),
        (r#""""#, Skip::Held, Skip::No, Some("skip-invalid")),
        ("{}", Skip::Held, Skip::No, Some("skip-invalid")),
        ("[true]", Skip::Held, Skip::No, Some("skip-invalid")),
        (r#""\udc00""#, Skip::Held, Skip::No, Some("skip-invalid")),
    ] {
        let text = format!(r#"{{"rollingUpgrade":{{"SkipUpgrade":{written}}}}}"#);
        let (by_default, diagnostics) = metrics(&text, &Options::default());
        assert_eq!((by_default.skip, by_default.phase), (held, None), "{written}");
        assert_eq!(diagnostics.first().map(String::as_str), diagnostic, "{written}");
        assert_eq!(metrics(&text, &ignore).0.skip, ignored, "{written}");
    }
}

#[test]
fn duplicates_count_last_and_null_leaves_the_earlier_value() {
    for (text, phase, skip) in [
        (r#"{"a":{},"ROLLINGUPGRADE":{"phaseorderingnumber":3,"SKIPUPGRADE":true}}"#, Some(3), Skip::Yes),
        (r#"{"r":1,"rollingUpgrade":{"PhaseOrderingNumber":1,"phaseOrderingNumber":2}}"#, Some(2), Skip::No),
        (r#"{"rollingUpgrade":{"PhaseOrderingNumber":1,"phaseOrderingNumber":null}}"#, Some(1), Skip::No),
        (r#"{"rollingUpgrade":{"PhaseOrderingNumber":1,"PhaseOrderingNumber":"x"}}"#, None, Skip::No),
        (r#"{"rollingUpgrade":{"SkipUpgrade":true,"SkipUpgrade":null}}"#, None, Skip::Yes),
        (r#"{"rollingUpgrade":{"SkipUpgrade":true,"SkipUpgrade":false}}"#, None, Skip::No),
        (
            r#"{"rollingUpgrade":{"SkipUpgrade":true},"RollingUpgrade":{"PhaseOrderingNumber":4}}"#,
            Some(4),
            Skip::No,
        ),
        (r#"{"rollingUpgrade":{"PhaseOrderingNumber":4},"rollingUpgrade":null}"#, Some(4), Skip::No),
        (r#"{"rollingUpgrade":{"\u0050haseOrderingNumber":5}}"#, Some(5), Skip::No),
        (r#"{"rollingUpgrade":{"\ud800":1,"SkipUpgrade":true}}"#, None, Skip::Yes),
    ] {
        let (metrics, _) = metrics(text, &Options::default());
        assert_eq!((metrics.phase, metrics.skip), (phase, skip), "{text}");
    }
    let reading =
        tolerant(r#"{"CustomMetrics":"{\"a\":1}","custommetrics":"","ApplicationHealthState":"Healthy"}"#);
    assert_eq!(reading.metrics, None);
    assert_eq!(reading.diagnostics, [Diagnostic::Duplicate("CustomMetrics")]);
}

#[test]
fn object_metrics_become_compact_text_and_keep_what_was_written() {
    let body = r#"{"ApplicationHealthState":"Healthy","CustomMetrics": {
        "note" : "two  spaces, \" \\", "n" : 1.50e+2, "RollingUpgrade" : { "PhaseOrderingNumber" : 2 } } }"#;
    let reading = tolerant(body);
    let metrics = reading.metrics.unwrap();
    assert_eq!(
        metrics.raw,
        r#"{"note":"two  spaces, \" \\","n":1.50e+2,"RollingUpgrade":{"PhaseOrderingNumber":2}}"#
    );
    assert_eq!((reading.state, metrics.phase), (State::Healthy, Some(2)));
    assert_eq!(reading.diagnostics, [Diagnostic::MetricsObjectCoerced]);

    let strict = Options { object_metrics: ObjectMetrics::Strict, ..Options::default() };
    let reading = read(body.as_bytes(), &strict);
    assert_eq!(reading.metrics, None);
    let (what, found, expected) = ("CustomMetrics", "an object", "a string");
    assert_eq!(reading.state, State::Unknown(Unclear::WrongType { what, found, expected }));
}

#[test]
fn invalid_bodies_say_what_is_wrong_with_them() {
    for (body, code, part, diagnostics) in [
        (&b""[..], "invalid-json", "ends too early", vec![]),
        (b"\xff\xfe", "invalid-json", "not UTF-8 from byte 0", vec![]),
        (b"{\"a\":\"\xed\xa0\x80\"}", "invalid-json", "not UTF-8 from byte 6", vec![]),
        (b"\xef\xbb\xbf{}", "invalid-json", "line 1 column 1", vec!["it starts with a byte-order mark"]),
        (
            "{“a”: 1}".as_bytes(),
            "invalid-json",
            "line 1 column 2",
            vec![
                "it has a typographic quote U+201C where JSON needs `\"`",
                "it has a typographic quote U+201D where JSON needs `\"`",
            ],
        ),
        (br#"{"ApplicationHealthState":"\ud800"}"#, "invalid-json", "surrogate", vec![]),
        (br#"{"ApplicationHealthState":"Healthy","CustomMetrics":"\udfff"}"#, "invalid-json", "", vec![]),
        (br#"{"ApplicationHealthState":"Healthy"}{}"#, "invalid-json", "text after the end", vec![]),
        (b"[1", "invalid-json", "ends too early", vec![]),
        (b"[]", "wrong-type", "body is an array", vec![]),
        (b"-1", "wrong-type", "body is a number", vec![]),
        (b"null", "no-state", "", vec![]),
        (br#"{"ApplicationHealthState":1e999}"#, "wrong-type", "is a number", vec![]),
        (br#"{"ApplicationHealthState":"Healthy "}"#, "unknown-state", "`Healthy `", vec![]),
    ] {
        let reading = read(body, &Options::default());
        let State::Unknown(why) = &reading.state else { panic!("{body:?}: {reading:?}") };
        assert_eq!(why.code(), code, "{body:?}");
        assert!(why.to_string().contains(part), "{body:?}: {why}");
        let shown: Vec<String> = reading.diagnostics.iter().map(ToString::to_string).collect();
        assert_eq!(shown, diagnostics, "{body:?}");
        assert_eq!(reading.metrics, None, "{body:?}");
    }
}

#[test]
fn curly_quotes_inside_a_valid_body_are_no_matter() {
    let reading = tolerant(r#"{"ApplicationHealthState":"Healthy","note":"“quoted”"}"#);
    assert_eq!((reading.state, reading.diagnostics), (State::Healthy, vec![]));
}

#[test]
fn no_prefix_of_a_valid_body_is_healthy_or_panics() {
    let body = r#"{"ApplicationHealthState":"Healthy","x":[1.5e3,{"é":"\u00e9\n"}],"CustomMetrics":
        "{ \"rollingUpgrade\": { \"PhaseOrderingNumber\": 12, \"SkipUpgrade\": \"true\" } }" } "#;
    assert_eq!(tolerant(body).state, State::Healthy);
    let complete = body.trim_end().len();
    for end in 0..complete {
        let reading = read(&body.as_bytes()[..end], &Options::default());
        assert!(matches!(reading.state, State::Unknown(Unclear::InvalidJson(_))), "prefix of {end} bytes");
        assert_eq!(reading.metrics, None, "prefix of {end} bytes");
    }
    // Every prefix of the metrics text on its own, and every byte of the body made foul.
    let inner = r#"{"rollingUpgrade":{"PhaseOrderingNumber":12,"SkipUpgrade":true}}"#;
    for end in 1..inner.len() {
        let (metrics, _) = metrics(&inner[..end], &Options::default());
        assert_eq!((metrics.status, metrics.phase), (MetricsStatus::Error, None), "{end}");
    }
    for at in 0..body.len() {
        for foul in [0x00, 0x22, 0x5c, 0x7b, 0x7d, 0x80, 0xff] {
            let mut bytes = body.as_bytes().to_vec();
            bytes[at] = foul;
            let _ = read(&bytes, &Options::default());
        }
    }
}

#[test]
fn nesting_and_size_are_harmless() {
    for depth in [10, 200, 20_000] {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        let nested = format!("{open}{close}");
        let objects = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        let aside = format!(r#"{{"x":{nested},"ApplicationHealthState":"Healthy"}}"#);
        assert_eq!(tolerant(&aside).state, State::Healthy, "{depth}");
        let inside = format!(r#"{{"ApplicationHealthState":"Healthy","CustomMetrics":{objects}}}"#);
        assert_eq!(tolerant(&inside).state, State::Healthy, "{depth}");
        assert!(matches!(tolerant(&nested).state, State::Unknown(_)), "{depth}");
        assert!(matches!(tolerant(&open).state, State::Unknown(_)), "{depth}");
        assert!(matches!(tolerant(&objects).state, State::Unknown(_)), "{depth}");
        let phase = format!(r#"{{"rollingUpgrade":{{"PhaseOrderingNumber":{nested}}}}}"#);
        assert_eq!(metrics(&phase, &Options::default()).0.phase, None, "{depth}");
    }
    let digits = "9".repeat(60_000);
    for (number, fits) in [
        (digits.clone(), false),
        (format!("1e{digits}"), false),
        (format!("0.{digits}"), true),
        (format!("1e-{digits}"), true),
    ] {
        let text = format!(r#"{{"rollingUpgrade":{{"PhaseOrderingNumber":{number}}}}}"#);
        let (metrics, diagnostics) = metrics(&text, &Options::default());
        assert_eq!((metrics.phase, metrics.status == MetricsStatus::Success), (None, fits));
        assert_eq!(diagnostics.first().map(String::as_str), Some("phase-ignored"));
    }
}

#[test]
fn a_number_beside_it_does_not_unsay_a_skip() {
    let text = r#"{"load":1e999,"rollingUpgrade":{"PhaseOrderingNumber":3,"SkipUpgrade":true}}"#;
    let (metrics, diagnostics) = metrics(text, &Options::default());
    assert_eq!((metrics.status, metrics.phase, metrics.skip), (MetricsStatus::Error, Some(3), Skip::Yes));
    assert_eq!(diagnostics, ["metrics-invalid"]);
}

#[test]
fn names_fold_as_in_go() {
    for name in ["Cu\u{17F}tomMetrics", "cu\\u017ftommetric\u{17F}", "CUSTOMMETRICS"] {
        let state = "ApplicationHealth\u{17F}tate";
        let body = format!(r#"{{"{state}":"Healthy","{name}":"{{\"a\":1}}"}}"#);
        let reading = tolerant(&body);
        assert_eq!(reading.state, State::Healthy, "{body}");
        assert!(reading.metrics.is_some(), "{body}");
    }
    assert!(tolerant(r#"{"ApplicationHealthState":"Healthy","CuztomMetrics":"{}"}"#).metrics.is_none());
}
