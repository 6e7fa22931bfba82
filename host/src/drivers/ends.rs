//! Operations that are in hand, and a person's wish that one of them ends.
//!
//! Only carries the wish: each kind of driver says what its end is, and how long it may take. The operation answers
//! all the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use phasegate_core::domain::OperationId;

/// The operations in hand of one driver. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Ends {
    wishes: Arc<Mutex<BTreeMap<OperationId, watch::Sender<Wanted>>>>,
    /// How many are in hand.
    count: watch::Sender<usize>,
}

/// Whether the end of an operation is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    No,
    Yes,
}

impl Ends {
    /// An operation begins; it is in hand until what is given is dropped.
    pub(super) fn begin(&self, operation: &OperationId) -> InHand {
        let (sender, receiver) = watch::channel(Wanted::No);
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner).insert(operation.clone(), sender);
        self.count.send_modify(|count| *count += 1);
        InHand { ends: self.clone(), operation: operation.clone(), end: End(receiver) }
    }

    /// One of them is to end; nothing happens when it is not in hand.
    pub(super) fn end(&self, operation: &OperationId) {
        let all = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = all.get(operation) {
            sender.send_replace(Wanted::Yes);
        }
    }

    /// Ends when nothing is in hand.
    pub(super) fn idle(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut count = self.count.subscribe();
        // Nothing is in hand either where nobody is left who could begin something.
        async move { _ = count.wait_for(|count| *count == 0).await }
    }
}

/// An operation in hand.
#[derive(Debug)]
pub(super) struct InHand {
    ends: Ends,
    operation: OperationId,
    end: End,
}

impl InHand {
    /// What tells whoever works on it that it is to end.
    pub(super) fn end(&self) -> End {
        self.end.clone()
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.ends.wishes.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.operation);
        self.ends.count.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Tells that an operation is to end.
#[derive(Debug, Clone)]
pub(super) struct End(watch::Receiver<Wanted>);

impl End {
    /// One that is never wanted: of what only looks.
    pub(super) fn never() -> Self {
        Self(watch::channel(Wanted::No).1)
    }

    /// Whether it is wanted by now.
    pub(super) fn is_wanted(&self) -> bool {
        *self.0.borrow() == Wanted::Yes
    }

    /// Ends when it is wanted, and never when it is not.
    pub(super) async fn wanted(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|wanted| *wanted == Wanted::Yes).await.is_err() {
            // Nobody can want it any more.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wish_reaches_its_operation_and_no_other() {
        let ends = Ends::default();
        let (a, b) = (OperationId("a".to_owned()), OperationId("b".to_owned()));
        let (first, second) = (ends.begin(&a), ends.begin(&b));
        ends.end(&a);
        first.end().wanted().await;
        assert!(first.end().is_wanted() && !second.end().is_wanted());
        drop(first);
        let again = ends.begin(&a);
        assert!(!again.end().is_wanted(), "the next one of the same name begins anew");
        assert!(!End::never().is_wanted());
    }
}
