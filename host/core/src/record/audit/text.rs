//! The trail in words: made when an entry is shown, and never read back.

use std::fmt;

use super::{
    Admission, Doubt, Entry, HoldState, HookEnd, Leaves, LineState, PluginWish, ProvisionNote,
    QuarantineState, RetryNote, Several, Stall, Stamp, StartWhy, Wait, What, Word, WordNote,
};
use crate::domain::{
    Change, Component, Direction, HookKind, InstanceId, PhaseName, PluginName, ReleaseId, Runs, Urgency,
    Version, WordKind,
};
use crate::rollout::Wish;

/// What happened, why it was wanted, and which code had judged.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seq: _, at: _, scale_set: _, upgrade: _, instance, by, stamp, what } = self;
        happened(f, what, instance.as_ref())?;
        if let Some(reason) = &by.reason {
            write!(f, ": {reason}")?;
        }
        let Some(stamp) = stamp else { return Ok(()) };
        if let Some(older) = stamp.older() {
            write!(f, "; {older}")?;
        }
        write!(f, "{stamp}")
    }
}

impl Entry {
    /// As it is shown, without the code that had judged.
    #[must_use]
    pub fn said(&self) -> String {
        let older = self.stamp.as_ref().and_then(Stamp::older);
        let bare = Self { stamp: None, ..self.clone() };
        older.map_or_else(|| bare.to_string(), |older| format!("{bare}; {older}"))
    }
}

impl Stamp {
    /// That an older decision is used, and why; none when it is the latest one.
    #[must_use]
    pub fn older(&self) -> Option<String> {
        let failure = self.stands_in.as_ref()?;
        Some(format!("the last good decision, of {}, stands in: {failure}", self.judged_at))
    }
}

/// `no progress in 5 answers (defer-progress stays 12)`
impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, progress, until } = self;
        write!(f, "no progress in {rounds} answers (")?;
        match (progress, until) {
            (Some(progress), _) => write!(f, "defer-progress stays {progress})"),
            (None, Some(until)) => write!(f, "defer-until {until} is over or moves away)"),
            (None, None) => write!(f, "nothing is said of it)"),
        }
    }
}

/// ` [plugin db sha256:… generation 3, 4711 fuel, 815 ns, judged 2026-…]`
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plugin, judged_at, cost, stands_in: _ } = self;
        let (name, digest, generation) = (&plugin.name, plugin.digest, plugin.generation.0);
        let (fuel, ns) = (cost.fuel, cost.time_ns);
        write!(
            f,
            " [plugin {name} {digest} generation {generation}, {fuel} fuel, {ns} ns, judged {judged_at}]"
        )
    }
}

/// `phase 3`, or `the last phase`.
struct In(PhaseName);

impl fmt::Display for In {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            PhaseName::Number(phase) => write!(f, "phase {}", phase.get()),
            PhaseName::Last => f.write_str("the last phase"),
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proceed(phase) => write!(f, "proceed in {}", In(*phase)),
            Self::Hold(reason) => write!(f, "{reason}"),
        }
    }
}

impl Word {
    /// Without the plugin's reason, which may hold figures that change with every probe.
    fn short(&self) -> String {
        match self {
            Self::Proceed(_) => self.to_string(),
            Self::Hold(reason) => reason.code().to_owned(),
        }
    }
}

/// Says whose version it is where it is not the application's.
struct Whose<'a>(&'a Component);

impl fmt::Display for Whose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Component::Application => Ok(()),
            Component::Extension(name) => write!(f, "extension {name}: "),
        }
    }
}

/// Several changes, or `nothing new`.
struct All<'a>(&'a [Change]);

impl fmt::Display for All<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, change) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{change}")?;
        }
        if self.0.is_empty() { f.write_str("nothing new") } else { Ok(()) }
    }
}

fn version(version: Option<&Version>) -> &str {
    version.map_or("nothing", Version::as_str)
}

/// What became of the host's trust in its record.
fn record(f: &mut fmt::Formatter<'_>, state: &HoldState) -> fmt::Result {
    match state {
        HoldState::Holds { why } => write!(f, "the host holds: {why}"),
        HoldState::Adopted { was } => write!(f, "the record was adopted, in spite of: {was}"),
    }
}

