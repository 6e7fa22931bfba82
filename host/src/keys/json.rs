//! A table of the file as JSON, keys in the order of the file.
//!
//! Does not know what the table means.

use serde_json::{Map, Number, Value as Json};
use toml::de::DeValue;

use super::value::{Value, integer};

/// The JSON text of a table, keys in the order of the file. Dates and times become strings.
pub(crate) fn json_object(value: &Value<'_>) -> Option<String> {
    match value.raw {
        DeValue::Table(_) => json(value).map(|json| json.to_string()),
        _ => {
            value.wrong_type("a table");
            None
        }
    }
}

fn json(value: &Value<'_>) -> Option<Json> {
    match value.raw {
        DeValue::String(text) => Some(Json::String(text.to_string())),
        DeValue::Boolean(value) => Some(Json::Bool(*value)),
        DeValue::Datetime(value) => Some(Json::String(value.to_string())),
        DeValue::Integer(number) => {
            let number = integer(number);
            if number.is_none() {
                value.problem("is a number that does not fit 64 bits", "write it as a string".to_owned());
            }
            number.map(Json::from)
        }
        DeValue::Float(number) => {
            let finite = number.as_str().parse().ok().and_then(Number::from_f64);
            if finite.is_none() {
                value.problem(
                    format!("is {number}, which JSON cannot hold"),
                    "write a finite number, or a string".to_owned(),
                );
            }
            finite.map(Json::Number)
        }
        DeValue::Array(_) => {
            // All elements are visited, so that each problem is reported.
            let elements: Vec<Option<Json>> = value.array("an array")?.iter().map(json).collect();
            elements.into_iter().collect::<Option<Vec<Json>>>().map(Json::Array)
        }
        DeValue::Table(_) => {
            let entries = value.table()?.into_entries();
            let entries: Vec<_> =
                entries.iter().map(|entry| Some((entry.name.to_owned(), json(entry)?))).collect();
            entries.into_iter().collect::<Option<Map<String, Json>>>().map(Json::Object)
        }
    }
}

/// A value that is known to be right, as JSON; nothing when JSON cannot hold it.
pub(super) fn to_json(raw: &DeValue<'_>) -> Option<Json> {
    Some(match raw {
        DeValue::String(text) => Json::String(text.to_string()),
        DeValue::Boolean(value) => Json::Bool(*value),
        DeValue::Datetime(value) => Json::String(value.to_string()),
        DeValue::Integer(number) => Json::from(integer(number)?),
        DeValue::Float(number) => Json::Number(number.as_str().parse().ok().and_then(Number::from_f64)?),
        DeValue::Array(elements) => {
            Json::Array(elements.iter().map(|value| to_json(value.get_ref())).collect::<Option<_>>()?)
        }
        DeValue::Table(entries) => {
            let entry =
                |(name, value): (&toml::Spanned<std::borrow::Cow<'_, str>>, &toml::Spanned<DeValue<'_>>)| {
                    Some((name.get_ref().to_string(), to_json(value.get_ref())?))
                };
            Json::Object(entries.iter().map(entry).collect::<Option<_>>()?)
        }
    })
}
