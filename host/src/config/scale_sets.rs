//! Declares what a table of `[[scaleSets]]` and the arrays beside it has, and compares what their parts say together.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::arrays::{ADDRESS, Array, ZONE, alone};
use super::estate::{self, EXTENSION, ExtensionKeys, Published, as_version};
use super::freeze;
use super::health::{HEALTH, Health};
use super::instances::{self, Alone, At, Instances, SeenAddresses};
use super::plugins::AZURE_HEALTH;
use super::policy::{POLICY, Policy};
use crate::discovery::{self, DISCOVERY, DiscoveryConfig, Sharing};
use crate::drivers::kind::{self, ReadDriver};
use crate::drivers::process::ProcessConfig;
use crate::drivers::settings::ExtensionSettings;
use crate::drivers::{DriverConfig, KINDS};
use crate::keys::suggest::suggest;
use crate::keys::{Form, Given, Is, Key, Section, Value};
use phasegate_core::domain::ids::NUMBERED_LEN_MAX;
use phasegate_core::domain::{
    APPLICATION, Component, Estate, ExtensionName, FreshIds, Instance, InstanceId, Model, PluginName,
    ScaleSet, ScaleSetName, UpgradePolicy, Version,
};

/// The keys of one scale set as they are written.
pub(super) struct Set {
    /// Where it stands.
    pub(super) array: Array,
    /// Names that `plugin` may have.
    plugins: Rc<BTreeSet<String>>,
    /// Addresses of this set and those before it.
    pub(super) addresses: SeenAddresses,
    pub(super) name: Option<ScaleSetName>,
    plugin: Option<PluginName>,
    health: Health,
    policy: Policy,
    pub(super) driver: ReadDriver,
    model: ModelKeys,
    pub(super) estate: Estate,
    /// Whether it says in which region it is.
    pub(super) is_located: bool,
    pub(super) instances: Instances,
    /// A machine that stands alone.
    pub(super) alone: Alone,
    discovery: discovery::Keys,
    forget_after: Duration,
}

#[derive(Default)]
struct ModelKeys {
    version: Option<Version>,
    extensions: Vec<ExtensionKeys>,
    budget: Duration,
    application: Published,
}

pub(super) const SET: Section<Set> = Section {
    keys: &[
        Key::<Set>::required(
            "name",
            "\"orders\"",
            Is::Own(
                || Form::Text,
                |set, value| {
                    set.name = Some(numbered(value, value.id(ScaleSetName::parse)?)?);
                    Some(())
                },
            ),
        )
        .bounds("letters, digits, `._-`; at most 107")
        .doc("unique"),
        Key::<Set>::preset("plugin", "\"azure-health\"", Is::Own(|| Form::Text, plugin))
            .doc("which plugin decides"),
        Key::<Set>::table(
            "health",
            "{ protocol = \"http\", requestPath = \"/health\" }",
            Is::Table(|| HEALTH.shape(), |set, table| HEALTH.read(table, &mut set.health)),
        )
        .doc("how instances are probed"),
        Key::<Set>::table(
            "upgradePolicy",
            "{ mode = \"Rolling\" }",
            Is::Table(|| POLICY.shape(), |set, table| POLICY.read(table, &mut set.policy)),
        )
        .doc("in what steps and within what limits an upgrade goes on"),
        Key::<Set>::optional(
            "allow",
            "[{ days = [\"Tue\"], from = \"22:00\", to = \"05:00\" }]",
            Is::Own(freeze::form, |set, value| {
                set.policy.freeze.allowed = freeze::read_allowed(value)?;
                Some(())
            }),
        )
        .without("at any time")
        .bounds("at most 100; each as a freeze window")
        .doc("windows in which alone a batch may begin; freeze windows hold inside of them, too"),
        Key::<Set>::required(
            "driver",
            "{ kind = \"process\", command = [\"./server\"] }",
            Is::Own(
                || kind::form(&KINDS),
                |set, value| {
                    set.driver = kind::read(value.table()?, &KINDS);
                    set.driver.config.is_some().then_some(())
                },
            ),
        )
        .doc("how an instance is made to run a version, see below"),
        Key::<Set>::required(
            "model",
            "{ version = \"v1\" }",
            Is::Table(|| MODEL.shape(), |set, table| MODEL.read(table, &mut set.model)),
        )
        .doc("what the instances should run"),
        estate::SUBSCRIPTION,
        estate::RESOURCE_GROUP,
        estate::LOCATION,
        estate::KIND,
        estate::AFTER,
        ADDRESS,
        ZONE,
        Key::<Set>::optional(
            "instances",
            "[{ id = \"0\", address = \"127.0.0.1:9100\" }]",
            Is::Own(instances::form, |set, value| {
                set.instances = instances::read_all(value, set.at(), &mut set.addresses);
                set.instances.complete.then_some(())
            }),
        )
        .without("required, unless `discovery` finds them")
        .bounds("1 to 100000")
        .doc("its members, see below; of one that is found, too, this says what it is like"),
        Key::<Set>::optional(
            "discovery",
            "{ file = \"targets.json\" }",
            Is::Table(|| DISCOVERY.shape(), |set, table| DISCOVERY.read(table, &mut set.discovery)),
        )
        .doc("where instances are found that come and go, see below")
        .restart(),
        Key::<Set>::preset(
            "forgetAfter",
            "\"PT1H\"",
            Is::Span(Some(("PT1S", "P365D")), |set, time| set.forget_after = time),
        )
        .doc(
            "how long what is recorded of an instance is kept after it was removed: one that comes back within it is \
             what it was",
        ),
    ],
    check,
};

