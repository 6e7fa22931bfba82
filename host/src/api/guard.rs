//! Who may call: bearers of tokens by their roles, users of this machine through a socket, and without tokens
//! whoever is on it; and protection against a browser that was led here.
//!
//! Without tokens the server listens where only this machine comes (the configuration refuses anything else).
//! A page in a browser can still reach loopback, so the `Host` header must name us and a request
//! must not come from another origin. What is turned away keeps no slot of those who are let in.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::Method;
use axum::http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use phasegate_core::domain::Actor;

use super::answer::{Refusal, and_close};
use super::begun::Begun;
use super::connections::{Full, Room, Seat};
use super::denials::Denials;
use super::held_body::held;
use super::path;
use super::rules::Rules;
use crate::access::source::OPERATOR;
use crate::access::{Checked, InForce, Role, Who};
use crate::clock::Clock;
use crate::net::address::InvalidAddressError;
use crate::net::authority::Authority;

/// Says by whom a browser was led here.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// How long the answer to a wrong token takes. Meanwhile its connection is a stranger's.
const WRONG_TOKEN_DELAY: Duration = Duration::from_secs(1);

/// When to try again where everything is busy.
const AGAIN_IN: Duration = Duration::from_secs(1);

/// From where a connection comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Peer {
    /// Over the network.
    Network,
    /// From a user of this machine, by name, where the system says which.
    User(Option<String>),
}

/// Who has been let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// The name of a token or of a user.
    pub(super) name: String,
    role: Role,
}

impl Caller {
    /// For the audit trail.
    pub(super) fn actor(self) -> Actor {
        Actor::Operator(self.name)
    }
}

/// Asks whether who was let in still would be: for answers that go on for longer than a token may count.
#[derive(Clone)]
pub(super) struct StillLetIn(Arc<dyn Fn() -> bool + Send + Sync>);

impl StillLetIn {
    /// Whether so.
    pub(super) fn is(&self) -> bool {
        (self.0)()
    }
}

impl<S: Sync> FromRequestParts<S> for StillLetIn {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let still = parts.extensions.get::<Self>().cloned();
        still.ok_or_else(|| Refusal::internal("a request that is answered without end came past the guard"))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Refusal::internal("a request came past the guard"))
    }
}

/// Checks requests.
pub struct Guard {
    in_force: Arc<InForce>,
    clock: Clock,
    denials: Arc<Denials>,
    begun: Begun,
}

/// Why a request is turned away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denied {
    /// It does not say, or not clearly, for which server it is.
    #[error("{0}")]
    Malformed(MalformedHost),
    /// There is no token.
    #[error(
        "no token: the request needs one; set PHASEGATE_TOKEN, or name with --config a file whose \
         server.tokenFile has it"
    )]
    NoToken,
    /// It is no token of this host.
    #[error("wrong token: this host does not know it; `phasegate token list` shows those of server.tokens")]
    WrongToken,
    /// It counts no more.
    #[error("the token `{0}` has expired; `phasegate token revoke {0}`, then make a new one")]
    Expired(String),
    /// Its role is too low.
    #[error("this needs the role `{needed}`, and `{name}` has `{has}`")]
    Role {
        /// The token.
        name: String,
        /// Its role.
        has: Role,
        /// At least.
        needed: Role,
    },
    /// The `Host` or `Origin` header does not belong to us.
    #[error(
        "the Host or Origin header does not name this server; without a token only local clients are served"
    )]
    Foreign,
    /// A page of another site has made a browser ask.
    #[error("a browser was led here by a page of another site (Sec-Fetch-Site: cross-site)")]
    CrossSite,
    /// There is no room.
    #[error("all connections of this host are busy; try again in a moment")]
    Busy,
}

/// What is wrong with a `Host` header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum MalformedHost {
    /// There is none, or there are several.
    #[error("the request has {0} Host headers; send exactly one")]
    Count(usize),
    /// It is no host and port.
    #[error("the Host header {text:?} {error}")]
    Authority {
        /// As it came.
        text: String,
        /// What is wrong with it.
        error: InvalidAddressError,
    },
    /// The target of the request names another server.
    #[error("the request is for {0:?}, and its Host header says otherwise; send the path alone")]
    Other(String),
}

impl Guard {
    /// A guard that goes by what is in force, counts whom it turns away, and knows since when something may be changed.
    #[must_use]
    pub fn new(in_force: Arc<InForce>, clock: Clock, denials: Arc<Denials>, begun: Begun) -> Self {
        Self { in_force, clock, denials, begun }
    }

