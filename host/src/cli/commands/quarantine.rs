//! `phasegate quarantine` and `phasegate repair`: versions that faulted, and instances that get again what they have.

use crate::cli::args::{OutputArgs, QuarantineArgs, QuarantineVerb, RepairArgs};
use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::output::{self, table};
use crate::cli::target;
use phasegate_core::domain::ScaleSetName;
use phasegate_wire as wire;

use super::upgrade::{follow_start, show};

/// Runs one verb.
///
/// # Errors
/// When the host cannot be reached or refuses.
pub fn run(args: &QuarantineArgs) -> anyhow::Result<Exit> {
    let client = target::client(&args.server)?;
    match &args.verb {
        QuarantineVerb::List { name, output } => list(&client, name.as_deref(), *output),
        QuarantineVerb::Lift { name, version, extension, reason, output } => {
            let request =
                wire::Lift { version: version.clone(), extension: extension.clone(), reason: reason.clone() };
            let left: wire::Quarantine =
                client.post(&format!("{}/quarantine/lift", path(name)?), &request)?;
            if output.json {
                output::json(&left)?;
            } else {
                output::data(&format!("the quarantine of {version} is lifted for {name}\n"))?;
            }
            Ok(Exit::Done)
        }
    }
}

/// Runs the driver again for what is there.
///
/// # Errors
/// As [`run`].
pub fn repair(args: &RepairArgs) -> anyhow::Result<Exit> {
    let client = target::client(&args.server)?;
    let request = wire::Repair { instances: args.instances.clone(), reason: args.reason.clone() };
    let path = format!("{}/repair", path(&args.name)?);
    if args.wait {
        return follow_start(&client, &path, &request, args.output, super::upgrade::Partial::Fails);
    }
    show(&client.post(&path, &request)?, args.output)?;
    Ok(Exit::Done)
}

fn path(name: &str) -> anyhow::Result<String> {
    let name =
        ScaleSetName::parse(name).map_err(|error| anyhow::anyhow!("scale set name `{name}` {error}"))?;
    Ok(format!("/v1/scale-sets/{name}"))
}

fn list(client: &Client, name: Option<&str>, format: OutputArgs) -> anyhow::Result<Exit> {
    let all: Vec<wire::Quarantine> = match name {
        Some(name) => vec![client.get(&format!("{}/quarantine", path(name)?))?],
        None => {
            let latest: wire::LatestUpgrades = client.get("/v1/upgrades")?;
            let sets = latest.scale_sets.into_iter();
            sets.map(|set| wire::Quarantine { scale_set: set.scale_set, quarantined: set.quarantined })
                .collect()
        }
    };
    if format.json {
        output::json(&all)?;
    } else {
        output::data(&render(&all))?;
    }
    Ok(Exit::Done)
}

fn render(all: &[wire::Quarantine]) -> String {
    let rows: Vec<Vec<String>> = all
        .iter()
        .flat_map(|set| set.quarantined.iter().map(|one| (&set.scale_set, one)))
        .map(|(set, one)| vec![set.clone(), one.component.clone(), one.version.clone(), one.reason.clone()])
        .collect();
    if rows.is_empty() {
        return "no version is in quarantine\n".to_owned();
    }
    table(&["SCALE SET", "COMPONENT", "VERSION", "WHY"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_version() {
        assert_eq!(render(&[]), "no version is in quarantine\n");
        let one = |component: &str, version: &str| wire::QuarantinedVersion {
            component: component.to_owned(),
            version: version.to_owned(),
            reason: "it faulted".to_owned(),
        };
        let quarantined = vec![one("application", "v2"), one("agent", "1.2")];
        let all = [wire::Quarantine { scale_set: "orders".to_owned(), quarantined }];
        insta::assert_snapshot!(render(&all), @r"
        SCALE SET  COMPONENT    VERSION  WHY
        orders     application  v2       it faulted
        orders     agent        1.2      it faulted
        ");
    }
}
