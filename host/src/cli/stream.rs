//! Follows `GET /v1/events` over lost connections: each event once, in order, also where the host is restarted
//! meanwhile. Says nothing to people; who follows does.

use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::Context;
use http_body_util::{BodyExt, Empty};
use hyper::Method;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::client::Client;
use phasegate_wire as wire;

/// Silence after which a connection is taken for lost; the host says something every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// How long a host may be away until it is not expected back: one that is restarted goes on where it was.
const AWAY_MAX: Duration = Duration::from_secs(60);

/// Waits between two tries, at least and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// How long a connection and the head of an answer may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest event in bytes.
const EVENT_MAX: usize = 1 << 20;

/// Longest refusal in bytes that is read.
const REFUSAL_MAX: usize = 64 * 1024;

/// Which events, and from where.
#[derive(Debug, Default, Clone)]
pub struct Wanted {
    /// Of this scale set.
    pub scale_set: Option<String>,
    /// Of this upgrade.
    pub upgrade: Option<String>,
    /// Of this instance.
    pub instance: Option<String>,
    /// Of this kind.
    pub kind: Option<&'static str>,
    /// Behind this line of the trail; none: from now on.
    pub since: Option<u64>,
}

impl Wanted {
    fn path(&self, since: Option<u64>) -> String {
        let since = since.map(|since| since.to_string());
        let kind = self.kind.map(str::to_owned);
        let keys = [
            ("since", since.as_ref()),
            ("scaleSet", self.scale_set.as_ref()),
            ("upgrade", self.upgrade.as_ref()),
            ("instance", self.instance.as_ref()),
            ("kind", kind.as_ref()),
        ];
        let pairs: Vec<String> =
            keys.iter().filter_map(|(key, value)| Some(format!("{key}={}", (*value)?))).collect();
        format!("/v1/events?{}", pairs.join("&"))
    }
}

/// What is heard while events are followed.
pub enum Heard<'a> {
    /// An event, and its JSON as it came.
    Event(&'a wire::Event, &'a str),
    /// The host is away, for this reason.
    Away(&'a anyhow::Error),
}

