//! The first deployment of an instance: which of its extensions is installed after which, and how far that has come.
//!
//! A value. Asks no driver and reads no clock; `kernel::provision` walks through it. Later upgrades know nothing of
//! this order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::component::{Change, Component};
use super::ids::{ExtensionName, OperationId, Version};
use super::time::Timestamp;

/// How the extensions of a new instance are installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provisioning {
    /// After which others each is installed; one that is not in here comes after none.
    pub after: BTreeMap<ExtensionName, BTreeSet<ExtensionName>>,
    /// How long all of them together may take.
    pub budget: Duration,
}

impl Default for Provisioning {
    fn default() -> Self {
        Self { after: BTreeMap::new(), budget: Self::BUDGET }
    }
}

impl Provisioning {
    /// Azure's default of `extensionsTimeBudget`.
    pub const BUDGET: Duration = Duration::from_secs(90 * 60);

    /// After which one is installed.
    fn before<'a>(&'a self, name: &ExtensionName) -> impl Iterator<Item = &'a ExtensionName> {
        self.after.get(name).into_iter().flatten()
    }

    /// The names so that each comes after those that it is installed after; else as they were given.
    ///
    /// # Errors
    /// The names that wait for one another.
    pub fn in_order(&self, names: &[ExtensionName]) -> Result<Vec<ExtensionName>, Vec<ExtensionName>> {
        let mut left: Vec<&ExtensionName> = names.iter().collect();
        let mut ordered: Vec<ExtensionName> = Vec::new();
        while !left.is_empty() {
            let is_free = |name: &&&ExtensionName| {
                let mut before = self.before(name);
                before.all(|one| ordered.contains(one) || !names.contains(one))
            };
            let Some(next) = left.iter().find(is_free).map(|name| (**name).clone()) else {
                return Err(left.into_iter().cloned().collect());
            };
            left.retain(|name| **name != next);
            ordered.push(next);
        }
        Ok(ordered)
    }
}

/// The first deployment of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Provision {
    /// Since when, on the fleet's own time.
    pub since: Timestamp,
    /// How long it may take: a change of the configuration holds for those that come after it.
    pub budget: Duration,
    /// When it was over, if it is: what is kept then has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Its extensions, each after those that it is installed after.
    pub parts: Vec<ProvisionPart>,
}

/// One extension of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProvisionPart {
    /// Which.
    pub extension: ExtensionName,
    /// The version that it is to have.
    pub version: Version,
    /// After which others.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub after: BTreeSet<ExtensionName>,
    /// Under which operation its driver is told; the same after a restart.
    pub operation: OperationId,
    /// How it stands.
    pub state: Provisioned,
}

/// How an extension of a new instance stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum Provisioned {
    /// Its turn has not come.
    Waiting,
    /// Its driver has been told.
    Installing,
    /// It is there.
    Installed,
    /// It is not, and nobody tries again by himself.
    Failed {
        /// Why.
        why: String,
    },
    /// One failed that it comes after.
    NotInstalled {
        /// Which.
        after: ExtensionName,
    },
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextPart {
    /// A driver is to be told of the part with this index.
    Install(usize),
    /// A driver has one in hand.
    Wait,
    /// Nothing: all have been dealt with.
    Nothing,
}

impl ProvisionPart {
    /// What it brings.
    #[must_use]
    pub fn change(&self) -> Change {
        Change { component: self.component(), to: self.version.clone() }
    }

    /// What it is about.
    #[must_use]
    pub fn component(&self) -> Component {
        Component::Extension(self.extension.clone())
    }
}

