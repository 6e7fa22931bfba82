//! Who judges the answers of a simulated fleet: nobody, or a real plugin behind this trait.

use std::sync::Arc;

use crate::domain::{
    Claim, Decision, Digest, Evaluation, Generation, Outcome, Participation, PluginName, PluginStamp,
    Timestamp, Version,
};

use super::setup::{Crowd, Facts};

/// One probe of a simulated instance.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// The fleet, for what many have in common.
    pub crowd: &'a Crowd,
    /// The instance.
    pub facts: &'a Facts,
    /// The version that it runs.
    pub version: Option<&'a Version>,
    /// Whether it says that it works; none when it does not answer.
    pub answer: Option<Claim>,
    /// When.
    pub now: Timestamp,
}

/// Judges one probe. Equal sights, but for the time, must bring equal outcomes: probes that show
/// nothing new are not looked at.
pub trait Decider {
    /// The outcome; none only when it cannot name itself.
    fn decide(&mut self, seen: &Sight<'_>) -> Option<Outcome>;
}

/// Takes everybody at his word.
#[derive(Debug, Clone, Copy, Default)]
pub struct AtTheirWord;

impl Decider for AtTheirWord {
    fn decide(&mut self, seen: &Sight<'_>) -> Option<Outcome> {
        let (phase, participation) = match seen.answer {
            Some(_) => (seen.facts.phase, seen.facts.participation),
            None => (None, Participation::Proceed),
        };
        let claim = seen.answer.unwrap_or(Claim::Unknown);
        let decision =
            Decision { claim, phase, participation, reason: None, memory: None, attributes: Vec::new() };
        Some(Outcome { stamp: stamp()?, evaluation: Evaluation::default(), result: Ok(Arc::new(decision)) })
    }
}

/// What judges where no plugin does.
fn stamp() -> Option<PluginStamp> {
    let name = PluginName::parse("simulated").ok()?;
    Some(PluginStamp { name, digest: Digest([0; 32]), generation: Generation(1) })
}
