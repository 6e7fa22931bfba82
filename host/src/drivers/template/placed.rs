//! Templates as the keys of a driver, and what they come to for the instances of a scale set.
//!
//! Which keys there are is each driver's own business.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Scope, Template, TemplateValues, Wish};
use crate::drivers::kind::PortRange;
use crate::drivers::settings::SettingsFiles;
use crate::keys::{Form, Given, Source, Spot, Value};
use phasegate_core::domain::{
    Component, Direction, Fence, Instance, Located, OperationId, ScaleSetName, Version,
};

/// The templates of a driver with their places in the file.
#[derive(Default)]
pub struct PlacedTemplates {
    all: Vec<(Spot, Template)>,
    urls: Vec<PlacedUrl>,
    /// Ports for new instances.
    pub ports: Option<(Spot, PortRange)>,
}

/// What is wrong with a URL, as a fragment that follows it, and what to do.
pub type Refuse = fn(&str) -> Option<(String, &'static str)>;

/// A template whose texts are refused or not once it is filled in.
struct PlacedUrl {
    spot: Spot,
    template: Template,
    scope: Scope,
    refuse: Refuse,
}

/// The form of a program with its arguments.
#[must_use]
pub fn argv_form() -> Form {
    Form::List(Box::new(Form::Text))
}

/// The form of additional variables.
#[must_use]
pub fn environment_form() -> Form {
    Form::Named(Box::new(Form::Text))
}

impl PlacedTemplates {
    /// Reads program and arguments.
    pub(in crate::drivers) fn argv(&mut self, value: &Value<'_>, scope: Scope) -> Option<Vec<Template>> {
        let elements = value.array("an array of strings")?;
        if elements.is_empty() {
            value.problem("is empty", format!("for example {} = {}", value.name, value.example));
            return None;
        }
        let read_one = |(index, element): (usize, &Value<'_>)| {
            // Only the program must not be empty; an argument may.
            let text = if index == 0 { element.filled() } else { element.string() }?;
            self.template(element, text, scope)
        };
        let parsed: Vec<Option<Template>> = elements.iter().enumerate().map(read_one).collect();
        parsed.into_iter().collect()
    }

    /// Reads additional variables.
    pub(in crate::drivers) fn environment(
        &mut self,
        value: &Value<'_>,
        scope: Scope,
    ) -> Option<BTreeMap<String, Template>> {
        let read_one = |value: Value<'_>| {
            let name = value.name;
            if name.is_empty() || name.contains(['=', '\0']) {
                let hint = "letters, digits and _".to_owned();
                value.problem("is not a name of an environment variable", hint);
                return None;
            }
            let text = value.string()?;
            Some((name.to_owned(), self.template(&value, text, scope)?))
        };
        let parsed: Vec<_> = value.table()?.into_entries().into_iter().map(read_one).collect();
        parsed.into_iter().collect()
    }

    /// Takes in what was read elsewhere.
    pub(in crate::drivers) fn take_in(&mut self, other: Self) {
        self.all.extend(other.all);
        self.urls.extend(other.urls);
    }

    /// Reads one text.
    pub(in crate::drivers) fn template(
        &mut self,
        value: &Value<'_>,
        text: &str,
        scope: Scope,
    ) -> Option<Template> {
        let template = value.parsed(text, Template::parse(text, scope))?;
        self.all.push((value.spot(), template.clone()));
        Some(template)
    }

    /// Has the texts of a template looked at that was read before.
    pub(in crate::drivers) fn refuse(
        &mut self,
        spot: Option<&Spot>,
        template: Option<&Template>,
        scope: Scope,
        refuse: Refuse,
    ) {
        if let (Some(spot), Some(template)) = (spot.cloned(), template.cloned()) {
            self.urls.push(PlacedUrl { spot, template, scope, refuse });
        }
    }

    /// Reports placeholders that some instances have no value for, and texts that are refused once they
    /// are filled in; says whether there are none.
    pub(in crate::drivers) fn check<'i>(
        &self,
        source: &Source<'_>,
        scale_set: Option<&ScaleSetName>,
        instances: impl Iterator<Item = &'i Instance> + Clone,
    ) -> bool {
        let mut is_sound = true;
        for (spot, template) in &self.all {
            let mut lacking = instances
                .clone()
                .filter_map(|instance| template.missing(instance).map(|missing| (&instance.id, missing)));
            let Some((id, missing)) = lacking.next() else { continue };
            let more = lacking.count();
            let others = if more == 0 { String::new() } else { format!(", nor have {more} others") };
            source.conflict(
                spot,
                format!("cannot be filled in: instance \"{id}\" {missing}{others}"),
                "add it to every instance of the set, or drop the placeholder",
            );
            is_sound = false;
        }
        for url in &self.urls {
            // What cannot be read is reported where it is.
            let refused = scale_set.and_then(|scale_set| url.refused(scale_set, instances.clone()));
            if let Some((message, hint)) = refused {
                source.conflict(&url.spot, message, hint);
                is_sound = false;
            }
        }
        is_sound
    }
}

impl PlacedUrl {
    fn refused<'i>(
        &self,
        scale_set: &ScaleSetName,
        mut instances: impl Iterator<Item = &'i Instance>,
    ) -> Option<(String, &'static str)> {
        let version = Version::parse("v1").ok()?;
        let operation = OperationId("operation".to_owned());
        let (version, operation, fence) = (&version, &operation, Fence::NONE);
        instances.find_map(|instance| {
            let wish = match self.scope {
                Scope::Look => Wish::Look,
                Scope::Observe => Wish::Observe(&Component::Application),
                Scope::Run => Wish::Run(version),
                Scope::Delete => Wish::Delete { located: Located::Yes, operation, fence },
                Scope::Apply | Scope::ApplyHere => Wish::Apply {
                    component: &Component::Application,
                    version,
                    operation,
                    fence,
                    settings: SettingsFiles::NONE,
                },
                Scope::Hook => {
                    let (version, located, direction) = (Some(version), Located::Yes, Direction::Forward);
                    Wish::Hook { version, located, operation, fence, direction }
                }
                Scope::BatchHook => {
                    let (instances, direction) = (std::slice::from_ref(&instance.id), Direction::Forward);
                    Wish::Batch { number: 1, instances, operation, fence, direction }
                }
                Scope::Create => Wish::Create { replaces: &instance.id, version, operation, fence },
            };
            let url = self.template.render_url(&TemplateValues { scale_set, instance, wish }).ok()?;
            let (message, hint) = (self.refuse)(&url)?;
            Some((format!("cannot be used for instance \"{}\": `{url}` {message}", instance.id), hint))
        })
    }
}

/// Where programs run: by default in the folder of the file.
pub(in crate::drivers) fn working_dir(named: Option<PathBuf>, given: &Given<'_>) -> PathBuf {
    let folder = given.source().directory;
    let folder = if folder.as_os_str().is_empty() { ".".into() } else { folder.to_owned() };
    named.unwrap_or(folder)
}

/// Reports one of two keys that belong together and is alone.
pub(in crate::drivers) fn both_or_none(given: &mut Given<'_>, one: &'static str, other: &'static str) {
    let (alone, lacking) = match (given.has(one), given.has(other)) {
        (true, false) => (one, other),
        (false, true) => (other, one),
        (true, true) | (false, false) => return,
    };
    given.conflict(
        alone,
        format!("is given without {lacking}"),
        format!("add {lacking}, or leave both out: what is created must be deleted some day"),
    );
}
