//! Declares where a set stands, and what of its model is moved by releases.

use super::scale_sets::Set;
use crate::drivers::settings::{Configured, Settings};
use crate::keys::{Form, Given, Is, Key, Section, Value, json_object};
use phasegate_core::domain::{
    Component, Enrolment, ExtensionName, ExtensionType, HandlerVersion, Location, ReleaseVersion,
    ResourceGroup, ScaleSetName, SetKind, Subscription, Version,
};
use toml::de::DeValue;

/// What a component says of its publisher.
#[derive(Default)]
pub(super) struct Published {
    publisher: Option<String>,
    kind: Option<String>,
    handler: Option<HandlerVersion>,
    minor: bool,
    automatic: bool,
}

/// One extension of a model as it is written.
#[derive(Default)]
pub(super) struct ExtensionKeys {
    pub(super) name: Option<ExtensionName>,
    pub(super) version: Option<Version>,
    pub(super) published: Published,
    /// After which others a new instance gets it.
    pub(super) after: Vec<ExtensionName>,
    pub(super) configured: Configured,
}

pub(super) const SUBSCRIPTION: Key<Set> = Key::<Set>::preset(
    "subscription",
    "\"00000000-0000-0000-0000-000000000000\"",
    Is::Own(
        || Form::Text,
        |set, value| {
            set.estate.subscription = value.id(Subscription::parse)?;
            Some(())
        },
    ),
)
.bounds("letters, digits, `._-`")
.doc("what is enrolled together, for `releases.requireFeature`");

pub(super) const RESOURCE_GROUP: Key<Set> = Key::<Set>::preset(
    "resourceGroup",
    "\"default\"",
    Is::Own(
        || Form::Text,
        |set, value| {
            set.estate.resource_group = value.id(ResourceGroup::parse)?;
            Some(())
        },
    ),
)
.bounds("letters, digits, `._-`")
.doc("for people");

pub(super) const LOCATION: Key<Set> = Key::<Set>::optional(
    "location",
    "\"westeurope\"",
    Is::Own(
        || Form::Text,
        |set, value| {
            set.estate.location = value.id(Location::parse)?;
            set.is_located = true;
            Some(())
        },
    ),
)
.without("`\"local\"`")
.bounds("letters, digits, `._-`")
.doc(
    "its region: within one at most one zone has anything in flight, over all sets. The plugin gets to see it as \
     the region of instances that name none",
);

pub(super) const KIND: Key<Set> = Key::<Set>::preset(
    "kind",
    "\"uniform\"",
    Is::Word(&[
        ("uniform", |set| set.estate.kind = SetKind::Uniform),
        ("serviceFabric", |set| set.estate.kind = SetKind::ServiceFabric),
    ]),
)
.doc("what kind of set it is; `serviceFabric` can enrol nothing for automatic upgrades");

pub(super) const AFTER: Key<Set> = Key::<Set>::optional(
    "after",
    "[\"db\"]",
    Is::Own(
        || Form::List(Box::new(Form::Text)),
        |set, value| {
            let values = value.array("an array of names of scale sets")?;
            let names = values.iter().map(|value| value.id(ScaleSetName::parse));
            set.estate.after = names.collect::<Option<_>>()?;
            Some(())
        },
    ),
)
.doc("sets that a release goes to before this one; when one of them fails, this one ends with it");

/// The keys that say who publishes a component, of whatever is read.
macro_rules! published {
    (publisher $of:ty) => {
        Key::<$of>::optional(
            "publisher",
            "\"contoso\"",
            Is::Own(
                || Form::Text,
                |keys, value| {
                    keys.published.publisher = Some(value.filled()?.to_owned());
                    Some(())
                },
            ),
        )
        .bounds("letters, digits, `._-`; together with `type`")
        .doc("who publishes its versions")
    };
    (type $of:ty) => {
        Key::<$of>::optional(
            "type",
            "\"agent\"",
            Is::Own(
                || Form::Text,
                |keys, value| {
                    keys.published.kind = Some(value.filled()?.to_owned());
                    Some(())
                },
            ),
        )
        .bounds("letters, digits, `._-`; together with `publisher`")
        .doc("under which name they are published")
    };
    (automatic $of:ty) => {
        Key::<$of>::preset(
            "enableAutomaticUpgrade",
            "false",
            Is::Flag(|keys, yes| keys.published.automatic = yes),
        )
        .example("true")
        .doc("a release moves it to any newer version of the same major, see RELEASES.md")
    };
}

