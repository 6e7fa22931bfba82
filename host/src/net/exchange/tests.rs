//! What is an answer, and to whom: as it can be read, and as Azure's extension reads it.

use super::response::Reader;
use super::*;

const HEALTHY: &str = r#"{"ApplicationHealthState":"Healthy"}"#;

/// What a response comes to that arrives in pieces of this size before the peer closes.
fn read(bytes: &[u8], rules: Rules, piece: usize) -> Result<Answer, ResponseError> {
    let reading = Reading { rules, body_max: 1_000, keep: Keep::All };
    let mut reader = Reader::new();
    for piece in bytes.chunks(piece) {
        reader.buffer().extend_from_slice(piece);
        if reader.take(reading)? {
            return reader.whole(reading);
        }
    }
    reader.closed(reading)
}

/// Whether it is the healthy answer, the same in all pieces.
fn is_healthy(bytes: &[u8], rules: Rules) -> bool {
    let of = |piece| read(bytes, rules, piece).is_ok_and(|answer| answer.body == HEALTHY.as_bytes());
    let (whole, single) = (of(usize::MAX), of(1));
    assert_eq!(whole, single, "{}", String::from_utf8_lossy(bytes));
    whole
}

#[test]
fn one_odd_line_spoils_no_answer() {
    let with = |header: &str| format!("HTTP/1.1 200 OK\r\n{header}\r\nContent-Length: 36\r\n\r\n{HEALTHY}");
    for (text, azure) in [
        (with("Expires : never"), true),
        (with("X-Frame: one\r\n\ttwo"), true),
        (with("X-Name: caf\u{e9} \u{1f600}"), true),
        (with("X-Empty:"), true),
        (with("X-H: v\r\n".repeat(2_000).trim_end()), true),
        // Its client refuses these.
        (with("Set-Cookie: a=\u{1}b"), false),
        (with("X-Nul: \u{0}"), false),
        (with("X(Y): b"), false),
        (with("no colon"), false),
        (with("some -name: b"), false),
    ] {
        assert!(is_healthy(text.as_bytes(), Rules::Readable), "{text}");
        assert_eq!(is_healthy(text.as_bytes(), Rules::AsAzure), azure, "{text}");
    }
}

#[test]
fn status_lines() {
    for (line, readable, azure) in [
        ("HTTP/1.1  200 OK", true, true),
        ("HTTP/1.1 200", true, true),
        ("HTTP/1.0 200 OK", true, true),
        ("HTTP/1.1 200 caf\u{e9}", true, true),
        ("\r\nHTTP/1.1 200 OK", true, false),
        ("HTTP/1.1 0200 OK", false, false),
        ("HTTP/1.1 +20 OK", false, false),
        ("HTTP/1.1\t200\tOK", false, false),
        ("http/1.1 200 OK", false, false),
        ("ICY 200 OK", false, false),
        ("xx\r\nHTTP/1.1 200 OK", false, false),
        // Nobody sends these; the real extension reads them.
        ("HTTP/2.0 200 OK", false, false),
    ] {
        let text = format!("{line}\r\nContent-Length: 36\r\n\r\n{HEALTHY}");
        assert_eq!(is_healthy(text.as_bytes(), Rules::Readable), readable, "{line:?}");
        assert_eq!(is_healthy(text.as_bytes(), Rules::AsAzure), azure, "{line:?}");
        let bare = text.replace("\r\n", "\n");
        assert_eq!(is_healthy(bare.as_bytes(), Rules::Readable), readable, "{line:?} with bare line feeds");
    }
}

