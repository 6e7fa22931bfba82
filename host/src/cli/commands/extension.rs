//! `phasegate extension` and `phasegate feature`: the catalogue, and who gets what of it.

use std::collections::BTreeSet;

use crate::cli::args::{EnrolArgs, ExtensionArgs, ExtensionVerb, FeatureArgs, FeatureVerb, OutputArgs};
use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::output::{self, or_dash, table};
use crate::cli::progress::Progress;
use crate::cli::target;
use phasegate_core::domain::{ExtensionType, ReleaseVersion, ScaleSetName, Subscription};
use phasegate_wire as wire;

use super::release;

/// Runs one verb.
///
/// # Errors
/// When the host cannot be reached or refuses.
pub fn run(args: &ExtensionArgs) -> anyhow::Result<Exit> {
    let client = target::client(&args.server)?;
    match &args.verb {
        ExtensionVerb::Publish { subject, version, digest, no_release, reason, wait, output } => {
            let request = wire::PublishRequest {
                version: version.clone(),
                digest: digest.clone(),
                no_release: *no_release,
                reason: reason.clone(),
            };
            let path = format!("{}/publish", path(subject)?);
            let waiting = Progress::new(&format!("publishing {subject} {version}"));
            let published: wire::ExtensionType = waiting.during(|step| {
                step.say("its checker looks at it");
                client.publish(&path, &request)
            })?;
            let release = release::of_version(&client, subject, version)?.into_iter().next();
            if *wait && let Some(release) = &release {
                return release::follow(&client, &release.id, *output);
            }
            if output.json {
                output::json(&published)?;
            } else {
                let then = release.map_or_else(
                    || "no release of it is under way".to_owned(),
                    |release| format!("release {} is {}", release.id, release.state),
                );
                output::data(&format!("{subject} {version} is published; {then}\n"))?;
            }
            Ok(Exit::Done)
        }
        ExtensionVerb::List { output } => list(&client, *output),
        ExtensionVerb::Versions { subject, output } => {
            let one: wire::ExtensionType = client.get(&path(subject)?)?;
            if output.json {
                output::json(&one)?;
            } else {
                output::data(&versions(&one))?;
            }
            Ok(Exit::Done)
        }
        ExtensionVerb::Withdraw { subject, version, rollback, reason, output } => {
            let request = wire::WithdrawRequest {
                version: version.clone(),
                rollback: *rollback,
                reason: reason.clone(),
            };
            let one: wire::ExtensionType = client.post(&format!("{}/withdraw", path(subject)?), &request)?;
            if output.json {
                output::json(&one)?;
            } else {
                output::data(&format!("{subject} {version} is withdrawn\n"))?;
            }
            if *rollback { goes_back(&client, subject, version, &one) } else { Ok(Exit::Done) }
        }
        ExtensionVerb::OptOut(args) => enrol(&client, args, "opt-out", "is opted out of"),
        ExtensionVerb::OptIn(args) => enrol(&client, args, "opt-in", "takes part again in"),
    }
}

/// Says which releases take the version back. Where none does, or not everywhere, the answer is no: it stays where it is.
fn goes_back(
    client: &Client,
    subject: &str,
    version: &str,
    one: &wire::ExtensionType,
) -> anyhow::Result<Exit> {
    let all = release::of_version(client, subject, version)?;
    let stays = stays(client, &all, version, one)?;
    let ids = |state: &wire::ReleaseState| -> Vec<&str> {
        all.iter().filter(|one| one.state == *state).map(|one| one.id.as_str()).collect()
    };
    let (going, back, partly) = (
        ids(&wire::ReleaseState::Ending),
        ids(&wire::ReleaseState::RolledBack),
        ids(&wire::ReleaseState::PartlyRolledBack),
    );
    let (exit, talk) = match (going.as_slice(), back.as_slice(), partly.as_slice()) {
        ([], _, [first, ..]) => (
            Exit::No,
            format!("it is not back everywhere: `phasegate release status {first}` says where and why\n"),
        ),
        ([], [], []) => (
            Exit::No,
            format!(
                "nothing goes back: no release has brought {subject} {version}; what a person has started is taken back by \
                 `phasegate upgrade rollback NAME`\n"
            ),
        ),
        ([], back, []) => (Exit::Done, format!("it has gone back already, by {}\n", back.join(", "))),
        (going, _, _) => (
            Exit::Done,
            format!(
                "it goes back where it was brought by {}: `phasegate release watch` follows it\n",
                going.join(", ")
            ),
        ),
    };
    output::talk(&talk);
    for (set, component) in &stays {
        let other = match component.as_str() {
            "application" => "--to VERSION".to_owned(),
            name => format!("--extension {name}=VERSION"),
        };
        output::talk(&format!(
            "scale set `{set}` stays at {version}, which no release has brought there: `phasegate upgrade rollback {set}` \
             takes back what was started there last, and `phasegate upgrade start {set} {other}` brings another version\n"
        ));
    }
    Ok(if stays.is_empty() { exit } else { Exit::No })
}

