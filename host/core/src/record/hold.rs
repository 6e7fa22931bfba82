//! Why a host that has opened a record does nothing yet: the record may not be the one that the fleet was run by
//! last. A copy of it, or an older state, would bring instances back to what they ran before.
//!
//! Only names the doubts; who finds them and what is held back stands elsewhere.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::{Fence, InstanceId, ScaleSetName};

/// Doubts that are kept and shown; the first ones say enough.
const DOUBTS_MAX: usize = 8;

/// What speaks against a record. A person who knows better adopts it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hold {
    doubts: Vec<Doubt>,
}

/// One thing that speaks against a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "doubt", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Doubt {
    /// It was written at another place: where it lies now it was copied to, or restored.
    Copied,
    /// A later generation has been at work where it lies.
    Older {
        /// The generation of the record.
        recorded: Fence,
        /// The one that has been seen.
        seen: Fence,
    },
    /// Commits were made where it lies that it does not have.
    Shorter {
        /// Commits of the record.
        recorded: u64,
        /// Commits that were made.
        made: u64,
    },
    /// A person put it there in place of another one.
    Restored,
    /// An agent has been told something by a higher generation.
    Superseded {
        /// The scale set.
        scale_set: ScaleSetName,
        /// Whose agent.
        instance: InstanceId,
        /// The generation that asked it.
        asked: Fence,
        /// The highest one that it has seen.
        seen: Fence,
    },
}

impl Hold {
    /// Nothing speaks against the record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.doubts.is_empty()
    }

    /// What speaks against it, oldest first, each once; at most eight.
    #[must_use]
    pub fn doubts(&self) -> &[Doubt] {
        &self.doubts
    }

    /// Adds one, unless it is known or there are enough.
    pub fn add(&mut self, doubt: Doubt) {
        if self.doubts.len() < DOUBTS_MAX && !self.doubts.contains(&doubt) {
            self.doubts.push(doubt);
        }
    }
}

impl FromIterator<Doubt> for Hold {
    fn from_iter<T: IntoIterator<Item = Doubt>>(doubts: T) -> Self {
        let mut hold = Self::default();
        doubts.into_iter().for_each(|doubt| hold.add(doubt));
        hold
    }
}

/// All of them in one line.
impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, doubt) in self.doubts.iter().enumerate() {
            let comma = if index == 0 { "" } else { "; " };
            write!(f, "{comma}{doubt}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Copied => {
                write!(f, "the record was copied or restored: it was written beside another lock file")
            }
            Self::Older { recorded, seen } => write!(
                f,
                "the record is an older state: it is of generation {recorded}, and generation {seen} has been at \
                 work here"
            ),
            Self::Shorter { recorded, made } => write!(
                f,
                "the record is an older state: it ends with commit {recorded}, and commit {made} was made here"
            ),
            Self::Restored => write!(f, "the record was put here by `phasegate data restore`"),
            Self::Superseded { scale_set, instance, asked, seen } => write!(
                f,
                "the agent of instance `{instance}` of scale set `{scale_set}` has been told something by \
                 generation {seen}, and this host was generation {asked}: another host, or a later state of this \
                 record, has been at work"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_doubt_counts_once_and_there_are_not_many() {
        let fence = |number: u64| Fence::try_from(number).unwrap();
        let older = |seen: u64| Doubt::Older { recorded: fence(1), seen: fence(seen) };
        let hold: Hold = [Doubt::Copied, older(2), Doubt::Copied].into_iter().collect();
        assert_eq!(hold.doubts(), [Doubt::Copied, older(2)]);
        insta::assert_snapshot!(hold, @"the record was copied or restored: it was written beside another lock file; the record is an older state: it is of generation 1, and generation 2 has been at work here");
        assert_eq!((2..99).map(older).collect::<Hold>().doubts().len(), DOUBTS_MAX);
        let json = serde_json::to_string(&hold).unwrap();
        assert_eq!(json, r#"[{"doubt":"copied"},{"doubt":"older","recorded":1,"seen":2}]"#);
        assert_eq!(serde_json::from_str::<Hold>(&json).unwrap(), hold);
    }
}
