//! What is replaced, what is refused, and what a URL makes of it.

use super::*;
use phasegate_core::domain::{Address, Component, Fence, InstanceId, Protection};

fn instance() -> Instance {
    Instance {
        id: InstanceId::parse("7").unwrap(),
        address: Address { host: "::1".to_owned(), port: 9100 },
        region: None,
        zone: None,
        update_domain: None,
        fault_domain: None,
        labels: [("role".to_owned(), "{id}".to_owned())].into(),
        protection: Protection::default(),
    }
}

fn render(text: &str) -> Result<String, String> {
    let template = Template::parse(text, Scope::Run).map_err(|error| error.to_string())?;
    assert_eq!(Template::parse(&template.to_string(), Scope::Run).as_ref(), Ok(&template), "{text}");
    let scale_set = ScaleSetName::parse("orders").unwrap();
    let version = Version::parse("v1").unwrap();
    let instance = instance();
    let values = TemplateValues { scale_set: &scale_set, instance: &instance, wish: Wish::Run(&version) };
    let result = template.render(&values).map_err(|error| error.to_string());
    assert_eq!(template.missing(&instance).map(|error| error.to_string()), result.clone().err());
    result
}

#[test]
fn replaces_placeholders_once() {
    for (text, expected) in [
        ("", ""),
        ("plain", "plain"),
        ("{id}", "7"),
        ("--port={port}", "--port=9100"),
        ("{name}-{id}-{version}", "orders-7-v1"),
        ("{address} {host}", "[::1]:9100 ::1"),
        ("{label.role}", "{id}"),
        ("{{id}}", "{id}"),
        ("{{{id}}}", "{7}"),
        ("}}{{", "}{"),
        ("é{id}é", "é7é"),
    ] {
        assert_eq!(render(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn refuses_everything_else() {
    for (text, message) in [
        ("{", "has a { that is not closed; write {{ for a brace"),
        ("{id", "has a { that is not closed; write {{ for a brace"),
        ("{{{id", "has a { that is not closed; write {{ for a brace"),
        ("}", "has a } without a { before it; write }} for a brace"),
        ("{id}}", "has a } without a { before it; write }} for a brace"),
        ("a\0b", "contains a NUL character"),
        ("{zone}", "has no zone"),
        ("{label.rack}", "has no label \"rack\""),
    ] {
        assert_eq!(render(text).unwrap_err(), message, "{text}");
    }
    for text in ["{}", "{ID}", "{ id }", "{label.}", "{label}", "{{{{{nope}", "{{id}"] {
        assert!(render(text).is_err(), "{text}");
    }
    insta::assert_snapshot!(render("{prot}").unwrap_err(), @"has the unknown placeholder {prot}; known: {id}, {name}, {version}, {address}, {host}, {port}, {zone}, {label.NAME}; write {{ and }} for braces");
}

#[test]
fn each_purpose_has_its_placeholders() {
    for (text, look, run, apply) in [
        ("{id}{label.role}", true, true, true),
        ("{version}", false, true, true),
        ("{operation}", false, false, true),
        ("{generation}", false, false, true),
    ] {
        let accepted = [Scope::Look, Scope::Run, Scope::Apply].map(|s| Template::parse(text, s).is_ok());
        assert_eq!(accepted, [look, run, apply], "{text}");
    }
}

#[test]
fn no_value_changes_the_structure_of_a_url() {
    let scale_set = ScaleSetName::parse("orders").unwrap();
    let version = Version::parse("v1:2+b@c").unwrap();
    let operation = OperationId("u/1 ?#".to_owned());
    let mut instance = instance();
    instance.labels.insert("path".to_owned(), "a/../b?c=d&e=é%".to_owned());
    let wish = Wish::Apply {
        component: &Component::Application,
        version: &version,
        operation: &operation,
        fence: Fence::new(3, 0).unwrap(),
        settings: crate::drivers::settings::SettingsFiles::NONE,
    };
    let values = TemplateValues { scale_set: &scale_set, instance: &instance, wish };
    for (text, expected) in [
        ("http://{host}:{port}/{id}", "http://[::1]:9100/7"),
        ("http://{address}/", "http://[::1]:9100/"),
        ("{version}?g={generation}&o={operation}", "v1%3A2%2Bb%40c?g=3&o=u%2F1%20%3F%23"),
        ("/{label.path}", "/a%2F..%2Fb%3Fc%3Dd%26e%3D%C3%A9%25"),
    ] {
        let template = Template::parse(text, Scope::Apply).unwrap();
        assert_eq!(template.render_url(&values).as_deref(), Ok(expected), "{text}");
    }
}
