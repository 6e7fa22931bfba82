//! The file that the configuration names was written.

use super::discard;
use super::job::Job;
use super::life::PluginLife;
use super::said::Fact;
use super::step::Out;
use crate::domain::{Digest, Now};

/// Takes a component up that the file holds now, when no other one is on its way. One that was looked at
/// before and does not run was taken back or refused: it comes up again only with other bytes.
pub(super) fn seen(life: &mut PluginLife, out: &mut Out<'_>, digest: Digest, now: Now) {
    // Also what a person has brought before: nobody knows how long its compiler would run.
    let is_older = |job: &Job| job.digest() != Some(digest);
    if life.load.as_ref().is_some_and(is_older) {
        discard::superseded(life, out, now);
    }
    let Some(active) = &life.active else { return };
    let runs = active.digest == digest && *active.settings == *life.spec.settings;
    if life.considered == Some(digest) && !runs {
        out.say(Fact::NothingNew { file: life.spec.source.clone(), active: active.named() });
        return;
    }
    life.wishes.file = Some(digest);
    life.wishes.not_before = None;
}