const MODEL: Section<ModelKeys> = Section {
    keys: &[
        Key::<ModelKeys>::required(
            "version",
            "\"v1\"",
            Is::Own(
                || Form::Text,
                |model, value| {
                    model.version = Some(value.id(Version::parse)?);
                    Some(())
                },
            ),
        )
        .doc("version that the set shall run; `upgrade start --to` changes what is wanted until this key changes"),
        Key::<ModelKeys>::optional(
            "extensions",
            "[{ name = \"monitoring\", version = \"1.2.0\" }]",
            Is::Own(|| Form::Tables(EXTENSION.shape()), extensions),
        )
        .doc(
            "`[{ name = \"logs\", version = \"1.2\" }, …]`: what is installed beside the application, in the \
             order in which an instance gets it",
        ),
        Key::<ModelKeys>::preset(
            "extensionsTimeBudget",
            "\"PT1H30M\"",
            Is::Span(Some(("PT15M", "PT2H")), |model, time| model.budget = time),
        )
        .doc("how long all extensions of a new instance together may take; what is not there then has failed"),
        Key::<ModelKeys>::optional(
            "application",
            "{ publisher = \"contoso\", type = \"orders\" }",
            Is::Own(
                || Form::Table(estate::APPLICATION.shape()),
                |model, value| {
                    model.application = estate::application(value)?;
                    Some(())
                },
            ),
        )
        .doc("who publishes the application itself, if releases are to move it; `version` is then two to four numbers"),
    ],
    check: crate::keys::no_check,
};

impl Set {
    /// Of nothing, in an array; with the plugins that there are, and the addresses of the sets before it.
    pub(super) fn blank(array: Array, plugins: &Rc<BTreeSet<String>>, addresses: SeenAddresses) -> Self {
        Self {
            array,
            plugins: Rc::clone(plugins),
            addresses,
            name: None,
            plugin: None,
            health: Health::blank(),
            policy: Policy::blank(),
            driver: ReadDriver::default(),
            model: ModelKeys::default(),
            estate: Estate::default(),
            is_located: false,
            instances: Instances::default(),
            alone: Alone::default(),
            discovery: discovery::Keys::default(),
            forget_after: Duration::ZERO,
        }
    }

    /// What may be at an address of this set.
    pub(super) fn at(&self) -> At {
        let starts = |config: &DriverConfig| config.of::<ProcessConfig>().is_some();
        if self.driver.config.as_ref().is_some_and(starts) {
            At::OneProcess
        } else if self.health.names_the_instance() {
            At::Several
        } else {
            At::One
        }
    }

    /// How instances are found, with what the rest of the set says about them.
    fn discovery(&mut self) -> Option<DiscoveryConfig> {
        let sharing = match self.at() {
            At::OneProcess | At::One => Sharing::Refused,
            At::Several => Sharing::Allowed,
        };
        let needed = self.health.needed_labels().into_iter().collect();
        std::mem::take(&mut self.discovery).config().map(|config| DiscoveryConfig {
            sharing,
            needed,
            ..config
        })
    }

