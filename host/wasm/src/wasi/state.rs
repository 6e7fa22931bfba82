//! What one instance holds for its WASI imports: half-written lines, and the source of randomness.

use sha2::{Digest as _, Sha256};

use phasegate_core::domain::{Digest, Observation};

/// Longest line kept before it is written; the log cuts there too.
const LINE_BYTES_MAX: usize = 1024;
/// Live handles of one instance; a guest needs a handful.
const HANDLES_MAX: u32 = 1024;

/// A stream that becomes log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

impl Stream {
    pub(super) fn handle(self) -> u32 {
        match self {
            Self::Out => 1,
            Self::Err => 2,
        }
    }

    pub(super) fn of_handle(handle: u32) -> Self {
        if handle == 2 { Self::Err } else { Self::Out }
    }
}

/// See the module.
pub(crate) struct State {
    seed: [u8; 32],
    block: [u8; 32],
    /// Blocks made, and bytes used of the latest.
    blocks: u64,
    used: usize,
    handles: u32,
    out: Vec<u8>,
    err: Vec<u8>,
    asked_time: bool,
    drew: bool,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            seed: [0; 32],
            block: [0; 32],
            blocks: 0,
            used: 32,
            handles: 0,
            out: Vec::new(),
            err: Vec::new(),
            asked_time: false,
            drew: false,
        }
    }

    /// The instance has come up. What it drew on the way is the same in each one.
    pub(crate) fn came_up(&mut self) {
        self.drew = false;
    }

    /// Takes note that the guest looked at a clock.
    pub(super) fn asked_time(&mut self) {
        self.asked_time = true;
    }

    /// Whether the answers of this instance may follow from something else than what it was asked.
    pub(crate) fn varies(&self) -> bool {
        self.asked_time || self.drew
    }

    /// Starts the randomness of one call.
    pub(crate) fn begin_call(&mut self, seed: [u8; 32]) {
        (self.seed, self.blocks, self.used) = (seed, 0, 32);
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.drew = true;
        if self.used >= self.block.len() {
            let mut hash = Sha256::new();
            hash.update(self.seed);
            hash.update(self.blocks.to_le_bytes());
            self.block = hash.finalize().into();
            self.blocks += 1;
            self.used = 0;
        }
        let byte = self.block.get(self.used).copied().unwrap_or(0);
        self.used += 1;
        byte
    }

    pub(super) fn number(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// Counts a new handle; false when there are too many.
    pub(super) fn opened(&mut self) -> bool {
        self.handles += 1;
        self.handles <= HANDLES_MAX
    }

    pub(super) fn closed(&mut self) {
        self.handles = self.handles.saturating_sub(1);
    }

    /// Takes bytes of a stream and gives the lines that are complete.
    pub(crate) fn lines(&mut self, stream: Stream, bytes: &[u8]) -> Vec<String> {
        let rest = match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        };
        let mut lines = Vec::new();
        for &byte in bytes {
            if byte != b'\n' {
                rest.push(byte);
            }
            if byte == b'\n' || rest.len() >= LINE_BYTES_MAX {
                lines.push(String::from_utf8_lossy(rest).into_owned());
                rest.clear();
            }
        }
        lines
    }

    /// The lines that were begun and not ended.
    pub(crate) fn rest(&mut self) -> [(Stream, Option<String>); 2] {
        let take = |rest: &mut Vec<u8>| {
            let line = (!rest.is_empty()).then(|| String::from_utf8_lossy(rest).into_owned());
            rest.clear();
            line
        };
        [(Stream::Out, take(&mut self.out)), (Stream::Err, take(&mut self.err))]
    }
}

/// What the randomness of a call follows from: the component, its settings and what is judged.
pub(crate) fn seed(digest: Digest, settings: &str, batch: &[Observation]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"phasegate wasi random 1");
    hash.update(digest.0);
    let mut part = |bytes: &[u8]| {
        hash.update(bytes.len().to_le_bytes());
        hash.update(bytes);
    };
    part(settings.as_bytes());
    for Observation { instance, answers, memory, attributes } in batch {
        // Debug forms are complete, and only compared with themselves.
        part(format!("{instance:?} {memory:?} {attributes:?}").as_bytes());
        for answer in answers.iter() {
            part(answer.source.as_bytes());
            match &answer.outcome {
                Ok(response) => {
                    part(format!("{} {:?}", response.status, response.headers).as_bytes());
                    part(&response.body);
                }
                Err(failure) => part(failure.to_string().as_bytes()),
            }
        }
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_or_cut() {
        let mut state = State::new();
        assert_eq!(state.lines(Stream::Out, b"one\ntw"), ["one"]);
        assert_eq!(state.lines(Stream::Err, b"e\n"), ["e"]);
        assert_eq!(state.lines(Stream::Out, b"o\n\n"), ["two", ""]);
        assert_eq!(state.lines(Stream::Out, &[b'x'; 2500]).len(), 2);
        assert_eq!(state.rest(), [(Stream::Out, Some("x".repeat(452))), (Stream::Err, None)]);
        assert_eq!(state.rest(), [(Stream::Out, None), (Stream::Err, None)]);
    }

    #[test]
    fn randomness_follows_from_the_seed() {
        let numbers = |seed: u8| {
            let mut state = State::new();
            state.begin_call([seed; 32]);
            let all: [u64; 9] = std::array::from_fn(|_| state.number());
            all
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
        assert_ne!(numbers(1)[0], numbers(1)[8]);
    }

    #[test]
    fn handles_are_counted() {
        let mut state = State::new();
        assert!((0..1024).all(|_| state.opened()));
        assert!(!state.opened());
        state.closed();
        state.closed();
        assert!(state.opened());
    }
}
