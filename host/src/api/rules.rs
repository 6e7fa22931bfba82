//! What each route demands of a request, beside what its handler does: a role, and that nothing comes in vain.
//!
//! Made of the same table as the router and the document, and of that of the roles; knows no route by name.

use std::collections::BTreeMap;

use axum::http::Method;
use axum::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use axum::http::request::Parts;
use utoipa::openapi::OpenApi;

use super::answer::Refusal;
use super::roles::{Need, need};
use crate::access::Role;

/// Whether a route reads a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    Body,
    Nothing,
}

/// What one route demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) need: Need,
    reads: Reads,
}

/// What holds where there is no such route or method: whoever may look is told so.
const NOWHERE: Rule = Rule { need: Need::Role(Role::Read), reads: Reads::Body };

/// What each route demands.
#[derive(Debug, Default)]
pub(super) struct Rules(BTreeMap<(&'static str, String), Rule>);

impl Rules {
    pub(super) fn new(document: &OpenApi) -> Self {
        let mut rules = BTreeMap::new();
        for (path, item) in &document.paths.paths {
            for (method, operation) in [("GET", &item.get), ("POST", &item.post)] {
                if let Some(operation) = operation {
                    let reads = if operation.request_body.is_some() { Reads::Body } else { Reads::Nothing };
                    rules.insert((method, path.clone()), Rule { need: need(method, path), reads });
                }
            }
        }
        Self(rules)
    }

    /// What the route demands that a request goes to.
    pub(super) fn of(&self, method: &Method, route: Option<&str>) -> Rule {
        let method = match *method {
            Method::GET | Method::HEAD => "GET",
            Method::POST => "POST",
            _ => return NOWHERE,
        };
        let rule = route.and_then(|route| self.0.get(&(method, route.to_owned())));
        rule.copied().unwrap_or(NOWHERE)
    }
}

impl Rule {
    /// Refuses a body that nothing would read.
    pub(super) fn check_body(self, head: &Parts) -> Result<(), Refusal> {
        let announced = head.headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0")
            || head.headers.contains_key(TRANSFER_ENCODING);
        match self.reads {
            Reads::Nothing if announced => {
                Err(Refusal::invalid(format!("{} {} takes no body", head.method, head.uri.path())))
            }
            Reads::Nothing | Reads::Body => Ok(()),
        }
    }
}