    pub(super) fn finish(mut self) -> Option<(ScaleSet<DriverConfig>, Option<DiscoveryConfig>)> {
        let discovery = self.discovery();
        let health = self.health.settings();
        let mut rules = self.policy.rules(&health);
        rules.rolling.batch_of = self.array.batch_of();
        let driver = self.driver.config?;
        // What is run belongs to the driver, and that it is run to the plan.
        let rules = UpgradePolicy { hooks: driver.hooks().kinds(), ..rules };
        let Policy { mode, retry, freeze, .. } = self.policy;
        let ModelKeys { version, extensions, budget, application: _ } = self.model;
        let provisioning = super::provisioning::of(&extensions, budget);
        let configured =
            extensions.iter().filter_map(|keys| Some((keys.name.clone()?, keys.configured.clone())));
        let driver = driver.with_extensions(ExtensionSettings::new(configured));
        let extensions =
            extensions.into_iter().filter_map(|keys| Some((keys.name.clone()?, as_version(&keys)?)));
        let extensions = extensions.collect();
        let located = self.is_located.then(|| self.estate.location.to_string());
        let set = ScaleSet {
            name: self.name?,
            plugin: self.plugin?,
            policy: rules,
            health,
            mode,
            retry,
            freeze,
            model: Model { version: version?, extensions },
            provisioning,
            instances: shared(self.instances.valid, located.as_ref()),
            estate: self.estate,
            forget_after: self.forget_after,
            driver,
        };
        Some((set, discovery))
    }
}

/// As the kernel shares them.
fn shared(
    instances: BTreeMap<InstanceId, Instance>,
    located: Option<&String>,
) -> BTreeMap<InstanceId, Arc<Instance>> {
    let placed =
        |instance: Instance| Instance { region: instance.region.or_else(|| located.cloned()), ..instance };
    instances.into_iter().map(|(id, instance)| (id, Arc::new(placed(instance)))).collect()
}

fn check(set: &mut Set, given: &mut Given<'_>) {
    alone(set, given);
    if !given.has("instances") && !given.has("discovery") && !given.has("address") {
        let hint = "for example instances = [{ id = \"0\", address = \"127.0.0.1:9100\" }], or discovery = { file = … }";
        given.conflict("instances", "is missing", hint);
    }
    enrol(set, given);
    let instances = &set.instances.valid;
    if !set.driver.check_templates(given.source(), set.name.as_ref(), instances.values()) {
        given.spoil();
    }
    if given.are_sound(&["health.requestPath", "health.requestHeaders"]) {
        let lacks = |name: &String| instances.values().find(|one| !one.labels.contains_key(name));
        let needed = set.health.needed_labels();
        if let Some((name, one)) = needed.iter().find_map(|name| Some((name, lacks(name)?))) {
            let message = format!("asks for {{label.{name}}}, and instance `{}` has no label {name}", one.id);
            given.conflict("health", message, format!("give each instance labels = {{ {name} = \"…\" }}"));
        }
    }
    let windows = &set.policy.freeze;
    if !windows.allowed.is_empty() && windows.is_endless() {
        given.conflict(
            "allow",
            "has no moment that upgradePolicy.freezeWindows leaves open: no upgrade could ever start",
            "change the one or the other",
        );
    }
    if set.policy.rules.round_trip && set.policy.rules.rolling.max_surge {
        given.conflict(
            "upgradePolicy.canary.roundTrip",
            "is true, and with maxSurge a new instance takes the place of the first one: nothing goes back",
            "leave one of the two out",
        );
    }
    if set.policy.rules.rolling.max_surge {
        has_room_for_replacements(set, given);
    }
    let Some(driver) = &set.driver.config else { return };
    let (extension, surge) = (set.model.extensions.first(), "upgradePolicy.rollingUpgradePolicy.maxSurge");
    // What nothing could install is refused.
    if let (Some(name), Some(hint)) =
        (extension.and_then(|keys| keys.name.as_ref()), driver.settings().lacks_for_extensions())
    {
        let message = format!("has the extension \"{name}\", and the driver has no program that installs it");
        given.conflict("model", message, hint);
    }
    if set.policy.rules.rolling.max_surge && driver.hooks().asks_for_address_before() {
        let message =
            "is true, and hook beforeInstance asks for the address of an instance that has none yet";
        given.conflict(surge, message, "let the hook go by {id}, or leave the placeholder out");
    }
    // So is `maxSurge` where it was not said how instances are created: there is no silent way out.
    if let (true, Some(hint)) = (set.policy.rules.rolling.max_surge, driver.settings().lacks_for_creation()) {
        given.conflict(surge, "is true, and the driver has not been told how to create instances", hint);
    }
}

