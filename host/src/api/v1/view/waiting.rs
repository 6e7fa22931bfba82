//! What an upgrade waits for, in one line that also says what a person can do about it.

use phasegate_core::domain::{InstanceId, Location, Now, PhaseName, ReleaseId, ScaleSetName, Timestamp};
use phasegate_core::kernel::Most;
use phasegate_core::kernel::report::{DriverGoes, DriverWork, Few, StatusReport, Then, WaitsFor};
use phasegate_core::record::StoppedLine;
use phasegate_core::rollout::{Limit, Trip};
use phasegate_wire as wire;

use crate::words;

/// The text follows "waits for"; none when it waits for nothing.
pub(super) fn waiting(report: &StatusReport<'_>, now: Now) -> Option<wire::Waiting> {
    let waiting = report.waiting.as_ref()?;
    let mut line = line(waiting, &report.upgrade.scale_set, now);
    if let WaitsFor::Resume { after } | WaitsFor::Approval { before: after } = waiting
        && report.upgrade.is_unproven(*after)
    {
        line = format!("{line} (nobody of {} was upgraded: its instances were left out)", phase(*after));
    }
    if let Some((id, provision)) = report.new {
        line = format!("{line} (instance {id} is new: {provision})");
    }
    line.push_str(match report.upgrade.trip() {
        Trip::None => "",
        Trip::Up => " (round trip: up)",
        Trip::Back => " (round trip: back)",
        Trip::Again => " (round trip: up again)",
    });
    let then = match report.then {
        Some(Then::RollBack) => "; then it is rolled back",
        Some(Then::Cancel) => "; then it is cancelled",
        Some(Then::Pause) => "; then it is paused",
        None => "",
    };
    let stopped = match waiting {
        WaitsFor::Line(line) => *line,
        _ => None,
    };
    let limit = report.limit.map_or_else(String::new, |limit| limited(&limit, now.at));
    // Whichever comes first: it is over by itself, or the upgrade is.
    let ends = report.limit.and_then(|limit| limit.until);
    let own = match waiting {
        // Dates as they are.
        WaitsFor::Freeze { until, .. } | WaitsFor::Scheduled { until } => Some(*until),
        other => other.until().map(|until| now.date_of(until)),
    };
    let until = own.into_iter().chain(ends.map(|end| now.date_of(end))).min();
    Some(wire::Waiting {
        code: words::waiting_code(waiting),
        text: format!("{line}{then}{limit}"),
        since: stopped.map(|line| line.at).or(report.stepped_at).map(|at| now.date_of(at).to_string()),
        until: until.map(|until| until.to_string()),
        actor: Some(actor(waiting, report)),
        detail: detail(waiting),
    })
}

/// The limit of time that ends the upgrade first.
fn limited(limit: &Limit, now: Timestamp) -> String {
    let name = limit.name.name();
    match limit.until {
        Some(until) => {
            format!("; {name} ends the upgrade in {} s", until.since(now).as_secs_f32().ceil())
        }
        None => format!("; {name} stands still, {} s are left", limit.left.as_secs_f32().ceil()),
    }
}

/// Who made it wait.
fn actor(waiting: &WaitsFor<'_>, report: &StatusReport<'_>) -> String {
    match waiting {
        WaitsFor::Line(Some(line)) => line.by.to_string(),
        WaitsFor::Line(None) | WaitsFor::Paused => "a person".to_owned(),
        WaitsFor::Freeze { .. }
        | WaitsFor::Scheduled { .. }
        | WaitsFor::Pause { .. }
        | WaitsFor::Resume { .. }
        | WaitsFor::Bake { .. }
        | WaitsFor::Approval { .. } => "policy".to_owned(),
        WaitsFor::Release(_) => "release".to_owned(),
        WaitsFor::FirstDecision(_) | WaitsFor::Initializing(_) | WaitsFor::Deferred { .. } => {
            report.plugin.map_or_else(|| "plugin".to_owned(), |plugin| format!("plugin {plugin}"))
        }
        WaitsFor::Look(_) | WaitsFor::Driver { .. } => "driver".to_owned(),
        WaitsFor::Hook { hook, .. } => format!("hook {hook}"),
        WaitsFor::Record(_) | WaitsFor::Adoption(_) => "record".to_owned(),
        WaitsFor::NotAsked { .. }
        | WaitsFor::Evidence { .. }
        | WaitsFor::Doubted(_)
        | WaitsFor::Suspicion(_)
        | WaitsFor::AllSilent(_)
        | WaitsFor::Silence { .. }
        | WaitsFor::Zone { .. }
        | WaitsFor::Group(_)
        | WaitsFor::Recovery { .. }
        | WaitsFor::Gate(_)
        | WaitsFor::HealthyAgain => "host".to_owned(),
    }
}

