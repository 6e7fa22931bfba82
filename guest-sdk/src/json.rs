//! Single values out of a JSON answer, by JSON Pointer (RFC 6901).
//!
//! For policies that read a few members of the application's own status document. Deliberately
//! no tree and no conversion: a value is told as it is, and the policy says what it accepts.

use std::borrow::Cow;
use std::fmt;

use crate::scan::{self, Kind};

/// A parsed JSON Pointer such as `/backup/running`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    text: String,
    names: Vec<String>,
}

impl Pointer {
    /// Parses a pointer to a member; array positions are not supported.
    ///
    /// # Errors
    /// When the text does not start with `/`, or has a `~` that is neither `~0` nor `~1`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(path) = text.strip_prefix('/') else {
            return Err(format!("JSON pointer `{text}` must start with `/`"));
        };
        let names = path.split('/').map(|name| unescape(name, text)).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), names })
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text)
    }
}

fn unescape(name: &str, pointer: &str) -> Result<String, String> {
    let strays = name
        .match_indices('~')
        .any(|(at, _)| !name.get(at..).is_some_and(|rest| rest.starts_with("~0") || rest.starts_with("~1")));
    if strays {
        return Err(format!("JSON pointer `{pointer}`: `~` must be written `~0`, and `/` `~1`"));
    }
    Ok(name.replace("~1", "/").replace("~0", "~"))
}

/// A well-formed JSON text.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a>(&'a str);

impl<'a> Document<'a> {
    /// Checks the whole body.
    ///
    /// # Errors
    /// One line that says where the body is not UTF-8 or not JSON.
    pub fn parse(body: &'a [u8]) -> Result<Self, String> {
        let text =
            scan::utf8(body).map_err(|error| format!("not UTF-8 from byte {}", error.valid_up_to()))?;
        scan::check(text).map_err(|error| format!("not valid JSON: {error}"))?;
        Ok(Self(text))
    }

    /// The value at a pointer. Names are compared exactly; of duplicates the last one counts.
    #[must_use]
    pub fn at(&self, pointer: &Pointer) -> Found<'a> {
        let mut here = self.0;
        for wanted in &pointer.names {
            match Kind::of(here) {
                Kind::Object => {}
                Kind::Null => return Found::Missing,
                _ => return Found::Unreachable,
            }
            let mut next = None;
            let walked = scan::members(here, |name, value| {
                if name == wanted {
                    next = Some(value);
                }
            });
            match (walked, next) {
                (Ok(()), Some(value)) => here = value,
                _ => return Found::Missing,
            }
        }
        Found::of(here)
    }
}

/// What lies at a pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<'a> {
    /// There is no such member; a null on the way counts as that too.
    Missing,
    /// A member on the way is neither an object nor null, so the pointer or the answer is wrong.
    Unreachable,
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it is written.
    Number(&'a str),
    /// A text; if it holds a lone surrogate, the literal as it is written.
    Text(Cow<'a, str>),
    /// An array.
    Array,
    /// An object.
    Object,
}

impl<'a> Found<'a> {
    fn of(json: &'a str) -> Self {
        match Kind::of(json) {
            Kind::Object => Self::Object,
            Kind::Array => Self::Array,
            Kind::Text => Self::Text(scan::text(json).unwrap_or(Cow::Borrowed(json))),
            Kind::Number => Self::Number(json),
            Kind::Bool => Self::Bool(json == "true"),
            Kind::Null => Self::Null,
            Kind::Nothing => Self::Missing,
        }
    }

    /// The number, when it is whole and fits; `1.0` counts as whole.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(number) => scan::whole(number, u64::MAX),
            _ => None,
        }
    }
}

/// The value seen, short enough for an error message.
impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Unreachable => f.write_str("unreachable, a member on the way is not an object"),
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(number) => f.write_str(&scan::excerpt(number)),
            Self::Text(text) => write!(f, "the text {}", scan::excerpt(text)),
            Self::Array => f.write_str("an array"),
            Self::Object => f.write_str("an object"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_values_as_they_are() {
        let body = br#" {"a":{"b/c":true,"m~n":-1.50,"x":1,"x":"\u00e9"},"":null,"l":[1],"bad":"\ud800"} "#;
        let document = Document::parse(body).unwrap();
        for (pointer, expected) in [
            ("/a", Found::Object),
            ("/a/b~1c", Found::Bool(true)),
            ("/a/m~0n", Found::Number("-1.50")),
            ("/a/x", Found::Text("é".into())),
            ("/", Found::Null),
            ("/l", Found::Array),
            ("/l/0", Found::Unreachable),
            ("/a/x/y", Found::Unreachable),
            ("//y", Found::Missing),
            ("/A", Found::Missing),
            ("/bad", Found::Text(r#""\ud800""#.into())),
        ] {
            assert_eq!(document.at(&Pointer::parse(pointer).unwrap()), expected, "{pointer}");
        }
    }

    #[test]
    fn refuses_bad_pointers_and_bodies() {
        for pointer in ["", "role", "#/role", "/a~", "/a~2", "/~~0"] {
            assert!(Pointer::parse(pointer).is_err(), "{pointer}");
        }
        for body in [&b""[..], b"{", b"{} x", b"\xff", b"\xef\xbb\xbf{}", b"{'a':1}", b"nul"] {
            assert!(Document::parse(body).is_err(), "{body:?}");
        }
        let lone = Document::parse(br#"{"\ud800":1,"a":2}"#).unwrap();
        assert_eq!(lone.at(&Pointer::parse("/a").unwrap()).as_u64(), Some(2));
    }
}
