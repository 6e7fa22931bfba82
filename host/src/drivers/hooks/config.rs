//! The settings of hooks. Looks for no program; a check of the configuration does.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::drivers::template::Template;
use phasegate_core::domain::{HookKind, HookKinds};

/// The hooks of a scale set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hooks {
    /// Those that there are.
    pub(super) all: BTreeMap<HookKind, Hook>,
    /// Where programs run.
    pub(super) working_dir: PathBuf,
}

/// One hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// What is run.
    pub(super) what: What,
    /// From its first try to its end, tries that say "not yet" included.
    pub(super) timeout: Duration,
}

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// Program and arguments; at least one.
    Command(Vec<Template>),
    /// Where a POST goes.
    Url {
        /// Where.
        to: Template,
        /// Certificates that count besides those that browsers trust.
        ca_file: Option<PathBuf>,
    },
}

impl Hooks {
    /// Which there are.
    #[must_use]
    pub fn kinds(&self) -> HookKinds {
        self.all.keys().copied().collect()
    }

    /// The same, with their programs run elsewhere.
    #[must_use]
    pub fn in_directory(self, working_dir: PathBuf) -> Self {
        Self { working_dir, ..self }
    }

    /// Where programs run.
    #[must_use]
    pub fn working_dir(&self) -> &std::path::Path {
        &self.working_dir
    }

    /// Programs with their arguments, and the key that names each.
    pub fn programs(&self) -> impl Iterator<Item = (HookKind, &[Template])> {
        self.all.iter().filter_map(|(kind, hook)| match &hook.what {
            What::Command(argv) => Some((*kind, argv.as_slice())),
            What::Url { .. } => None,
        })
    }

    /// Files with certificates, and the key that names each hook.
    pub fn certificates(&self) -> impl Iterator<Item = (HookKind, &std::path::Path)> {
        self.all.iter().filter_map(|(kind, hook)| match &hook.what {
            What::Command(_) => None,
            What::Url { ca_file, .. } => ca_file.as_deref().map(|path| (*kind, path)),
        })
    }

    /// Whether what is run before an instance asks where the instance is.
    #[must_use]
    pub fn asks_for_address_before(&self) -> bool {
        let asks = |hook: &Hook| match &hook.what {
            What::Command(argv) => argv.iter().any(Template::asks_for_address),
            What::Url { to, .. } => to.asks_for_address(),
        };
        self.all.get(&HookKind::BeforeInstance).is_some_and(asks)
    }
}
