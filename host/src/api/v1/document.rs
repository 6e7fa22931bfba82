//! What the API says of itself: the OpenAPI document, and the table of routes in `host/API.md`.

use std::sync::Arc;

use axum::{Extension, Json};
use phasegate_wire as wire;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, Content, InfoBuilder, OpenApi, OpenApiBuilder, Ref, Response, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};

/// Name of the way to show a token.
const TOKEN: &str = "token";

/// This document: every route and every type, as OpenAPI.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    responses((status = 200, description = "OpenAPI 3.1.", body = serde_json::Value))
)]
pub(super) async fn show(Extension(document): Extension<Arc<OpenApi>>) -> Json<OpenApi> {
    Json(OpenApi::clone(&document))
}

/// The document before its routes.
pub(super) fn base() -> OpenApi {
    let info = InfoBuilder::new().title("Phasegate").version("1").description(Some(
        "Rolls an upgrade through a fleet in the order that the application says is safe.",
    ));
    OpenApiBuilder::new().info(info).build()
}

/// The document with what is the same for every route: how it refuses, and the token.
pub(super) fn finished(mut document: OpenApi) -> OpenApi {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The content of server.tokenFile, where there is one."));
    let mut schemas = Vec::new();
    wire::ErrorBody::schemas(&mut schemas);
    schemas.push((wire::ErrorBody::name().into_owned(), wire::ErrorBody::schema()));
    let mut components = document.components.take().unwrap_or_else(|| ComponentsBuilder::new().build());
    components.schemas.extend(schemas);
    components.add_security_scheme(TOKEN, SecurityScheme::Http(bearer.build()));
    document.components = Some(components);
    document.security =
        Some(vec![SecurityRequirement::default(), SecurityRequirement::new(TOKEN, [] as [&str; 0])]);
    for operation in document.paths.paths.values_mut().flat_map(operations_mut) {
        operation.responses.responses.insert("default".to_owned(), refusal().into());
    }
    document
}

fn refusal() -> Response {
    let body = Content::new(Some(Ref::from_schema_name(wire::ErrorBody::name())));
    ResponseBuilder::new().description("Refused; `code` says why.").content("application/json", body).build()
}

fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [item.get.as_mut(), item.post.as_mut()].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use utoipa::openapi::RefOr;
    use utoipa::openapi::path::ParameterIn;

    use super::*;

    const BEGIN: &str = "<!-- routes: written by the test, see its failure -->\n";
    const END: &str = "<!-- routes end -->\n";
    const COMMAND: &str = "REWRITE=1 cargo test -p phasegate --lib the_table_of_routes";

    fn document() -> OpenApi {
        finished(super::super::table().into_openapi())
    }

    fn parameters(operation: &Operation, place: ParameterIn) -> Vec<&str> {
        let all = operation.parameters.iter().flatten().map(|one| match one {
            RefOr::T(parameter) => parameter,
            RefOr::Ref(_) => panic!("parameters are described where they are"),
        });
        all.filter(|one| one.parameter_in == place).map(|one| one.name.as_str()).collect()
    }

    /// `{name}` as people read it.
    fn places(path: &str) -> String {
        let part = |part: &str| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(place) => place.to_uppercase(),
            None => part.to_owned(),
        };
        path.split('/').map(part).collect::<Vec<_>>().join("/")
    }

    fn row(method: &str, path: &str, operation: &Operation) -> String {
        let keys = parameters(operation, ParameterIn::Query);
        let keys: Vec<String> = keys.into_iter().map(|key| format!("{key}=")).collect();
        let query = if keys.is_empty() { String::new() } else { format!("?{}", keys.join("&")) };
        let text = [operation.summary.as_deref(), operation.description.as_deref()];
        let text = text.into_iter().flatten().collect::<Vec<_>>().join(" ").replace('\n', " ");
        format!("| `{method} {}{query}` | {} |\n", places(path), text.trim().trim_end_matches('.'))
    }

    fn table_of_routes() -> String {
        let mut table = "| request | does |\n|---|---|\n".to_owned();
        for (path, item) in &document().paths.paths {
            for (method, operation) in [("GET", &item.get), ("POST", &item.post)] {
                table.extend(operation.as_ref().map(|operation| row(method, path, operation)));
            }
        }
        table
    }

    #[test]
    fn the_table_of_routes_in_api_md_is_the_one_of_the_code() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/API.md");
        let text = fs::read_to_string(file).unwrap();
        let (before, rest) = text.split_once(BEGIN).expect("API.md has the mark where the table begins");
        let (table, after) = rest.split_once(END).expect("API.md has the mark where the table ends");
        let wanted = format!("\n{}\n", table_of_routes());
        if std::env::var_os("REWRITE").is_some() {
            fs::write(file, format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
            return;
        }
        assert!(
            table == wanted,
            "host/API.md lists other routes than the code; write it anew with: {COMMAND}"
        );
    }

    #[test]
    fn every_route_says_what_it_does_how_it_refuses_and_names_only_types_that_are_there() {
        let document = document();
        let json = serde_json::to_string(&document).unwrap();
        let known = &document.components.as_ref().unwrap().schemas;
        for name in json.split("#/components/schemas/").skip(1) {
            let name = name.split('"').next().unwrap();
            assert!(known.contains_key(name), "{name} is not described");
        }
        for (path, item) in &document.paths.paths {
            for operation in [&item.get, &item.post].into_iter().flatten() {
                assert!(operation.summary.is_some(), "{path}");
                assert!(operation.responses.responses.contains_key("default"), "{path}");
                let places = parameters(operation, ParameterIn::Path);
                assert_eq!(places.len(), path.matches('{').count(), "{path}");
            }
        }
    }
}
