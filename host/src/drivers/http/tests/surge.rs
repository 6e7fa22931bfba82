//! Agents that create and delete instances.

use super::*;
use crate::drivers::testing::{creation, deletion};

#[tokio::test]
async fn creates_with_a_poll_and_deletes() {
    let site = site(|seen, before| match (seen.target.as_str(), before) {
        ("/create/7", 0) => answer(503, "", "busy"),
        ("/create/7", _) => answer(202, "Location: /op/1\r\n", ""),
        ("/op/1", _) => answer(200, "", r#"{"state":"done","address":"10.0.0.7:9100"}"#),
        ("/delete/7", _) => answer(204, "", ""),
        _ => answer(404, "", ""),
    });
    let address = site.driver.create(creation("7", "v2", "u/0/1")).await.unwrap();
    assert_eq!(address.0.to_string(), "10.0.0.7:9100");
    let seen = site.agent.seen();
    assert_eq!(seen[0].header("idempotency-key"), Some("u/0/1"));
    assert_eq!(seen[1].header("idempotency-key"), Some("u/0/1"), "the same for every try");
    assert!(
        seen[0].body.contains(r#""instance":"7","replaces":"0","replacesAddress":"127.0.0.1:9""#),
        "{}",
        seen[0].body
    );
    site.driver.delete(deletion("7", "u/0/2")).await.unwrap();
    assert_eq!(site.agent.seen().last().unwrap().header("idempotency-key"), Some("u/0/2"));
}

#[tokio::test]
async fn what_a_creation_can_say() {
    for (status, body, expected) in [
        (409, "quota", "no more room: the agent answered 409: quota"),
        (507, "", "no more room: the agent answered 507"),
        (200, "{}", "is done, and did not name an address"),
        (204, "", "is done, and did not name an address"),
        (200, r#"{"address":"nowhere"}"#, "named the address `nowhere`, which has no port"),
        (400, "no such version", "the agent answered 400: no such version"),
    ] {
        let site = site(move |_, _| answer(status, "", body));
        let error = site.driver.create(creation("7", "v2", "u/0/1")).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{status} {body}: {error}");
    }
}
