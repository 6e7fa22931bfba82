//! What the API asks about the catalogue and releases.

use std::sync::Arc;
use std::time::Duration;

use phasegate_core::domain::{Digest, ExtensionType, ReleaseId, ReleaseVersion, ScaleSetName, Subscription};
use phasegate_core::kernel::command::{
    Begins, Command, Enrol, Quarantined, ReleaseCommand, ReleaseWish, ThenBack,
};
use phasegate_core::kernel::{Fleet, Refusal, released};
use phasegate_core::release::Release;
use phasegate_core::sim::released::expected;
use phasegate_wire as wire;

use super::{Asked, CommandError, CommandErrorKind, Host};
use crate::api::v1::view::release as view;

/// A plan is simulated for so long; whoever asks waits for it.
const SIMULATED_MAX: Duration = Duration::from_millis(500);

/// What a person wants to be started.
pub(in crate::api) struct ReleaseStart {
    pub(in crate::api) subject: Option<ExtensionType>,
    pub(in crate::api) version: Option<ReleaseVersion>,
    pub(in crate::api) plan: Option<Digest>,
    pub(in crate::api) quarantined: Quarantined,
}

impl Host {
    async fn grant_release(&self, wanted: ReleaseCommand, asked: Asked) -> Result<(), Refusal> {
        self.grant(Command::Releases(Box::new(wanted)), asked).await
    }

    pub(in crate::api) async fn extension_types(&self) -> Result<wire::ExtensionTypes, CommandError> {
        let mut types = self.read(|fleet, _| Ok(view::extension_types(fleet))).await?;
        for one in &mut types.extension_types {
            let subject = ExtensionType::new(&one.publisher, &one.name).ok();
            one.source = subject.and_then(|subject| self.catalogue.source(&subject));
        }
        Ok(types)
    }

    pub(in crate::api) async fn extension_type(
        &self,
        subject: ExtensionType,
    ) -> Result<wire::ExtensionType, CommandError> {
        let source = self.catalogue.source(&subject);
        self.read(move |fleet, _| {
            let all = view::extension_types(fleet).extension_types;
            let is_it = |one: &wire::ExtensionType| {
                (one.publisher.as_str(), one.name.as_str()) == (subject.publisher(), subject.name())
            };
            let found = all.into_iter().find(is_it);
            found.map(|one| wire::ExtensionType { source, ..one }).ok_or_else(|| {
                let message =
                    format!("there is no extension type {subject}; `phasegate extension list` has all");
                CommandError::new(CommandErrorKind::NotFound, message)
            })
        })
        .await
    }

    pub(in crate::api) async fn publish(
        &self,
        (subject, version): (ExtensionType, ReleaseVersion),
        digest: Option<Digest>,
        begins: Begins,
        asked: Asked,
    ) -> Result<wire::ExtensionType, CommandError> {
        self.catalogue.check(subject.clone(), version.clone(), digest).await?;
        let publish = ReleaseCommand::Publish { subject: subject.clone(), version, digest, begins };
        self.grant_release(publish, asked).await?;
        self.extension_type(subject).await
    }

    pub(in crate::api) async fn withdraw(
        &self,
        (subject, version): (ExtensionType, ReleaseVersion),
        then: ThenBack,
        asked: Asked,
    ) -> Result<wire::ExtensionType, CommandError> {
        self.grant_release(ReleaseCommand::Withdraw { subject: subject.clone(), version, then }, asked)
            .await?;
        self.extension_type(subject).await
    }

    pub(in crate::api) async fn enrol(
        &self,
        set: ScaleSetName,
        subject: ExtensionType,
        enrol: Enrol,
        asked: Asked,
    ) -> Result<wire::ExtensionType, CommandError> {
        self.grant_release(ReleaseCommand::Enrol(set, subject.clone(), enrol), asked).await?;
        self.extension_type(subject).await
    }

    pub(in crate::api) fn features(&self) -> wire::Features {
        view::features(&self.door.view())
    }

