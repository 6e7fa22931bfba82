//! Requests that were granted, by their keys: the same one, sent again, is answered and not done again.

use imbl::OrdMap;

use super::command::{Answer, Command, Reconfiguration, Reply, Request};
use super::refusal::Refusal;
use super::state::Fleet;
use crate::domain::{PluginName, RequestKey, ScaleSetName};
use crate::lifecycle::{Part, TakenUp};
use crate::record::{StoredReload, StoredRequest, StoredTakeUp, Write};

/// Requests that are remembered: more than anybody repeats within the time in which it matters.
const REMEMBERED_MAX: usize = 1_000;

/// Granted requests by key, and in the order in which they were granted.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests {
    by_key: OrdMap<RequestKey, StoredRequest>,
    in_order: OrdMap<u64, RequestKey>,
}

impl Requests {
    pub(super) fn new(stored: impl IntoIterator<Item = (RequestKey, StoredRequest)>) -> Self {
        let mut requests = Self::default();
        for (key, request) in stored {
            requests.in_order.insert(request.number, key.clone());
            requests.by_key.insert(key, request);
        }
        requests
    }

    /// What is remembered under a key.
    pub(super) fn get(&self, key: &RequestKey) -> Option<&StoredRequest> {
        self.by_key.get(key)
    }

    /// The answer to a request that was granted before, or why its key cannot be used.
    pub(super) fn repeated(&self, request: &Request, fleet: &Fleet) -> Option<Answer> {
        let known = self.by_key.get(request.key.as_ref()?)?;
        let asked = asked(&request.command);
        if known.asked != asked {
            let key = request.key.clone()?;
            return Some(Err(Refusal::KeyTaken { key, asked: known.asked.clone() }));
        }
        Some(Ok(match (&known.scale_set, &known.upgrade) {
            (Some(scale_set), Some(id)) => Reply::Upgrade { scale_set: scale_set.clone(), id: id.clone() },
            (Some(_) | None, _) => match &request.command {
                Command::StopLine | Command::StartLine => Reply::Line(fleet.line.clone()),
                Command::Ping
                | Command::Adopt
                | Command::Start(..)
                | Command::Wish(..)
                | Command::LiftQuarantine(..)
                | Command::RollBackTo(..)
                | Command::Word(..)
                | Command::Release(..)
                | Command::Discovered(..)
                | Command::Plugin(..) => Reply::Recorded,
                Command::Reconfigure(_) | Command::Recall => {
                    Reply::Recalled(Some(known.reload.clone().unwrap_or_default()))
                }
            },
        }))
    }

    /// Remembers a request that was granted; gives what is to be recorded.
    pub(super) fn granted(&mut self, request: &Request, reply: &Reply) -> Vec<Write> {
        let Some(key) = &request.key else { return Vec::new() };
        let number = self.in_order.get_max().map_or(1, |(number, _)| number + 1);
        let (scale_set, upgrade) = match reply {
            Reply::Upgrade { scale_set, id } => (Some(scale_set.clone()), Some(id.clone())),
            Reply::Pong
            | Reply::Line(_)
            | Reply::Recorded
            | Reply::Reconfigured(_)
            | Reply::Recalled(_)
            | Reply::Plugin(_) => (None, None),
        };
        let reload = match (&request.command, reply) {
            (Command::Reconfigure(change), Reply::Reconfigured(taken)) => Some(reload(change, taken)),
            (_, _) => None,
        };
        let stored = StoredRequest { number, asked: asked(&request.command), scale_set, upgrade, reload };
        self.in_order.insert(number, key.clone());
        self.by_key.insert(key.clone(), stored.clone());
        let mut writes = vec![Write::Request(key.clone(), Some(stored))];
        while self.by_key.len() > REMEMBERED_MAX {
            let Some((oldest, key)) = self.in_order.get_min().map(|(n, key)| (*n, key.clone())) else {
                break;
            };
            self.in_order.remove(&oldest);
            self.by_key.remove(&key);
            writes.push(Write::Request(key, None));
        }
        writes
    }
}

/// What a reload has changed.
fn reload(change: &Reconfiguration, taken: &[(PluginName, Box<TakenUp>)]) -> StoredReload {
    let has_changed =
        |(_, taken): &&(PluginName, Box<TakenUp>)| taken.changed == Part::Changed || taken.from != taken.to;
    let take_up = |(name, taken): &(PluginName, Box<TakenUp>)| {
        (name.clone(), StoredTakeUp { from: taken.from, to: taken.to })
    };
    StoredReload {
        sets: change.changed.clone(),
        plugins: taken.iter().filter(has_changed).map(take_up).collect(),
    }
}