/// `model.application` as it is written.
#[derive(Default)]
pub(super) struct Application {
    pub(super) published: Published,
}

pub(super) const APPLICATION: Section<Application> = Section {
    keys: &[
        published!(publisher Application),
        published!(type Application),
        published!(automatic Application),
    ],
    check: |application, given| {
        application.published.check(given);
    },
};

pub(super) const EXTENSION: Section<ExtensionKeys> = Section {
    keys: &[
        Key::<ExtensionKeys>::required("name", "\"monitoring\"", Is::Own(|| Form::Text, super::scale_sets::extension_name))
            .doc("unique in the set; `application` means the application itself"),
        Key::<ExtensionKeys>::optional(
            "version",
            "\"1.2.0\"",
            Is::Own(
                || Form::Text,
                |extension, value| {
                    extension.version = Some(value.id(Version::parse)?);
                    Some(())
                },
            ),
        )
        .without("what the catalogue has for `typeHandlerVersion`")
        .doc("version that each instance gets; required without `typeHandlerVersion`"),
        Key::<ExtensionKeys>::preset(
            "provisionAfterExtensions",
            "[]",
            Is::Own(
                || Form::List(Box::new(Form::Text)),
                |extension, value| {
                    let values = value.array("an array of names of extensions")?;
                    extension.after =
                        values.iter().map(|value| value.id(ExtensionName::parse)).collect::<Option<_>>()?;
                    Some(())
                },
            ),
        )
        .example("[\"base\"]")
        .doc(
            "others of the model that a new instance gets before it; each of them needs `settings` or \
             `protectedSettings`. One that fails stops those that come after it. Upgrades know no order",
        ),
        Key::<ExtensionKeys>::optional(
            "settings",
            "{ level = \"info\" }",
            Is::Own(
                || Form::Either(vec![Form::Free, Form::Text]),
                |extension, value| {
                    extension.configured.settings = Some(match value.raw {
                        DeValue::Table(_) => Settings::Inline(json_object(value)?),
                        _ => Settings::File(value.path()?),
                    });
                    Some(())
                },
            ),
        )
        .bounds("a table, or a file of at most 1 MiB")
        .doc(
            "what it is configured with: a program finds it as a file (`{settingsFile}`), an agent as `settings` in \
             its request",
        ),
        Key::<ExtensionKeys>::optional(
            "protectedSettings",
            "\"agent.secret\"",
            Is::Path(|extension, path| extension.configured.protected = Some(path)),
        )
        .bounds("a file of at most 1 MiB that nobody else may read")
        .doc(
            "secrets: a program finds them as a file of mode 0600 (`{protectedSettingsFile}`), an agent as \
             `protectedSettings` in its request; they are no argument and in no log and no record",
        ),
        published!(publisher ExtensionKeys),
        published!(type ExtensionKeys),
        Key::<ExtensionKeys>::optional(
            "typeHandlerVersion",
            "\"1.2\"",
            Is::Own(
                || Form::Text,
                |extension, value| {
                    let text = value.filled()?;
                    extension.published.handler = Some(value.parsed(text, HandlerVersion::parse(text))?);
                    Some(())
                },
            ),
        )
        .without("the first two numbers of `version`")
        .bounds("two numbers; together with `publisher` and `type`")
        .doc(
            "major and minor: without `version` the set begins with the newest of exactly these in the catalogue, \
             and gets it again when this key changes",
        ),
        Key::<ExtensionKeys>::preset(
            "autoUpgradeMinorVersion",
            "false",
            Is::Flag(|extension, yes| extension.published.minor = yes),
        )
        .example("true")
        .doc("the set begins with the newest of the major instead"),
        published!(automatic ExtensionKeys),
    ],
    check: |extension, given| {
        extension.published.check(given);
        if extension.version.is_none() && extension.published.handler.is_none() && given.are_sound(&["version"]) {
            given.conflict("name", "has no version", "add for example version = \"1.2.0\"");
        }
        if extension.published.handler.is_some() && extension.published.publisher.is_none() {
            let hint = "add publisher and type, or write version instead";
            given.conflict("typeHandlerVersion", "is set although publisher and type are not", hint);
        }
    },
};