    /// Who asks, or why the request is turned away; none where anybody may ask and no token is shown.
    fn check(&self, head: &Parts, needed: Option<Role>) -> Result<Option<Caller>, Denied> {
        let host = named_host(head)?;
        if head.headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "cross-site") {
            return Err(Denied::CrossSite);
        }
        let who = self.in_force.who();
        let caller = match &*who {
            Who::Anybody if host.is_loopback() && is_own_origin(&head.headers, &host) => {
                let name = match head.extensions.get::<Peer>() {
                    Some(Peer::User(Some(name))) => name.clone(),
                    Some(Peer::User(None) | Peer::Network) | None => OPERATOR.to_owned(),
                };
                Caller { name, role: Role::Admin }
            }
            Who::Anybody => return Err(Denied::Foreign),
            Who::Bearers(_) if needed.is_none() => return Ok(None),
            Who::Bearers(tokens) => {
                let shown = head.headers.get(AUTHORIZATION).ok_or(Denied::NoToken)?;
                let shown = shown.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
                match tokens.check(shown.unwrap_or_default().trim(), self.clock.date()) {
                    Checked::Good(token) => Caller { name: token.name.to_string(), role: token.role },
                    Checked::Expired(token) => return Err(Denied::Expired(token.name.to_string())),
                    Checked::Unknown => return Err(Denied::WrongToken),
                }
            }
        };
        match needed {
            Some(needed) if caller.role < needed => {
                Err(Denied::Role { name: caller.name, has: caller.role, needed })
            }
            Some(_) | None => Ok(Some(caller)),
        }
    }
}

/// For which server the request is; the one place that reads the `Host` header.
fn named_host(head: &Parts) -> Result<Authority, Denied> {
    let all: Vec<_> = head.headers.get_all(HOST).iter().collect();
    let [host] = all.as_slice() else { return Err(Denied::Malformed(MalformedHost::Count(all.len()))) };
    let text = String::from_utf8_lossy(host.as_bytes()).into_owned();
    let host = Authority::parse(&text)
        .map_err(|error| Denied::Malformed(MalformedHost::Authority { text, error }))?;
    match head.uri.authority() {
        None => Ok(host),
        Some(target) if Authority::parse(target.as_str()).as_ref() == Ok(&host) => Ok(host),
        Some(target) => Err(Denied::Malformed(MalformedHost::Other(target.to_string()))),
    }
}

/// Whether a request comes from no page, or from one of this server.
fn is_own_origin(headers: &HeaderMap, host: &Authority) -> bool {
    headers.get_all(ORIGIN).iter().all(|origin| {
        let origin = origin.to_str().ok();
        let origin = origin.and_then(|it| it.strip_prefix("http://").or(it.strip_prefix("https://")));
        origin.and_then(|origin| Authority::parse(origin).ok()).as_ref() == Some(host)
    })
}

/// What stands before all routes.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) guard: Arc<Guard>,
    pub(super) rules: Arc<Rules>,
}

/// Lets only those requests pass to the routes that the guard lets pass and that are well formed. Whatever is
/// turned away ends its connection.
pub(super) async fn guarded(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let Gate { guard, rules } = &gate;
    let (mut head, body) = request.into_parts();
    let route = head.extensions.get::<MatchedPath>().cloned();
    let rule = rules.of(&head.method, route.as_ref().map(MatchedPath::as_str));
    let checked = guard.check(&head, rule.need.role(head.uri.path()));
    let admitted = checked.and_then(|caller| {
        let room = room(&head, route.as_ref());
        let seat = head.extensions.get::<Arc<Seat>>();
        // Who needs no token where others do stays a stranger.
        let seat = seat.filter(|_| caller.is_some());
        let busy = seat.map(|seat| seat.admit(room)).transpose().map_err(|Full| Denied::Busy)?;
        Ok((caller, busy))
    });
    let (caller, busy) = match admitted {
        Ok(admitted) => admitted,
        Err(denied) => {
            guard.denials.count(&denied);
            let is_busy = denied == Denied::Busy;
            if matches!(denied, Denied::WrongToken | Denied::Expired(_)) {
                tokio::time::sleep(WRONG_TOKEN_DELAY).await;
            }
            let refusal = Refusal::from(denied);
            let refusal = if is_busy { refusal.again_in(AGAIN_IN) } else { refusal };
            return and_close(refusal.into_response());
        }
    };
    if let Err(refusal) = path::check(&head.uri).and_then(|()| rule.check_body(&head)) {
        return and_close(refusal.into_response());
    }
    if let Err(refusal) = guard.begun.admit(&head.method, route.as_ref().map(MatchedPath::as_str)).await {
        return and_close(refusal.into_response());
    }
    let is_stranger = caller.is_none();
    if room(&head, route.as_ref()) == Room::Follower {
        let (guard, asked, need) = (Arc::clone(guard), head.clone(), rule.need.role(head.uri.path()));
        head.extensions.insert(StillLetIn(Arc::new(move || guard.check(&asked, need).is_ok())));
    }
    if let Some(caller) = caller {
        head.extensions.insert(caller);
    }
    let response = held(next.run(Request::from_parts(head, body)).await, busy);
    if is_stranger { and_close(response) } else { response }
}

/// How much room a request may take.
fn room(head: &Parts, route: Option<&MatchedPath>) -> Room {
    match route.map(MatchedPath::as_str) {
        Some("/healthz" | "/readyz" | "/v1/line/stop") => Room::Urgent,
        // It holds its connection for as long as a component takes.
        Some("/v1/plugins/{name}/swap") => Room::Ordinary,
        Some("/v1/events") => Room::Follower,
        Some(_) | None if head.method == Method::POST => Room::Operators,
        Some(_) | None => Room::Ordinary,
    }
}

#[cfg(test)]
mod tests;
