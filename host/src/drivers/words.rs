//! What drivers tell of what they have in hand: the last words of a program or an agent, and that it is busy.
//!
//! Carries words, and nothing waits for them but who tries again anyway. Decides nothing and keeps nothing.

use phasegate_core::domain::{DriverPace, DriverWord, InstanceId, OperationId, ScaleSetName};
use tokio::sync::mpsc;

/// Words that are not yet heard. Of those that go on more are lost than kept: the next thing that is said is newer.
const WORDS_MAX: usize = 256;

/// Where drivers say it. Without anybody who hears it is said to nobody.
#[derive(Debug, Clone, Default)]
pub struct Words(Option<mpsc::Sender<DriverWord>>);

impl Words {
    /// A place to say something, and where it is heard.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<DriverWord>) {
        let (says, heard) = mpsc::channel(WORDS_MAX);
        (Self(Some(says)), heard)
    }

    /// For one operation.
    pub(super) fn of(
        &self,
        (scale_set, instance): (&ScaleSetName, &InstanceId),
        operation: &OperationId,
    ) -> Voice {
        let (scale_set, instance, operation) = (scale_set.clone(), instance.clone(), operation.clone());
        Voice { to: self.0.clone(), scale_set, instance, operation }
    }
}

/// Tells of one operation.
#[derive(Debug, Clone)]
pub(super) struct Voice {
    to: Option<mpsc::Sender<DriverWord>>,
    scale_set: ScaleSetName,
    instance: InstanceId,
    operation: OperationId,
}

/// Whether what was said will be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Yes,
    No,
}

impl Voice {
    /// It works, and says this. Does not wait.
    pub(super) fn works(&self, text: &str) -> Said {
        let Some(to) = &self.to else { return Said::Yes };
        if to.try_send(self.word(DriverPace::Works, text)).is_ok() { Said::Yes } else { Said::No }
    }

    /// It is busy, or cannot be reached, and is asked again: each of these is counted, so this waits until it is taken.
    pub(super) async fn busy(&self, text: &str) {
        if let Some(to) = &self.to {
            // Who ends hears nothing any more.
            _ = to.send(self.word(DriverPace::Busy, text)).await;
        }
    }

    fn word(&self, pace: DriverPace, text: &str) -> DriverWord {
        let Self { scale_set, instance, operation, .. } = self;
        DriverWord {
            scale_set: scale_set.clone(),
            instance: instance.clone(),
            operation: operation.clone(),
            pace,
            text: text.to_owned(),
        }
    }
}