/// What the one who made it wait has said, or which instances it is about.
fn detail(waiting: &WaitsFor<'_>) -> Option<String> {
    match waiting {
        WaitsFor::Record(why) => Some((*why).to_owned()),
        WaitsFor::Adoption(hold) => Some(hold.to_string()),
        WaitsFor::Line(line) => line.map(|line| line.reason.clone()),
        WaitsFor::Freeze { reason, .. } => Some(reason.clone()).filter(|reason| !reason.is_empty()),
        WaitsFor::NotAsked { short_of, .. } => short_of.map(|what| format!("short of {what}")),
        WaitsFor::Resume { after } => Some(phase(*after)),
        WaitsFor::Approval { before } => Some(phase(*before)),
        WaitsFor::FirstDecision(few)
        | WaitsFor::Look(few)
        | WaitsFor::Initializing(few)
        | WaitsFor::Deferred { instances: few, .. }
        | WaitsFor::Evidence { instances: few, .. }
        | WaitsFor::Doubted(few)
        | WaitsFor::Suspicion(few)
        | WaitsFor::Silence { instances: few, .. }
        | WaitsFor::Driver { instances: few, says: None, .. }
        | WaitsFor::Hook { instances: few, says: None, .. }
        | WaitsFor::Gate(few) => Some(some(few)),
        WaitsFor::Driver { says: Some(says), .. } | WaitsFor::Hook { says: Some(says), .. } => {
            Some((*says).to_owned())
        }
        WaitsFor::Release(releases) => releases.first().map(ToString::to_string),
        WaitsFor::Zone { zones, .. } => Some(zones.join(", ")),
        WaitsFor::AllSilent(Most { silent, of }) => {
            Some(format!("{silent} of {of} instances of all scale sets"))
        }
        WaitsFor::Group(machines) => Some(format!("{} of {} in flight", machines.flying, machines.total)),
        WaitsFor::Bake { rounds, of, .. } => Some(format!("asked {rounds} of {of} times")),
        WaitsFor::Pause { .. }
        | WaitsFor::Scheduled { .. }
        | WaitsFor::Paused
        | WaitsFor::Recovery { .. }
        | WaitsFor::HealthyAgain => None,
    }
}

