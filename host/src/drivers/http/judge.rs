//! What an answer of an agent means. Pure: no clock, no connection.
//!
//! Unknown is never consent: only the answers that are documented as "done" are.

use std::time::Duration;

use hyper::header::{HeaderMap, LOCATION, RETRY_AFTER};
use serde::Deserialize;

use super::error::{Answered, Busy, Refusal};
use crate::net::exchange::Answer;
use crate::net::text::first_line;
use crate::net::url::HttpUrl;
use phasegate_core::domain::Fence;

/// What an agent says of an operation that failed before it touched anything.
const UNTOUCHED: &str = "failed-untouched";

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// To do something.
    Post,
    /// Whether it is done.
    Poll,
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is done.
    Done,
    /// It is not, and will not be.
    Failed(Refusal),
    /// It was refused: a host of a higher generation is or was in charge.
    Superseded(Fence),
    /// Ask the same again, after the time that the agent names.
    Again { reason: Busy, after: Option<Duration> },
    /// It is under way; ask there, after the time that the agent names.
    Running { poll: Option<HttpUrl>, message: String, after: Option<Duration> },
}

/// The fields that an answer may have. Others are the agent's own business.
#[derive(Debug, Default, Deserialize)]
struct Body {
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    poll: Option<String>,
    /// With 409: the highest generation that it has seen.
    #[serde(default)]
    generation: Option<u64>,
}

/// Judges an answer that came from `url`.
pub(super) fn judge(url: &HttpUrl, asked: Asked, answer: &Answer) -> Verdict {
    let Answer { status, headers, body, keeps: _ } = answer;
    let after = retry_after(headers);
    let parsed: Option<Body> = serde_json::from_slice(body).ok();
    let fields = parsed.unwrap_or_default();
    if fields.state.as_deref() == Some(UNTOUCHED) && matches!(status, 200 | 400..=499) {
        let message = fields.message.as_deref().map(shown).unwrap_or_default();
        return Verdict::Failed(Refusal::Untouched(message));
    }
    match (*status, asked) {
        (204, Asked::Post) => Verdict::Done,
        (200, _) => by_state(asked, &fields, after),
        (202, _) => {
            let location = headers.get(LOCATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
            let location = location.as_deref().or(fields.poll.as_deref());
            let message = fields.message.as_deref().map(shown).unwrap_or_default();
            match location.map(|location| (location, url.resolve(location))) {
                None => Verdict::Running { poll: None, message, after },
                Some((_, Ok(poll))) => Verdict::Running { poll: Some(poll), message, after },
                Some((location, Err(error))) => {
                    Verdict::Failed(Refusal::Elsewhere { place: shown(location), error })
                }
            }
        }
        (409 | 423 | 429 | 503, _) | (500..=599, _) => {
            Verdict::Again { reason: Busy::Answered(answered(answer)), after }
        }
        (300..=399, _) => Verdict::Failed(Refusal::Redirect { status: *status }),
        _ => Verdict::Failed(Refusal::Answered(answered(answer))),
    }
}

/// The generation that an agent has seen and that is above the one that asks; none in any other answer.
pub(super) fn ahead(answer: &Answer, asking: Fence) -> Option<Fence> {
    let refused = answer.status == 409;
    let fields: Option<Body> = serde_json::from_slice(&answer.body).ok().filter(|_| refused);
    let seen = Fence::try_from(fields?.generation?).ok();
    seen.filter(|seen| *seen > asking)
}

/// What an agent means that cannot create an instance because there is no more room; none for any
/// other answer.
pub(super) fn no_room(answer: &Answer) -> Option<Verdict> {
    let refused = matches!(answer.status, 409 | 507);
    refused.then(|| Verdict::Failed(Refusal::NoRoom(answered(answer))))
}

/// An answer with 200 is done by itself when it follows the request; a poll has to say so.
fn by_state(asked: Asked, fields: &Body, after: Option<Duration>) -> Verdict {
    let message = fields.message.as_deref().map(shown).unwrap_or_default();
    match (fields.state.as_deref(), asked) {
        (Some("done"), _) | (None, Asked::Post) => Verdict::Done,
        (Some("failed"), _) => Verdict::Failed(Refusal::Failed(message)),
        (Some("running"), _) => Verdict::Running { poll: None, message, after },
        (Some(other), _) => Verdict::Failed(Refusal::UnknownState(shown(other))),
        (None, Asked::Poll) => Verdict::Failed(Refusal::NoState),
    }
}

/// Seconds; a date is passed over, because the clocks of two machines may differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // More digits than fit are a long time, too.
    digits.then(|| Duration::from_secs(text.parse().unwrap_or(u64::MAX)))
}

fn answered(answer: &Answer) -> Answered {
    Answered { status: answer.status, line: first_line(&answer.body) }
}