/// What of the model releases may move.
fn enrol(set: &mut Set, given: &mut Given<'_>) {
    let ModelKeys { version, extensions, application, budget: _ } = &set.model;
    let mut all = vec![application.enrolment(Component::Application, version.as_ref())];
    for keys in extensions {
        let Some(name) = keys.name.clone() else { continue };
        all.push(keys.published.enrolment(Component::Extension(name), keys.version.as_ref()));
    }
    for one in all {
        match one {
            Ok(one) => set.estate.enrolments.extend(one),
            Err(error) => given.conflict("model", error, "give it a version such as \"1.2.0\""),
        }
    }
    estate::check(set, given);
}

/// The name of a set, if the ids of its upgrades have room behind it.
fn numbered(value: &Value<'_>, name: ScaleSetName) -> Option<ScaleSetName> {
    let seen = name.as_str().len();
    if seen <= NUMBERED_LEN_MAX {
        return Some(name);
    }
    value.conflict(
        format!("is {seen} bytes long (limit {NUMBERED_LEN_MAX}: its upgrades are called after it, with a number behind it)"),
        "give it a shorter name".to_owned(),
    );
    None
}

/// Refuses ids that leave no room for those of the instances that take their places.
fn has_room_for_replacements(set: &Set, given: &mut Given<'_>) {
    let ids = || set.instances.valid.keys();
    let mut fresh = FreshIds::new(ids());
    for id in ids() {
        let seen = id.as_str().len();
        let message = if seen > NUMBERED_LEN_MAX {
            format!(
                "have the id \"{id}\", which is {seen} bytes long (limit {NUMBERED_LEN_MAX} with maxSurge: the \
                 instance in its place is called after it, with a number behind it)"
            )
        } else if fresh.next_like(id).is_none() {
            format!("have the id \"{id}\", whose number leaves none for the instance in its place (maxSurge)")
        } else {
            continue;
        };
        given.conflict("instances", message, "give it a shorter id".to_owned());
        return;
    }
}

fn plugin(set: &mut Set, value: &Value<'_>) -> Option<()> {
    let name = value.id(PluginName::parse)?;
    let plugins = Rc::clone(&set.plugins);
    if plugins.contains(name.as_str()) || name.as_str() == AZURE_HEALTH {
        set.plugin = Some(name);
        return Some(());
    }
    let known: Vec<String> = plugins.iter().map(|known| format!("\"{known}\"")).collect();
    let known = known.join(", ");
    let hint = match suggest(name.as_str(), plugins.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean \"{meant}\"? defined: {known}"),
        None => format!("defined: {known}"),
    };
    value.conflict(format!("is \"{name}\", which is not defined"), hint);
    None
}

fn extensions(model: &mut ModelKeys, value: &Value<'_>) -> Option<()> {
    let mut all = Vec::new();
    for value in value.array("an array of tables")? {
        let mut keys = ExtensionKeys::default();
        let mut given = EXTENSION.read(value.table()?, &mut keys);
        if keys
            .name
            .as_ref()
            .is_some_and(|name| model.extensions.iter().any(|known| known.name.as_ref() == Some(name)))
        {
            let name = keys.name.as_ref().map(ToString::to_string).unwrap_or_default();
            given.conflict(
                "name",
                format!("is \"{name}\", which is there already"),
                "name each extension once",
            );
        }
        if !given.is_sound() {
            return None;
        }
        model.extensions.push(keys);
        all.push(given);
    }
    super::provisioning::check(&model.extensions, all).then_some(())
}

pub(super) fn extension_name(extension: &mut ExtensionKeys, value: &Value<'_>) -> Option<()> {
    let name = value.id(ExtensionName::parse)?;
    if name.as_str() == APPLICATION {
        value.problem(
            format!("is {APPLICATION:?}, which means the application itself"),
            "give it another name".to_owned(),
        );
        return None;
    }
    extension.name = Some(name);
    Some(())
}