    pub(in crate::api) async fn register(
        &self,
        subscription: Subscription,
        enrol: Enrol,
        asked: Asked,
    ) -> Result<wire::Features, CommandError> {
        self.grant_release(ReleaseCommand::Feature(subscription, enrol), asked).await?;
        Ok(self.features())
    }

    pub(in crate::api) async fn release_plan(
        &self,
        subject: ExtensionType,
        version: ReleaseVersion,
    ) -> Result<wire::ReleasePlan, CommandError> {
        let clock = self.clock;
        self.read(move |fleet, now| {
            let planned = released::plan(fleet, &subject, &version, now)?;
            let begun_at = clock.now();
            let mut goes_on = || clock.now().since(begun_at) < SIMULATED_MAX;
            let simulated = expected(fleet, &planned, now, &mut goes_on);
            Ok(view::plan(fleet, &planned, simulated))
        })
        .await
    }

    pub(in crate::api) async fn releases(&self) -> Result<wire::Releases, CommandError> {
        self.read(|fleet, _| Ok(view::releases(fleet))).await
    }

    pub(in crate::api) async fn how_release_stands(
        &self,
        id: ReleaseId,
    ) -> Result<wire::ReleaseDetail, CommandError> {
        self.read(move |fleet, now| Ok(view::detail(fleet, found(fleet, &id)?.as_ref(), now))).await
    }

    pub(in crate::api) async fn release_log(&self, id: ReleaseId) -> Result<wire::ReleaseLog, CommandError> {
        self.read(move |fleet, _| Ok(view::log(found(fleet, &id)?.as_ref()))).await
    }

    pub(in crate::api) async fn start_release(
        &self,
        start: ReleaseStart,
        asked: Asked,
    ) -> Result<wire::ReleaseDetail, CommandError> {
        let ReleaseStart { subject, version, plan, quarantined } = start;
        let (subject, version) = match (subject, version, plan) {
            (Some(subject), Some(version), _) => (subject, version),
            (_, _, Some(plan)) => self.planned(plan).await?,
            (_, _, None) => {
                let message = "a release needs `type` and `version`, or the digest of a plan";
                return Err(CommandError::new(CommandErrorKind::Invalid, message));
            }
        };
        let wanted =
            ReleaseCommand::Start { subject: subject.clone(), version: version.clone(), plan, quarantined };
        self.grant_release(wanted, asked).await?;
        self.read(move |fleet, now| {
            let is_it = |release: &&Arc<Release>| release.subject == subject && release.version == version;
            let latest = fleet.releases.all.values().rev().find(is_it);
            let gone = || CommandError::new(CommandErrorKind::NotFound, "the release is gone".to_owned());
            Ok(view::detail(fleet, latest.ok_or_else(gone)?, now))
        })
        .await
    }

    /// What a plan was about: of all that is published, what has this digest now.
    async fn planned(&self, digest: Digest) -> Result<(ExtensionType, ReleaseVersion), CommandError> {
        self.read(move |fleet, now| {
            for published in fleet.releases.catalogue.values() {
                for version in published.newest_of_each_major().iter().chain(published.versions.keys().rev())
                {
                    let planned = released::plan(fleet, &published.subject, version, now)?;
                    if planned.plan.digest == digest {
                        return Ok((published.subject.clone(), version.clone()));
                    }
                }
            }
            let message = format!(
                "no release of what is published has the plan {digest} now; look at it again with `phasegate \
                 release plan`"
            );
            Err(CommandError::new(CommandErrorKind::Conflict, message))
        })
        .await
    }

    pub(in crate::api) async fn wish_release(
        &self,
        id: ReleaseId,
        wish: ReleaseWish,
        asked: Asked,
    ) -> Result<wire::ReleaseDetail, CommandError> {
        self.grant_release(ReleaseCommand::Wish(id.clone(), wish), asked).await?;
        self.how_release_stands(id).await
    }
}

fn found(fleet: &Fleet, id: &ReleaseId) -> Result<Arc<Release>, CommandError> {
    fleet.releases.release(id).cloned().ok_or_else(|| {
        let message = format!("there is no release `{id}`; `phasegate release list` has all");
        CommandError::new(CommandErrorKind::NotFound, message)
    })
}
