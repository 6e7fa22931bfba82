//! Looks at each source in its own rhythm, and tells whoever holds the catalogue what is new there.
//!
//! The newest version of each major goes first, so that one release follows from a look and not one for each version. What the checker has refused is not asked about again before its digest is another one or the host was
//! started again.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;

use super::list::{Listed, look};
use super::{SourceConfig, TypeConfig, Types, Versions, check};
use crate::clock::Clock;
use phasegate_core::domain::{Digest, ExtensionType, ReleaseVersion, WallTime};

/// A version that is new at a source.
#[derive(Debug, Clone)]
pub struct Publish {
    /// Of what.
    pub subject: ExtensionType,
    /// Which.
    pub version: ReleaseVersion,
    /// Of its bytes, where the source names one.
    pub digest: Option<Digest>,
    /// Who says so.
    pub source: String,
}

/// Ends when it is recorded, or with why it is not.
pub type Publishing = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Who holds the catalogue.
#[derive(Clone)]
pub struct Behind {
    /// What is published of a type.
    pub known: Arc<dyn Fn(&ExtensionType) -> Versions + Send + Sync>,
    /// Publishes.
    pub publish: Arc<dyn Fn(Publish) -> Publishing + Send + Sync>,
}

/// How it stands with a source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceView {
    /// Where it is.
    pub place: String,
    /// When it last gave a list that could be read.
    pub looked_at: Option<WallTime>,
    /// How many versions that had.
    pub versions: usize,
    /// Since when it gives none, and why.
    pub failing: Option<(WallTime, String)>,
    /// What of it was not published, and why.
    pub refused: BTreeMap<ReleaseVersion, String>,
}

/// The sources of all types; they end when this is stopped.
pub struct Watches {
    behind: Behind,
    clock: Clock,
    all: Mutex<BTreeMap<ExtensionType, Watch>>,
}

struct Watch {
    config: TypeConfig,
    view: Shared,
    /// None where nobody says which versions there are.
    task: Option<JoinHandle<()>>,
}

type Shared = Arc<Mutex<SourceView>>;

fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watches {
    /// Starts to look, on the runtime of whoever calls.
    #[must_use]
    pub fn start(types: &Types, clock: Clock, behind: Behind) -> Self {
        let watches = Self { behind, clock, all: Mutex::default() };
        watches.go_by(types);
        watches
    }

    /// Goes by what another configuration says; sources that stay are looked at on, as they were.
    pub fn go_by(&self, types: &Types) {
        let mut all = open(&self.all);
        let gone: Vec<ExtensionType> = all
            .iter()
            .filter(|(subject, watch)| types.get(subject) != Some(&watch.config))
            .map(|(it, _)| it.clone())
            .collect();
        for task in gone.iter().filter_map(|subject| all.remove(subject)?.task) {
            task.abort();
        }
        for (subject, config) in types {
            if all.contains_key(subject) {
                continue;
            }
            let place = config.source.as_ref().map_or_else(String::new, |source| source.place.to_string());
            let view: Shared = Arc::new(Mutex::new(SourceView { place, ..SourceView::default() }));
            let looker = config.source.clone().map(|source| Looker {
                subject: subject.clone(),
                source,
                config: config.clone(),
                behind: self.behind.clone(),
                clock: self.clock,
                view: Arc::clone(&view),
                refused: BTreeMap::new(),
            });
            let task = looker.map(|looker| tokio::spawn(looker.run()));
            all.insert(subject.clone(), Watch { config: config.clone(), view, task });
        }
    }

    /// How it stands with the source of a type; none where it has none.
    #[must_use]
    pub fn view(&self, subject: &ExtensionType) -> Option<SourceView> {
        let all = open(&self.all);
        let watch = all.get(subject).filter(|watch| watch.config.source.is_some())?;
        Some(open(&watch.view).clone())
    }

    /// The program that accepts versions of a type; empty where all are accepted.
    #[must_use]
    pub fn checker(&self, subject: &ExtensionType) -> Vec<String> {
        open(&self.all).get(subject).map(|watch| watch.config.checker.clone()).unwrap_or_default()
    }

    /// Ends it; waits for no source.
    pub fn stop(&self) {
        for task in std::mem::take(&mut *open(&self.all)).into_values().filter_map(|watch| watch.task) {
            task.abort();
        }
    }
}

