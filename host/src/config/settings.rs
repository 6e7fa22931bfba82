//! Turns a plugin's settings into the JSON text that the plugin gets.
//!
//! Does not know what the settings mean; the plugin checks them.

use serde_json::{Map, Number, Value as Json};
use toml::de::DeValue;

use super::value::{Value, integer};

/// The JSON text of a table, keys in the order of the file. Dates and times become strings.
pub(super) fn json_object(value: &Value<'_>) -> Option<String> {
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
