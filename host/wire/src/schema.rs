//! The OpenAPI description of what derives alone do not describe.

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

/// A string that is one of these words; a newer host may send further ones.
pub(crate) fn words(known: &'static [&'static str]) -> RefOr<Schema> {
    let object = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("A newer host may send further words."))
        .examples(known.iter().copied())
        .enum_values(Some(known.iter().copied()));
    object.into()
}
