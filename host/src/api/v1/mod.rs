//! The routes: one table, from which come the router, what it says of a wrong path or method, the
//! OpenAPI document and the table of `host/API.md`. A new route is a function in a file of this folder
//! and a line in [`table`].

mod data;
mod discovery;
mod document;
mod events;
mod explain;
mod extensions;
mod fleet;
mod found;
mod health;
mod instances;
mod line;
mod log;
mod measured;
mod metrics;
mod past;
mod plan;
mod plugins;
mod process;
mod quarantine;
mod releases;
mod reload;
mod scale_sets;
mod upgrade;
mod version;
pub(crate) mod view;

use std::sync::Arc;

use axum::http::Uri;
use axum::{Router, middleware};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{self, Refusal};
use super::guard::{Gate, Guard, guarded};
use super::host::Host;
use super::rules::Rules;

/// Every route.
fn table() -> OpenApiRouter<Arc<Host>> {
    OpenApiRouter::with_openapi(document::base())
        .routes(routes!(health::show))
        .routes(routes!(health::ready))
        .routes(routes!(version::show))
        .routes(routes!(metrics::show))
        .routes(routes!(fleet::show))
        .routes(routes!(events::show))
        .routes(routes!(scale_sets::list))
        .routes(routes!(plan::show))
        .routes(routes!(upgrade::start, upgrade::show))
        .routes(routes!(upgrade::wish))
        .routes(routes!(past::list))
        .routes(routes!(past::show))
        .routes(routes!(past::latest))
        .routes(routes!(log::show))
        .routes(routes!(explain::explain))
        .routes(routes!(quarantine::show))
        .routes(routes!(quarantine::lift))
        .routes(routes!(quarantine::repair))
        .routes(routes!(discovery::show))
        .routes(routes!(discovery::accept))
        .routes(routes!(instances::show))
        .routes(routes!(instances::say))
        .routes(routes!(line::show))
        .routes(routes!(line::stop))
        .routes(routes!(line::start))
        .routes(routes!(data::show))
        .routes(routes!(data::adopt))
        .routes(routes!(plugins::list))
        .routes(routes!(plugins::swap))
        .routes(routes!(plugins::diff))
        .routes(routes!(plugins::promote))
        .routes(routes!(plugins::discard))
        .routes(routes!(plugins::history))
        .routes(routes!(plugins::roll_back))
        .routes(routes!(reload::reload))
        .routes(routes!(extensions::list))
        .routes(routes!(extensions::show))
        .routes(routes!(extensions::publish))
        .routes(routes!(extensions::withdraw))
        .routes(routes!(extensions::plan))
        .routes(routes!(extensions::opt_out))
        .routes(routes!(extensions::opt_in))
        .routes(routes!(extensions::features))
        .routes(routes!(extensions::register))
        .routes(routes!(extensions::unregister))
        .routes(routes!(releases::list, releases::start))
        .routes(routes!(releases::show))
        .routes(routes!(releases::log))
        .routes(routes!(releases::wish))
        .routes(routes!(document::show))
}

/// The routes of a host, behind the guard.
pub(super) fn router(host: Arc<Host>, guard: Guard) -> Router {
    let (router, document) = table().split_for_parts();
    let document = Arc::new(document::finished(document));
    let gate = Gate { guard: Arc::new(guard), rules: Arc::new(Rules::new(&document)) };
    let paths: Arc<[String]> = document.paths.paths.keys().cloned().collect();
    let routes = router
        .with_state(host)
        .fallback(move |uri: Uri| {
            let refusal = no_such_route(uri.path(), &paths);
            async move { refusal }
        })
        .layer(axum::Extension(document))
        .layer(middleware::from_fn_with_state(gate, guarded));
    // A layer is put round each handler, and the router says which methods a path takes only afterwards: to
    // see that, a layer must be round another router.
    Router::new().fallback_service(routes).layer(middleware::from_fn(answer::finished))
}

/// Says what there is beside a path that is not there.
fn no_such_route(path: &str, routes: &[String]) -> Refusal {
    let mut parts: Vec<&str> = path.split('/').collect();
    let last = parts.pop().unwrap_or_default();
    let beside = routes.iter().filter_map(|route| {
        let mut places: Vec<&str> = route.split('/').collect();
        let place = places.pop()?;
        let fits = |(place, part): (&&str, &&str)| place == part || place.starts_with('{');
        let same = places.len() == parts.len() && places.iter().zip(&parts).all(fits);
        // Of the first two levels there are too many to be told.
        (same && places.len() > 3 && !place.starts_with('{')).then_some(place)
    });
    let beside: Vec<&str> = beside.collect();
    Refusal::not_found(match beside.is_empty() {
        true => format!("there is no {path}; host/API.md lists the routes"),
        false => format!("there is no {path}; known in place of {last:?}: {}", beside.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_word_is_told_the_right_ones() {
        let paths: Vec<String> = table().into_openapi().paths.paths.into_keys().collect();
        for (path, expected) in [
            ("/v2/fleet", "there is no /v2/fleet; host/API.md lists the routes"),
            ("/v1/fleets", "there is no /v1/fleets; host/API.md lists the routes"),
            ("/v1/fleet/", "there is no /v1/fleet/; host/API.md lists the routes"),
            (
                "/v1/plugins/db/explode",
                "there is no /v1/plugins/db/explode; known in place of \"explode\": diff, discard, history, \
                 promote, rollback, swap",
            ),
            (
                "/v1/scale-sets/db/planet",
                "there is no /v1/scale-sets/db/planet; known in place of \"planet\": discovery, log, opt-in, opt-out, plan, \
                 quarantine, repair, upgrade, upgrades",
            ),
        ] {
            assert_eq!(no_such_route(path, &paths).message, expected);
        }
    }
}
