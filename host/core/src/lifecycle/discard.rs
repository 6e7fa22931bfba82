//! A person does not want what is on its way.

use super::effect::Effect;
use super::job::Purpose;
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

/// Ends the load that is under way, else what judges beside the active component. What the hands still say
/// of it changes nothing.
pub(super) fn wanted(life: &mut PluginLife, out: &mut Out<'_>, request: RequestId, now: Now) {
    let can_go = |job: &mut super::job::Job| match job.purpose {
        Purpose::Swap(..) | Purpose::FileChanged | Purpose::WhileOff => true,
        // A reload is all or nothing, and a start goes to its end.
        Purpose::Reload(..) | Purpose::Start(_) | Purpose::Return(_) => false,
    };
    if let Some(job) = life.load.take_if(can_go) {
        out.say(Fact::Discarded);
        unfit::fail(life, out, job, Unfit::Discarded, now);
        return out.reply(request, Reply::Discarded);
    }
    if life.shadowed().is_none() {
        return out.refuse(life, request, RefusalReason::NoShadow);
    }
    let Some(mut trial) = trial::end_trial(life, out) else { return };
    let TrialKind::Shadow(shadowed) = &trial.kind else { return };
    trial.load.trace.end(Stage::Shadow, StepState::Failed, Some(Unfit::Discarded.to_string()), now.at);
    let refusal = Refusal {
        plugin: life.name().clone(),
        reason: RefusalReason::Unfit {
            stage: Some(Stage::Shadow),
            source: shadowed.candidate.source.clone(),
            unfit: Unfit::Discarded,
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
    out.reply(request, Reply::Discarded);
}