/// Why what the host sees says nothing of its instances.
fn doubts(f: &mut fmt::Formatter<'_>, doubt: Doubt) -> fmt::Result {
    match doubt {
        Doubt::Began { silent, of } => write!(
            f,
            "the host doubts what it sees, and admits nothing: {silent} of {of} instances that nothing has touched \
             went silent at once"
        ),
        Doubt::BeganOverAll { silent, of } => write!(
            f,
            "the host doubts what it sees, and admits nothing: {silent} of {of} instances of all scale sets that nothing \
             has touched went silent at once"
        ),
        Doubt::Ended => f.write_str("the host trusts what it sees again; the time of its doubt is nobody's"),
        Doubt::StoodStill { seconds } => {
            write!(f, "the host did not look for {seconds} s; nobody is judged by that time")
        }
    }
}

/// A version that faulted.
fn quarantine(f: &mut fmt::Formatter<'_>, change: &Change, state: &QuarantineState) -> fmt::Result {
    match state {
        QuarantineState::Begins { why } => write!(f, "{change} is in quarantine: {why}"),
        QuarantineState::Lifted { was } => {
            write!(f, "the quarantine of {change} was lifted; it was there because {was}")
        }
    }
}

/// The first deployment of an instance.
fn provision(f: &mut fmt::Formatter<'_>, note: &ProvisionNote) -> fmt::Result {
    match note {
        ProvisionNote::Begins { change } => write!(f, "extension {change} is installed: the instance is new"),
        ProvisionNote::Failed { change, why } => {
            write!(f, "extension {change} could not be installed: {why}")
        }
        ProvisionNote::LeftOut { change, after } => {
            write!(f, "extension {change} is not installed: it comes after `{after}`, which is not there")
        }
        ProvisionNote::Ends { has } if has.is_empty() => {
            f.write_str("its health counts from now on; it has no extension")
        }
        ProvisionNote::Ends { has } => write!(f, "its health counts from now on; it has {}", All(has)),
    }
}

/// On which word an instance was let go.
fn admitted(f: &mut fmt::Formatter<'_>, admission: &Admission) -> fmt::Result {
    let Admission { batch, phase, health, participation, answered_at, detail } = admission;
    write!(f, "goes in batch {batch}, {}: {}", In((*phase).into()), health.name())?;
    match participation {
        Some(said) => write!(f, ", says {}", said.name())?,
        None => f.write_str(", its plugin says nothing")?,
    }
    if let Some(at) = answered_at {
        write!(f, ", answered {at}")?;
    }
    if detail.is_empty() { Ok(()) } else { write!(f, "; {detail}") }
}

/// What an instance has without anybody having done it.
fn seen(f: &mut fmt::Formatter<'_>, component: &Component, was: &Runs, now: &Runs) -> fmt::Result {
    write!(f, "{}found to be {now}, and {was} was recorded", Whose(component))
}

fn hook_is_run(
    f: &mut fmt::Formatter<'_>,
    hook: HookKind,
    direction: Direction,
    batch: Option<usize>,
) -> fmt::Result {
    let of_batch = batch.map_or_else(String::new, |number| format!(" of batch {number}"));
    write!(f, "hook {hook}{of_batch} is run ({})", direction.name())
}