fn line(waiting: &WaitsFor<'_>, name: &ScaleSetName, now: Now) -> String {
    let seconds = |until: Timestamp| until.since(now.at).as_secs_f32().ceil();
    match waiting {
        WaitsFor::Record(why) => (*why).to_owned(),
        WaitsFor::Adoption(hold) => format!(
            "a person: the host holds: {hold}; see that no other host runs this fleet, then let this one go on with \
             `phasegate data adopt`"
        ),
        WaitsFor::FirstDecision(few) => format!("first decision of {} (Initializing)", some(few)),
        WaitsFor::Look(few) => format!("a look at what {} run", some(few)),
        WaitsFor::Line(line) => stopped_line(*line, name, now),
        WaitsFor::Freeze { reason, until } => format!(
            "the end of a freeze window ({reason}) at {until}; bypass it with \
             `phasegate upgrade bypass {name} --reason TEXT`"
        ),
        WaitsFor::Pause { until } => format!("pause between batches, {} s left", seconds(*until)),
        WaitsFor::Scheduled { until } => {
            format!("the time of its start, {until}; give it up with `phasegate upgrade cancel {name}`")
        }
        WaitsFor::Paused => format!("a person: paused; go on with `phasegate upgrade resume {name}`"),
        WaitsFor::Release(releases) => release(releases.first()),
        WaitsFor::Zone { region, zones } => zone(region, zones),
        WaitsFor::Group(machines) => format!(
            "other stand-alone machines of its subscription and location: {} of {} are in flight",
            machines.flying, machines.total
        ),
        WaitsFor::Resume { after } => {
            format!("a person: {} is done; go on with `phasegate upgrade resume {name}`", phase(*after))
        }
        WaitsFor::Approval { before } => {
            format!("a person: {} needs `phasegate upgrade approve {name}`", phase(*before))
        }
        WaitsFor::Initializing(few) => format!("{} to leave Initializing", some(few)),
        WaitsFor::Deferred { instances, stalled, until } => {
            let stalls = match stalled.count {
                0 => String::new(),
                _ => format!("; no progress for long in {}", some(stalled)),
            };
            format!("{} that said \"not now\", {} s at most{stalls}", some(instances), seconds(*until))
        }
        WaitsFor::NotAsked { short_of, instances } => {
            let short_of = short_of.map_or_else(String::new, |what| format!(", short of {what}"));
            format!("this host to be able to ask {}{short_of}; its log says what to do", some(instances))
        }
        WaitsFor::Evidence { .. }
        | WaitsFor::Doubted(_)
        | WaitsFor::Suspicion(_)
        | WaitsFor::AllSilent(_)
        | WaitsFor::Silence { .. }
        | WaitsFor::Bake { .. } => answers(waiting, name, now.at),
        WaitsFor::Recovery { until } => {
            format!("fleet to be healthy after the host's restart, {} s at most", seconds(*until))
        }
        WaitsFor::Driver { work, instances, goes, says } => {
            format!("driver to {} {}{}", verb(*work), some(instances), goes_on(*goes, *says, now.at))
        }
        WaitsFor::Hook { hook, batch, instances, says } => {
            let whose = batch.map_or_else(|| some(instances), |number| format!("batch {number}"));
            let says = says.map_or_else(String::new, |says| format!(", which says: {says}"));
            format!("hook {hook} of {whose}{says}")
        }
        WaitsFor::Gate(few) => format!("health of {}", some(few)),
        WaitsFor::HealthyAgain => {
            "upgraded instances to be healthy again after the host's restart".to_owned()
        }
    }
}

/// The line is stopped for all, and who may go past it.
fn stopped_line(line: Option<&StoppedLine>, name: &ScaleSetName, now: Now) -> String {
    let why =
        line.map_or_else(String::new, |line| format!(" since {}: {}", now.date_of(line.at), line.reason));
    format!(
        "a person: the line is stopped for all scale sets{why}; let it go on with \
         `phasegate line start`, or bypass it with `phasegate upgrade bypass {name} --reason TEXT`"
    )
}

fn verb(work: DriverWork) -> &'static str {
    match work {
        DriverWork::BringBack => "bring back",
        DriverWork::Create => "create",
        DriverWork::Delete => "delete",
        DriverWork::Change => "change",
        DriverWork::Stop => "end what it does with",
    }
}

/// How it goes with a driver, and what it said last.
fn goes_on(goes: DriverGoes, says: Option<&str>, now: Timestamp) -> String {
    match (goes, says) {
        (DriverGoes::On, None) => String::new(),
        (DriverGoes::On, Some(says)) => format!(", which says: {says}"),
        (DriverGoes::Busy, says) => format!(", which is busy: {}", says.unwrap_or("no word")),
        (DriverGoes::Silent { since }, says) => {
            let last = says.map_or_else(String::new, |says| format!("; its last words: {says}"));
            format!(", of which nothing was heard for {} s{last}", now.since(since).as_secs())
        }
    }
}

fn release(id: Option<&ReleaseId>) -> String {
    let id = id.map_or_else(String::new, ToString::to_string);
    format!(
        "the release that it belongs to, which is paused or halted, or whose earlier region phases are not well; see \
         `phasegate release status {id}`"
    )
}

fn zone(region: &Location, zones: &[String]) -> String {
    let which = if zones.is_empty() { "it".to_owned() } else { format!("zone {}", zones.join(", ")) };
    format!("another zone of region {region}: {which} is in flight, or comes first")
}

