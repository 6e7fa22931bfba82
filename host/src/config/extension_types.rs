//! Declares `[[extensionTypes]]`: what may be published, where versions are listed, and who accepts them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::catalogue::{Place, SourceConfig, TypeConfig, Types};
use crate::keys::{Form, Given, Is, Key, Section, Spot, Value};
use crate::net::reference::{RemoteSource, looks_tagged};
use crate::plugins::fetch::{Credentials, FetchConfig};
use phasegate_core::domain::ExtensionType;
use phasegate_core::kernel::TypeRules;

/// The keys of one type as they are written.
#[derive(Default)]
struct Keys {
    publisher: Option<String>,
    kind: Option<String>,
    versions_max: u32,
    place: Option<Place>,
    interval: Duration,
    checker: Vec<String>,
    ca_file: Option<PathBuf>,
    token: Option<PathBuf>,
    username: Option<PathBuf>,
    password: Option<PathBuf>,
}

const TYPE: Section<Keys> = Section {
    keys: &[
        Key::<Keys>::required(
            "publisher",
            "\"contoso\"",
            Is::Own(
                || Form::Text,
                |keys, value| {
                    keys.publisher = Some(value.filled()?.to_owned());
                    Some(())
                },
            ),
        )
        .bounds("letters, digits, `._-`")
        .doc("who publishes it"),
        Key::<Keys>::required(
            "type",
            "\"agent\"",
            Is::Own(
                || Form::Text,
                |keys, value| {
                    keys.kind = Some(value.filled()?.to_owned());
                    Some(())
                },
            ),
        )
        .bounds("letters, digits, `._-`")
        .doc("its name; two publishers may use the same one"),
        Key::<Keys>::optional("source", "\"versions.json\"", Is::Own(|| Form::Text, place))
            .bounds("a file, `https://…`, or `oci://…` without a tag")
            .doc(
                "where its versions are listed: a list in JSON such as `[\"1.2.0\", { \"version\": \"1.3.0\", \"digest\": \"sha256:…\" }]`, or a repository of a registry whose tags are versions. What is new there is published by itself; what is gone from it stays. A list that is no such list, cannot be had, or has more than `maxVersions` changes nothing",
            ),
        Key::<Keys>::preset(
            "interval",
            "\"PT5M\"",
            Is::Span(Some(("PT1S", "P1D")), |keys, time| keys.interval = time),
        )
        .doc("from one look at the source to the next"),
        Key::<Keys>::preset(
            "maxVersions",
            "1000",
            Is::Whole(1, 10_000, |keys, max| keys.versions_max = max),
        )
        .doc("most versions in the catalogue; a publication beyond is refused"),
        Key::<Keys>::optional(
            "checker",
            "[\"/usr/local/bin/check\", \"{version}\", \"{digest}\"]",
            Is::Own(
                || Form::List(Box::new(Form::Text)),
                |keys, value| {
                    let values = value.array("an array of texts: a program and its arguments")?;
                    let texts = values.iter().map(|value| Some(value.filled()?.to_owned()));
                    let texts: Vec<String> = texts.collect::<Option<_>>()?;
                    if texts.is_empty() {
                        value.problem("is empty", "name a program, or leave the key out".to_owned());
                        return None;
                    }
                    if let Some(unknown) = texts.iter().find_map(|text| unknown_placeholder(text)) {
                        let known = "{publisher}, {type}, {version} and {digest}";
                        value.problem(format!("has {unknown}, which nobody fills in"), format!("there are {known}"));
                        return None;
                    }
                    keys.checker = texts;
                    Some(())
                },
            ),
        )
        .bounds("an absolute path, or a name that the usual folders have")
        .doc(
            "a program that has to accept a version before it is published, by exit code 0 within a minute; `{publisher}`, `{type}`, `{version}` and `{digest}` are put in, and are in `PHASEGATE_PUBLISHER` and so on",
        ),
        Key::<Keys>::optional("caFile", "\"/etc/phasegate/ca.pem\"", Is::Path(|keys, path| keys.ca_file = Some(path)))
            .bounds("PEM")
            .doc("of a source that is fetched: authorities of one's own, trusted besides those of the web"),
        Key::<Keys>::optional("tokenFile", "\"registry.token\"", Is::Path(|keys, path| keys.token = Some(path)))
            .bounds("one line")
            .doc("of a source that is fetched: sent as `Authorization: Bearer …`"),
        Key::<Keys>::optional("usernameFile", "\"registry.user\"", Is::Path(|keys, path| keys.username = Some(path)))
            .bounds("one line; with `passwordFile`, not with `tokenFile`")
            .doc("likewise: sent as `Authorization: Basic …`"),
        Key::<Keys>::optional(
            "passwordFile",
            "\"registry.password\"",
            Is::Path(|keys, path| keys.password = Some(path)),
        )
        .bounds("one line; with `usernameFile`")
        .doc("the password to it"),
    ],
    check,
};