/// A command in one line, to tell a repeat from another request under the same key.
fn asked(command: &Command) -> String {
    let about = |verb: &str, name: &ScaleSetName| format!("{verb} {name}");
    match command {
        Command::Ping => "ping".to_owned(),
        Command::Start(name, options) => format!("{}: {options:?}", about("start", name)),
        Command::Wish(name, wish) => format!("{}: {wish:?}", about("wish", name)),
        Command::LiftQuarantine(name, change) => format!("{}: {change}", about("lift quarantine", name)),
        Command::RollBackTo(name, to) => format!("{} to {}", about("roll back", name), to.id),
        Command::Word(name, id, kind, length) => {
            format!("{} {id} for {length:?}", about(kind.name(), name))
        }
        Command::Release(name, id) => format!("{} {id}", about("release", name)),
        Command::Discovered(name, found) => {
            format!("{}: {} found, {} gone", about("discovered", name), found.found.len(), found.gone.len())
        }
        Command::StopLine => "stop the line".to_owned(),
        Command::StartLine => "start the line".to_owned(),
        Command::Adopt => "adopt the record".to_owned(),
        Command::Plugin(name, wanted) => format!("plugin {name}: {wanted:?}"),
        // The file is another one by the next time: a repeat is known by its key alone.
        Command::Reconfigure(_) | Command::Recall => "reload".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::domain::{Actor, By};
    use crate::rollout::Wish;

    fn keyed(key: &str) -> By {
        let request = Some(RequestKey::parse(key).unwrap());
        By { actor: Actor::Operator("ann".to_owned()), reason: None, request }
    }

    #[test]
    fn a_repeat_is_answered_and_not_done_again() {
        let mut rig = Rig::healthy();
        let start = || Command::Start(name("orders"), to_version("v2"));
        let first = rig.ask_as(keyed("deploy-7"), start()).unwrap();
        rig.run_to_the_end();
        let lines = rig.trail().len();
        assert_eq!(rig.ask_as(keyed("deploy-7"), start()), Some(first.clone()));
        let mut rig = rig.restart();
        assert_eq!(rig.ask_as(keyed("deploy-7"), start()), Some(first), "also after a restart");
        assert_eq!(rig.trail().len(), lines, "nothing was done");
        let other = rig.ask_as(keyed("deploy-7"), Command::Wish(name("orders"), Wish::RollBack)).unwrap();
        assert!(matches!(other, Err(Refusal::KeyTaken { .. })), "{other:?}");
    }

    #[test]
    fn a_reload_is_done_once_and_answered_again() {
        let mut rig = Rig::healthy();
        let reload = |rig: &Rig, seconds: u64| {
            let mut spec = (*rig.set().spec).clone();
            spec.health.interval = std::time::Duration::from_secs(seconds);
            let changed = [(name("orders"), vec!["health".to_owned()])].into();
            Command::Reconfigure(Reconfiguration { sets: vec![spec], changed, ..Reconfiguration::default() })
        };
        let interval = |rig: &Rig| rig.set().spec.health.interval.as_secs();
        let recall = |rig: &mut Rig, key: &str| rig.ask_as(keyed(key), Command::Recall).unwrap();
        assert_eq!(recall(&mut rig, "r-1"), Ok(Reply::Recalled(None)));
        assert!(!rig.disk.stored().requests.contains_key(&RequestKey::parse("r-1").unwrap()), "only asked");
        let change = reload(&rig, 7);
        assert_eq!(rig.ask_as(keyed("r-1"), change), Some(Ok(Reply::Reconfigured(Vec::new()))));
        let before = Ok(Reply::Recalled(Some(StoredReload {
            sets: [(name("orders"), vec!["health".to_owned()])].into(),
            ..StoredReload::default()
        })));
        let change = reload(&rig, 9);
        assert_eq!(rig.ask_as(keyed("r-1"), change), Some(before.clone()));
        assert_eq!((recall(&mut rig, "r-1"), interval(&rig)), (before.clone(), 7));
        let mut rig = rig.restart();
        assert_eq!(recall(&mut rig, "r-1"), before, "also after a restart");
        let change = reload(&rig, 9);
        assert_eq!((rig.ask_as(keyed("r-1"), change), interval(&rig)), (Some(before), 5));
        let other = rig.ask_as(keyed("r-1"), Command::Start(name("orders"), to_version("v2"))).unwrap();
        assert!(matches!(other, Err(Refusal::KeyTaken { .. })), "{other:?}");
    }

    #[test]
    fn a_reload_that_cannot_be_recorded_is_undone_with_its_key() {
        let mut rig = Rig::healthy();
        let mut spec = (*rig.set().spec).clone();
        spec.health.interval = std::time::Duration::from_secs(7);
        let change = Reconfiguration { sets: vec![spec], ..Reconfiguration::default() };
        rig.mood = DiskMood::Refuses;
        let answer = rig.ask_as(keyed("r-1"), Command::Reconfigure(change));
        assert!(matches!(answer, Some(Err(Refusal::NotRecorded { .. }))), "{answer:?}");
        assert_eq!(rig.set().spec.health.interval.as_secs(), 5);
        rig.mood = DiskMood::Takes;
        assert_eq!(rig.ask_as(keyed("r-1"), Command::Recall), Some(Ok(Reply::Recalled(None))));
    }

    #[test]
    fn what_was_refused_may_be_asked_for_again() {
        let mut rig = Rig::healthy();
        rig.mood = DiskMood::Refuses;
        let start = || Command::Start(name("orders"), to_version("v2"));
        assert!(matches!(rig.ask_as(keyed("a"), start()), Some(Err(Refusal::NotRecorded { .. }))));
        rig.mood = DiskMood::Takes;
        assert!(rig.ask_as(keyed("a"), start()).unwrap().is_ok());
        assert!(rig.set().active().is_some());
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut rig = Rig::healthy();
        for number in 0..REMEMBERED_MAX + 2 {
            assert!(rig.ask_as(keyed(&format!("ping-{number}")), Command::Ping).unwrap().is_ok());
        }
        let stored = &rig.disk.stored().requests;
        assert_eq!(stored.len(), REMEMBERED_MAX);
        let has = |key: &str| stored.contains_key(&RequestKey::parse(key).unwrap());
        assert!(!has("ping-0") && !has("ping-1") && has("ping-2"));
    }
}
