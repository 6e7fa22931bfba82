//! The query of a request: which keys it may have, and what they say.
//!
//! A key that a route does not know is refused: it would be ignored, and whoever sent it would wonder.
//! `+` is a plus here, as in versions, and no space: values are percent-encoded, not form-encoded.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Required, Schema};

use super::answer::Refusal;
use super::path::percent_decoded;

/// A key that a query may have.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// What it says, for the documents.
    pub(super) about: &'static str,
    pub(super) times: Times,
}

/// How often a key may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    /// Once or not at all.
    Once,
    /// As often as one likes.
    Many,
}

/// What a query can say.
pub(super) trait FromQuery: Default + Send {
    /// All keys that it may have.
    const KEYS: &'static [Key];

    /// Takes in the value of a key that is one of [`Self::KEYS`].
    fn set(&mut self, key: &str, value: &str) -> Result<(), Refusal>;

    /// Whether what was set goes together.
    fn check(&self) -> Result<(), Refusal> {
        Ok(())
    }
}

/// A query that was read and checked.
pub(super) struct Query<T>(pub(super) T);

/// For routes that take no query.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Nothing;

impl FromQuery for Nothing {
    const KEYS: &'static [Key] = &[];

    fn set(&mut self, _: &str, _: &str) -> Result<(), Refusal> {
        Ok(())
    }
}

impl<T: FromQuery, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        parse(parts.uri.query().unwrap_or("")).map(Self)
    }
}

/// Reads `key=value&key=value`.
pub(super) fn parse<T: FromQuery>(query: &str) -> Result<T, Refusal> {
    let mut parsed = T::default();
    let mut seen: Vec<&str> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(key) = T::KEYS.iter().find(|key| key.name == name && pair.contains('=')) else {
            return Err(unknown::<T>(pair));
        };
        if key.times == Times::Once && seen.contains(&key.name) {
            return Err(Refusal::invalid(format!("the query has `{name}` more than once")));
        }
        seen.push(key.name);
        parsed.set(key.name, &percent_decoded(value)?)?;
    }
    parsed.check()?;
    Ok(parsed)
}

fn unknown<T: FromQuery>(pair: &str) -> Refusal {
    let known: Vec<String> = T::KEYS.iter().map(|key| format!("{}=…", key.name)).collect();
    Refusal::invalid(match known.is_empty() {
        true => format!("unknown query parameter {pair:?}; this route takes none"),
        false => format!("unknown query parameter {pair:?}; known: {}", known.join(", ")),
    })
}

/// `true` or `false`.
pub(super) fn boolean(key: &str, value: &str) -> Result<bool, Refusal> {
    value.parse().map_err(|_| Refusal::invalid(format!("{key} is {value:?}; write true or false")))
}

/// A whole number within bounds.
pub(super) fn whole<N>(key: &str, value: &str, (least, most): (N, N)) -> Result<N, Refusal>
where
    N: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    // What `FromStr` takes and people do not write: `+1`.
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|number| digits && *number >= least && *number <= most);
    number.ok_or_else(|| {
        Refusal::invalid(format!("{key} is {value:?}; write a whole number from {least} to {most}"))
    })
}

impl<T: FromQuery> IntoParams for Query<T> {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let parameter = |key: &Key| {
            let schema: RefOr<Schema> = match key.times {
                Times::Once => text().into(),
                Times::Many => ArrayBuilder::new().items(text()).into(),
            };
            ParameterBuilder::new()
                .name(key.name)
                .parameter_in(ParameterIn::Query)
                .required(Required::False)
                .description(Some(key.about))
                .schema(Some(schema))
                .build()
        };
        T::KEYS.iter().map(parameter).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Eq)]
    struct Seen(Vec<String>);

    impl FromQuery for Seen {
        const KEYS: &'static [Key] = &[
            Key { name: "to", about: "", times: Times::Once },
            Key { name: "extension", about: "", times: Times::Many },
        ];

        fn set(&mut self, key: &str, value: &str) -> Result<(), Refusal> {
            self.0.push(format!("{key}: {value}"));
            Ok(())
        }
    }

    #[test]
    fn known_keys_are_read_and_all_else_is_refused() {
        for (query, expected) in [
            ("", Ok(vec![])),
            ("&", Ok(vec![])),
            ("to=1.0+b%2B2", Ok(vec!["to: 1.0+b+2"])),
            ("extension=a&to=&extension=a=1", Ok(vec!["extension: a", "to: ", "extension: a=1"])),
            ("to=1&to=2", Err("the query has `to` more than once")),
            ("from=1", Err("unknown query parameter \"from=1\"; known: to=…, extension=…")),
            ("to", Err("unknown query parameter \"to\"; known: to=…, extension=…")),
            ("to=%zz", Err("\"%zz\" is not percent-encoded UTF-8")),
        ] {
            let parsed = parse::<Seen>(query).map(|seen| seen.0).map_err(|refusal| refusal.message);
            let expected = expected.map(|all| all.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(parsed, expected.map_err(str::to_owned), "{query}");
        }
        let none = parse::<Nothing>("a=1").unwrap_err().message;
        assert_eq!(none, "unknown query parameter \"a=1\"; this route takes none");
    }
}