fn happened(f: &mut fmt::Formatter<'_>, what: &What, instance: Option<&InstanceId>) -> fmt::Result {
    match what {
        What::Start { goal, why, urgency } => start(f, goal, why).and_then(|()| urgent(f, *urgency)),
        What::Stalls(stall) => write!(f, "not now, and {stall}"),
        What::Plan { instances, batches, digest } => {
            write!(f, "{instances} instances in {batches} batches, plan {digest}")
        }
        What::Decision { batch, phase, detail } => {
            write!(f, "proceed in batch {batch}, {}", In((*phase).into()))?;
            if detail.is_empty() { Ok(()) } else { write!(f, ": {detail}") }
        }
        What::Admitted(admission) => admitted(f, admission),
        What::MindChanged { now, was } => write!(f, "{now} (was: {})", was.short()),
        What::Hold { reason } => write!(f, "{reason}"),
        What::Leaves { why } => f.write_str(leaves(*why)),
        What::Apply { component, from, to, attempt } => {
            write!(f, "{}{} -> {to} (attempt {attempt})", Whose(component), version(from.as_ref()))
        }
        What::Applied { has, failed } if failed.is_empty() => write!(f, "has {}", All(has)),
        What::Applied { has, failed } => write!(f, "has {}; {} failed", All(has), All(failed)),
        What::Succeeded { has } => write!(f, "healthy with {}", All(has)),
        What::Restore { component, reason, from, to, attempt } => {
            let to = version(to.as_ref());
            write!(f, "{}{reason}; {from} -> {to} (attempt {attempt})", Whose(component))
        }
        What::Failed { reason } => write!(f, "{reason}"),
        What::Create { .. }
        | What::ApplyBeside { .. }
        | What::AppliedBeside { .. }
        | What::Ready { .. }
        | What::Replace { .. }
        | What::Remove { .. }
        | What::Replaced { .. } => beside(f, what, instance),
        What::Hook { hook, direction, batch } => hook_is_run(f, *hook, *direction, *batch),
        What::HookEnded { hook, end: HookEnd::Failed { why } } => write!(f, "hook {hook} failed: {why}"),
        What::Batch { number, members, state } => {
            let members: Vec<&str> = members.iter().map(InstanceId::as_str).collect();
            write!(f, "batch {number} [{}] is {}", members.join(","), state.name())
        }
        What::ExtensionEnds { change: _, why } => f.write_str(why),
        What::End { state, because: None } => write!(f, "{}", state.name()),
        What::End { state, because: Some(why) } => write!(f, "{}: {why}", state.name()),
        What::Retry { note } => retry(f, note),
        What::Wish { wish } => f.write_str(wished(*wish)),
        What::Waits { .. } => waits(f, what),
        What::Word { note } => word(f, note),
        What::Line { state: LineState::Stopped } => write!(f, "the line was stopped for all scale sets"),
        What::Line { state: LineState::GoesOn } => write!(f, "the line goes on"),
        What::SelfDoubt { doubt } => doubts(f, *doubt),
        What::Record { state } => record(f, state),
        What::Seen { component, was, now } => seen(f, component, was, now),
        What::Quarantine { change, state } => quarantine(f, change, state),
        What::Provision { note } => provision(f, note),
        What::Process { text, .. } => f.write_str(text),
        What::Members { added, removed, changed } => members(f, [added, removed, changed]),
        What::StaysDeleted { replaced_by } => stays_deleted(f, replaced_by.as_ref()),
        What::PluginTrouble { plugin, digest, generation, failed, judged, rounds, cause } => write!(
            f,
            "plugin {plugin} ({} generation {}) failed for {failed} of {judged} instances, {rounds} rounds in a row: {cause}",
            digest.short(),
            generation.0
        ),
        What::PluginReverted { plugin: _, text } => f.write_str(text),
        What::PluginAsked { plugin, wish } => plugin_asked(f, plugin, wish),
        What::Reloaded { changed } if changed.is_empty() => {
            write!(f, "the configuration was read again; nothing of this scale set changed")
        }
        What::Reloaded { changed } => {
            write!(f, "the configuration was read again; changed: {}", changed.join(", "))
        }
    }
}

/// `, urgency security`
fn urgent(f: &mut fmt::Formatter<'_>, urgency: Urgency) -> fmt::Result {
    if urgency.is_routine() { Ok(()) } else { write!(f, ", urgency {}", urgency.name()) }
}

/// `instances: 2 added (7, 8), 1 removed (3)`
fn members(f: &mut fmt::Formatter<'_>, all: [&Several; 3]) -> fmt::Result {
    f.write_str("instances: ")?;
    let some = all.into_iter().zip(["added", "removed", "changed"]).filter(|(several, _)| several.count > 0);
    for (index, (several, what)) in some.enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let first: Vec<&str> = several.first.iter().map(InstanceId::as_str).collect();
        let more = if several.count > first.len() { ", …" } else { "" };
        write!(f, "{comma}{} {what} ({}{more})", several.count, first.join(", "))?;
    }
    Ok(())
}

fn leaves(why: Leaves) -> &'static str {
    match why {
        Leaves::Protected => "leaves the upgrade: it is protected now",
        Leaves::Removed => "leaves the upgrade: it was removed from the configuration",
        Leaves::Replaced => "leaves the upgrade: it is at another address now, and what was upgraded is gone",
        Leaves::Moved => {
            "leaves its batch: it is in another zone or update domain now, and goes with one of its own"
        }
    }
}

