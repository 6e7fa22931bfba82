//! What the thread of the probes is told, and the bell that wakes it.
//!
//! Not bounded: the one who sends without being asked is the kernel, a message for each change of an instance.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use mio::{Poll, Token, Waker};

use super::Name;
use crate::probe::Target;
use crate::probe::ask::Asked;
use crate::probe::schedule::Ticket;

/// The bell among the sockets.
pub(super) const BELL: Token = Token(usize::MAX);

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Message {
    Set(Target),
    Remove(Name),
    Ask(Name, Duration),
    /// A task has made a probe; nothing came of it when the task itself broke down.
    Over(Ticket, Option<Asked>),
    Stop,
}

/// The way to the thread.
#[derive(Debug, Clone)]
pub(super) struct Inbox {
    messages: mpsc::Sender<Message>,
    waker: Arc<Waker>,
    /// The bell rang, and nobody has looked yet.
    has_rung: Arc<AtomicBool>,
}

/// The thread's end of it.
pub(super) struct Messages {
    messages: mpsc::Receiver<Message>,
    has_rung: Arc<AtomicBool>,
}

/// Both ends.
///
/// # Errors
/// When the system gives no bell.
pub(super) fn inbox(poll: &Poll) -> io::Result<(Inbox, Messages)> {
    let waker = Arc::new(Waker::new(poll.registry(), BELL)?);
    let (sender, messages) = mpsc::channel();
    let has_rung = Arc::new(AtomicBool::new(false));
    let inbox = Inbox { messages: sender, waker, has_rung: Arc::clone(&has_rung) };
    Ok((inbox, Messages { messages, has_rung }))
}

impl Inbox {
    /// Tells; once the thread has ended nobody hears.
    pub(super) fn tell(&self, message: Message) {
        let is_heard = self.messages.send(message).is_ok();
        if is_heard && !self.has_rung.swap(true, Ordering::AcqRel) {
            // Fails when the counter is full, and then the bell rings anyway.
            _ = self.waker.wake();
        }
    }
}

impl Messages {
    /// From here on the bell rings for what comes; what came before is there by now.
    pub(super) fn look(&self) {
        // Not a mere store: the reads after it could come before it, and miss what is sent in between without a ring.
        self.has_rung.swap(false, Ordering::AcqRel);
    }

    /// The next message.
    pub(super) fn next(&self) -> Option<Message> {
        self.messages.try_recv().ok()
    }
}
