//! What is on its way and nobody wants any more: a person says so, or something newer has come.

use super::effect::Effect;
use super::life::PluginLife;
use super::reason::Unfit;
use super::refusal::{Refusal, RefusalReason};
use super::said::Fact;
use super::stage::{Stage, StepState};
use super::step::{Out, Reply};
use super::trial::{self, TrialKind};
use super::{prepare, promote, unfit};
use crate::domain::{Now, RequestId};
use crate::record::StoredRefusal;

/// Ends a load whose compiler runs, for one that came after it: compiling takes the longest, and nobody wants
/// what comes of it. A dry run, a reload, a start and a way back go to their ends.
pub(super) fn superseded(life: &mut PluginLife, out: &mut Out<'_>, now: Now) {
    let can_go = |job: &mut super::job::Job| job.at == Stage::Compile && job.is_replaceable();
    if let Some(job) = life.load.take_if(can_go) {
        unfit::fail(life, out, job, Unfit::Superseded, now);
    }
}

/// Ends the load that is under way, else what judges beside the active component. What the hands still say
/// of it changes nothing.
pub(super) fn wanted(life: &mut PluginLife, out: &mut Out<'_>, request: RequestId, now: Now) {
    // A reload that waits for it is refused as a whole then.
    let may_end = |job: &mut super::job::Job| {
        job.is_replaceable() || matches!(job.purpose, super::job::Purpose::Reload(..))
    };
    if let Some(job) = life.load.take_if(may_end) {
        out.say(Fact::Discarded);
        unfit::fail(life, out, job, Unfit::Discarded, now);
        return out.reply(request, Reply::Discarded);
    }
    if !end_shadow(life, out, Unfit::Discarded, now) {
        return out.refuse(life, request, RefusalReason::NoShadow);
    }
    out.reply(request, Reply::Discarded);
}

/// What judges beside the active component was let in when the configuration asked something else of it.
pub(super) fn not_asked_for(life: &mut PluginLife, out: &mut Out<'_>, now: Now) {
    if end_shadow(life, out, Unfit::OtherAsks, now) {
        out.say(Fact::OtherAsks);
    }
}

/// Ends what judges beside the active component; gives whether there was any.
fn end_shadow(life: &mut PluginLife, out: &mut Out<'_>, why: Unfit, now: Now) -> bool {
    if life.shadowed().is_none() {
        return false;
    }
    let Some(mut trial) = trial::end_trial(life, out) else { return false };
    let TrialKind::Shadow(shadowed) = &trial.kind else { return false };
    trial.load.trace.end(Stage::Shadow, StepState::Failed, Some(why.to_string()), now.at);
    let refusal = Refusal {
        plugin: life.name().clone(),
        reason: RefusalReason::Unfit {
            stage: Some(Stage::Shadow),
            source: shadowed.candidate.source.clone(),
            unfit: why,
            active: life.named(),
        },
    };
    if shadowed.candidate.from == super::effect::From::Configured {
        let configured = prepare::configured(shadowed.bytes.0, &shadowed.candidate.settings);
        life.refused = Some(StoredRefusal { configured, why: refusal.to_string() });
    }
    if let Some(asked) = trial.asked {
        out.replies.push((asked, Err(refusal)));
    }
    out.act(Effect::Cancel(trial.ticket));
    promote::show_last(life, trial.load);
    true
}