/// What is said of waiting for answers.
fn answers(waiting: &WaitsFor<'_>, name: &ScaleSetName, now: Timestamp) -> String {
    let seconds = |until: Timestamp| until.since(now).as_secs_f32().ceil();
    match waiting {
        WaitsFor::Evidence { instances, until } => format!(
            "an answer of {} to a probe that began after the batch before had ended, {} s at most",
            some(instances),
            seconds(*until),
        ),
        WaitsFor::Suspicion(few) => format!(
            "this host, which doubts what it sees: {} went silent at once, and nothing has touched them; see its network, \
             resolver and descriptors, or say that it is well with `phasegate upgrade bypass {name} --reason TEXT`",
            some(few),
        ),
        WaitsFor::AllSilent(Most { silent, of }) => format!(
            "this host, which doubts what it sees: {silent} of {of} instances of all scale sets went silent at once, and \
             nothing has touched them; see its network, resolver and descriptors, or say that it sees this set well with \
             `phasegate upgrade bypass {name} --reason TEXT`"
        ),
        WaitsFor::Silence { instances, until } => format!(
            "{} that went silent a moment ago: whether most do, and it is this host, is known in {} s",
            some(instances),
            seconds(*until),
        ),
        WaitsFor::Bake { until, rounds, of } => format!(
            "the bake: everybody was asked {rounds} of {of} times, and {} s are left",
            seconds(*until),
        ),
        WaitsFor::Doubted(few) => format!(
            "{} to answer as healthy again, or to count as unhealthy: with what was heard last the limits would be \
             passed",
            some(few),
        ),
        _ => String::new(),
    }
}

fn phase(phase: PhaseName) -> String {
    match phase {
        PhaseName::Number(phase) => format!("phase {}", phase.get()),
        PhaseName::Last => "the last phase".to_owned(),
    }
}

