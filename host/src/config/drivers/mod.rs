//! Reads `[scaleSets.driver]`: what all kinds have in common is here, the rest in a file each.
//!
//! Does not look for the programs and files; `environment` does.

mod command;
mod http;
mod process;
mod surge;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::surge::both_or_none;
pub(super) use self::surge::{SurgePorts, check_ports};
use super::table::Table;
use super::value::Value;
use crate::drivers::DriverConfig;
use crate::drivers::template::{Scope, Template};
use phasegate_core::domain::{Instance, ScaleSetName};

/// Longest time for anything that a driver waits for: a day, as in no other place of the file.
const WAIT_MAX_SECONDS: f64 = 86_400.0;

/// Long enough to copy and install something, short enough for somebody to come and look.
const WAIT_DEFAULT: Duration = Duration::from_secs(600);

/// A driver whose templates have not yet been compared with the instances.
pub(super) struct Driver<'a> {
    pub(super) config: Option<DriverConfig>,
    templates: Templates<'a>,
}

/// The templates of a driver with their places.
#[derive(Default)]
struct Templates<'a> {
    all: Vec<(Value<'a>, Template)>,
    urls: Vec<http::UrlTemplate<'a>>,
    ports: Option<SurgePorts<'a>>,
}

/// Kinds of drivers.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Process,
    Command,
    Http,
}

pub(super) fn read(mut table: Table<'_>) -> Driver<'_> {
    let mut templates = Templates::default();
    let kind = table.required("kind", "\"process\"");
    let kinds = [("process", Kind::Process), ("command", Kind::Command), ("http", Kind::Http)];
    let kind = kind.map(|value| value.choice(&kinds));
    let config = match kind {
        // The other keys belong to a kind that nobody knows.
        Some(None) => None,
        Some(Some(Kind::Process)) | None => process::read(table, &mut templates).map(DriverConfig::new),
        Some(Some(Kind::Command)) => command::read(table, &mut templates).map(DriverConfig::new),
        Some(Some(Kind::Http)) => http::read(table, &mut templates).map(DriverConfig::new),
    };
    Driver { config, templates }
}

impl<'a> Driver<'a> {
    /// The ports for new instances, to be compared with those of other sets.
    pub(super) fn ports(&mut self) -> Option<SurgePorts<'a>> {
        self.templates.ports.take()
    }

    /// Reports placeholders that some instances have no value for, and URLs that are none once they
    /// are filled in.
    pub(super) fn check_templates<'i>(
        &self,
        scale_set: Option<&ScaleSetName>,
        instances: impl Iterator<Item = &'i Instance> + Clone,
    ) {
        for (value, template) in &self.templates.all {
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
        for url in &self.templates.urls {
            url.check(scale_set, instances.clone());
        }
    }
}

/// Program and arguments.
fn read_argv<'a>(value: &Value<'a>, scope: Scope, templates: &mut Templates<'a>) -> Option<Vec<Template>> {
    value.remember();
    let elements = value.array("an array of strings")?;
    if elements.is_empty() {
        value.problem("is empty", format!("for example {} = {}", value.name, value.example));
        return None;
    }
    let read_one = |(index, element): (usize, Value<'a>)| {
        // Only the program must not be empty; an argument may.
        let text = if index == 0 { element.filled() } else { element.string() }?;
        read_template(element, text, scope, templates)
    };
    let parsed: Vec<Option<Template>> = elements.into_iter().enumerate().map(read_one).collect();
    parsed.into_iter().collect()
}

fn read_environment<'a>(
    table: Table<'a>,
    scope: Scope,
    templates: &mut Templates<'a>,
) -> Option<BTreeMap<String, Template>> {
    let read_one = |value: Value<'a>| {
        let name = value.name;
        if name.is_empty() || name.contains(['=', '\0']) {
            value.problem("is not a name of an environment variable", "letters, digits and _".to_owned());
            return None;
        }
        let text = value.string()?;
        Some((name.to_owned(), read_template(value, text, scope, templates)?))
    };
    let parsed: Vec<Option<(String, Template)>> = table.into_entries().into_iter().map(read_one).collect();
    parsed.into_iter().collect()
}

fn read_template<'a>(
    value: Value<'a>,
    text: &str,
    scope: Scope,
    templates: &mut Templates<'a>,
) -> Option<Template> {
    let template = value.parsed(text, Template::parse(text, scope))?;
    templates.all.push((value, template.clone()));
    Some(template)
}

/// Where programs run: by default in the folder of the file.
fn read_working_dir(value: Option<Value<'_>>, directory: &Path) -> Option<PathBuf> {
    match value {
        Some(value) => {
            value.remember();
            value.path()
        }
        None if directory.as_os_str().is_empty() => Some(Path::new(".").to_owned()),
        None => Some(directory.to_owned()),
    }
}

/// A number of seconds from `min` to a day.
fn read_wait(value: Option<Value<'_>>, min: f64) -> Option<Duration> {
    value.map_or(Some(WAIT_DEFAULT), |value| value.seconds(min, WAIT_MAX_SECONDS))
}

/// How much a driver does at once: as much as a small machine with small limits can carry.
fn read_max_concurrent(value: Option<Value<'_>>) -> Option<u32> {
    value.map_or(Some(64), |value| value.integer(1, 1024))
}
