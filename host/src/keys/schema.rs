//! The file as a JSON Schema (draft 2020-12), for editors.
//!
//! Says what each key is by itself. What keys say together is beyond it; the reader knows.

use serde_json::{Map, Value as Json, json};
use toml::de::DeValue;

use super::json::to_json;
use super::key::Preset;
use super::manual;
use super::shape::{Form, KeyShape, Shape};

/// A pattern of ISO-8601 durations without years and months.
const SPAN: &str = r"^P(?!$)(\d+W|(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?)$";

/// The schema of a whole file.
#[must_use]
pub fn schema(title: &str, root: &Shape) -> Json {
    let mut schema = table(root);
    if let Some(object) = schema.as_object_mut() {
        object.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        object.insert("title".to_owned(), json!(title));
    }
    schema
}

fn table(shape: &Shape) -> Json {
    let properties: Map<String, Json> =
        shape.keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> =
        shape.keys.iter().filter(|key| key.preset == Preset::Required).map(|key| key.name).collect();
    let mut object = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if let (false, Some(object)) = (required.is_empty(), object.as_object_mut()) {
        object.insert("required".to_owned(), json!(required));
    }
    object
}

fn property(key: &KeyShape) -> Json {
    let mut schema = form(&key.form);
    let Some(object) = schema.as_object_mut() else { return schema };
    let mut description = plain(key.doc);
    let bounds = plain(&manual::bounds(key));
    if !bounds.is_empty() {
        let between = if description.is_empty() { "" } else { "; " };
        description.push_str(&format!("{between}allowed: {bounds}"));
    }
    if let Preset::Absent(what) = key.preset
        && what != "none"
    {
        description.push_str(&format!("; without it: {}", plain(what)));
    }
    if !description.is_empty() {
        object.insert("description".to_owned(), json!(description));
    }
    if let Preset::Value(text) = key.preset
        && let Some(value) = value(text)
    {
        object.insert("default".to_owned(), value);
    }
    if let Some(example) = value(key.example) {
        object.insert("examples".to_owned(), json!([example]));
    }
    schema
}

fn form(form: &Form) -> Json {
    match form {
        Form::Flag => json!({ "type": "boolean" }),
        Form::Whole(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Form::Number(min, max) => json!({ "type": "number", "minimum": min, "maximum": max }),
        Form::Span(_) => json!({ "type": "string", "pattern": SPAN }),
        Form::Words(words) => json!({ "type": "string", "enum": words }),
        Form::Text => json!({ "type": "string" }),
        Form::Loose => json!({ "type": ["string", "integer", "boolean"] }),
        Form::Free => json!({ "type": "object" }),
        Form::Named(inner) => json!({ "type": "object", "additionalProperties": self::form(inner) }),
        Form::List(inner) => json!({ "type": "array", "items": self::form(inner) }),
        Form::Either(forms) => json!({ "anyOf": forms.iter().map(self::form).collect::<Vec<_>>() }),
        Form::Table(shape) => table(shape),
        Form::Tables(shape) => json!({ "type": "array", "items": table(shape) }),
        Form::Kinds(key, kinds) => {
            let kinds = kinds.iter().map(|(kind, shape)| {
                let mut schema = table(shape);
                if let Some(Json::Object(properties)) = schema.get_mut("properties") {
                    properties.insert((*key).to_owned(), json!({ "const": kind }));
                }
                if let Some(object) = schema.as_object_mut() {
                    let required = object.entry("required").or_insert_with(|| json!([]));
                    required.as_array_mut().into_iter().for_each(|names| names.push(json!(key)));
                }
                schema
            });
            json!({ "type": "object", "oneOf": kinds.collect::<Vec<_>>() })
        }
    }
}

/// Markdown as plain text.
fn plain(markdown: &str) -> String {
    markdown.replace('`', "").replace("**", "")
}

/// What the file would write, as JSON; nothing for an example that only hints at a value.
fn value(text: &str) -> Option<Json> {
    let value = DeValue::parse(text).ok()?;
    (!text.contains('…')).then(|| to_json(value.get_ref())).flatten()
}