impl Provision {
    /// Whether it goes on.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.ended_at.is_none()
    }

    /// When its time is over, while it goes on.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.is_open().then(|| self.since + self.budget)
    }

    /// Whether every extension is there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.parts.iter().all(|part| part.state == Provisioned::Installed)
    }

    /// Whether a driver has one in hand.
    #[must_use]
    pub fn is_installing(&self) -> bool {
        self.parts.iter().any(|part| part.state == Provisioned::Installing)
    }

    /// What is to be done next. Those that come after one that failed are left out first; gives them, too.
    pub fn next_part(&mut self) -> (NextPart, Vec<usize>) {
        let left_out = self.leave_out();
        if self.is_installing() {
            return (NextPart::Wait, left_out);
        }
        let waits = |part: &ProvisionPart| part.state == Provisioned::Waiting;
        let is_there = |name: &ExtensionName| {
            let mut same = self.parts.iter().filter(|part| part.extension == *name);
            same.all(|part| part.state == Provisioned::Installed)
        };
        let next = self.parts.iter().position(|part| waits(part) && part.after.iter().all(is_there));
        (next.map_or(NextPart::Nothing, NextPart::Install), left_out)
    }

    /// Leaves out what comes after one that failed or was left out itself.
    fn leave_out(&mut self) -> Vec<usize> {
        let mut left_out = Vec::new();
        for index in 0..self.parts.len() {
            let Some(part) = self.parts.get(index).filter(|part| part.state == Provisioned::Waiting) else {
                continue;
            };
            let is_lost = |name: &&ExtensionName| {
                self.parts.iter().any(|other| {
                    let is_lost =
                        matches!(other.state, Provisioned::Failed { .. } | Provisioned::NotInstalled { .. });
                    other.extension == **name && is_lost
                })
            };
            let Some(after) = part.after.iter().find(is_lost).cloned() else { continue };
            if let Some(part) = self.parts.get_mut(index) {
                part.state = Provisioned::NotInstalled { after };
                left_out.push(index);
            }
        }
        left_out
    }

    /// Its time is over: what is not there has failed, and what comes after that is left out. Gives what a driver had in
    /// hand, and who was left out.
    pub fn expire(&mut self) -> (Vec<OperationId>, Vec<usize>) {
        let budget = self.budget.as_secs();
        let over = |what: &str| {
            let why = format!("{what} within extensionsTimeBudget ({budget} s)");
            Provisioned::Failed { why }
        };
        let mut in_hand = Vec::new();
        for part in self.parts.iter_mut().filter(|part| part.state == Provisioned::Installing) {
            in_hand.push(part.operation.clone());
            part.state = over("was not done");
        }
        // Of those that nobody has begun, in their order, the first that lacks nothing fails; who needs it is left out.
        let mut left_out = self.leave_out();
        while let Some(part) = self.parts.iter_mut().find(|part| part.state == Provisioned::Waiting) {
            part.state = over("was not begun");
            left_out.extend(self.leave_out());
        }
        (in_hand, left_out)
    }
}

