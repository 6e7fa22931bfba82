//! Routes below `/v1/plugins/NAME`.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};

use super::requests::percent_decoded;
use super::routes::{Api, COMPONENT_MAX, COMPONENT_TIMEOUT, Refusal, body, ok};
use crate::config::Strategy;
use crate::domain::{Generation, PluginName};
use crate::plugin::registry::SwapOptions;

/// Answers a request about one plugin.
pub(super) async fn respond(
    api: &Api,
    name: &str,
    verb: &str,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Refusal> {
    let name =
        PluginName::parse(name).map_err(|error| Refusal::invalid(format!("plugin name {name:?} {error}")))?;
    let allowed = match verb {
        "diff" | "history" => Method::GET,
        "swap" | "promote" | "discard" | "rollback" => Method::POST,
        _ => {
            let message =
                format!("a plugin has no {verb:?}; known: swap, diff, promote, discard, history, rollback");
            return Err(Refusal::new(StatusCode::NOT_FOUND, "NotFound", message));
        }
    };
    if request.method() != allowed {
        let message = format!("{} does not take {}, only {allowed}", request.uri().path(), request.method());
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message));
    }
    let query = request.uri().query().unwrap_or("").to_owned();
    let plugins = &api.plugins;
    match verb {
        "swap" => {
            let options = swap_options(&query)?;
            let bytes = body(request, COMPONENT_MAX, COMPONENT_TIMEOUT).await?;
            Ok(ok(&plugins.swap(&name, bytes.to_vec(), options).await?))
        }
        "rollback" => Ok(ok(&plugins.roll_back(&name, generation(&query)?).await?)),
        _ if !query.is_empty() => {
            Err(Refusal::invalid(format!("unknown query {query:?}; {verb} takes none")))
        }
        "diff" => Ok(ok(&plugins.diff(&name)?)),
        "history" => Ok(ok(&plugins.history(&name)?)),
        "promote" => Ok(ok(&plugins.promote_now(&name).await?)),
        _ => Ok(ok(&plugins.discard(&name).await?)),
    }
}

/// `strategy=NAME`, `force=true`, `dryRun=true`.
fn swap_options(query: &str) -> Result<SwapOptions, Refusal> {
    let mut options = SwapOptions::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("strategy", value)) => {
                let value = percent_decoded(value)?;
                let strategy = Strategy::parse(&value).ok_or_else(|| {
                    let message = format!("unknown strategy {value:?}; known: immediate, rehearse, shadow");
                    Refusal::invalid(message)
                })?;
                options.strategy = Some(strategy);
            }
            Some(("force", value)) => options.force = boolean("force", value)?,
            Some(("dryRun", value)) => options.dry_run = boolean("dryRun", value)?,
            _ => {
                let message = format!("unknown query parameter {pair:?}; known: strategy, force, dryRun");
                return Err(Refusal::invalid(message));
            }
        }
    }
    Ok(options)
}

fn boolean(name: &str, value: &str) -> Result<bool, Refusal> {
    value.parse().map_err(|_| Refusal::invalid(format!("{name} is {value:?}; write true or false")))
}

/// `to=GENERATION`, or nothing.
fn generation(query: &str) -> Result<Option<Generation>, Refusal> {
    if query.is_empty() {
        return Ok(None);
    }
    let number = query.strip_prefix("to=").and_then(|number| number.parse().ok());
    let number = number.ok_or_else(|| Refusal::invalid(format!("{query:?} is not `to=GENERATION`")))?;
    Ok(Some(Generation(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_parsed_or_refused() {
        let all = SwapOptions { strategy: Some(Strategy::Shadow), force: true, dry_run: true };
        for (query, expected) in [
            ("", Some(SwapOptions::default())),
            ("strategy=shadow&force=true&dryRun=true", Some(all)),
            ("strategy=canary", None),
            ("force=yes", None),
            ("force", None),
            ("dry=true", None),
        ] {
            assert_eq!(swap_options(query).ok(), expected, "{query}");
        }
    }
}
