//! What follows from the declarations: presets, the schema for editors.

use serde_json::Value as Json;
use toml::de::DeValue;

use super::*;
use crate::keys::shape::KeyShape;
use crate::keys::{Form, Preset, Shape};

fn each_key(shape: &Shape, path: &str, look: &mut dyn FnMut(&str, &KeyShape)) {
    for key in &shape.keys {
        let path = format!("{path}.{}", key.name);
        look(&path, key);
        match &key.form {
            Form::Table(inner) | Form::Tables(inner) => each_key(inner, &path, look),
            Form::Kinds(_, kinds) => {
                for (kind, inner) in kinds {
                    each_key(inner, &format!("{path}.{kind}"), look);
                }
            }
            _ => {}
        }
    }
}

#[test]
fn every_key_is_told_of_and_its_preset_is_toml() {
    let mut count = 0;
    each_key(&shape(), "", &mut |path, key| {
        count += 1;
        assert!(!key.doc.is_empty(), "{path} has no doc");
        if let Preset::Value(text) = key.preset {
            assert!(DeValue::parse(text).is_ok(), "{path}: {text}");
        }
    });
    assert!(count > 100, "{count} keys");
}

/// Whether a value is as the schema says; only the keywords that ours has.
fn fits(value: &Json, schema: &Json) -> bool {
    let object = schema.as_object().unwrap();
    object.iter().all(|(keyword, says)| match keyword.as_str() {
        "type" => match says {
            Json::Array(types) => types.iter().any(|one| is_of(value, one.as_str().unwrap())),
            one => is_of(value, one.as_str().unwrap()),
        },
        "properties" => value.as_object().is_none_or(|entries| {
            entries.iter().all(|(name, value)| says.get(name).is_none_or(|schema| fits(value, schema)))
        }),
        "additionalProperties" => value.as_object().is_none_or(|entries| {
            let known = object.get("properties").and_then(Json::as_object);
            let unknown =
                entries.iter().filter(|(name, _)| known.is_none_or(|known| !known.contains_key(*name)));
            unknown.into_iter().all(|(_, value)| if says.is_object() { fits(value, says) } else { false })
        }),
        "required" => {
            let names = says.as_array().unwrap();
            value
                .as_object()
                .is_none_or(|entries| names.iter().all(|name| entries.contains_key(name.as_str().unwrap())))
        }
        "items" => value.as_array().is_none_or(|elements| elements.iter().all(|value| fits(value, says))),
        "enum" => says.as_array().unwrap().contains(value),
        "const" => says == value,
        "minimum" => value.as_f64().is_none_or(|number| number >= says.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|number| number <= says.as_f64().unwrap()),
        "oneOf" => says.as_array().unwrap().iter().filter(|schema| fits(value, schema)).count() == 1,
        "anyOf" => says.as_array().unwrap().iter().any(|schema| fits(value, schema)),
        "description" | "default" | "examples" | "pattern" | "$schema" | "title" => true,
        other => panic!("{other} is no keyword that is known here"),
    })
}

fn is_of(value: &Json, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        other => panic!("{other} is no type that is known here"),
    }
}

#[test]
fn the_schema_takes_what_the_reader_takes_and_no_unknown_key() {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    // One of three arrays, which the reader says better.
    assert!(schema.get("required").is_none());
    let rolling = &schema["properties"]["scaleSets"]["items"]["properties"]["upgradePolicy"]["properties"]["rollingUpgradePolicy"]
        ["properties"]["maxBatchInstancePercent"];
    let expected = serde_json::json!({
        "type": "integer", "minimum": 5, "maximum": 100, "default": 20, "examples": [20],
        "description": "of all instances, rounded down, at least one; allowed: 5 to 100",
    });
    assert_eq!(rolling, &expected);
    let sample = json(SAMPLE);
    assert!(fits(&sample, &schema), "the sample");
    for (old, new) in [
        ("name = \"orders\"", "name = \"orders\"\nalien = 1"),
        ("maxBatchInstancePercent = 20", "maxBatchInstancePercent = 4"),
        ("kind = \"process\"", "kind = \"proces\""),
        ("kind = \"process\"", "kind = \"http\""),
        ("protocol = \"http\"", "protocol = \"udp\""),
        ("version = \"v1\"\n", ""),
        ("labels = { role = \"replica\" }", "labels = { role = [] }"),
    ] {
        assert!(!fits(&json(&sample_with(old, new)), &schema), "{new}");
    }
    // Every default and every example is what the schema itself allows.
    check_values(&schema);
}

fn check_values(schema: &Json) {
    if let Json::Object(object) = schema {
        let values = object.get("examples").and_then(Json::as_array).cloned().unwrap_or_default();
        for value in
            values.iter().chain(object.get("default").filter(|value| **value != serde_json::json!({})))
        {
            assert!(fits(value, schema), "{value} does not fit {schema}");
        }
    }
    match schema {
        Json::Object(entries) => entries.values().for_each(check_values),
        Json::Array(elements) => elements.iter().for_each(check_values),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// The text as JSON.
fn json(text: &str) -> Json {
    fn value(raw: &DeValue<'_>) -> Json {
        match raw {
            DeValue::String(text) => Json::String(text.to_string()),
            DeValue::Integer(number) => number.as_str().replace('_', "").parse::<i64>().unwrap().into(),
            DeValue::Float(number) => number.as_str().parse::<f64>().unwrap().into(),
            DeValue::Boolean(value) => (*value).into(),
            DeValue::Datetime(value) => value.to_string().into(),
            DeValue::Array(elements) => elements.iter().map(|element| value(element.get_ref())).collect(),
            DeValue::Table(entries) => {
                let entry = |(name, element): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
                    let name: &std::borrow::Cow<'_, str> = name.get_ref();
                    (name.to_string(), value(element.get_ref()))
                };
                Json::Object(entries.iter().map(entry).collect())
            }
        }
    }
    value(&DeValue::Table(DeTable::parse(text).unwrap().into_inner()))
}