/// The names of a few, and how many more there are.
fn some(few: &Few<'_>) -> String {
    let shown: Vec<&str> = few.first.iter().copied().map(InstanceId::as_str).collect();
    let names = shown.join(", ");
    match few.count - shown.len() {
        0 if few.count == 0 => "no instance".to_owned(),
        0 if few.count == 1 => format!("instance {names}"),
        0 => format!("instances {names}"),
        more => format!("instances {names} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use phasegate_core::domain::{Actor, Phase, Shortage};
    use phasegate_core::record::{Doubt, Hold};

    use super::*;

    fn ids(count: usize) -> Vec<InstanceId> {
        (0..count).map(|number| InstanceId::parse(&format!("web-{number}")).unwrap()).collect()
    }

    #[test]
    fn some_instances_are_named_and_the_rest_is_counted() {
        for (count, expected) in [
            (0, "no instance"),
            (1, "instance web-0"),
            (2, "instances web-0, web-1"),
            (5, "instances web-0, web-1, web-2, web-3, web-4"),
            (7, "instances web-0, web-1, web-2, web-3, web-4 and 2 more"),
        ] {
            assert_eq!(some(&Few::of(&ids(count))), expected);
        }
    }

    #[test]
    fn every_wait_says_for_what_and_what_helps() {
        let (name, now) = (ScaleSetName::parse("orders").unwrap(), Timestamp(1_000));
        let until = Timestamp(3_500);
        let stopped = StoppedLine { at: Timestamp(0), reason: "storage".to_owned(), by: Actor::Host };
        let copied: Hold = [Doubt::Copied].into_iter().collect();
        let ids = ids(2);
        let few = || Few::of(&ids);
        let driver = |work| WaitsFor::Driver { work, instances: few(), goes: DriverGoes::On, says: None };
        let phase = |number| PhaseName::Number(Phase::new(number).unwrap());
        for (waiting, expected) in [
            (WaitsFor::Record("the disk is full"), "the disk is full"),
            (
                WaitsFor::Adoption(&copied),
                "a person: the host holds: the record was copied or restored: it was written beside another lock \
                 file; see that no other host runs this fleet, then let this one go on with `phasegate data adopt`",
            ),
            (WaitsFor::Look(few()), "a look at what instances web-0, web-1 run"),
            (WaitsFor::FirstDecision(few()), "first decision of instances web-0, web-1 (Initializing)"),
            (
                WaitsFor::Line(Some(&stopped)),
                "a person: the line is stopped for all scale sets since 1970-01-01T00:00:00.000Z: storage; let \
                 it go on with `phasegate line start`, or bypass it with `phasegate upgrade bypass orders \
                 --reason TEXT`",
            ),
            (
                WaitsFor::Freeze { reason: "holidays".to_owned(), until },
                "the end of a freeze window (holidays) at 1970-01-01T00:00:03.500Z; bypass it with `phasegate \
                 upgrade bypass orders --reason TEXT`",
            ),
            (WaitsFor::Pause { until }, "pause between batches, 3 s left"),
            (WaitsFor::Paused, "a person: paused; go on with `phasegate upgrade resume orders`"),
            (
                WaitsFor::Resume { after: phase(2) },
                "a person: phase 2 is done; go on with `phasegate upgrade resume orders`",
            ),
            (
                WaitsFor::Approval { before: PhaseName::Last },
                "a person: the last phase needs `phasegate upgrade approve orders`",
            ),
            (WaitsFor::Initializing(few()), "instances web-0, web-1 to leave Initializing"),
            (
                WaitsFor::Deferred { instances: few(), stalled: Few::default(), until },
                "instances web-0, web-1 that said \"not now\", 3 s at most",
            ),
            (
                WaitsFor::NotAsked { short_of: Some(Shortage::Descriptors), instances: few() },
                "this host to be able to ask instances web-0, web-1, short of file descriptors; its log says what \
                 to do",
            ),
            (WaitsFor::Recovery { until }, "fleet to be healthy after the host's restart, 3 s at most"),
            (driver(DriverWork::BringBack), "driver to bring back instances web-0, web-1"),
            (driver(DriverWork::Create), "driver to create instances web-0, web-1"),
            (driver(DriverWork::Delete), "driver to delete instances web-0, web-1"),
            (driver(DriverWork::Change), "driver to change instances web-0, web-1"),
            (WaitsFor::Gate(few()), "health of instances web-0, web-1"),
            (WaitsFor::HealthyAgain, "upgraded instances to be healthy again after the host's restart"),
        ] {
            assert_eq!(line(&waiting, &name, Now::same(now)), expected);
        }
    }

    #[test]
    fn a_wait_for_a_driver_says_how_it_goes_in_its_words() {
        let (name, now, ids) = (ScaleSetName::parse("orders").unwrap(), Timestamp(1_000), ids(2));
        let few = || Few::of(&ids);
        let goes = |goes, says| WaitsFor::Driver { work: DriverWork::Change, instances: few(), goes, says };
        for (waiting, expected) in [
            (
                goes(DriverGoes::On, Some("copying")),
                "driver to change instances web-0, web-1, which says: copying",
            ),
            (
                goes(DriverGoes::Busy, Some("locked")),
                "driver to change instances web-0, web-1, which is busy: locked",
            ),
            (
                goes(DriverGoes::Silent { since: Timestamp(0) }, Some("copying")),
                "driver to change instances web-0, web-1, of which nothing was heard for 1 s; its last words: copying",
            ),
        ] {
            assert_eq!(line(&waiting, &name, Now::same(now)), expected);
        }
    }

    #[test]
    fn a_wait_for_answers_says_whose_and_how_long() {
        let (name, now, until) = (ScaleSetName::parse("orders").unwrap(), Timestamp(1_000), Timestamp(3_500));
        let ids = ids(2);
        let few = || Few::of(&ids);
        for (waiting, expected) in [
            (
                WaitsFor::Evidence { instances: few(), until },
                "an answer of instances web-0, web-1 to a probe that began after the batch before had ended, 3 s at \
                 most",
            ),
            (
                WaitsFor::Doubted(few()),
                "instances web-0, web-1 to answer as healthy again, or to count as unhealthy: with what was heard \
                 last the limits would be passed",
            ),
            (
                WaitsFor::Suspicion(few()),
                "this host, which doubts what it sees: instances web-0, web-1 went silent at once, and nothing has \
                 touched them; see its network, resolver and descriptors, or say that it is well with `phasegate \
                 upgrade bypass orders --reason TEXT`",
            ),
            (
                WaitsFor::AllSilent(Most { silent: 4, of: 5 }),
                "this host, which doubts what it sees: 4 of 5 instances of all scale sets went silent at once, and \
                 nothing has touched them; see its network, resolver and descriptors, or say that it sees this set \
                 well with `phasegate upgrade bypass orders --reason TEXT`",
            ),
            (
                WaitsFor::Silence { instances: few(), until },
                "instances web-0, web-1 that went silent a moment ago: whether most do, and it is this host, is known \
                 in 3 s",
            ),
            (
                WaitsFor::Bake { until, rounds: 1, of: 3 },
                "the bake: everybody was asked 1 of 3 times, and 3 s are left",
            ),
        ] {
            assert_eq!(line(&waiting, &name, Now::same(now)), expected);
        }
    }
}
