//! Hooks: what a site wants run round an instance and round a batch, and on which way.
//!
//! Knows neither programs nor URLs: whoever runs them has those, under the same names.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Whether a version is brought, or the one before is brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// To what is wanted.
    Forward,
    /// To what was there before.
    Back,
}

impl Direction {
    /// As hooks are told it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Back => "back",
        }
    }

    /// The other one.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Forward => Self::Back,
            Self::Back => Self::Forward,
        }
    }
}

/// On which side of what it belongs to a hook is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Moment {
    /// Before anything is done.
    Before,
    /// When all of it is over, well or badly.
    After,
}

impl Moment {
    /// The hook round an instance.
    #[must_use]
    pub fn of_instance(self) -> HookKind {
        match self {
            Self::Before => HookKind::BeforeInstance,
            Self::After => HookKind::AfterInstance,
        }
    }
}

/// Which hook, by its key in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HookKind {
    /// Before the driver is told anything of an instance.
    BeforeInstance,
    /// When the driver has answered for an instance, well or badly.
    AfterInstance,
    /// When a batch could begin.
    BeforeBatch,
    /// When all of a batch have been judged.
    AfterBatch,
}

impl HookKind {
    /// All of them, in the order in which they are run.
    pub const ALL: [Self; 4] =
        [Self::BeforeBatch, Self::BeforeInstance, Self::AfterInstance, Self::AfterBatch];

    /// Its key in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BeforeInstance => "beforeInstance",
            Self::AfterInstance => "afterInstance",
            Self::BeforeBatch => "beforeBatch",
            Self::AfterBatch => "afterBatch",
        }
    }

    fn bit(self) -> u8 {
        match self {
            Self::BeforeInstance => 1,
            Self::AfterInstance => 2,
            Self::BeforeBatch => 4,
            Self::AfterBatch => 8,
        }
    }
}

impl fmt::Display for HookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The hooks that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "BTreeSet<HookKind>", into = "BTreeSet<HookKind>")]
pub struct HookKinds(u8);

impl HookKinds {
    /// Whether this one is among them.
    #[must_use]
    pub fn has(self, kind: HookKind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// In the order in which they are run.
    pub fn iter(self) -> impl Iterator<Item = HookKind> {
        HookKind::ALL.into_iter().filter(move |kind| self.has(*kind))
    }
}

impl FromIterator<HookKind> for HookKinds {
    fn from_iter<T: IntoIterator<Item = HookKind>>(kinds: T) -> Self {
        Self(kinds.into_iter().fold(0, |bits, kind| bits | kind.bit()))
    }
}

impl From<BTreeSet<HookKind>> for HookKinds {
    fn from(kinds: BTreeSet<HookKind>) -> Self {
        kinds.into_iter().collect()
    }
}

impl From<HookKinds> for BTreeSet<HookKind> {
    fn from(kinds: HookKinds) -> Self {
        kinds.iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_hooks_there_are_reads_back_by_name() {
        for bits in 0..16 {
            let kinds = HookKinds(bits);
            let json = serde_json::to_string(&kinds).unwrap();
            assert_eq!(serde_json::from_str::<HookKinds>(&json).unwrap(), kinds, "{json}");
            assert_eq!(kinds.iter().count() as u32, bits.count_ones());
        }
        let both: HookKinds = [HookKind::AfterBatch, HookKind::BeforeBatch].into_iter().collect();
        assert_eq!(serde_json::to_string(&both).unwrap(), r#"["beforeBatch","afterBatch"]"#);
    }
}