#[test]
fn where_a_body_ends() {
    let chunks = format!("24\r\n{HEALTHY}\r\n0\r\n\r\n");
    let lengths = |value: &str| (format!("Content-Length: {value}"), HEALTHY.to_owned());
    let coded = |value: &str| (format!("Transfer-Encoding: {value}"), chunks.clone());
    for ((headers, body), readable, azure) in [
        (("X: y".to_owned(), HEALTHY.to_owned()), true, true),
        (lengths("36"), true, true),
        (lengths("00036"), true, true),
        (lengths("   36  "), true, true),
        (lengths("36\r\nContent-Length: 36"), true, true),
        (lengths("36\r\nContent-Length: 35"), false, false),
        (lengths("36, 36"), true, false),
        (lengths("+36"), false, false),
        (lengths("abc"), false, false),
        (lengths(""), false, false),
        (lengths("99999999999999999999"), false, false),
        (lengths("46"), false, false),
        (lengths("10"), false, false),
        (coded("chunked"), true, true),
        (coded("Chunked\r\nContent-Length: 5"), true, true),
        (coded("chunked\r\nTransfer-Encoding: chunked"), true, false),
        (coded("identity, chunked"), true, false),
        (("Transfer-Encoding : chunked".to_owned(), chunks.clone()), true, false),
        (("Transfer-Encoding: identity".to_owned(), HEALTHY.to_owned()), true, false),
        (("Transfer-Encoding: identity\r\nContent-Length: 36".to_owned(), HEALTHY.to_owned()), true, false),
        (("Transfer-Encoding: chunked".to_owned(), chunks.trim_end().to_owned()), false, false),
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{body}");
        assert_eq!(is_healthy(text.as_bytes(), Rules::Readable), readable, "{text}");
        assert_eq!(is_healthy(text.as_bytes(), Rules::AsAzure), azure, "{text}");
    }
    let old = format!("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
    assert!(is_healthy(old.as_bytes(), Rules::Readable));
    assert!(!is_healthy(old.as_bytes(), Rules::AsAzure), "the header means nothing in HTTP/1.0");
    for status in [204, 304] {
        let none = format!("HTTP/1.1 {status} X\r\nContent-Length: 36\r\n\r\n{HEALTHY}");
        assert_eq!(read(none.as_bytes(), Rules::Readable, 7).unwrap().body, b"");
    }
}

#[test]
fn answers_before_the_answer() {
    let after = |count: usize, status: u16| {
        let early = format!("HTTP/1.1 {status} X\r\nLink: y\r\n\r\n").repeat(count);
        format!("{early}HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n{HEALTHY}")
    };
    for (count, status, readable, azure) in
        [(1, 100, true, true), (5, 103, true, true), (6, 103, true, false), (33, 100, false, false)]
    {
        let text = after(count, status);
        assert_eq!(is_healthy(text.as_bytes(), Rules::Readable), readable, "{count}");
        assert_eq!(is_healthy(text.as_bytes(), Rules::AsAzure), azure, "{count}");
    }
    assert_eq!(read(after(1, 101).as_bytes(), Rules::Readable, 9).unwrap().status, 101);
    let endless = "HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000);
    assert_eq!(read(endless.as_bytes(), Rules::Readable, 999).unwrap_err(), ResponseError::Interim(32));
}

#[test]
fn a_body_is_decoded() {
    use flate2::write::GzEncoder;
    use std::io::Write;
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(HEALTHY.as_bytes()).unwrap();
    let zipped = encoder.finish().unwrap();
    let cut = zipped.split_at(zipped.len() - 4).0;
    let response = |headers: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    };
    for (headers, body, readable, azure) in [
        ("Content-Encoding: gzip\r\n", zipped.as_slice(), true, true),
        ("Content-Encoding: GZIP\r\n", zipped.as_slice(), true, true),
        ("Content-Encoding: x-gzip\r\n", zipped.as_slice(), true, false),
        ("Content-Encoding: gzip\r\n", HEALTHY.as_bytes(), true, false),
        ("Content-Encoding: br\r\n", HEALTHY.as_bytes(), true, true),
        ("Content-Encoding: identity\r\n", HEALTHY.as_bytes(), true, true),
        ("", zipped.as_slice(), false, false),
        ("Content-Encoding: gzip\r\n", cut, false, false),
    ] {
        let bytes = response(headers, body);
        assert_eq!(is_healthy(&bytes, Rules::Readable), readable, "{headers}");
        assert_eq!(is_healthy(&bytes, Rules::AsAzure), azure, "{headers}");
    }
    let coded = [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_vec(),
        format!("{:x}\r\n", zipped.len()).into_bytes(),
        zipped.clone(),
        b"\r\n0\r\n\r\n".to_vec(),
    ]
    .concat();
    assert!(is_healthy(&coded, Rules::Readable));
    assert!(!is_healthy(&coded, Rules::AsAzure));
}

#[test]
fn what_is_wrong_is_named() {
    let closed = "the connection was closed before the response was complete";
    for (text, rules, expected) in [
        ("", Rules::Readable, closed),
        ("HTTP/1.1 200 OK\r\nA: ", Rules::Readable, closed),
        (
            "HTTP/1.1 200 OK\r\nSet-Cookie: \u{1}\r\n\r\n",
            Rules::AsAzure,
            "header `Set-Cookie` (line 1) is not valid",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n",
            Rules::Readable,
            "Content-Length `abc` is no length",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            Rules::AsAzure,
            "Transfer-Encoding `gzip` is not understood",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", Rules::Readable, "body longer than 1000 bytes"),
    ] {
        assert_eq!(read(text.as_bytes(), rules, 5).unwrap_err().to_string(), expected, "{text:?}");
    }
}

#[test]
fn folded_values_come_on_one_line() {
    let text = b"HTTP/1.1 200 OK\r\nX-A: one\r\n\t two \r\nContent-Length: 0\r\n\r\n";
    let answer = read(text, Rules::Readable, 3).unwrap();
    assert_eq!(answer.headers["x-a"], "one two");
}
