//! What the API says of itself: the OpenAPI document, and the table of routes in `host/API.md`.

use std::sync::Arc;

use axum::{Extension, Json};
use phasegate_wire as wire;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, Content, InfoBuilder, OpenApi, OpenApiBuilder, Ref, Response, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use crate::api::query::{Nothing, Query};
use crate::api::roles;

/// Name of the way to show a token.
const TOKEN: &str = "token";

/// This document: every route and every type, as OpenAPI.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    responses((status = 200, description = "OpenAPI 3.1.", body = serde_json::Value))
)]
pub(super) async fn show(
    Query(Nothing): Query<Nothing>,
    Extension(document): Extension<Arc<OpenApi>>,
) -> Json<OpenApi> {
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
        .description(Some("The content of server.tokenFile, or a token of server.tokens."));
    let mut schemas = Vec::new();
    wire::ErrorBody::schemas(&mut schemas);
    schemas.push((wire::ErrorBody::name().into_owned(), wire::ErrorBody::schema()));
    let mut components = document.components.take().unwrap_or_else(|| ComponentsBuilder::new().build());
    components.schemas.extend(schemas);
    components.add_security_scheme(TOKEN, SecurityScheme::Http(bearer.build()));
    document.components = Some(components);
    document.security =
        Some(vec![SecurityRequirement::default(), SecurityRequirement::new(TOKEN, [] as [&str; 0])]);
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations_mut(item) {
            operation.responses.responses.insert("default".to_owned(), refusal().into());
            let need = roles::need(method, path);
            let role = ExtensionsBuilder::new().add("x-phasegate-role", need.text());
            operation.extensions = Some(role.build());
            if need == roles::Need::Nothing {
                operation.security = Some(vec![SecurityRequirement::default()]);
            }
        }
    }
    document
}

fn refusal() -> Response {
    let body = Content::new(Some(Ref::from_schema_name(wire::ErrorBody::name())));
    ResponseBuilder::new().description("Refused; `code` says why.").content("application/json", body).build()
}

fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [("GET", item.get.as_mut()), ("POST", item.post.as_mut())]
        .into_iter()
        .filter_map(|(method, operation)| Some((method, operation?)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use utoipa::openapi::RefOr;
    use utoipa::openapi::path::ParameterIn;

    use super::*;

    const COMMAND: &str = "REWRITE=1 cargo test -p phasegate --lib api::v1::document";

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
        let role = roles::need(method, path).text();
        format!("| `{method} {}{query}` | {role} | {} |\n", places(path), text.trim().trim_end_matches('.'))
    }

    fn table_of_routes() -> String {
        let mut table = "| request | role | does |\n|---|---|---|\n".to_owned();
        for (path, item) in &document().paths.paths {
            for (method, operation) in [("GET", &item.get), ("POST", &item.post)] {
                table.extend(operation.as_ref().map(|operation| row(method, path, operation)));
            }
        }
        table
    }

    fn table_of_codes() -> String {
        let mut table = "| status | code | exit code | when |\n|---|---|---|---|\n".to_owned();
        for wire::codes::Code { code, status, ends, about } in wire::codes::CODES {
            let exit = match ends {
                wire::codes::Ends::No => 1,
                wire::codes::Ends::CouldNotRun => 2,
            };
            table.push_str(&format!("| {status} | `{}` | {exit} | {about} |\n", code.as_str()));
        }
        table
    }

    /// Compares the part of API.md between two marks, or writes it anew when it is told to.
    fn holds(name: &str, table: &str) {
        static WRITING: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _one_at_a_time = WRITING.lock().unwrap();
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/API.md");
        let text = fs::read_to_string(file).unwrap();
        let (begin, end) = (
            format!("<!-- {name}: written by the test, see its failure -->\n"),
            format!("<!-- {name} end -->\n"),
        );
        let (before, rest) = text.split_once(&begin).expect("API.md has the mark where the table begins");
        let (seen, after) = rest.split_once(&end).expect("API.md has the mark where the table ends");
        let wanted = format!("\n{table}\n");
        if std::env::var_os("REWRITE").is_some() {
            fs::write(file, format!("{before}{begin}{wanted}{end}{after}")).unwrap();
            return;
        }
        assert!(
            seen == wanted,
            "host/API.md lists other {name} than the code; write it anew with: {COMMAND}"
        );
    }

    #[test]
    fn the_document_that_is_kept_is_the_one_that_is_served() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let wanted = format!("{}\n", serde_json::to_string_pretty(&document()).unwrap());
        if std::env::var_os("REWRITE").is_some() {
            fs::write(file, wanted).unwrap();
            return;
        }
        let kept = fs::read_to_string(file).unwrap();
        assert!(kept == wanted, "host/openapi.json is another one; write it anew with: {COMMAND}");
    }

    #[test]
    fn the_table_of_routes_in_api_md_is_the_one_of_the_code() {
        holds("routes", &table_of_routes());
    }

    #[test]
    fn the_table_of_codes_in_api_md_is_the_one_of_the_code() {
        holds("codes", &table_of_codes());
    }

    #[test]
    fn every_route_has_a_role_and_no_other_has() {
        let document = document();
        let mut routes = Vec::new();
        for (path, item) in &document.paths.paths {
            routes.extend(item.get.as_ref().map(|_| ("GET", path.as_str())));
            routes.extend(item.post.as_ref().map(|_| ("POST", path.as_str())));
        }
        for (method, path) in &routes {
            let rows = roles::ROLES.iter().filter(|(m, p, _)| (m, p) == (method, path)).count();
            assert_eq!(rows, 1, "{method} {path} must have one row in the table of roles");
        }
        assert_eq!(roles::ROLES.len(), routes.len(), "the table of roles has rows for routes that are gone");
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
