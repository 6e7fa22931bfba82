//! Whether what runs would be taken up today: keys are taken away, or cases are asked for, while what decides has none.
//!
//! Deliberately ends nothing: who takes a key away says what may come, and a fleet without decisions is worse off.

use std::path::Path;

use super::disk::Disk;
use super::{Hands, lock};
use crate::plugins::check::SelfTestError;
use crate::plugins::config::{Cases, ComponentSource, PluginConfig};
use crate::plugins::signature;
use phasegate_core::domain::{Digest, PluginName};
use phasegate_wasm::{cases, component_digest, read_component};

/// Why a component would not be taken up today; fragments that follow it. None of what speaks for it, or is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lost {
    /// Its signature counts no more.
    pub signature: Option<String>,
    /// It carries no cases, and some are asked for.
    pub cases: Option<String>,
}

impl Lost {
    /// Each of them.
    pub fn reasons(self) -> impl Iterator<Item = String> {
        self.signature.into_iter().chain(self.cases)
    }
}

/// The same of a component that is kept in a data directory, by what a configuration asks for. Writes nothing.
#[must_use]
pub fn lost_of(config: &PluginConfig, data_dir: &Path, digest: Digest) -> Lost {
    of(config, &Disk::new(data_dir.to_owned(), Vec::new()), digest)
}

impl Hands {
    /// Looks at what runs by what is asked for now; gives what would not be taken up, and why. Where bytes are not kept
    /// any more nothing is known of them. Reads whole components: not for the loop.
    #[must_use]
    pub fn lost(&self, active: &[(PluginName, Digest)]) -> Vec<(PluginName, String)> {
        let mut all = Vec::new();
        for (name, digest) in active {
            let Some(plugin) = self.shared.plugins.get(name) else { continue };
            let config = lock(&plugin.configs).now.clone();
            let lost = of(&config, &self.shared.disk, *digest);
            *lock(&plugin.lost) = Some((*digest, lost.clone()));
            all.extend(lost.reasons().map(|why| (name.clone(), why)));
        }
        all
    }
}

fn of(config: &PluginConfig, disk: &Disk, digest: Digest) -> Lost {
    if config.signature.is_none() && config.cases == Cases::Optional {
        return Lost::default();
    }
    let Some(bytes) = disk.kept(digest) else { return Lost::default() };
    let signature = config.signature.as_ref().and_then(|rule| {
        let mut signed = disk.signatures(digest);
        // It may have been signed since, where it came from.
        if let ComponentSource::File(path) = &config.component
            && read_component(path).is_ok_and(|now| component_digest(&now) == digest)
        {
            signed.extend(signature::read_beside(path).unwrap_or_default());
        }
        let verified = signature::verify(rule, &bytes, &signed, "signature that was kept with it");
        verified.err().map(|error| error.to_string())
    });
    let cases = match (config.cases, cases::embedded(&bytes)) {
        (Cases::Required, Ok(None)) => Some(SelfTestError::Missing.to_string()),
        (Cases::Required, Ok(Some(_)) | Err(_)) | (Cases::Optional, _) => None,
    };
    Lost { signature, cases }
}
