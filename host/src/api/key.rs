//! The key of a request: whoever is not sure whether a request arrived sends it again under the same key, and
//! it is answered and not done again.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use phasegate_core::domain::RequestKey;
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use super::answer::Refusal;

/// The header, by its usual name.
const HEADER: &str = "idempotency-key";

/// The key, if the request has one.
pub(super) struct Key(pub(super) Option<RequestKey>);

impl<S: Sync> FromRequestParts<S> for Key {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let Some(value) = parts.headers.get(HEADER) else { return Ok(Self(None)) };
        // What is no text is no key either, and is shown as far as it is text.
        let text = String::from_utf8_lossy(value.as_bytes());
        let key = RequestKey::parse(&text);
        key.map(|key| Self(Some(key)))
            .map_err(|error| Refusal::invalid(format!("{HEADER}: {text:?} {error}")))
    }
}

impl IntoParams for Key {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema: Schema = ObjectBuilder::new().schema_type(Type::String).max_length(Some(128)).into();
        let parameter = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some("The same request, sent again under this key, is answered and not done again."))
            .schema(Some(schema));
        vec![parameter.build()]
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[tokio::test]
    async fn a_key_is_read_or_refused() {
        for (value, expected) in [
            (None, Ok(None)),
            (Some("a-1"), Ok(Some("a-1"))),
            (Some("two words"), Err("idempotency-key: \"two words\" is no key of a request")),
            (Some(""), Err("is no key of a request")),
        ] {
            let mut request = Request::builder();
            if let Some(value) = value {
                request = request.header(HEADER, value);
            }
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            let key = Key::from_request_parts(&mut parts, &()).await;
            match (key, expected) {
                (Ok(Key(key)), Ok(expected)) => assert_eq!(key.as_ref().map(RequestKey::as_str), expected),
                (Err(refusal), Err(part)) => assert!(refusal.message.contains(part), "{refusal:?}"),
                (Ok(_), Err(_)) | (Err(_), Ok(_)) => panic!("{value:?}"),
            }
        }
    }
}