/// Follows until `on` breaks off.
///
/// # Errors
/// When the host refuses, cannot be reached at first, or is away for a minute; and those of `on`.
pub fn follow_events(
    client: &Client,
    wanted: &Wanted,
    on: &mut dyn FnMut(Heard<'_>) -> anyhow::Result<ControlFlow<()>>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(follow(client, wanted, on))
}

/// The latest line of the trail.
///
/// # Errors
/// As [`follow_events`].
pub fn latest(client: &Client) -> anyhow::Result<u64> {
    let mut since = 0;
    follow_events(client, &Wanted::default(), &mut |heard| {
        if let Heard::Event(wire::Event::Following(following), _) = heard {
            since = following.since;
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(since)
}

/// Why a connection goes on no further.
enum Lost {
    /// It broke; worth another try.
    Away(anyhow::Error),
    /// Another try would end as this one.
    For(anyhow::Error),
    /// What was followed is over.
    Over,
}

async fn follow(
    client: &Client,
    wanted: &Wanted,
    on: &mut dyn FnMut(Heard<'_>) -> anyhow::Result<ControlFlow<()>>,
) -> anyhow::Result<()> {
    let mut since = wanted.since;
    let mut heard_at: Option<Instant> = None;
    let (mut pause, mut away_since) = (PAUSE.0, Instant::now());
    loop {
        let before = heard_at;
        let lost = connection(client, &wanted.path(since), (&mut since, &mut heard_at), on).await;
        let error = match lost {
            Lost::Over => return Ok(()),
            Lost::For(error) => return Err(error),
            Lost::Away(error) => error,
        };
        if heard_at.is_none() {
            return Err(error);
        }
        if heard_at != before {
            away_since = Instant::now();
        } else if away_since.elapsed() > AWAY_MAX {
            return Err(error.context(format!("the host has been away for {} s", AWAY_MAX.as_secs())));
        }
        if on(Heard::Away(&error))?.is_break() {
            return Ok(());
        }
        pause = if heard_at == before { (pause * 2).min(PAUSE.1) } else { PAUSE.0 };
        tokio::time::sleep(jittered(pause)).await;
    }
}

/// Half of it up to all of it: many that lost the same host do not come back at once.
fn jittered(pause: Duration) -> Duration {
    let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), pause);
    // At most 1023, so that nothing of it is lost.
    let part = u32::try_from(random % 1024).unwrap_or(0);
    pause / 2 + pause / 2 * part / 1024
}

async fn connection(
    client: &Client,
    path: &str,
    (since, heard_at): (&mut Option<u64>, &mut Option<Instant>),
    on: &mut dyn FnMut(Heard<'_>) -> anyhow::Result<ControlFlow<()>>,
) -> Lost {
    let opened = tokio::time::timeout(HEAD_TIMEOUT, open(client, path)).await;
    let body = match opened {
        Ok(opened) => opened,
        Err(_) => Err(Lost::Away(anyhow::anyhow!("no answer within {} s", HEAD_TIMEOUT.as_secs()))),
    };
    let mut body = match body {
        Ok(body) => body,
        Err(lost) => return lost,
    };
    // Who has begun to answer is there, also where it ends before the first event.
    *heard_at = Some(Instant::now());
    let mut text = Vec::new();
    loop {
        let frame = match tokio::time::timeout(SILENCE_MAX, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => {
                return Lost::Away(anyhow::Error::from(error).context("the events broke off"));
            }
            Ok(None) => return Lost::Away(anyhow::anyhow!("the events ended")),
            Err(_) => {
                return Lost::Away(anyhow::anyhow!("nothing heard for {} s", SILENCE_MAX.as_secs()));
            }
        };
        let Ok(data) = frame.into_data() else { continue };
        *heard_at = Some(Instant::now());
        text.extend_from_slice(&data);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            match take(&line, since, on) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return Lost::Over,
                Err(error) => return Lost::For(error),
            }
        }
        if text.len() > EVENT_MAX {
            return Lost::For(anyhow::anyhow!(
                "an event is longer than {EVENT_MAX} bytes; is it a phasegate?"
            ));
        }
    }
}

fn take(
    line: &[u8],
    since: &mut Option<u64>,
    on: &mut dyn FnMut(Heard<'_>) -> anyhow::Result<ControlFlow<()>>,
) -> anyhow::Result<ControlFlow<()>> {
    let event: wire::Event =
        serde_json::from_slice(line).context("an event is no JSON of Phasegate's; is it a phasegate?")?;
    match &event {
        wire::Event::Following(following) => *since = Some(following.since),
        wire::Event::Recorded(recorded) => *since = Some(recorded.entry.seq),
        _ => {}
    }
    on(Heard::Event(&event, String::from_utf8_lossy(line).trim_end()))
}

async fn open(client: &Client, path: &str) -> Result<Incoming, Lost> {
    let stream = client.reach().await.map_err(Lost::Away)?;
    let request = client
        .head(Method::GET, path)
        .header(hyper::header::ACCEPT, "application/x-ndjson")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Lost::For(error.into()))?;
    let away =
        |error: hyper::Error| Lost::Away(anyhow::Error::from(error).context("the host does not answer"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(away)?;
    // Its end is the end of the body, which is told of it.
    tokio::spawn(async move { _ = connection.await });
    let response = sender.send_request(request).await.map_err(away)?;
    let (head, body) = response.into_parts();
    if head.status.is_success() {
        return Ok(body);
    }
    let whole = http_body_util::Limited::new(body, REFUSAL_MAX).collect().await;
    let whole = whole.map(|body| body.to_bytes()).unwrap_or_default();
    let error = client.refused(head.status, &whole);
    // As when it starts or ends.
    if head.status == hyper::StatusCode::SERVICE_UNAVAILABLE {
        Err(Lost::Away(error))
    } else {
        Err(Lost::For(error))
    }
}
