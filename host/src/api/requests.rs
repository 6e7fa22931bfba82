//! What callers send: queries and bodies, parsed and refused here.

use hyper::StatusCode;

use super::routes::Refusal;
use crate::control::{Quarantined, Selection, StartOptions, Wanted, WishFor};
use phasegate_core::domain::{Digest, ExtensionName, InstanceId, Version};
use phasegate_core::rollout::Wish;
use phasegate_wire as wire;

/// Longest reason in bytes: it is shown in one line.
const REASON_MAX: usize = 500;

/// Undoes the percent-encoding of one path segment or query value.
pub(super) fn percent_decoded(text: &str) -> Result<String, Refusal> {
    let invalid = || Refusal::invalid(format!("{text:?} is not percent-encoded UTF-8"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()).ok_or_else(invalid)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| invalid())?);
        rest = rest.get(2..).unwrap_or_default();
    }
    String::from_utf8(bytes).map_err(|_| invalid())
}

/// `to=VERSION` at most once, `extension=NAME` or `extension=NAME=VERSION` for each extension.
pub(super) fn query(query: &str) -> Result<Wanted, Refusal> {
    let mut wanted = Wanted::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("to", value)) if wanted.to.is_none() => {
                wanted.to = Some(version(&percent_decoded(value)?)?)
            }
            Some(("to", _)) => return Err(Refusal::invalid("the query has `to` more than once")),
            Some(("extension", value)) => {
                let value = percent_decoded(value)?;
                let (name, to) = match value.split_once('=') {
                    Some((name, to)) => (name, Some(to)),
                    None => (value.as_str(), None),
                };
                wanted.extensions.push((extension(name)?, to.map(version).transpose()?));
            }
            _ => {
                let message = format!("unknown query parameter {pair:?}; known: to, extension");
                return Err(Refusal::invalid(message));
            }
        }
    }
    Ok(wanted)
}

/// `instance=ID`, or nothing.
pub(super) fn instance(query: &str) -> Result<Option<InstanceId>, Refusal> {
    match query.split_once('=') {
        None if query.is_empty() => Ok(None),
        Some(("instance", value)) => instance_id(&percent_decoded(value)?).map(Some),
        _ => Err(Refusal::invalid(format!("{query:?} is not `instance=ID`"))),
    }
}

pub(super) fn instance_id(text: &str) -> Result<InstanceId, Refusal> {
    InstanceId::parse(text).map_err(|error| Refusal::invalid(format!("instance id {text:?} {error}")))
}

/// The body of a start; an empty one wants the whole model.
pub(super) fn start(bytes: &[u8]) -> Result<StartOptions, Refusal> {
    if bytes.is_empty() {
        return Ok(StartOptions::default());
    }
    let parsed: wire::StartRequest = object(bytes, "{\"to\": \"VERSION\"}, an object of a start's keys")?;
    let digest = |text: &str| {
        Digest::parse(text).ok_or_else(|| Refusal::invalid(format!("plan {text:?} is no `sha256:` digest")))
    };
    let extensions = parsed
        .extensions
        .iter()
        .map(|(name, to)| Ok((extension(name)?, to.as_deref().map(version).transpose()?)));
    let options = StartOptions {
        wanted: Wanted {
            to: parsed.to.as_deref().map(version).transpose()?,
            extensions: extensions.collect::<Result<_, Refusal>>()?,
        },
        manual: parsed.instances.as_deref().map(selection).transpose()?,
        bypass: parsed.bypass.map(|reason| line(reason, "bypass")).transpose()?,
        plan: parsed.plan.as_deref().map(digest).transpose()?,
        quarantined: if parsed.force { Quarantined::Allow } else { Quarantined::Refuse },
    };
    if options.manual.is_some() && options.plan.is_some() {
        return Err(Refusal::invalid(
            "`plan` and `instances` exclude each other: a manual upgrade has no plan",
        ));
    }
    Ok(options)
}

fn selection(ids: &[String]) -> Result<Selection, Refusal> {
    if ids.iter().any(|id| id == "*") {
        return match ids {
            [_] => Ok(Selection::All),
            _ => Err(Refusal::invalid("`*` stands for all instances and goes alone")),
        };
    }
    let id = |text: &String| {
        InstanceId::parse(text).map_err(|error| Refusal::invalid(format!("instance {text:?} {error}")))
    };
    ids.iter().map(id).collect::<Result<_, _>>().map(Selection::These)
}

/// The last word of a path.
pub(super) fn wish(text: &str) -> Result<Wish, Refusal> {
    Ok(match text {
        "cancel" => Wish::Cancel,
        "pause" => Wish::Pause,
        "resume" => Wish::Resume,
        "approve" => Wish::Approve,
        "rollback" => Wish::RollBack,
        "bypass" => Wish::Bypass,
        _ => {
            let message = format!(
                "an upgrade has no {text:?}; known: cancel, pause, resume, approve, rollback, bypass"
            );
            return Err(Refusal::new(StatusCode::NOT_FOUND, "NotFound", message));
        }
    })
}

/// A wish with its reason; a bypass needs one.
pub(super) fn wish_for(wish: Wish, reason: Option<String>) -> Result<WishFor, Refusal> {
    if wish == Wish::Bypass && reason.is_none() {
        return Err(Refusal::invalid("a bypass needs a reason: {\"reason\": \"…\"}"));
    }
    Ok(WishFor { wish, reason })
}

/// The reason in a body, if there is one.
pub(super) fn reason(bytes: &[u8]) -> Result<Option<String>, Refusal> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let parsed: wire::ReasonRequest = object(bytes, "{\"reason\": \"…\"}")?;
    parsed.reason.map(|reason| line(reason, "reason")).transpose()
}

/// A JSON object; serde would also take an array for a struct, key by key.
fn object<T: serde::de::DeserializeOwned>(bytes: &[u8], wanted: &str) -> Result<T, Refusal> {
    let invalid = |why: String| Refusal::invalid(format!("the body is not {wanted}: {why}"));
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(invalid("it is no JSON object".to_owned()));
    }
    serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))
}

/// One line for people.
fn line(text: String, what: &str) -> Result<String, Refusal> {
    if text.trim().is_empty() || text.len() > REASON_MAX || text.chars().any(char::is_control) {
        let message = format!(
            "`{what}` must be one line of 1 to {REASON_MAX} bytes that says why (seen: {} bytes)",
            text.len()
        );
        return Err(Refusal::invalid(message));
    }
    Ok(text)
}

fn version(text: &str) -> Result<Version, Refusal> {
    let shown: String = text.chars().take(60).collect();
    Version::parse(text).map_err(|error| Refusal::invalid(format!("version {shown:?} {error}")))
}

fn extension(text: &str) -> Result<ExtensionName, Refusal> {
    ExtensionName::parse(text).map_err(|error| Refusal::invalid(format!("extension {text:?} {error}")))
}
