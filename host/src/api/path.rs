//! The parts of a path that name something: scale sets, instances, plugins, wishes.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::Uri;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use phasegate_core::domain::{InstanceId, PluginName, ReleaseId, ScaleSetName, Subscription, UpgradeId};
use phasegate_core::rollout::Wish;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Required, Schema};

use super::answer::Refusal;

/// Longest path in bytes: three names of the longest kind, escaped, fit.
const PATH_MAX: usize = 2048;

/// Longest query in bytes: a reference to a component and a version, escaped, fit.
const QUERY_MAX: usize = 8192;

/// Refuses paths that two programs may understand differently: with steps to above, empty parts, control
/// characters or half escapes, and those that are longer than any name.
pub(super) fn check(uri: &Uri) -> Result<(), Refusal> {
    let (path, query) = (uri.path(), uri.query().unwrap_or_default());
    if path.len() > PATH_MAX {
        return Err(Refusal::invalid(format!("the path has {} bytes (limit {PATH_MAX})", path.len())));
    }
    if query.len() > QUERY_MAX {
        return Err(Refusal::invalid(format!("the query has {} bytes (limit {QUERY_MAX})", query.len())));
    }
    let decoded = percent_decoded(path)?;
    let odd = |part: &str| matches!(part, "." | "..");
    if decoded.chars().any(|c| c.is_control() || c == '\\')
        || decoded.contains("//")
        || decoded.split('/').any(odd)
    {
        let message = format!("{path:?} is no plain path: no `.`, `..`, `\\`, `//` or control characters");
        return Err(Refusal::invalid(message));
    }
    Ok(())
}

/// A value that stands in a path.
pub(super) trait Named: Sized + Send {
    /// The name of its place in the route, `{name}`.
    const PLACE: &'static str;
    /// What it is, for the documents.
    const ABOUT: &'static str;
    /// The only values, where there are few.
    const WORDS: &'static [&'static str] = &[];

    /// Reads it.
    fn parse(text: &str) -> Result<Self, Refusal>;
}

/// A part of the path.
pub(super) struct In<T>(pub(super) T);

impl Named for ScaleSetName {
    const PLACE: &'static str = "name";
    const ABOUT: &'static str = "Name of a scale set.";

    fn parse(text: &str) -> Result<Self, Refusal> {
        Self::parse(text).map_err(|error| Refusal::invalid(format!("scale set name {text:?} {error}")))
    }
}

impl Named for PluginName {
    const PLACE: &'static str = "name";
    const ABOUT: &'static str = "Name of a plugin in the configuration.";

    fn parse(text: &str) -> Result<Self, Refusal> {
        Self::parse(text).map_err(|error| Refusal::invalid(format!("plugin name {text:?} {error}")))
    }
}

impl Named for InstanceId {
    const PLACE: &'static str = "instance";
    const ABOUT: &'static str = "Id of an instance of the scale set.";

    fn parse(text: &str) -> Result<Self, Refusal> {
        Self::parse(text).map_err(|error| Refusal::invalid(format!("instance id {text:?} {error}")))
    }
}

impl Named for UpgradeId {
    const PLACE: &'static str = "id";
    const ABOUT: &'static str = "Id of an upgrade of the scale set.";

    fn parse(text: &str) -> Result<Self, Refusal> {
        Self::parse(text).map_err(|error| Refusal::invalid(format!("upgrade id {text:?} {error}")))
    }
}

impl Named for ReleaseId {
    const PLACE: &'static str = "id";
    const ABOUT: &'static str = "Id of a release.";

    fn parse(text: &str) -> Result<Self, Refusal> {
        Self::parse(text).map_err(|error| Refusal::invalid(format!("release id {text:?} {error}")))
    }
}

impl Named for Subscription {
    const PLACE: &'static str = "subscription";
    const ABOUT: &'static str = "A subscription.";

    fn parse(text: &str) -> Result<Self, Refusal> {
        Self::parse(text).map_err(|error| Refusal::invalid(format!("subscription {text:?} {error}")))
    }
}

/// Who publishes a type.
pub(super) struct Publisher(pub(super) String);

impl Named for Publisher {
    const PLACE: &'static str = "publisher";
    const ABOUT: &'static str = "Who publishes the type.";

    fn parse(text: &str) -> Result<Self, Refusal> {
        Ok(Self(text.to_owned()))
    }
}

/// The name of a type.
pub(super) struct TypeName(pub(super) String);