/// Looks at one source.
struct Looker {
    subject: ExtensionType,
    source: SourceConfig,
    config: TypeConfig,
    behind: Behind,
    clock: Clock,
    view: Shared,
    /// What was not published, with the digest that it had.
    refused: BTreeMap<ReleaseVersion, (Option<Digest>, String)>,
}

impl Looker {
    async fn run(mut self) {
        loop {
            self.look_once().await;
            tokio::time::sleep(self.source.interval).await;
        }
    }

    async fn look_once(&mut self) {
        let known = (self.behind.known)(&self.subject);
        let max = self.config.versions_max;
        match look(&self.source, &known, max).await {
            Ok(Listed { versions, empty }) => {
                let is_back = {
                    let mut view = open(&self.view);
                    (view.looked_at, view.versions) = (Some(self.clock.date()), versions.len());
                    view.failing.take().is_some()
                };
                if is_back {
                    tracing::info!("the source {} of {} can be read again", self.source.place, self.subject);
                }
                self.take_over(&versions, &known).await;
                let nothing = |version: ReleaseVersion| (version, "its tag names no manifest".to_owned());
                open(&self.view).refused.extend(empty.into_iter().map(nothing));
            }
            Err(error) => {
                let text = in_words_of_types(&error.to_string());
                let mut view = open(&self.view);
                let is_new = view.failing.as_ref().is_none_or(|(_, before)| *before != text);
                let since = view.failing.take().map_or_else(|| self.clock.date(), |(since, _)| since);
                view.failing = Some((since, text.clone()));
                if is_new {
                    let (place, subject) = (&self.source.place, &self.subject);
                    tracing::warn!("the source {place} of {subject} {text}; what is published stays");
                }
            }
        }
    }

    async fn take_over(&mut self, versions: &Versions, known: &Versions) {
        self.refused.retain(|version, (digest, _)| versions.get(version) == Some(digest));
        let differs = |version: &ReleaseVersion, digest: Option<Digest>| match known.get(version) {
            None => true,
            // Where the source names no digest it says nothing about the bytes.
            Some(before) => digest.is_some() && *before != digest,
        };
        let new: Vec<(&ReleaseVersion, Option<Digest>)> = versions
            .iter()
            .filter(|(version, digest)| differs(version, **digest) && !self.refused.contains_key(*version))
            .map(|(version, digest)| (version, *digest))
            .collect();
        // From the newest on: the first of each major that is accepted begins a release, and the others none beside it.
        for (version, digest) in new.into_iter().rev() {
            if let Err(why) = self.publish(version, digest).await {
                tracing::warn!("the source {} of {}: {why}", self.source.place, self.subject);
                self.refused.insert(version.clone(), (digest, why));
            }
        }
        open(&self.view).refused =
            self.refused.iter().map(|(version, (_, why))| (version.clone(), why.clone())).collect();
    }

    async fn publish(&self, version: &ReleaseVersion, digest: Option<Digest>) -> Result<(), String> {
        let checked = check(&self.config.checker, &self.subject, (version, digest)).await;
        checked.map_err(|error| error.to_string())?;
        let publish = Publish {
            subject: self.subject.clone(),
            version: version.clone(),
            digest,
            source: self.source.place.to_string(),
        };
        (self.behind.publish)(publish).await
    }
}

