//! What the components of plugins say in the invented worlds: each has a truth of its own. Some say skip for
//! instances that another one does not leave out, some fail.
//!
//! A component is its letter. The same letter with other settings is another code, with another truth.

use std::sync::Arc;

use crate::domain::{
    Claim, Digest, Generation, Participation, PluginFailure, PluginName, PluginStamp, Verdict,
};

use super::fleet::{Key, Says, decision};
use super::rng::Rng;

/// Leaves everything to what the application says; what people bring in when all else fails.
pub(super) const GOOD: u8 = b'a';

/// Letters that a site may have. `a` and `b` repeat what the application says; see [`Code::judge`].
const LETTERS: &[u8] = b"aabbccddefxy";

/// A component with its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) digest: Digest,
    pub(super) settings: String,
}

/// What a probe found of an instance.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) says: Says,
    /// None where nothing answered.
    pub(super) claim: Option<Claim>,
}

/// The component of a letter.
pub(super) fn component(letter: u8) -> Digest {
    Digest([letter; 32])
}

/// Any component.
pub(super) fn any_letter(rng: &mut Rng) -> u8 {
    rng.pick(LETTERS).copied().unwrap_or(GOOD)
}

impl Code {
    fn letter(&self) -> u8 {
        self.digest.0[0]
    }

    /// Whether it fails for most instances.
    pub(super) fn is_bad(&self) -> bool {
        self.letter() == b'x'
    }

    /// The stamp of its decisions under a number.
    pub(super) fn stamp(&self, name: &PluginName, generation: Generation) -> PluginStamp {
        PluginStamp { name: name.clone(), digest: self.digest, generation }
    }

    /// Its truth of one instance.
    pub(super) fn judge(&self, key: &Key, found: &Found, memory: Option<Vec<u8>>) -> Verdict {
        let trapped = || Err(PluginFailure::Trapped("unreachable".to_owned()));
        let mut said = decision(&found.says, found.claim, memory);
        let answered = found.claim.is_some();
        match self.letter() {
            b'c' | b'd' if answered && self.concerns(key, 3) => said.participation = Participation::Skip,
            b'e' if answered => said.participation = Participation::Proceed,
            b'f' => said.phase = None,
            b'x' => return trapped(),
            b'y' if self.concerns(key, 2) => return trapped(),
            _ => {}
        }
        Ok(Arc::new(said))
    }

    /// One instance in so many; others for each letter and settings.
    fn concerns(&self, key: &Key, one_in: usize) -> bool {
        let letters = key.1.as_str().bytes().map(usize::from).sum::<usize>();
        (letters + usize::from(self.letter()) + self.settings.len()).is_multiple_of(one_in)
    }
}
