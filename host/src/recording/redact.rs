//! Takes the values at JSON pointers out of bodies, before they are written down.

use serde_json::Value;

/// What stands in their place.
const REDACTED: &str = "[redacted]";

/// A JSON pointer (RFC 6901) in which `*` stands for any one name or index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

/// Why a text is no pointer; a fragment that follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no JSON pointer; write for example \"/password\" or \"/users/*/email\", and `~0` for `~`, `~1` for `/`"
)]
pub struct InvalidPointerError;

impl Pointer {
    /// Parses the written form.
    ///
    /// # Errors
    /// When it does not begin with a slash, or has a `~` that stands for nothing.
    pub fn parse(text: &str) -> Result<Self, InvalidPointerError> {
        let rest = text.strip_prefix('/').ok_or(InvalidPointerError)?;
        if text.split('~').skip(1).any(|after| !after.starts_with(['0', '1'])) {
            return Err(InvalidPointerError);
        }
        let unescape = |part: &str| part.replace("~1", "/").replace("~0", "~");
        Ok(Self(rest.split('/').map(unescape).collect()))
    }
}

/// The body without what the pointers name; none when there is nothing to take out. A body that is
/// no JSON is left out as a whole as soon as there are pointers: nobody knows what is in it.
pub(super) fn body(body: &[u8], pointers: &[Pointer]) -> Option<Vec<u8>> {
    if pointers.is_empty() || body.is_empty() {
        return None;
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else {
        return Some(REDACTED.as_bytes().to_vec());
    };
    let mut taken = 0_usize;
    for Pointer(parts) in pointers {
        taken = taken.saturating_add(take(&mut value, parts));
    }
    (taken > 0).then(|| value.to_string().into_bytes())
}

/// Replaces what a pointer names; gives how many values that were.
fn take(value: &mut Value, parts: &[String]) -> usize {
    let Some((part, rest)) = parts.split_first() else {
        *value = Value::String(REDACTED.to_owned());
        return 1;
    };
    let all = part == "*";
    match value {
        Value::Object(object) if all => object.values_mut().map(|value| take(value, rest)).sum(),
        Value::Array(array) if all => array.iter_mut().map(|value| take(value, rest)).sum(),
        Value::Object(object) => object.get_mut(part).map_or(0, |value| take(value, rest)),
        Value::Array(array) => {
            let index = part.parse::<usize>().ok();
            index.and_then(|index| array.get_mut(index)).map_or(0, |value| take(value, rest))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(body: &str, pointers: &[&str]) -> Option<String> {
        let pointers: Vec<Pointer> = pointers.iter().map(|text| Pointer::parse(text).unwrap()).collect();
        super::body(body.as_bytes(), &pointers).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn what_pointers_name_is_taken_out() {
        for (body, pointers, expected) in [
            (r#"{"a":1}"#, &[][..], None),
            (r#"{"a":1}"#, &["/b", "/a/x"], None),
            (r#"{"b":1,"a":{"x":[1]}}"#, &["/a"], Some(r#"{"b":1,"a":"[redacted]"}"#)),
            (
                r#"{"users":[{"email":"e"},{"email":2},3]}"#,
                &["/users/*/email"],
                Some(r#"{"users":[{"email":"[redacted]"},{"email":"[redacted]"},3]}"#),
            ),
            (r#"[{"a":1},{"a":1}]"#, &["/1/a"], Some(r#"[{"a":1},{"a":"[redacted]"}]"#)),
            (r#"{"a/b":{"*":1}}"#, &["/a~1b/*"], Some(r#"{"a/b":{"*":"[redacted]"}}"#)),
            ("password=1", &["/a"], Some("[redacted]")),
            ("", &["/a"], None),
        ] {
            assert_eq!(redacted(body, pointers).as_deref(), expected, "{body} {pointers:?}");
        }
        for text in ["password", "/x/~2", "/x~", "/~1~"] {
            assert_eq!(Pointer::parse(text), Err(InvalidPointerError), "{text}");
        }
    }
}