/// Sets that are at a version which no release takes back there: a person has started it. With what of them it is.
fn stays(
    client: &Client,
    all: &[wire::ReleaseInBrief],
    version: &str,
    one: &wire::ExtensionType,
) -> anyhow::Result<Vec<(String, String)>> {
    let wanted = ReleaseVersion::parse(version).ok();
    let has_it = |it: &&wire::ExtensionUse| {
        let has = it.version.as_deref().and_then(|has| ReleaseVersion::parse(has).ok());
        wanted.is_some() && has == wanted
    };
    let mut has: Vec<(String, String)> =
        one.scale_sets.iter().filter(has_it).map(|it| (it.scale_set.clone(), it.component.clone())).collect();
    for release in all {
        if has.is_empty() {
            break;
        }
        let detail: wire::ReleaseDetail = client.get(&format!("/v1/releases/{}", release.id))?;
        // What was taken back and brought there again since, a person has brought.
        let brought =
            |set: &wire::ReleaseSet| set.upgrade.is_some() && set.state != wire::ReleaseSetState::Back;
        let sets: BTreeSet<&str> = detail
            .phases
            .iter()
            .flat_map(|phase| &phase.scale_sets)
            .filter(|set| brought(set))
            .map(|set| set.scale_set.as_str())
            .collect();
        has.retain(|(name, _)| !sets.contains(name.as_str()));
    }
    Ok(has)
}

/// Runs one verb about the feature.
///
/// # Errors
/// As [`run`].
pub fn feature(args: &FeatureArgs) -> anyhow::Result<Exit> {
    let client = target::client(&args.server)?;
    let change = |subscription: &str, word: &str, output: OutputArgs| {
        let name = Subscription::parse(subscription)
            .map_err(|error| anyhow::anyhow!("subscription `{subscription}` {error}"))?;
        let all: wire::Features =
            client.post(&format!("/v1/features/{name}/{word}"), &wire::ReasonRequest::default())?;
        show(&all, Some(subscription), output)?;
        Ok(Exit::Done)
    };
    match &args.verb {
        FeatureVerb::Register { subscription, output } => change(subscription, "register", *output),
        FeatureVerb::Unregister { subscription, output } => change(subscription, "unregister", *output),
        FeatureVerb::Show { subscription, output } => {
            let all: wire::Features = client.get("/v1/features")?;
            show(&all, subscription.as_deref(), *output)?;
            let registered =
                |one: &wire::Feature| subscription.as_ref() == Some(&one.subscription) && one.registered;
            let is_no = subscription.is_some() && !all.subscriptions.iter().any(registered);
            Ok(if is_no { Exit::No } else { Exit::Done })
        }
    }
}

fn show(all: &wire::Features, only: Option<&str>, format: OutputArgs) -> anyhow::Result<()> {
    let mut all = all.clone();
    if let Some(only) = only {
        all.subscriptions.retain(|one| one.subscription == only);
    }
    if format.json {
        return output::json(&all);
    }
    let state = |one: &wire::Feature| if one.registered { "Registered" } else { "NotRegistered" };
    let rows: Vec<Vec<String>> = all
        .subscriptions
        .iter()
        .map(|one| {
            vec![
                one.subscription.clone(),
                one.feature.clone(),
                state(one).to_owned(),
                or_dash(one.since.as_ref()),
            ]
        })
        .collect();
    let note =
        if all.required { "" } else { "releases do not ask for it (releases.requireFeature = false)\n" };
    Ok(output::data(&format!("{}{note}", table(&["SUBSCRIPTION", "FEATURE", "STATE", "SINCE"], &rows)))?)
}

