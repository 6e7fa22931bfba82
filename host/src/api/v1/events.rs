//! `GET /v1/events`: what changes, as it changes. What is told and to whom is made in `api::events`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use phasegate_core::domain::{InstanceId, ScaleSetName};
use phasegate_wire as wire;

use crate::api::answer::Refusal;
use crate::api::events::{Begin, FOLLOWERS_MAX, Following, Format, Wanted, follow};
use crate::api::guard::StillLetIn;
use crate::api::host::Host;
use crate::api::path::Named;
use crate::api::query::{FromQuery, Key, Query, Times};

const SSE: &str = "text/event-stream";
const NDJSON: &str = "application/x-ndjson";

/// Where a browser's reader of SSE was when its connection broke.
const LAST_EVENT_ID: &str = "last-event-id";

/// Kinds of events that are no lines of the trail.
/// `release` is one of both: what a release tells of itself, and a person who lets an instance go.
const UNRECORDED: [&str; 3] = ["health", "progress", "release"];

/// Which events, and from where.
#[derive(Debug, Default)]
pub(super) struct Events {
    since: Option<u64>,
    wanted: Wanted,
}

impl FromQuery for Events {
    const KEYS: &'static [Key] = &[
        Key {
            name: "since",
            about: "First the lines of the trail behind this number and what releases have told of themselves since then, \
                    then what happens.",
            times: Times::Once,
        },
        Key { name: "scaleSet", about: "Only what concerns this scale set.", times: Times::Once },
        Key { name: "upgrade", about: "Only what concerns the upgrade with this id.", times: Times::Once },
        Key { name: "instance", about: "Only what concerns this instance.", times: Times::Once },
        Key {
            name: "kind",
            about: "Only lines of the trail of this kind, or `health`, `progress` or `release`; may stand there several times.",
            times: Times::Many,
        },
    ];

    fn set(&mut self, key: &str, value: &str) -> Result<(), Refusal> {
        match key {
            "since" => self.since = Some(number("since", value)?),
            "scaleSet" => self.wanted.scale_set = Some(<ScaleSetName as Named>::parse(value)?),
            "upgrade" => self.wanted.upgrade = Some(value.to_owned()),
            "instance" => self.wanted.instance = Some(<InstanceId as Named>::parse(value)?),
            _ => self.wanted.kinds.push(kind(value)?),
        }
        Ok(())
    }
}

fn number(key: &str, value: &str) -> Result<u64, Refusal> {
    let refused =
        |_| Refusal::invalid(format!("{key} is {value:?}; write the number of a line of the trail"));
    value.parse().map_err(refused)
}

fn kind(value: &str) -> Result<String, Refusal> {
    let recorded = wire::LogKind::KNOWN.iter().filter(|known| !UNRECORDED.contains(known));
    let known = || UNRECORDED.iter().chain(recorded.clone());
    if known().any(|known| *known == value) {
        return Ok(value.to_owned());
    }
    let known: Vec<&str> = known().copied().collect();
    Err(Refusal::invalid(format!("kind is {value:?}; known: {}", known.join(", "))))
}

/// What happens, for as long as the reader stays: with `Accept: text/event-stream` as server-sent events (the
/// `id` is the number of a line of the trail, and `Last-Event-ID` goes before `since`), else one JSON object in
/// each line. Lines of the trail come once each and in order; a reader that takes nothing for 20 s is let go.
#[utoipa::path(
    get,
    path = "/v1/events",
    params(Query<Events>),
    responses((
        status = 200,
        description = "One event in each line, without end.",
        body = wire::Event,
        content_type = "application/x-ndjson"
    ))
)]
pub(super) async fn show(
    State(host): State<Arc<Host>>,
    Query(Events { since, wanted }): Query<Events>,
    still: StillLetIn,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    if let Some(set) = &wanted.scale_set {
        host.known(set)?;
    }
    let last_id = headers.get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or("?"));
    let since = last_id.map(|id| number("Last-Event-ID", id)).transpose()?.or(since);
    let recorded = host.events.recorded();
    if let Some(since) = since.filter(|since| *since > recorded) {
        return Err(Refusal::conflict(format!(
            "since is {since}, and the trail ends at {recorded}: this is another record than the one that was \
             followed; begin again without since"
        )));
    }
    let Some(place) = host.events.place() else {
        return Err(Refusal::unavailable(format!(
            "{FOLLOWERS_MAX} follow the events already; try again later"
        )));
    };
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("");
    let (format, media_type) =
        if accept.contains(SSE) { (Format::Sse, SSE) } else { (Format::Ndjson, NDJSON) };
    let begin = since.map_or(Begin::Now, Begin::Behind);
    match follow(&host.events, (place, still), begin, wanted, format) {
        Some(following) => Ok(([(CONTENT_TYPE, media_type)], Body::new(Pieces(following))).into_response()),
        None => Err(Refusal::unavailable("the host ends")),
    }
}

/// What a follower is told, as a body.
struct Pieces(Following);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Following(pieces) = &mut self.0;
        pieces.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::query::parse;

    #[test]
    fn what_is_followed_is_read_and_the_rest_refused() {
        for (query, expected) in [
            ("", Ok(())),
            ("since=0&scaleSet=orders&upgrade=orders-1&instance=a&kind=hold&kind=progress", Ok(())),
            ("since=-1", Err("since is \"-1\"; write the number of a line of the trail")),
            ("since=yesterday", Err("since is \"yesterday\"; write the number of a line of the trail")),
            ("since=1&since=2", Err("the query has `since` more than once")),
        ] {
            let parsed = parse::<Events>(query).map(drop).map_err(|refusal| refusal.message);
            assert_eq!(parsed, expected.map_err(str::to_owned), "{query}");
        }
        let unknown = parse::<Events>("kind=fun").unwrap_err().message;
        assert!(
            unknown.starts_with("kind is \"fun\"; known: health, progress, release, start, "),
            "{unknown}"
        );
    }
}