fn place(keys: &mut Keys, value: &Value<'_>) -> Option<()> {
    let text = value.filled()?;
    if !RemoteSource::looks_like(text) {
        keys.place = Some(Place::File(value.path()?));
        return Some(());
    }
    if looks_tagged(text) {
        let message =
            "names one version of the repository; leave the tag out: its tags are the versions".to_owned();
        value.problem(message, "for example oci://registry.example/agents/agent".to_owned());
        return None;
    }
    // All of its tags are meant; the one is only for the form.
    let whole = if text.starts_with("oci://") { format!("{text}:all") } else { text.to_owned() };
    keys.place = Some(Place::Remote(value.parsed(text, RemoteSource::parse(&whole))?));
    Some(())
}

/// The first `{name}` of a text that nothing is put in for. `${NAME}` is the shell's.
fn unknown_placeholder(text: &str) -> Option<String> {
    let mut before = "";
    for (index, part) in text.split('{').enumerate() {
        let is_shells = before.ends_with('$');
        before = part;
        let Some((name, _)) = part.split_once('}').filter(|_| index > 0 && !is_shells) else { continue };
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
        if is_name && !["publisher", "type", "version", "digest"].contains(&name) {
            return Some(format!("{{{name}}}"));
        }
    }
    None
}

fn check(keys: &mut Keys, given: &mut Given<'_>) {
    if let (Some(publisher), Some(kind)) = (&keys.publisher, &keys.kind)
        && let Err(error) = ExtensionType::new(publisher, kind)
    {
        given.conflict("type", error.to_string(), "use letters, digits and ._-");
    }
    let fetched = matches!(keys.place, Some(Place::Remote(_)));
    let of_fetches = ["caFile", "tokenFile", "usernameFile", "passwordFile"];
    if let (Some(first), false) = (of_fetches.into_iter().find(|key| given.has(key)), fetched) {
        given.conflict(
            first,
            "goes with a source that is fetched",
            "write source = \"oci://…\" or \"https://…\"",
        );
    }
    if given.has("interval") && !given.has("source") {
        given.conflict("interval", "is set without source", "add source, or leave interval out");
    }
    match (given.has("usernameFile"), given.has("passwordFile"), given.has("tokenFile")) {
        (true, true, true) => {
            given.conflict("tokenFile", "is set beside usernameFile", "leave the one or the other out")
        }
        (true, false, _) => given.conflict("usernameFile", "is set without passwordFile", "add passwordFile"),
        (false, true, _) => given.conflict("passwordFile", "is set without usernameFile", "add usernameFile"),
        (true, true, false) | (false, false, _) => {}
    }
}

/// The types as a key of the whole file.
pub(super) fn form() -> Form {
    Form::Tables(TYPE.shape())
}

/// Reads all of them.
pub(super) fn read(value: &Value<'_>) -> Option<(BTreeMap<ExtensionType, TypeRules>, Types)> {
    let (mut rules, mut types) = (BTreeMap::new(), Types::new());
    let mut seen: BTreeMap<String, Spot> = BTreeMap::new();
    let mut is_sound = true;
    for value in value.array("tables [[extensionTypes]]")? {
        let mut keys = Keys::default();
        let given = TYPE.read(value.table()?, &mut keys);
        if !given.is_sound() {
            is_sound = false;
            continue;
        }
        let Keys {
            publisher,
            kind,
            versions_max,
            place,
            interval,
            checker,
            ca_file,
            token,
            username,
            password,
        } = keys;
        let subject = ExtensionType::new(&publisher?, &kind?).ok()?;
        let spot = given.at("type")?;
        is_sound &= value.source().unique(spot, &subject.to_string(), subject.to_string(), &mut seen);
        let versions_max = usize::try_from(versions_max).unwrap_or(usize::MAX);
        let password =
            username.zip(password).map(|(username, password)| Credentials::Password { username, password });
        let credentials = token.map(Credentials::Token).or(password);
        let fetch = FetchConfig { ca_file, credentials, ..FetchConfig::default() };
        let source = place.map(|place| SourceConfig { place, interval, fetch });
        types.insert(subject.clone(), TypeConfig { source, versions_max, checker });
        rules.insert(subject, TypeRules { versions_max });
    }
    is_sound.then_some((rules, types))
}
