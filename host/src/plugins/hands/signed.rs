//! Whether what runs would be taken up today: keys are taken away while what they have signed decides.
//!
//! Deliberately ends nothing: who takes a key away says what may come, and a fleet without decisions is worse off.

use super::{Hands, lock};
use crate::plugins::config::ComponentSource;
use crate::plugins::signature;
use phasegate_core::domain::{Digest, PluginName};
use phasegate_wasm::{component_digest, read_component};

impl Hands {
    /// Looks at the signatures of what runs, with the keys of now; gives those that count no more, and why. Where bytes
    /// are not kept any more nothing is known of them. Reads whole components: not for the loop.
    #[must_use]
    pub fn signatures_lost(&self, active: &[(PluginName, Digest)]) -> Vec<(PluginName, String)> {
        let mut lost = Vec::new();
        for (name, digest) in active {
            let Some(plugin) = self.shared.plugins.get(name) else { continue };
            let config = lock(&plugin.configs).now.clone();
            let why = self.why_lost(&config.component, config.signature.as_ref(), *digest);
            *lock(&plugin.signature_lost) = why.clone().map(|why| (*digest, why));
            lost.extend(why.map(|why| (name.clone(), why)));
        }
        lost
    }

    fn why_lost(
        &self,
        component: &ComponentSource,
        rule: Option<&signature::SignatureRule>,
        digest: Digest,
    ) -> Option<String> {
        let rule = rule?;
        let bytes = self.shared.disk.kept(digest)?;
        let mut signed = self.shared.disk.signatures(digest);
        // It may have been signed since, where it came from.
        if let ComponentSource::File(path) = component
            && read_component(path).is_ok_and(|now| component_digest(&now) == digest)
        {
            signed.extend(signature::read_beside(path).unwrap_or_default());
        }
        signature::verify(rule, &bytes, &signed, "signature that was kept with it")
            .err()
            .map(|error| error.to_string())
    }
}
