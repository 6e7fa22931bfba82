//! Takes the values at JSON pointers out of bodies, before they are written down.

use serde_json::{Map, Value};

/// What stands in the place of a text.
const REDACTED: &str = "[redacted]";

/// What stands there when it is asked whether that matters.
const OTHER: &str = "[left out]";

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

/// A body without what was taken out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Redacted {
    pub(super) body: Vec<u8>,
    /// Where something was taken out, as JSON pointers; empty where the whole body was.
    pub(super) places: Vec<String>,
}

/// The body without what the pointers name; none when there is nothing to take out. In its place stands something of
/// the same type, always the same. A body that is no JSON is left out as a whole as soon as there are pointers: nobody
/// knows what is in it.
pub(super) fn body(body: &[u8], pointers: &[Pointer]) -> Option<Redacted> {
    if pointers.is_empty() || body.is_empty() {
        return None;
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else {
        return Some(Redacted { body: REDACTED.as_bytes().to_vec(), places: Vec::new() });
    };
    let mut places = Vec::new();
    for Pointer(parts) in pointers {
        take(&mut value, parts, String::new(), &mut places);
    }
    (!places.is_empty()).then(|| Redacted { body: value.to_string().into_bytes(), places })
}

/// The same body with other stand-ins; none where the places are not in it.
pub(super) fn with_others(body: &[u8], places: &[String]) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(body).ok()?;
    for place in places {
        let here = value.pointer_mut(place)?;
        *here = other(here);
    }
    Some(value.to_string().into_bytes())
}

/// What stands in the place of a value.
fn stand_in(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => false.into(),
        Value::Number(number) if number.is_f64() => 0.5.into(),
        Value::Number(_) => 1.into(),
        Value::String(_) => REDACTED.into(),
        Value::Array(_) => Value::Array(Vec::new()),
        Value::Object(_) => Value::Object(Map::new()),
    }
}

/// Another one of the same type, as unlike as can be.
fn other(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(seen) => (!seen).into(),
        Value::Number(number) if number.is_f64() => 1e9.into(),
        Value::Number(_) => 1_000_000_007.into(),
        Value::String(_) => OTHER.into(),
        Value::Array(_) => Value::Array(vec![OTHER.into()]),
        Value::Object(_) => Value::Object(Map::from_iter([(OTHER.to_owned(), OTHER.into())])),
    }
}

/// Replaces what a pointer names, and notes the places.
fn take(value: &mut Value, parts: &[String], place: String, places: &mut Vec<String>) {
    let Some((part, rest)) = parts.split_first() else {
        *value = stand_in(value);
        if !places.contains(&place) {
            places.push(place);
        }
        return;
    };
    let all = part == "*";
    let below = |name: &str| format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(object) => {
            for (name, value) in object.iter_mut().filter(|(name, _)| all || *name == part) {
                take(value, rest, below(name), places);
            }
        }
        Value::Array(array) => {
            let index = part.parse::<usize>().ok();
            for (at, value) in array.iter_mut().enumerate().filter(|(at, _)| all || index == Some(*at)) {
                take(value, rest, below(&at.to_string()), places);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(body: &str, pointers: &[&str]) -> Option<String> {
        let pointers: Vec<Pointer> = pointers.iter().map(|text| Pointer::parse(text).unwrap()).collect();
        super::body(body.as_bytes(), &pointers).map(|cleaned| String::from_utf8(cleaned.body).unwrap())
    }

    #[test]
    fn what_pointers_name_is_taken_out() {
        for (body, pointers, expected) in [
            (r#"{"a":1}"#, &[][..], None),
            (r#"{"a":1}"#, &["/b", "/a/x"], None),
            (r#"{"b":1,"a":{"x":[1]}}"#, &["/a"], Some(r#"{"b":1,"a":{}}"#)),
            (
                r#"{"users":[{"email":"e"},{"email":2},3]}"#,
                &["/users/*/email"],
                Some(r#"{"users":[{"email":"[redacted]"},{"email":1},3]}"#),
            ),
            (r#"[{"a":7},{"a":7}]"#, &["/1/a"], Some(r#"[{"a":7},{"a":1}]"#)),
            (r#"{"a/b":{"*":9}}"#, &["/a~1b/*"], Some(r#"{"a/b":{"*":1}}"#)),
            ("password=1", &["/a"], Some("[redacted]")),
            ("", &["/a"], None),
        ] {
            assert_eq!(redacted(body, pointers).as_deref(), expected, "{body} {pointers:?}");
        }
        for text in ["password", "/x/~2", "/x~", "/~1~"] {
            assert_eq!(Pointer::parse(text), Err(InvalidPointerError), "{text}");
        }
    }

    #[test]
    fn stand_ins_are_of_the_same_type_and_others_are_unlike_them() {
        let body = br#"{"a":[1,2.5,true,null,"x",[3],{"y":4}],"b~/c":{"d":"e"}}"#;
        let pointers = ["/a/*", "/b~0~1c/d", "/a/0"].map(|text| Pointer::parse(text).unwrap());
        let cleaned = super::body(body, &pointers).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        assert_eq!(
            text(&cleaned.body),
            r#"{"a":[1,0.5,false,null,"[redacted]",[],{}],"b~/c":{"d":"[redacted]"}}"#
        );
        assert_eq!(cleaned.places.len(), 8, "each place once: {:?}", cleaned.places);
        let others = with_others(&cleaned.body, &cleaned.places).unwrap();
        assert_eq!(
            text(&others),
            r#"{"a":[1000000007,1000000000.0,true,null,"[left out]",["[left out]"],{"[left out]":"[left out]"}],"b~/c":{"d":"[left out]"}}"#
        );
        assert_eq!(with_others(b"{}", &["/a".to_owned()]), None);
    }
}