/// Why a source cannot be had, with the keys by the names that they have in `[[extensionTypes]]`.
fn in_words_of_types(why: &str) -> String {
    why.replace(", for `plugin inspect`, `test` and `bench` by `--ca-file`", "").replace("fetch.", "")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::catalogue::Place;
    use crate::net::reference::RemoteSource;
    use crate::plugins::fetch::FetchConfig;

    fn version(text: &str) -> ReleaseVersion {
        ReleaseVersion::parse(text).unwrap()
    }

    /// A looker at a file, and what it has published.
    fn looker(file: &std::path::Path, checker: &[&str]) -> (Looker, Arc<Mutex<Vec<String>>>) {
        looker_at(Place::File(file.to_owned()), FetchConfig::default(), checker)
    }

    fn looker_at(place: Place, fetch: FetchConfig, checker: &[&str]) -> (Looker, Arc<Mutex<Vec<String>>>) {
        let published: Arc<Mutex<Vec<String>>> = Arc::default();
        let (told, known) = (Arc::clone(&published), Arc::clone(&published));
        let behind = Behind {
            known: Arc::new(move |_| open(&known).iter().map(|text| (version(text), None)).collect()),
            publish: Arc::new(move |publish| {
                open(&told).push(publish.version.to_string());
                Box::pin(async { Ok(()) })
            }),
        };
        let source = SourceConfig { place, interval: Duration::from_secs(300), fetch };
        let config = TypeConfig {
            source: Some(source.clone()),
            versions_max: 10,
            checker: checker.iter().map(|text| (*text).to_owned()).collect(),
        };
        let subject = ExtensionType::new("contoso", "agent").unwrap();
        let (clock, view) = (Clock::start(), Shared::default());
        (Looker { subject, source, config, behind, clock, view, refused: BTreeMap::new() }, published)
    }

    #[tokio::test]
    async fn a_source_that_says_garbage_takes_nothing_away_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("versions.json");
        std::fs::write(&file, r#"["1.0", "1.10", "1.2", "2.0"]"#).unwrap();
        let (mut looker, published) = looker(&file, &[]);
        looker.look_once().await;
        assert_eq!(*open(&published), ["2.0", "1.10", "1.2", "1.0"], "the newest first");
        for (index, garbage) in ["{", r#"["1.0", "latest"]"#, ""].into_iter().enumerate() {
            std::fs::write(&file, garbage).unwrap();
            looker.look_once().await;
            assert_eq!(open(&published).len(), 4, "{index}");
            assert!(open(&looker.view).failing.is_some(), "{index}");
        }
        std::fs::write(&file, r#"["1.11"]"#).unwrap();
        looker.look_once().await;
        assert_eq!(open(&published).last().cloned(), Some("1.11".to_owned()));
        assert!(open(&looker.view).failing.is_none());
    }

    #[tokio::test]
    async fn what_the_checker_refuses_is_not_published_and_not_asked_about_again() {
        let folder = tempfile::tempdir().unwrap();
        let (file, asked) = (folder.path().join("versions.json"), folder.path().join("asked"));
        std::fs::write(&file, r#"["1.0", "1.1"]"#).unwrap();
        let script = format!("echo {{version}} >> {}; test {{version}} != 1.1", asked.display());
        let (mut looker, published) = looker(&file, &["/bin/sh", "-c", &script]);
        looker.look_once().await;
        looker.look_once().await;
        assert_eq!(*open(&published), ["1.0"]);
        assert_eq!(std::fs::read_to_string(&asked).unwrap().lines().count(), 2);
        let view = open(&looker.view).clone();
        assert_eq!(view.refused.keys().cloned().collect::<Vec<_>>(), [version("1.1")]);
    }

    #[tokio::test]
    async fn a_source_that_takes_a_connection_and_never_answers_is_given_up_and_looked_at_again() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = server.local_addr().unwrap();
        // Neither reads nor writes.
        let held = tokio::spawn(async move {
            let mut all = Vec::new();
            while let Ok(connection) = server.accept().await {
                all.push(connection);
            }
        });
        for place in [format!("https://{at}/versions.json"), format!("oci://{at}/contoso/agent:all")] {
            let fetch = FetchConfig { timeout: Duration::from_millis(50), ..FetchConfig::default() };
            let remote = Place::Remote(RemoteSource::parse(&place).unwrap());
            let (mut looker, published) = looker_at(remote, fetch, &[]);
            for _ in 0..2 {
                tokio::time::timeout(Duration::from_secs(20), looker.look_once()).await.unwrap();
                let (_, why) = open(&looker.view).failing.clone().unwrap();
                assert!(why.contains("is not complete within 0.05 s"), "{place}: {why}");
            }
            assert!(open(&published).is_empty());
        }
        held.abort();
    }
}
