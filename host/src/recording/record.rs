//! One record: an observation and what came of it, as a line of JSON.

use std::sync::Arc;

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Serialize};

use super::Judgement;
use super::redact::{self, Pointer, Redacted};
use phasegate_core::domain::{
    Answer, Cost, Decision, Digest, Generation, InstanceFacts, Observation, PluginFailure, PluginName,
    ProbeFailure, Response, Timestamp, Verdict,
};

/// One evaluation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// When, in Unix milliseconds; also what the plugin's clock showed.
    pub at: Timestamp,
    /// Which plugin.
    pub plugin: PluginName,
    /// Its component.
    pub digest: Digest,
    /// Its generation.
    pub generation: Generation,
    /// Digest of its settings.
    pub settings: Digest,
    /// Its limit of memory.
    #[serde(rename = "memoryMiB")]
    pub memory_mib: u32,
    /// Its limit of fuel.
    pub fuel_max: u64,
    /// What it took.
    #[serde(flatten)]
    pub cost: Cost,
    /// Something was taken out of a body, so that nothing can be proved with this record.
    pub redacted: bool,
    /// Where, where something of the same type stands there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    stand_ins: Vec<StandIns>,
    instance: InstanceFacts,
    answers: Vec<RecordedAnswer>,
    memory: Option<Bytes>,
    attributes: Vec<(String, String)>,
    /// What came out.
    pub outcome: RecordedOutcome,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RecordedOutcome {
    /// A decision.
    Decision(Decision),
    /// None.
    Failure(PluginFailure),
}

impl RecordedOutcome {
    /// As the worker has it.
    #[must_use]
    pub fn of(result: &Verdict) -> Self {
        match result {
            Ok(decision) => Self::Decision((**decision).clone()),
            Err(failure) => Self::Failure(failure.clone()),
        }
    }
}

/// Places of one body in which something else stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StandIns {
    /// Which answer, from 0.
    answer: usize,
    /// JSON pointers; empty where the whole body is another one.
    places: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordedAnswer {
    source: String,
    #[serde(flatten)]
    outcome: RecordedProbe,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum RecordedProbe {
    Response { status: u16, headers: Vec<(String, String)>, body: Bytes },
    Failure(ProbeFailure),
}

/// Text where it is text, so that people can read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Bytes {
    Text(String),
    Hex { hex: String },
}

impl Bytes {
    fn of(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Hex { hex: HEXLOWER_PERMISSIVE.encode(error.as_bytes()) },
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            // A record of ours is always right; of another one as much as can be had is nothing.
            Self::Hex { hex } => HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).unwrap_or_default(),
        }
    }
}

/// What a record has beside what instances have said.
const FRAME: usize = 1024;

impl Record {
    /// About how many bytes one of this has.
    pub(super) fn size(observation: &Observation) -> usize {
        let answer = |answer: &Answer| match &answer.outcome {
            Ok(Response { headers, body, .. }) => {
                headers.iter().fold(body.len(), |all, (name, value)| all + name.len() + value.len())
            }
            Err(_) => 0,
        };
        let memory = observation.memory.as_ref().map_or(0, Vec::len);
        observation.answers.iter().map(answer).sum::<usize>() + memory + FRAME
    }

    /// Writes down an evaluation, without what shall not be written down.
    pub(super) fn new(judged: &Judgement<'_>, redact: &[Pointer]) -> Self {
        let Judgement { stamp, settings, limits, evaluation, observation, result } = judged;
        let Observation { instance, answers, memory, attributes } = observation;
        let mut stand_ins = Vec::new();
        let answer = |(at, answer): (usize, &Answer)| RecordedAnswer {
            source: answer.source.clone(),
            outcome: match &answer.outcome {
                Err(failure) => RecordedProbe::Failure(failure.clone()),
                Ok(Response { status, headers, body }) => {
                    let body = match redact::body(body, redact) {
                        None => body.clone(),
                        Some(Redacted { body, places }) => {
                            stand_ins.push(StandIns { answer: at, places });
                            body
                        }
                    };
                    let body = Bytes::of(body);
                    RecordedProbe::Response { status: *status, headers: headers.clone(), body }
                }
            },
        };
        let answers = answers.iter().enumerate().map(answer).collect();
        Self {
            at: evaluation.at,
            plugin: stamp.name.clone(),
            digest: stamp.digest,
            generation: stamp.generation,
            settings: *settings,
            memory_mib: limits.memory_mib,
            fuel_max: limits.fuel,
            cost: evaluation.cost,
            redacted: !stand_ins.is_empty(),
            stand_ins,
            instance: (**instance).clone(),
            answers,
            memory: memory.clone().map(Bytes::of),
            attributes: attributes.clone(),
            outcome: RecordedOutcome::of(result),
        }
    }

    /// The same with others in the places of what was taken out; none where that is not known, or a whole body was.
    #[must_use]
    pub fn with_other_stand_ins(&self) -> Option<Self> {
        let mut other = self.clone();
        for StandIns { answer, places } in self.stand_ins.iter() {
            let RecordedProbe::Response { body, .. } = &mut other.answers.get_mut(*answer)?.outcome else {
                return None;
            };
            *body = Bytes::of(redact::with_others(&body.bytes(), places).filter(|_| !places.is_empty())?);
        }
        (!self.stand_ins.is_empty()).then_some(other)
    }

    /// The instance.
    #[must_use]
    pub fn instance(&self) -> &InstanceFacts {
        &self.instance
    }

    /// What was judged.
    #[must_use]
    pub fn observation(&self) -> Observation {
        let answer = |answer: &RecordedAnswer| Answer {
            source: answer.source.clone(),
            outcome: match &answer.outcome {
                RecordedProbe::Failure(failure) => Err(failure.clone()),
                RecordedProbe::Response { status, headers, body } => {
                    Ok(Response { status: *status, headers: headers.clone(), body: body.bytes() })
                }
            },
        };
        Observation {
            instance: Arc::new(self.instance.clone()),
            answers: self.answers.iter().map(answer).collect(),
            memory: self.memory.as_ref().map(Bytes::bytes),
            attributes: self.attributes.clone(),
        }
    }
}
