//! JSON looked at member by member, as text: the shared ground of settings, pointers and Azure's
//! body.
//!
//! Deliberately no tree: a tree of values costs a guest more than its sandbox does, loses
//! duplicates and gives up at a number out of range. Nothing here recurses, so deep nesting
//! cannot exhaust the small stack of a component.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What a piece of JSON is, told by its first character; it may still be malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    Text,
    Number,
    Bool,
    Null,
    Nothing,
}

impl Kind {
    pub(crate) fn of(json: &str) -> Self {
        match json.trim_ascii_start().bytes().next() {
            None => Self::Nothing,
            Some(b'{') => Self::Object,
            Some(b'[') => Self::Array,
            Some(b'"') => Self::Text,
            Some(b't' | b'f') => Self::Bool,
            Some(b'n') => Self::Null,
            Some(_) => Self::Number,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::Text => "text",
            Self::Number => "a number",
            Self::Bool => "true or false",
            Self::Null => "null",
            Self::Nothing => "nothing",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Calls `visit` with name and text of each member of an object, in document order, duplicates
/// included. Members before an error have been visited, so collect first and act on success.
pub(crate) fn members<'de>(
    json: &'de str,
    visit: impl FnMut(&str, &'de str),
) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    deserializer.deserialize_map(Members(visit))?;
    deserializer.end()
}

/// Whether the whole text is one well-formed JSON value.
pub(crate) fn check(json: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<de::IgnoredAny>(json).map(|_| ())
}

/// The content of a JSON string literal; an error for a lone surrogate, which no Rust text holds.
pub(crate) fn text(literal: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    serde_json::from_str::<Text<'_>>(literal).map(|text| text.0)
}

/// The value of a JSON number when it is whole and within `0..=max`, however it is written:
/// `1`, `1.0` and `10e-1` are all one. Exact: no rounding through floating point.
pub(crate) fn whole(number: &str, max: u64) -> Option<u64> {
    let (negative, unsigned) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || integer.bytes().chain(fraction.bytes());
    if digits().all(|digit| digit == b'0') {
        return Some(0);
    }
    if negative {
        return None;
    }
    // An exponent that does not fit is far outside the range in one direction or the other.
    let exponent: i64 = exponent.parse().ok()?;
    let point = i64::try_from(integer.len()).ok()?.checked_add(exponent)?;
    let point = usize::try_from(point).ok()?;
    if digits().skip(point).any(|digit| digit != b'0') {
        return None;
    }
    let significant = digits().skip_while(|digit| *digit == b'0').count();
    let leading = digits().count().saturating_sub(significant);
    let mut value: u64 = 0;
    // Zeros after the written digits are part of the number; the bound stops a huge exponent.
    for position in leading..point {
        let digit = digits().nth(position).unwrap_or(b'0').checked_sub(b'0')?;
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    (value <= max).then_some(value)
}

/// At most 60 characters of a text, between backticks, for a line that people read.
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("`{}…`", text.get(..end).unwrap_or_default()),
        None => format!("`{text}`"),
    }
}

struct Members<F>(F);

impl<'de, F: FnMut(&str, &'de str)> Visitor<'de> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(name)) = map.next_key()? {
            let value: &'de RawValue = map.next_value()?;
            (self.0)(&name, value.get());
        }
        Ok(())
    }
}

/// A string that borrows from the document where it has no escapes. (`Cow` itself always copies.)
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_exact() {
        let max = 2_147_483_647;
        for (number, expected) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("0.0e5", Some(0)),
            ("0e99999999999999999999", Some(0)),
            ("1", Some(1)),
            ("1.0", Some(1)),
            ("1e0", Some(1)),
            ("10e-1", Some(1)),
            ("0.001e3", Some(1)),
            ("0.0012e4", Some(12)),
            ("12E+2", Some(1200)),
            ("2147483647", Some(max)),
            ("2147483647.000", Some(max)),
            ("2147483648", None),
            ("2147483647.0000000000000000001", None),
            ("0.99999999999999999999999999", None),
            ("1.5", None),
            ("-1", None),
            ("1e-1", None),
            ("1e99", None),
            ("1e9223372036854775807", None),
            ("1e-9223372036854775808", None),
            ("1e99999999999999999999", None),
            ("99999999999999999999999999999999", None),
        ] {
            assert_eq!(whole(number, max), expected, "{number}");
        }
        assert_eq!(whole("18446744073709551615", u64::MAX), Some(u64::MAX));
        assert_eq!(whole("18446744073709551616", u64::MAX), None);
    }

    #[test]
    fn members_come_in_document_order_with_duplicates() {
        let mut seen = Vec::new();
        members(r#" {"b": 1, "a":[ 2 ], "\u0062":"x", "b":null} "#, |name, value| {
            seen.push(format!("{name}={value}"));
        })
        .unwrap();
        assert_eq!(seen, ["b=1", "a=[ 2 ]", "b=\"x\"", "b=null"]);
        assert!(members("{} {}", |_, _| ()).is_err());
        assert!(members("[]", |_, _| ()).is_err());
    }

    #[test]
    fn excerpts_are_short_and_cut_between_characters() {
        assert_eq!(excerpt("x"), "`x`");
        assert_eq!(excerpt(&"é".repeat(61)).chars().count(), 63);
    }
}
