//! Reads `[scaleSets.driver]`.
//!
//! Does not look for the programs; `environment.rs` does.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::table::Table;
use super::template::Template;
use super::value::Value;
use super::{DriverConfig, ProcessConfig};
use crate::domain::Instance;

/// Long enough for a server to finish its requests, short enough to wait for.
const STOP_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// A driver whose templates have not yet been compared with the instances.
pub(super) struct Driver<'a> {
    pub(super) config: Option<DriverConfig>,
    templates: Vec<(Value<'a>, Template)>,
}

/// Kinds of drivers.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Process,
}

pub(super) fn read(mut table: Table<'_>) -> Driver<'_> {
    let mut templates = Vec::new();
    let kind = table.required("kind", "\"process\"");
    let kind = kind.map(|value| value.choice(&[("process", Kind::Process)]));
    let config = match kind {
        // The other keys belong to a kind that nobody knows.
        Some(None) => None,
        Some(Some(Kind::Process)) | None => read_process(table, &mut templates).map(DriverConfig::Process),
    };
    Driver { config, templates }
}

impl Driver<'_> {
    /// Reports placeholders that some instances have no value for.
    pub(super) fn check_templates<'i>(&self, instances: impl Iterator<Item = &'i Instance> + Clone) {
        for (value, template) in &self.templates {
            let mut lacking = instances
                .clone()
                .filter_map(|instance| template.missing(instance).map(|missing| (&instance.id, missing)));
            let Some((id, missing)) = lacking.next() else { continue };
            let more = lacking.count();
            let others = if more == 0 { String::new() } else { format!(", nor have {more} others") };
            value.conflict(
                format!("cannot be filled in: instance \"{id}\" {missing}{others}"),
                "add it to every instance of the set, or drop the placeholder",
            );
        }
    }
}

fn read_process<'a>(
    mut table: Table<'a>,
    templates: &mut Vec<(Value<'a>, Template)>,
) -> Option<ProcessConfig> {
    let command = table.required("command", "[\"./server\", \"--port\", \"{port}\"]");
    let environment = table.section("environment", "{ PORT = \"{port}\" }");
    let working_dir = table.optional("workingDir", "\"servers\"");
    let stop_timeout = table.optional("stopTimeoutInSeconds", "10");
    let directory = table.source.directory;
    table.finish();

    let command = command.and_then(|value| read_command(&value, templates));
    let environment = read_environment(environment, templates);
    let working_dir = match working_dir {
        Some(value) => {
            value.remember();
            value.path()
        }
        None if directory.as_os_str().is_empty() => Some(Path::new(".").to_owned()),
        None => Some(directory.to_owned()),
    };
    let stop_timeout = stop_timeout.map_or(Some(STOP_TIMEOUT_DEFAULT), |value| value.seconds(0.1, 3600.0));
    Some(ProcessConfig {
        command: command?,
        environment: environment?,
        working_dir: working_dir?,
        stop_timeout: stop_timeout?,
    })
}

fn read_command<'a>(value: &Value<'a>, templates: &mut Vec<(Value<'a>, Template)>) -> Option<Vec<Template>> {
    value.remember();
    let elements = value.array("an array of strings")?;
    if elements.is_empty() {
        value.problem("is empty", "for example command = [\"./server\", \"--port\", \"{port}\"]".to_owned());
        return None;
    }
    let read_one = |(index, element): (usize, Value<'a>)| {
        // Only the program must not be empty; an argument may.
        let text = if index == 0 { element.filled() } else { element.string() }?;
        read_template(element, text, templates)
    };
    let parsed: Vec<Option<Template>> = elements.into_iter().enumerate().map(read_one).collect();
    parsed.into_iter().collect()
}

fn read_environment<'a>(
    table: Table<'a>,
    templates: &mut Vec<(Value<'a>, Template)>,
) -> Option<BTreeMap<String, Template>> {
    let read_one = |value: Value<'a>| {
        let name = value.name;
        if name.is_empty() || name.contains(['=', '\0']) {
            value.problem("is not a name of an environment variable", "letters, digits and _".to_owned());
            return None;
        }
        let text = value.string()?;
        Some((name.to_owned(), read_template(value, text, templates)?))
    };
    let parsed: Vec<Option<(String, Template)>> = table.into_entries().into_iter().map(read_one).collect();
    parsed.into_iter().collect()
}

fn read_template<'a>(
    value: Value<'a>,
    text: &str,
    templates: &mut Vec<(Value<'a>, Template)>,
) -> Option<Template> {
    let template = value.parsed(text, Template::parse(text))?;
    templates.push((value, template.clone()));
    Some(template)
}