fn word(f: &mut fmt::Formatter<'_>, note: &WordNote) -> fmt::Result {
    match note {
        WordNote::Said { kind, until } => {
            f.write_str(match kind {
                WordKind::Hold => "is held: not now",
                WordKind::Skip => "is left out",
                WordKind::Protect => "is protected",
                WordKind::Force => "goes whether or not its plugin says skip or not now",
            })?;
            until.map_or(Ok(()), |until| write!(f, ", until {until}"))
        }
        WordNote::Released { kind } => write!(f, "`{}` was taken back", kind.name()),
        WordNote::Over { kind } => write!(f, "`{}` is over", kind.name()),
    }
}

fn wished(wish: Wish) -> &'static str {
    match wish {
        Wish::Cancel => "cancel was asked for; the batch in flight is finished first",
        Wish::CancelNow => "cancel was asked for at once; the batch in flight is brought back",
        Wish::RollBack => "rollback was asked for; what is in flight is ended first",
        Wish::RollBackOn => "rollback was asked for, whatever becomes of what it brings back",
        Wish::Pause => "pause was asked for; no further batch is admitted",
        Wish::Resume => "resume was asked for",
        Wish::Approve => "the next phase was approved",
        Wish::Bypass => "goes on in spite of the freeze or the stopped line of now",
        Wish::Promote => "goes past what it waited for",
        Wish::Retry => "retry was asked for",
    }
}

fn plugin_asked(f: &mut fmt::Formatter<'_>, plugin: &PluginName, wish: &PluginWish) -> fmt::Result {
    match wish {
        PluginWish::Swap { source } => write!(f, "plugin {plugin}: a swap to {source} was asked for"),
        PluginWish::Rollback { to: None } => write!(f, "plugin {plugin}: a rollback was asked for"),
        PluginWish::Rollback { to: Some(to) } => {
            write!(f, "plugin {plugin}: a rollback to generation {} was asked for", to.0)
        }
        PluginWish::Promote => write!(f, "plugin {plugin}: promote was asked for"),
        PluginWish::Discard => write!(f, "plugin {plugin}: discard was asked for"),
    }
}

fn waits(f: &mut fmt::Formatter<'_>, what: &What) -> fmt::Result {
    let What::Waits { on, instances, count, until, says } = what else { return Ok(()) };
    f.write_str(match on {
        Wait::Record => "waits for the record, which takes no writes",
        Wait::Adoption => "waits for a person to adopt the record",
        Wait::Evidence => "waits for answers of instances",
        Wait::Look => "waits for a look at what instances run",
        Wait::Line => "waits for the line, which is stopped",
        Wait::Freeze => "waits for the end of a freeze window",
        Wait::Scheduled => "waits for the time that was named for it",
        Wait::PauseBetweenBatches => "waits for the end of the pause between batches",
        Wait::Paused => "waits for a person to resume it",
        Wait::Approval => "waits for a person to approve the next phase",
        Wait::Initializing => "waits for instances that are Initializing",
        Wait::Deferral => "waits for instances that said \"not now\"",
        Wait::NotAsked => "waits for this host to be able to ask",
        Wait::SelfDoubt => "waits for this host, which doubts what it sees",
        Wait::Release => "waits for the release that it belongs to",
        Wait::Zone => "waits for another zone of its region",
        Wait::Group => "waits for other stand-alone machines of its group",
        Wait::Bake => "waits for the end of the bake",
        Wait::Health => "waits for the fleet to be healthy after the host's restart",
        Wait::Driver => "waits for the driver",
        Wait::DriverBusy => "waits for the driver, which is busy",
        Wait::DriverHanging => "waits for the driver, of which nothing was heard for long",
        Wait::Hook => "waits for a hook",
        Wait::Gate => "waits for health",
    })?;
    for (index, id) in instances.iter().enumerate() {
        write!(f, "{} {id}", if index == 0 { ":" } else { "," })?;
    }
    match count.saturating_sub(instances.len()) {
        0 => {}
        more => write!(f, " and {more} more")?,
    }
    if let Some(until) = until {
        write!(f, ", until {until} at most")?;
    }
    says.as_ref().map_or(Ok(()), |says| write!(f, "; last words: {says}"))
}

fn stays_deleted(f: &mut fmt::Formatter<'_>, replaced_by: Option<&InstanceId>) -> fmt::Result {
    write!(f, "the configuration lists it, but it ")?;
    match replaced_by {
        Some(by) => write!(f, "was replaced by `{by}`")?,
        None => write!(f, "was deleted")?,
    }
    write!(f, " and stays deleted; an instance that is to be there needs an id that was never used")
}

