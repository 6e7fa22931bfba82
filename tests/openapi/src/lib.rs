//! Checks `host/openapi.json` against the schema of OpenAPI 3.1, and each schema in it against that of JSON
//! Schema. Does not compare it with the host: a test beside its routes does.

#[cfg(test)]
mod tests {
    use serde_json::Value;

    const DOCUMENT: &str = include_str!("../../../host/openapi.json");
    const OPENAPI: &str = include_str!("../openapi-3.1.schema.json");

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    fn problems(document: &Value) -> Vec<String> {
        let validator = jsonschema::validator_for(&parsed(OPENAPI)).unwrap();
        let problem = |error: jsonschema::ValidationError<'_>| format!("{}: {error}", error.instance_path());
        validator.iter_errors(document).map(problem).collect()
    }

    #[test]
    fn the_document_is_openapi() {
        let problems = problems(&parsed(DOCUMENT));
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }

    #[test]
    fn a_document_that_is_not_openapi_is_told_from_it() {
        let mut document = parsed(DOCUMENT);
        document["paths"]["/v1/fleet"]["get"]["parameters"] = serde_json::json!([{"name": "x", "in": "nowhere"}]);
        assert!(!problems(&document).is_empty());
    }

    #[test]
    fn every_schema_in_it_is_a_schema() {
        let document = parsed(DOCUMENT);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        assert!(schemas.len() > 30, "{}", schemas.len());
        for (name, schema) in schemas {
            if let Err(error) = jsonschema::draft202012::meta::validate(schema) {
                panic!("{name}: {}: {error}", error.instance_path());
            }
        }
    }
}