/// The route of a type.
pub(super) fn path(subject: &str) -> anyhow::Result<String> {
    let subject = ExtensionType::parse(subject).map_err(|error| anyhow::anyhow!("`{subject}` {error}"))?;
    Ok(format!("/v1/extensionTypes/{subject}"))
}

fn enrol(client: &Client, args: &EnrolArgs, word: &str, says: &str) -> anyhow::Result<Exit> {
    let EnrolArgs { name, subject, reason, output } = args;
    let set =
        ScaleSetName::parse(name).map_err(|error| anyhow::anyhow!("scale set name `{name}` {error}"))?;
    let request = wire::EnrolRequest { subject: subject.clone(), reason: reason.clone() };
    let one: wire::ExtensionType = client.post(&format!("/v1/scale-sets/{set}/{word}"), &request)?;
    if output.json {
        output::json(&one)?;
    } else {
        output::data(&format!("{name} {says} releases of {subject}\n"))?;
    }
    Ok(Exit::Done)
}

fn list(client: &Client, format: OutputArgs) -> anyhow::Result<Exit> {
    let all: wire::ExtensionTypes = client.get("/v1/extensionTypes")?;
    if format.json {
        output::json(&all)?;
        return Ok(Exit::Done);
    }
    let row = |one: &wire::ExtensionType| {
        let enrolled = one.scale_sets.iter().filter(|it| it.enable_automatic_upgrade && !it.opted_out);
        vec![
            format!("{}/{}", one.publisher, one.name),
            or_dash(one.newest.as_ref()),
            one.versions.len().to_string(),
            format!("{} of {}", enrolled.count(), one.scale_sets.len()),
        ]
    };
    let rows: Vec<Vec<String>> = all.extension_types.iter().map(row).collect();
    let text = match rows.is_empty() {
        true => "no extension type is known; name publisher and type in a model, or in [[extensionTypes]]\n"
            .to_owned(),
        false => table(&["TYPE", "NEWEST", "VERSIONS", "ENROLLED SETS"], &rows),
    };
    output::data(&text)?;
    Ok(Exit::Done)
}

fn versions(one: &wire::ExtensionType) -> String {
    let state = |version: &wire::ExtensionVersion| match (&version.quarantined, version.withdrawn) {
        (_, true) => "withdrawn".to_owned(),
        (Some(why), false) => format!("quarantined: {why}"),
        (None, false) => "published".to_owned(),
    };
    let row = |version: &wire::ExtensionVersion| {
        vec![
            version.version.clone(),
            version.published_at.clone(),
            version.published_by.clone(),
            state(version),
            or_dash(version.digest.as_ref()),
        ]
    };
    let rows: Vec<Vec<String>> = one.versions.iter().map(row).collect();
    let source = one.source.as_ref().map(source).unwrap_or_default();
    if rows.is_empty() {
        return format!("no version of {}/{} is published\n{source}", one.publisher, one.name);
    }
    format!("{}{source}", table(&["VERSION", "PUBLISHED", "BY", "STATE", "DIGEST"], &rows))
}

/// How it stands with the source of a type, in lines.
fn source(source: &wire::ExtensionSource) -> String {
    let wire::ExtensionSource { place, looked_at, versions, failing_since, failing, refused } = source;
    let mut text = match (looked_at, failing) {
        (_, Some(why)) => {
            let since = failing_since.as_deref().unwrap_or("now");
            format!("source {place}: {why} (since {since}); what is published stays\n")
        }
        (Some(at), None) => format!("source {place}: {versions} versions at {at}\n"),
        (None, None) => format!("source {place}: not looked at yet\n"),
    };
    for wire::RefusedVersion { version, reason } in refused {
        text += &format!("not published: {version}: {reason}\n");
    }
    text
}