impl Published {
    fn check(&self, given: &mut Given<'_>) {
        match (&self.publisher, &self.kind) {
            (Some(_), None) => given.conflict("publisher", "is set although type is not", "add type"),
            (None, Some(_)) => given.conflict("type", "is set although publisher is not", "add publisher"),
            (None, None) if self.automatic => given.conflict(
                "enableAutomaticUpgrade",
                "is true although publisher and type are not set: nobody could publish a version for it",
                "add publisher and type",
            ),
            (None, None) => {}
            (Some(publisher), Some(kind)) => {
                if let Err(error) = ExtensionType::new(publisher, kind) {
                    given.conflict("type", error.to_string(), "use letters, digits and ._-");
                }
            }
        }
    }

    /// How a component is enrolled; nothing where nobody publishes it.
    ///
    /// # Errors
    /// When its version cannot be compared.
    pub(super) fn enrolment(
        &self,
        component: Component,
        version: Option<&Version>,
    ) -> Result<Option<Enrolment>, String> {
        let (Some(publisher), Some(kind)) = (&self.publisher, &self.kind) else { return Ok(None) };
        let Ok(subject) = ExtensionType::new(publisher, kind) else { return Ok(None) };
        let named = version.map(|version| {
            ReleaseVersion::parse(version.as_str())
                .map_err(|error| format!("has the version \"{version}\", which {error}"))
        });
        let named = match named {
            // What is not moved by releases may be called anything.
            Some(Err(error)) if self.automatic => return Err(error),
            Some(Err(_)) | None => None,
            Some(Ok(named)) => Some(named),
        };
        let of_version = || named.as_ref().map(|it| HandlerVersion { major: it.major(), minor: it.minor() });
        let handler = self.handler.or_else(of_version).unwrap_or(HandlerVersion { major: 0, minor: 0 });
        let (automatic, minor, resolves) = (self.automatic, self.minor, version.is_none());
        Ok(Some(Enrolment { subject, component, automatic, minor, handler, resolves }))
    }
}

/// The text of a handler version as a version: what an extension is called that the catalogue has nothing for yet.
pub(super) fn as_version(keys: &ExtensionKeys) -> Option<Version> {
    let handler = || Version::parse(&keys.published.handler?.to_string()).ok();
    keys.version.clone().or_else(handler)
}

/// What an enrolment is at odds with in its set.
pub(super) fn check(set: &Set, given: &mut Given<'_>) {
    let automatic = set.estate.enrolments.iter().find(|one| one.automatic);
    if let (SetKind::ServiceFabric, Some(one)) = (set.estate.kind, automatic) {
        given.conflict(
            "kind",
            format!(
                "is \"serviceFabric\", and `{}` says enableAutomaticUpgrade = true: Service Fabric scale sets are \
                 currently not supported for automatic upgrades",
                one.component
            ),
            "leave enableAutomaticUpgrade out, and upgrade it with `phasegate upgrade start`",
        );
    }
    let mut subjects: Vec<&ExtensionType> = Vec::new();
    for one in &set.estate.enrolments {
        if subjects.contains(&&one.subject) {
            let message = format!("has {} twice", one.subject);
            given.conflict("model", message, "name each publisher and type once");
        }
        subjects.push(&one.subject);
    }
}

/// Reads `model.application`.
pub(super) fn application(value: &Value<'_>) -> Option<Published> {
    let mut keys = Application::default();
    APPLICATION.read(value.table()?, &mut keys).is_sound().then_some(keys.published)
}
