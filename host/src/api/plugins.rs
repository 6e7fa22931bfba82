//! Routes below `/v1/plugins/NAME`.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};

use super::requests::percent_decoded;
use super::routes::{Api, COMPONENT_MAX, COMPONENT_TIMEOUT, Refusal, body, ok};
use crate::net::reference::{InvalidRemoteError, RemoteSource};
use crate::plugins::registry::{Offer, SwapOptions};
use phasegate_core::domain::Strategy;
use phasegate_core::domain::{Generation, PluginName};

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
            let Swap { options, source, file } = swap_options(&query)?;
            let bytes = body(request, COMPONENT_MAX, COMPONENT_TIMEOUT).await?;
            let offer = match source {
                None => Offer::Bytes { bytes, file },
                Some(source) if bytes.is_empty() => Offer::Reference(source),
                Some(_) => {
                    return Err(Refusal::invalid(
                        "`source` and bytes exclude each other: the host fetches one",
                    ));
                }
            };
            Ok(ok(&plugins.swap(&name, offer, options).await?))
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

/// What a swap is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Swap {
    options: SwapOptions,
    /// Where the host fetches it.
    source: Option<RemoteSource>,
    /// What the client calls the file whose bytes it sends; shown to people and nothing else.
    file: Option<String>,
}

/// `strategy=NAME`, `force=true`, `dryRun=true`, `source=REFERENCE`, `file=NAME`.
fn swap_options(query: &str) -> Result<Swap, Refusal> {
    let Swap { mut options, mut source, mut file } = Swap::default();
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
            Some(("source", value)) => {
                let text = percent_decoded(value)?;
                let parsed = RemoteSource::parse(&text).map_err(|error| match error {
                    InvalidRemoteError::Scheme => Refusal::invalid(format!(
                        "source {text:?} is no reference; write https://… or oci://…, or leave it out and \
                         send the bytes of a file"
                    )),
                    error => Refusal::invalid(format!("source {text:?} {error}")),
                });
                source = Some(parsed?);
            }
            Some(("file", value)) => file = Some(percent_decoded(value)?),
            _ => {
                let message =
                    format!("unknown query parameter {pair:?}; known: strategy, force, dryRun, source, file");
                return Err(Refusal::invalid(message));
            }
        }
    }
    if options.force && options.strategy == Some(Strategy::Shadow) {
        let message = "force and strategy=shadow exclude each other: the one takes over whatever it changes, the other changes nothing until its gate or a person has decided";
        return Err(Refusal::invalid(message));
    }
    Ok(Swap { options, source, file })
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
    fn a_source_that_is_a_path_is_told_what_the_api_takes() {
        let said = swap_options("source=%2Fetc%2Fpasswd").unwrap_err().message;
        assert!(said.contains("send the bytes of a file") && said.contains("/etc/passwd"), "{said}");
        assert!(!said.contains("path of a file"), "{said}");
    }

    #[test]
    fn options_are_parsed_or_refused() {
        let db = RemoteSource::parse("oci://h/db:1").unwrap();
        let all = SwapOptions { strategy: Some(Strategy::Rehearse), force: true, dry_run: true };
        for (query, expected) in [
            ("", Some(Swap::default())),
            ("strategy=rehearse&force=true&dryRun=true", Some(Swap { options: all, ..Swap::default() })),
            ("file=a%20b.wasm", Some(Swap { file: Some("a b.wasm".to_owned()), ..Swap::default() })),
            ("strategy=shadow&force=true", None),
            ("source=oci%3A%2F%2Fh%2Fdb%3A1", Some(Swap { source: Some(db), ..Swap::default() })),
            ("source=oci://h/db", None),
            ("source=db.wasm", None),
            ("strategy=canary", None),
            ("force=yes", None),
            ("force", None),
            ("dry=true", None),
        ] {
            assert_eq!(swap_options(query).ok(), expected, "{query}");
        }
    }
}