impl Named for TypeName {
    const PLACE: &'static str = "type";
    const ABOUT: &'static str = "Name of the type.";

    fn parse(text: &str) -> Result<Self, Refusal> {
        Ok(Self(text.to_owned()))
    }
}

/// What each wish is called.
const WISHES: [(&str, Wish); 8] = [
    ("cancel", Wish::Cancel),
    ("pause", Wish::Pause),
    ("resume", Wish::Resume),
    ("approve", Wish::Approve),
    ("rollback", Wish::RollBack),
    ("bypass", Wish::Bypass),
    ("promote", Wish::Promote),
    ("retry", Wish::Retry),
];

impl Named for Wish {
    const PLACE: &'static str = "wish";
    const ABOUT: &'static str = "What is wished for.";
    const WORDS: &'static [&'static str] =
        &["cancel", "pause", "resume", "approve", "rollback", "bypass", "promote", "retry"];

    fn parse(text: &str) -> Result<Self, Refusal> {
        let wish = WISHES.iter().find(|(word, _)| *word == text).map(|(_, wish)| *wish);
        wish.ok_or_else(|| {
            Refusal::not_found(format!("an upgrade has no {text:?}; known: {}", Self::WORDS.join(", ")))
        })
    }
}

impl<T: Named, S: Send + Sync> FromRequestParts<S> for In<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        // The router decodes what it can and leaves the rest as it is; `check` has refused that.
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|error| Refusal::invalid(error.to_string()))?;
        let text = params.iter().find(|(place, _)| *place == T::PLACE).map(|(_, text)| text);
        text.map_or_else(
            || Err(Refusal::internal(format!("the route has no place for `{}`", T::PLACE))),
            |text| <T as Named>::parse(text).map(Self),
        )
    }
}

impl<T: Named> IntoParams for In<T> {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let words = (!T::WORDS.is_empty()).then(|| T::WORDS.iter().copied());
        let schema: Schema = ObjectBuilder::new().schema_type(Type::String).enum_values(words).into();
        let parameter = ParameterBuilder::new()
            .name(T::PLACE)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some(T::ABOUT))
            .schema(Some(schema));
        vec![parameter.build()]
    }
}

/// Undoes the percent-encoding of a path or a query value. Stricter than a browser: a `%` that begins
/// no escape is refused and not taken for itself.
pub(super) fn percent_decoded(text: &str) -> Result<String, Refusal> {
    let invalid = || Refusal::invalid(format!("{text:?} is not percent-encoded UTF-8"));
    let escape = |rest: &str| {
        rest.get(..2).is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
    };
    if !text.split('%').skip(1).all(escape) {
        return Err(invalid());
    }
    percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_escapes_are_undone() {
        for (text, expected) in [
            ("a%20b", Some("a b")),
            ("%C3%a9", Some("é")),
            ("a+b", Some("a+b")),
            ("%", None),
            ("%2", None),
            ("%zz", None),
            ("%+1", None),
            ("%ff", None),
        ] {
            assert_eq!(percent_decoded(text).ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_path_says_one_thing_to_every_program() {
        let (long, wide) = (format!("/{}", "a".repeat(PATH_MAX)), format!("/?{}", "a".repeat(QUERY_MAX + 1)));
        for (target, plain) in [
            ("/", true),
            ("/v1/scale-sets/a%20b/plan?to=a//b", true),
            ("/v1/fleet/", true),
            ("/v1/./fleet", false),
            ("/v1/%2e%2e/healthz", false),
            ("/v1/a%2f..%2fb", false),
            ("//v1/fleet", false),
            ("/v1%2f/fleet", false),
            ("/v1/a%00", false),
            ("/v1/a%5cb", false),
            ("/v1/a%0d%0ab", false),
            ("/v1/%zz", false),
            ("/v1/%ff", false),
            (&long, false),
            (&wide, false),
        ] {
            let uri = target.parse().unwrap();
            assert_eq!(check(&uri).is_ok(), plain, "{target}");
        }
    }

    #[test]
    fn every_documented_wish_is_one() {
        for word in Wish::WORDS {
            assert!(<Wish as Named>::parse(word).is_ok(), "{word}");
        }
        assert_eq!(WISHES.len(), Wish::WORDS.len());
        let said = <Wish as Named>::parse("explode").unwrap_err().message;
        assert_eq!(
            said,
            "an upgrade has no \"explode\"; known: cancel, pause, resume, approve, rollback, bypass, \
             promote, retry"
        );
    }
}