/// Why an instance is not ready, or what it lacks; one line for people.
impl fmt::Display for Provision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.parts.len();
        let number = self.parts.iter().position(|part| part.state == Provisioned::Installing);
        if let Some((number, part)) = number.and_then(|number| Some((number, self.parts.get(number)?))) {
            let (name, version) = (&part.extension, &part.version);
            return write!(f, "extension `{name}` {version} is being installed ({} of {all})", number + 1);
        }
        if self.is_open() {
            let next = self.parts.iter().find(|part| part.state == Provisioned::Waiting);
            let next = next.map_or_else(String::new, |part| format!(": `{}` is next", part.extension));
            return write!(f, "its extensions are to be installed{next}");
        }
        let mut first = true;
        for part in &self.parts {
            let comma = if std::mem::take(&mut first) { "" } else { "; " };
            match &part.state {
                Provisioned::Failed { why } => {
                    write!(f, "{comma}extension `{}` could not be installed: {why}", part.extension)?;
                }
                Provisioned::NotInstalled { after } => {
                    write!(
                        f,
                        "{comma}extension `{}` was not installed: it comes after `{after}`",
                        part.extension
                    )?;
                }
                Provisioned::Waiting | Provisioned::Installing | Provisioned::Installed => {
                    first = comma.is_empty()
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ExtensionName {
        ExtensionName::parse(text).unwrap()
    }

    fn provisioning(after: &[(&str, &[&str])]) -> Provisioning {
        let after = after.iter().map(|(one, before)| (name(one), before.iter().map(|it| name(it)).collect()));
        Provisioning { after: after.collect(), ..Provisioning::default() }
    }

    fn provision(all: &[(&str, &[&str])]) -> Provision {
        let part = |(one, after): &(&str, &[&str])| ProvisionPart {
            extension: name(one),
            version: Version::parse("1").unwrap(),
            after: after.iter().map(|it| name(it)).collect(),
            operation: OperationId(format!("provision/{one}")),
            state: Provisioned::Waiting,
        };
        Provision {
            since: Timestamp(0),
            budget: Duration::from_secs(900),
            ended_at: None,
            parts: all.iter().map(part).collect(),
        }
    }

    #[test]
    fn the_order_keeps_what_it_can_of_the_file() {
        let names = ["d", "c", "b", "a"].map(name);
        let order = |after: &[(&str, &[&str])]| {
            let ordered = provisioning(after).in_order(&names);
            ordered.map(|all| all.iter().map(ToString::to_string).collect::<String>())
        };
        assert_eq!(order(&[]), Ok("dcba".to_owned()));
        assert_eq!(order(&[("d", &["a"])]), Ok("cbad".to_owned()));
        assert_eq!(order(&[("d", &["b"]), ("b", &["a"])]), Ok("cabd".to_owned()));
        assert_eq!(order(&[("d", &["gone"])]), Ok("dcba".to_owned()), "what is not there holds nobody");
        assert_eq!(order(&[("d", &["b"]), ("b", &["d"])]), Err(vec![name("d"), name("b")]));
        assert_eq!(order(&[("a", &["a"])]), Err(vec![name("a")]));
    }

    #[test]
    fn one_that_fails_stops_those_after_it_and_nobody_else() {
        let mut all = provision(&[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &[])]);
        assert_eq!(all.next_part(), (NextPart::Install(0), vec![]));
        all.parts[0].state = Provisioned::Installing;
        assert_eq!(all.next_part(), (NextPart::Wait, vec![]));
        all.parts[0].state = Provisioned::Failed { why: "exit code 1".to_owned() };
        assert_eq!(all.next_part(), (NextPart::Install(3), vec![1, 2]));
        all.parts[3].state = Provisioned::Installed;
        assert_eq!(all.next_part(), (NextPart::Nothing, vec![]));
        all.ended_at = Some(Timestamp(1));
        assert_eq!(
            all.to_string(),
            "extension `a` could not be installed: exit code 1; extension `b` was not installed: it comes after \
             `a`; extension `c` was not installed: it comes after `b`"
        );
    }

    #[test]
    fn when_its_time_is_over_what_is_in_hand_is_ended() {
        let mut all = provision(&[("a", &[]), ("b", &["a"]), ("c", &[]), ("d", &["c"]), ("e", &["b"])]);
        all.parts[0].state = Provisioned::Installing;
        assert_eq!(all.to_string(), "extension `a` 1 is being installed (1 of 5)");
        assert_eq!(all.expire(), (vec![OperationId("provision/a".to_owned())], vec![1, 4, 3]));
        assert_eq!(all.next_part(), (NextPart::Nothing, vec![]));
        all.ended_at = Some(Timestamp(900_000));
        assert_eq!(
            all.to_string(),
            "extension `a` could not be installed: was not done within extensionsTimeBudget (900 s); extension `b` was \
             not installed: it comes after `a`; extension `c` could not be installed: was not begun within \
             extensionsTimeBudget (900 s); extension `d` was not installed: it comes after `c`; extension `e` was not \
             installed: it comes after `b`"
        );
    }
}
