//! Bodies of requests: how large they may be, how long they may take, and what they must be. Components are
//! taken in by `uploads`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use phasegate_wire as wire;
use serde::de::DeserializeOwned;

use super::answer::Refusal;
use super::host::Host;
use super::strict::NoKeyTwice;
use super::uploads::Uploaded;

/// Largest JSON body in bytes.
const JSON_MAX: usize = 1024 * 1024;

/// How long a JSON body may take to arrive.
const JSON_TIMEOUT: Duration = Duration::from_secs(10);

/// A body that is a JSON object; an empty one is the default.
pub(super) struct Object<T>(pub(super) T);

/// What a body can be.
pub(super) trait JsonBody: DeserializeOwned + Default {
    /// How it looks, for whoever sent something else.
    const WANTED: &'static str;
}

impl JsonBody for wire::StartRequest {
    const WANTED: &'static str = "{\"to\": \"VERSION\"}, an object of a start's keys";
}

impl JsonBody for wire::PublishRequest {
    const WANTED: &'static str = "{\"version\": \"1.2.3\", \"digest\": \"sha256:…\"}";
}

impl JsonBody for wire::WithdrawRequest {
    const WANTED: &'static str = "{\"version\": \"1.2.3\", \"rollback\": false}";
}

impl JsonBody for wire::EnrolRequest {
    const WANTED: &'static str = "{\"type\": \"PUBLISHER/TYPE\"}";
}

impl JsonBody for wire::ReleaseRequest {
    const WANTED: &'static str = "{\"type\": \"PUBLISHER/TYPE\", \"version\": \"1.2.3\"}";
}

impl JsonBody for wire::ReleaseWishRequest {
    const WANTED: &'static str = "{\"regionPhase\": 2, \"reason\": \"…\"}";
}

impl JsonBody for wire::OverrideRequest {
    const WANTED: &'static str = "{\"reason\": \"…\", \"for\": \"PT2H\"}";
}

impl JsonBody for wire::WishRequest {
    const WANTED: &'static str = "{\"reason\": \"…\"}, or an object of a wish's keys";
}

impl JsonBody for wire::ReasonRequest {
    const WANTED: &'static str = "{\"reason\": \"…\"}";
}

impl JsonBody for wire::Lift {
    const WANTED: &'static str = "{\"version\": \"VERSION\"}";
}

impl JsonBody for wire::Repair {
    const WANTED: &'static str = "{\"instances\": [\"ID\", …]}";
}

impl<T: JsonBody, S: Sync> FromRequest<S> for Object<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        object(&collect(request.into_body(), JSON_MAX, JSON_TIMEOUT).await?).map(Self)
    }
}

/// The bytes of a component.
pub(super) struct Component(pub(super) Uploaded);

impl FromRequest<Arc<Host>> for Component {
    type Rejection = Refusal;

    async fn from_request(request: Request, host: &Arc<Host>) -> Result<Self, Refusal> {
        host.uploads.take(request.into_body()).await.map(Self)
    }
}

/// A JSON object; serde would also take an array for a struct, key by key.
fn object<T: JsonBody>(bytes: &[u8]) -> Result<T, Refusal> {
    if bytes.is_empty() {
        return Ok(T::default());
    }
    let invalid = |why: &str| Refusal::invalid(format!("the body is not {}: {why}", T::WANTED));
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(invalid("it is no JSON object"));
    }
    serde_json::from_slice::<NoKeyTwice>(bytes).map_err(|error| invalid(&error.to_string()))?;
    serde_json::from_slice(bytes).map_err(|error| invalid(&error.to_string()))
}

/// All of a body. One that announces more than it may have is refused unread.
async fn collect(body: Body, bytes_max: usize, within: Duration) -> Result<Bytes, Refusal> {
    let announced = body.size_hint().lower();
    if announced > u64::try_from(bytes_max).unwrap_or(u64::MAX) {
        return Err(Refusal::too_large(format!("the body has {announced} bytes (limit {bytes_max})")));
    }
    let collected = tokio::time::timeout(within, Limited::new(body, bytes_max).collect()).await;
    let collected = collected
        .map_err(|_| Refusal::too_slow(format!("the body did not arrive within {} s", within.as_secs())))?;
    collected.map(http_body_util::Collected::to_bytes).map_err(|error| {
        let message = format!("the body cannot be read: {error} (limit {bytes_max} bytes)");
        if error.is::<LengthLimitError>() { Refusal::too_large(message) } else { Refusal::invalid(message) }
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use hyper::body::Frame;

    use super::*;

    type Polled = Poll<Option<Result<Frame<Bytes>, Infallible>>>;

    /// So many pieces of two bytes.
    struct Pieces(usize);

    impl HttpBody for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Polled {
            let left = self.0.checked_sub(1);
            Poll::Ready(left.map(|left| {
                self.0 = left;
                Ok(Frame::data(Bytes::from_static(b"ab")))
            }))
        }
    }

    struct Never;

    impl HttpBody for Never {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Polled {
            Poll::Pending
        }
    }

    #[test]
    fn a_body_is_an_object_of_known_keys_or_empty() {
        for (body, expected) in [
            ("", Ok(None)),
            ("{}", Ok(None)),
            (" {\"reason\": \"why\"}", Ok(Some("why"))),
            ("[\"why\"]", Err("it is no JSON object")),
            ("{\"reasons\": \"why\"}", Err("unknown field `reasons`")),
            ("{\"reason\": 3}", Err("invalid type")),
            ("{\"reason\": \"a\", \"reason\": \"b\"}", Err("\"reason\" stands in it twice")),
            ("{\"reason\": \"why\"", Err("EOF")),
        ] {
            let parsed = object::<wire::ReasonRequest>(body.as_bytes());
            match expected {
                Ok(reason) => assert_eq!(parsed.unwrap().reason.as_deref(), reason, "{body}"),
                Err(part) => {
                    let said = parsed.unwrap_err().message;
                    assert!(said.starts_with("the body is not {\"reason\"") && said.contains(part), "{said}");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_body_that_announces_too_much_or_has_too_much_is_refused() {
        let second = Duration::from_secs(1);
        let announced = collect(Body::from("12345"), 4, second).await.unwrap_err();
        assert_eq!(announced, Refusal::too_large("the body has 5 bytes (limit 4)"));
        // Nothing is announced where the body comes in pieces.
        let streamed = collect(Body::new(Pieces(3)), 4, second).await.unwrap_err();
        assert!(streamed.message.contains("limit 4 bytes"), "{streamed:?}");
        assert_eq!(collect(Body::from("1234"), 4, second).await.unwrap(), "1234");
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let refused = collect(Body::new(Never), 4, Duration::ZERO).await;
        assert_eq!(refused.unwrap_err(), Refusal::too_slow("the body did not arrive within 0 s"));
    }
}
