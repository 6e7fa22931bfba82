//! Who may call: a shared token, and protection against a browser that was led here.
//!
//! Without a token the server listens on loopback only (the configuration refuses anything else).
//! A page in a browser can still reach loopback, so the `Host` header must name us and a request
//! that changes something must not come from another origin.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use axum::middleware::Next;
use axum::response::Response;

use super::answer::Refusal;

/// Checks requests.
#[derive(Debug, Clone)]
pub struct Guard {
    token: Option<String>,
}

/// Why a request is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// No token, or a wrong one.
    Unauthorized,
    /// The `Host` or `Origin` header does not belong to us.
    Foreign,
}

impl Guard {
    /// A guard with the token of `server.tokenFile`, if there is one.
    #[must_use]
    pub fn new(token: Option<String>) -> Self {
        Self { token }
    }

    /// Lets a request pass or says why not.
    ///
    /// # Errors
    /// When the token is missing or wrong, or the request was made for another host or origin.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Denied> {
        if let Some(token) = &self.token {
            let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
            let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or("");
            return if same(given.as_bytes(), token.as_bytes()) { Ok(()) } else { Err(Denied::Unauthorized) };
        }
        let host = headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or("");
        if !is_loopback_authority(host) {
            return Err(Denied::Foreign);
        }
        match headers.get(ORIGIN).map(|value| value.to_str().unwrap_or("")) {
            None => Ok(()),
            Some(origin) if origin.strip_prefix("http://") == Some(host) => Ok(()),
            Some(_) => Err(Denied::Foreign),
        }
    }
}

/// Lets only those requests pass to the routes that the guard lets pass.
pub(super) async fn guarded(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    guard.check(request.headers())?;
    Ok(next.run(request).await)
}

/// Compares in a time that does not depend on where the first difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}

/// Whether `host[:port]` names this machine.
fn is_loopback_authority(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => authority.split(':').next().unwrap_or(""),
    };
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn without_a_token_only_this_machine_and_no_foreign_page() {
        let guard = Guard::new(None);
        for (pairs, allowed) in [
            (vec![("host", "127.0.0.1:8970")], true),
            (vec![("host", "localhost")], true),
            (vec![("host", "[::1]:8970")], true),
            (vec![("host", "127.0.0.1:8970"), ("origin", "http://127.0.0.1:8970")], true),
            (vec![("host", "127.0.0.1:8970"), ("origin", "http://evil.example")], false),
            (vec![("host", "127.0.0.1:8970"), ("origin", "null")], false),
            (vec![("host", "evil.example")], false),
            (vec![("host", "127.0.0.1.evil.example")], false),
            (vec![("host", "")], false),
            (vec![], false),
        ] {
            assert_eq!(guard.check(&headers(&pairs)).is_ok(), allowed, "{pairs:?}");
        }
    }

    #[test]
    fn with_a_token_the_token_decides() {
        let guard = Guard::new(Some("s3cret".to_owned()));
        for (pairs, allowed) in [
            (vec![("host", "fleet.example"), ("authorization", "Bearer s3cret")], true),
            (vec![("host", "127.0.0.1"), ("authorization", "Bearer s3cre")], false),
            (vec![("host", "127.0.0.1"), ("authorization", "Basic s3cret")], false),
            (vec![("host", "127.0.0.1")], false),
        ] {
            assert_eq!(guard.check(&headers(&pairs)).is_ok(), allowed, "{pairs:?}");
        }
    }
}
