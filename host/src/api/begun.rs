//! Whether everything that decides has come up. Until then the API shows what there is, and changes nothing: an upgrade
//! or a swap that a start took back again with its end would have been a lie.
//!
//! Deliberately does not hold up who stops something: `line stop` counts from the first moment.

use std::time::Duration;

use axum::http::Method;
use phasegate_core::domain::PluginName;
use phasegate_core::kernel::Fleet;
use phasegate_core::lifecycle::Standing;
use tokio::sync::watch;
use tokio::time::timeout;

use super::answer::Refusal;
use crate::shell::Door;

/// How long a request that changes something waits for the end of the start: most plugins come up in less.
const BEGINS_WITHIN: Duration = Duration::from_secs(5);

/// When to try again; a plugin that carries its language's runtime compiles for most of a minute.
const AGAIN_IN: Duration = Duration::from_secs(5);

/// Tells that the host has begun, when it has.
#[derive(Debug)]
pub struct Begins(watch::Sender<bool>);

/// Knows whether it has.
#[derive(Clone)]
pub struct Begun {
    begun: watch::Receiver<bool>,
    door: Door,
}

impl Begun {
    /// Not yet; what is given beside it says when.
    #[must_use]
    pub fn not_yet(door: Door) -> (Begins, Self) {
        let (begins, begun) = watch::channel(false);
        (Begins(begins), Self { begun, door })
    }

    /// Ends when everything decides. Where the host ends before that, never.
    pub async fn wait(&self) {
        let mut begun = self.begun.clone();
        if begun.wait_for(|begun| *begun).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Why it has not, if so.
    pub(super) fn why_not(&self) -> Option<String> {
        (!*self.begun.borrow()).then(|| self.why())
    }

    /// Lets a request pass that changes nothing, or when there is everything that it may concern.
    pub(super) async fn admit(&self, method: &Method, route: Option<&str>) -> Result<(), Refusal> {
        self.admit_within(BEGINS_WITHIN, method, route).await
    }

    async fn admit_within(
        &self,
        limit: Duration,
        method: &Method,
        route: Option<&str>,
    ) -> Result<(), Refusal> {
        let harmless = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
        if harmless || route == Some("/v1/line/stop") || timeout(limit, self.wait()).await.is_ok() {
            return Ok(());
        }
        Err(Refusal::unavailable(self.why()).again_in(AGAIN_IN))
    }

    fn why(&self) -> String {
        let fleet = self.door.view();
        let starting: Vec<String> =
            fleet.plugins().filter_map(|life| starting(&fleet, life.name())).collect();
        match starting.as_slice() {
            [] => "the host starts: it looks for its instances".to_owned(),
            some => format!("the host starts: {}", some.join("; ")),
        }
    }
}

impl Begins {
    /// Everything decides.
    pub fn now(&self) {
        self.0.send_replace(true);
    }
}

/// What a plugin does that has not decided anything yet; none for one that decides.
pub(super) fn starting(fleet: &Fleet, plugin: &PluginName) -> Option<String> {
    let life = fleet.plugins().find(|life| life.name() == plugin)?;
    match life.standing() {
        Standing::Running | Standing::Failed(_) => None,
        Standing::Starting => Some(match life.report().stage {
            Some(stage) => format!("plugin `{plugin}` does not decide yet (stage {})", stage.name()),
            None => format!("plugin `{plugin}` does not decide yet"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_looks_or_stops_is_not_held_up_and_who_changes_waits_for_the_start() {
        let (door, _inside) = Door::new();
        let (begins, begun) = Begun::not_yet(door);
        assert!(begun.admit(&Method::GET, Some("/v1/fleet")).await.is_ok());
        assert!(begun.admit(&Method::POST, Some("/v1/line/stop")).await.is_ok());
        assert!(begun.admit_within(Duration::ZERO, &Method::POST, Some("/v1/line/start")).await.is_err());
        assert!(begun.why_not().is_some_and(|why| why.starts_with("the host starts")));
        let waits = begun.clone();
        let waits = tokio::spawn(async move { waits.admit(&Method::POST, None).await.is_ok() });
        begins.now();
        assert!(waits.await.unwrap());
        assert_eq!(begun.why_not(), None);
    }
}