fn shown(text: &str) -> String {
    first_line(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(asked: Asked, status: u16, headers: &[(&str, &str)], body: &str) -> String {
        let url = HttpUrl::parse("http://a:8080/up/7?x").unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(
                hyper::header::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        let seconds = |after: Option<Duration>| {
            after.map_or(String::new(), |after| format!(" in {} s", after.as_secs()))
        };
        let answer = Answer { status, headers: map, body: body.as_bytes().to_vec(), keeps: false };
        match judge(&url, asked, &answer) {
            Verdict::Done => "done".to_owned(),
            Verdict::Failed(refusal) => refusal.to_string(),
            Verdict::Superseded(seen) => format!("superseded by {seen}"),
            Verdict::Again { reason, after } => format!("again{}: {reason}", seconds(after)),
            Verdict::Running { poll, message, after } => {
                let poll = poll.map_or(String::new(), |poll| format!(" at {poll}"));
                format!("running{poll}{} [{message}]", seconds(after))
            }
        }
    }

    #[test]
    fn every_status_to_a_request() {
        for (status, headers, body, expected) in [
            (200, &[][..], "", "done"),
            (200, &[], "<html>", "done"),
            (200, &[], r#"{"state":"done"}"#, "done"),
            (
                200,
                &[],
                r#"{"state":"failed","message":"disk\n\u001bfull"}"#,
                "the agent says that it failed: disk",
            ),
            (200, &[], r#"{"state":"failed"}"#, "the agent says that it failed"),
            (200, &[], r#"{"state":"running","message":"half"}"#, "running [half]"),
            (200, &[], r#"{"state":"\u001b[2J"}"#, "the agent answered with the unknown state `\\u{1b}[2J`"),
            (204, &[], "", "done"),
            (202, &[], "", "running []"),
            (
                202,
                &[("location", "/op/1"), ("retry-after", "7")],
                "",
                "running at http://a:8080/op/1 in 7 s []",
            ),
            (202, &[], r#"{"poll":"op"}"#, "running at http://a:8080/up/op []"),
            (202, &[("location", "http://A:8080/b")], "", "running at http://a:8080/b []"),
            (
                202,
                &[("location", "http://evil/")],
                "",
                "the agent points to `http://evil/`, which is not at the origin that was asked",
            ),
            (
                202,
                &[],
                r#"{"poll":"//evil:8080/"}"#,
                "the agent points to `//evil:8080/`, which is not at the origin that was asked",
            ),
            (201, &[], "", "the agent answered 201"),
            (301, &[("location", "/x")], "", "the agent answered 301, and redirects are not followed"),
            (400, &[], "\nno such version\nmore", "the agent answered 400: no such version"),
            (404, &[], "", "the agent answered 404"),
            (409, &[], "locked", "again: the agent answered 409: locked"),
            (423, &[("retry-after", "0")], "", "again in 0 s: the agent answered 423"),
            (
                429,
                &[("retry-after", "99999999999999999999999")],
                "",
                "again in 18446744073709551615 s: the agent answered 429",
            ),
            (503, &[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")], "", "again: the agent answered 503"),
            (500, &[("retry-after", "-1")], "oops", "again: the agent answered 500: oops"),
            (599, &[], "", "again: the agent answered 599"),
        ] {
            assert_eq!(check(Asked::Post, status, headers, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn who_has_touched_nothing_says_so() {
        let said = "the agent says that it failed and that nothing was touched";
        for (status, body, expected) in [
            (
                200,
                r#"{"state":"failed-untouched","message":"no such version"}"#,
                format!("{said}: no such version"),
            ),
            (409, r#"{"state":"failed-untouched"}"#, said.to_owned()),
            (422, r#"{"state":"failed-untouched"}"#, said.to_owned()),
            (500, r#"{"state":"failed-untouched"}"#, "again: the agent answered 500".to_owned()),
        ] {
            let judged = check(Asked::Post, status, &[], body);
            assert!(judged.starts_with(&expected), "{status} {body}: {judged}");
        }
    }

    #[test]
    fn a_higher_generation_is_no_failure() {
        let asking = Fence::try_from(7).unwrap();
        for (status, body, expected) in [
            (409, r#"{"generation":9,"message":"another host"}"#, Some(9)),
            (409, r#"{"generation":7}"#, None),
            (409, r#"{"generation":6}"#, None),
            (409, r#"{"generation":-1}"#, None),
            (409, r#"{"generation":9007199254740992}"#, None),
            (409, "locked", None),
            (423, r#"{"generation":9}"#, None),
            (200, r#"{"generation":9}"#, None),
        ] {
            let answer =
                Answer { status, headers: HeaderMap::new(), body: body.as_bytes().to_vec(), keeps: false };
            assert_eq!(ahead(&answer, asking).map(Fence::packed), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_poll_has_to_say_so() {
        for (status, body, expected) in [
            (200, r#"{"state":"done"}"#, "done"),
            (200, "", "the agent answered 200 to a poll without a state"),
            (200, r#"{"state":null}"#, "the agent answered 200 to a poll without a state"),
            (200, r#"{"state":1}"#, "the agent answered 200 to a poll without a state"),
            (200, "[[[[", "the agent answered 200 to a poll without a state"),
            (200, r#"{"state":"Done"}"#, "the agent answered with the unknown state `Done`"),
            (204, "", "the agent answered 204"),
            (202, "", "running []"),
            (404, "who?", "the agent answered 404: who?"),
            (503, "", "again: the agent answered 503"),
        ] {
            assert_eq!(check(Asked::Poll, status, &[], body), expected, "{status} {body}");
        }
    }
}