fn start(f: &mut fmt::Formatter<'_>, goal: &crate::domain::Goal, why: &StartWhy) -> fmt::Result {
    match why {
        StartWhy::Asked => write!(f, "upgrade to {goal} was asked for"),
        StartWhy::Everything => {
            write!(f, "upgrade to {goal} was asked for, also of instances that are there already")
        }
        StartWhy::Repair => write!(f, "a repair was asked for: each instance gets again what it has"),
        StartWhy::Bypass => write!(f, "upgrade to {goal} was asked for in spite of any stop"),
        StartWhy::Wanted => {
            write!(f, "upgrade to {goal} begins by itself: the configuration says that it is wanted")
        }
        StartWhy::Again { attempt } => write!(f, "try {attempt} of the upgrade to {goal}"),
        StartWhy::Release { releases } => {
            let names: Vec<&str> = releases.iter().map(ReleaseId::as_str).collect();
            write!(f, "upgrade to {goal} begins, as release {} wants it", names.join(", "))
        }
        StartWhy::Left { of } => write!(f, "starts again with what `{of}` has left: upgrade to {goal}"),
        StartWhy::TakesBack { ended, goal } => {
            write!(f, "takes `{ended}` (to {goal}) back to what each instance had before")
        }
        StartWhy::BackTo { of, goal } => write!(f, "goes back to what `{of}` had brought: {goal}"),
    }
}

/// What happens to a new instance in the place of another.
fn beside(f: &mut fmt::Formatter<'_>, what: &What, instance: Option<&InstanceId>) -> fmt::Result {
    let id = instance.map_or("", InstanceId::as_str);
    match what {
        What::Create { by, attempt } => write!(f, "{id} -> {by}: creating (attempt {attempt})"),
        What::ApplyBeside { by, change, attempt } => write!(f, "{id} -> {by}: {change} (attempt {attempt})"),
        What::AppliedBeside { by, has } => write!(f, "{id} -> {by}: {by} has {}", All(has)),
        What::Ready { by } => write!(f, "{id} -> {by}: {by} is healthy"),
        What::Replace { by, attempt } => {
            write!(f, "{by} replaces {id}, which is deleted (attempt {attempt})")
        }
        What::Remove { by, reason, attempt } => write!(f, "{reason}; {by} is deleted (attempt {attempt})"),
        What::Replaced { by, has } => write!(f, "{by} replaced {id} with {}", All(has)),
        What::Start { .. }
        | What::Plan { .. }
        | What::Decision { .. }
        | What::Admitted(_)
        | What::MindChanged { .. }
        | What::Hold { .. }
        | What::Leaves { .. }
        | What::Stalls(_)
        | What::Apply { .. }
        | What::Applied { .. }
        | What::Succeeded { .. }
        | What::Restore { .. }
        | What::Failed { .. }
        | What::Hook { .. }
        | What::HookEnded { .. }
        | What::Batch { .. }
        | What::End { .. }
        | What::ExtensionEnds { .. }
        | What::Retry { .. }
        | What::Wish { .. }
        | What::Waits { .. }
        | What::Word { .. }
        | What::Line { .. }
        | What::SelfDoubt { .. }
        | What::Record { .. }
        | What::Seen { .. }
        | What::Quarantine { .. }
        | What::Process { .. }
        | What::Provision { .. }
        | What::StaysDeleted { .. }
        | What::PluginTrouble { .. }
        | What::PluginAsked { .. }
        | What::Reloaded { .. }
        | What::Members { .. }
        | What::PluginReverted { .. } => Ok(()),
    }
}

fn retry(f: &mut fmt::Formatter<'_>, note: &RetryNote) -> fmt::Result {
    match note {
        RetryNote::Planned { at } => write!(f, "is tried again at {at}"),
        RetryNote::LimitReached { limit } => write!(f, "not tried again: retryLimit = {limit} is reached"),
        RetryNote::Overtaken { by } => write!(f, "is not tried again by itself: `{by}` was started"),
        RetryNote::NotByItself { goal, why } => write!(f, "{goal} does not begin by itself: {why}"),
        RetryNote::RolledBack => write!(f, "is not tried again: a rollback was asked for"),
        RetryNote::Cancelled => write!(f, "is not tried again: cancel was asked for"),
    }
}
