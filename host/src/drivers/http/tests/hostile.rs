//! Agents that refuse, are slow, lie, or answer with something harmful.

use super::*;

#[tokio::test]
async fn an_agent_that_is_not_there_yet_is_waited_for() {
    // Bound and not listening: nobody else gets the port meanwhile.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = nobody.local_addr().unwrap().port();
    let shorter = |settings: &mut HttpSettings| settings.timeout = Duration::from_millis(300);
    let driver = driver(format!("http://127.0.0.1:{port}"), Looks::No, shorter);
    let error = driver.ensure(request("1", "v2", "a")).await.unwrap_err().to_string();
    assert_eq!(error, format!("not done within 0.3 s: 127.0.0.1:{port}: connection refused"));
}

#[tokio::test]
async fn the_deadline_says_what_was_heard_last() {
    let shorter = |settings: &mut HttpSettings| settings.timeout = Duration::from_millis(300);
    for (reply, expected) in [
        ("busy", "not done within 0.3 s: the agent answered 503: come later"),
        ("running", "not done within 0.3 s: 12 of 80 files"),
        ("hang", "not done within 0.3 s: there was no answer yet"),
    ] {
        let site = site_with(Looks::No, shorter, move |_, _| match reply {
            "busy" => answer(503, "", "come later"),
            "running" => answer(202, "", r#"{"message":"12 of 80 files"}"#),
            _ => Reply::Hang,
        });
        assert_eq!(site.ensure("1", "v2", "a").await.unwrap_err(), expected);
        // What ran into its time limit may be half done.
        assert_eq!(site.observed("1").await, "unknown");
    }
}

#[tokio::test]
async fn a_refusal_is_final() {
    let site = site(|_, _| answer(422, "", "no such version: v2\u{1b}[2J\nsecond line"));
    let error = site.ensure("1", "v2", "a").await.unwrap_err();
    assert_eq!(error, "the agent answered 422: no such version: v2\\u{1b}[2J");
    assert_eq!(site.asked().len(), 1);
}

#[tokio::test]
async fn hostile_answers_cost_little_and_are_final() {
    let many = "X: y\r\n".repeat(200);
    let long = format!("X: {}\r\n", "y".repeat(1_100_000));
    for (reply, expected) in [
        (
            Reply::Raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n".to_vec()),
            "the answer of 127.0.0.1:PORT is not valid HTTP: it does not begin with HTTP/1.0",
        ),
        (
            Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n".to_vec()),
            "127.0.0.1:PORT answered with more than 65536 bytes",
        ),
        (
            Reply::Endless(b"HTTP/1.1 200 OK\r\n\r\n".repeat(10_000)),
            "127.0.0.1:PORT answered with more than 65536 bytes",
        ),
        (answer(200, &many, ""), ""),
        (answer(200, "X-Frame : one\r\n two\r\nSet-Cookie: a\u{1}b\r\n", ""), ""),
        (
            answer(200, &long, ""),
            "the answer of 127.0.0.1:PORT is not valid HTTP: more than 1048576 bytes of headers",
        ),
        (
            answer(302, "Location: http://127.0.0.1:1/\r\n", ""),
            "the agent answered 302, and redirects are not followed",
        ),
        (
            answer(202, "Location: http://127.0.0.1:1/\r\n", ""),
            "the agent points to `http://127.0.0.1:1/`, which is not at the origin",
        ),
        (
            answer(202, "Location: file:///etc/passwd\r\n", ""),
            "the agent points to `file:///etc/passwd`, which does not begin",
        ),
        (answer(700, "", ""), "127.0.0.1:PORT answered with status 700"),
        (answer(200, "", &format!("{}1", "[".repeat(60_000))), ""),
    ] {
        let reply = std::sync::Mutex::new(Some(reply));
        let site = site(move |_, _| reply.lock().unwrap().take().unwrap_or(Reply::Close));
        let result = site.ensure("1", "v2", "a").await;
        match result {
            Ok(()) => assert_eq!(expected, ""),
            Err(error) => {
                assert!(
                    !expected.is_empty() && site.short(&error).starts_with(expected),
                    "{error}\n{expected}"
                );
            }
        }
        assert_eq!(site.asked().len(), 1, "{expected}");
    }
}

#[tokio::test]
async fn what_cannot_be_understood_is_no_version() {
    for (status, body) in [
        (200, r#"{"version":null}"#),
        (200, r#"{"version":"a b"}"#),
        (200, r#"{"version":"\u001b[2J"}"#),
        (200, r#"{"version":1}"#),
        (200, "v2"),
        (200, ""),
        (404, r#"{"version":"v2"}"#),
        (302, ""),
    ] {
        let site = site_with(Looks::Yes, |_| (), move |_, _| answer(status, "", body));
        assert_eq!(site.observed("1").await, "unknown", "{status} {body}");
    }
}

#[tokio::test]
async fn done_is_not_believed_when_the_instance_says_otherwise() {
    let site = site_with(
        Looks::Yes,
        |_| (),
        |seen, _| match seen.method.as_str() {
            "GET" => answer(200, "", r#"{"version":"v1"}"#),
            _ => answer(200, "", ""),
        },
    );
    let error = site.ensure("1", "v2", "a").await.unwrap_err();
    assert_eq!(error, "it was said to be done, and the instance still runs v1 0.4 s later");
}
