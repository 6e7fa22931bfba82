//! Reads one response, bytes in, answer out. Waits for nothing and knows no connection.

use super::chunks::Chunks;
use super::coding::{decode, decode_if_so};
use super::head::{self, Framing, Head};
use super::{Answer, HEAD_MAX, ResponseError};

/// How strictly a response is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// Whatever can be understood.
    Readable,
    /// As Azure's extension reads it, whose client is that of Go: some of what is readable is no answer there.
    AsAzure,
}

impl Rules {
    /// Most interim answers before the answer.
    fn interim_max(self) -> u32 {
        match self {
            Self::Readable => 32,
            Self::AsAzure => 5,
        }
    }
}

/// Which headers are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keep<'a> {
    /// All.
    All,
    /// These, whatever their case.
    These(&'a [String]),
}

/// How a response is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'a> {
    /// How strictly.
    pub(crate) rules: Rules,
    /// Longest body in bytes, as it comes and decoded.
    pub(crate) body_max: usize,
    /// Which headers are kept.
    pub(crate) keep: Keep<'a>,
}

#[derive(Debug)]
enum Stage {
    Head,
    Length(usize),
    Chunked(Chunks),
    ToTheEnd,
}

/// A response that is being read.
#[derive(Debug)]
pub(crate) struct Reader {
    stage: Stage,
    buffer: Vec<u8>,
    /// How much of the buffer was searched for the end of the head.
    searched: usize,
    /// Bytes of heads that are over.
    heads: usize,
    interim: u32,
    anything: bool,
    head: Option<Head>,
    body: Vec<u8>,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self {
            stage: Stage::Head,
            buffer: Vec::new(),
            searched: 0,
            heads: 0,
            interim: 0,
            anything: false,
            head: None,
            body: Vec::new(),
        }
    }

    /// Whether not a byte has come.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.anything
    }

    /// Where what comes is put.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    pub(super) fn body_len(&self) -> usize {
        self.body.len()
    }

    /// Looks at what was put into the buffer. Gives whether the response is whole.
    pub(crate) fn take(&mut self, reading: Reading<'_>) -> Result<bool, ResponseError> {
        self.anything |= !self.buffer.is_empty();
        while matches!(self.stage, Stage::Head) {
            let Some(end) = self.end_of_head(reading.rules)? else { return Ok(false) };
            let bytes: Vec<u8> = self.buffer.drain(..end).collect();
            let parsed = head::parse(&bytes, reading.rules, reading.keep)?;
            self.heads += end;
            self.searched = 0;
            self.begin(parsed, reading)?;
        }
        self.take_body(reading.body_max)
    }

    /// Begins the body, or waits for the next head after an interim answer.
    fn begin(&mut self, head: Head, reading: Reading<'_>) -> Result<(), ResponseError> {
        if !(100..=599).contains(&head.status) {
            return Err(ResponseError::Status(head.status));
        }
        // 101 is an answer: it is not followed by another one.
        if matches!(head.status, 100 | 102..=199) {
            self.interim += 1;
            let max = reading.rules.interim_max();
            return if self.interim > max { Err(ResponseError::Interim(max)) } else { Ok(()) };
        }
        self.stage = match head.framing {
            Framing::Length(length) => match usize::try_from(length) {
                Ok(length) if length <= reading.body_max => Stage::Length(length),
                Ok(_) | Err(_) => return Err(too_large(reading.body_max)),
            },
            Framing::Chunked => Stage::Chunked(Chunks::new()),
            Framing::ToTheEnd => Stage::ToTheEnd,
        };
        self.head = Some(head);
        Ok(())
    }

    fn take_body(&mut self, body_max: usize) -> Result<bool, ResponseError> {
        let is_whole = match &mut self.stage {
            Stage::Head => false,
            Stage::Length(length) => {
                let left = length.saturating_sub(self.body.len());
                self.body.extend(self.buffer.drain(..left.min(self.buffer.len())));
                self.body.len() == *length
            }
            Stage::Chunked(chunks) => chunks.take(&self.buffer, &mut self.body, body_max)?,
            Stage::ToTheEnd => {
                self.body.extend_from_slice(&self.buffer);
                false
            }
        };
        self.buffer.clear();
        if self.body.len() > body_max { Err(too_large(body_max)) } else { Ok(is_whole) }
    }

    /// The peer has closed.
    pub(crate) fn closed(self, reading: Reading<'_>) -> Result<Answer, ResponseError> {
        match self.stage {
            Stage::ToTheEnd => self.whole(reading),
            Stage::Head if !self.anything => Err(ResponseError::Nothing),
            Stage::Head | Stage::Length(_) | Stage::Chunked(_) => Err(ResponseError::Closed),
        }
    }

    /// The answer, decoded.
    pub(crate) fn whole(self, reading: Reading<'_>) -> Result<Answer, ResponseError> {
        let Some(Head { status, headers, codings, keeps, .. }) = self.head else {
            return Err(ResponseError::Closed);
        };
        let mut body = self.body;
        for coding in &codings {
            body = match reading.rules {
                Rules::Readable => decode_if_so(coding, body, reading.body_max)?,
                Rules::AsAzure => decode(coding, body, reading.body_max)?,
            };
        }
        let keeps = keeps && !matches!(self.stage, Stage::ToTheEnd) && status != 101;
        Ok(Answer { status, headers, body, keeps })
    }

    /// Where the head ends, with its empty line. Looks at each byte once, however slowly they come, and at
    /// the first ones at once: something else than HTTP may never send an empty line.
    fn end_of_head(&mut self, rules: Rules) -> Result<Option<usize>, ResponseError> {
        const BEGIN: &[u8] = b"HTTP/";
        if rules == Rules::Readable && self.searched == 0 {
            let blank = self.buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            self.heads += blank;
            self.buffer.drain(..blank);
        }
        let first = self.buffer.len().min(BEGIN.len());
        if self.buffer.get(..first) != BEGIN.get(..first) {
            return Err(ResponseError::NotHttp);
        }
        let from = self.searched;
        let fresh = self.buffer.get(from..).unwrap_or_default();
        for (offset, _) in fresh.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            let before = self.buffer.get(..from + offset).unwrap_or_default();
            if before.ends_with(b"\n") || before.ends_with(b"\n\r") {
                return within_bounds(self.heads, from + offset + 1).map(Some);
            }
        }
        self.searched = self.buffer.len();
        within_bounds(self.heads, self.buffer.len())?;
        Ok(None)
    }
}

fn too_large(body_max: usize) -> ResponseError {
    ResponseError::BodyTooLarge(u64::try_from(body_max).unwrap_or(u64::MAX))
}

/// The length of a head, if it and those before it are not too long.
fn within_bounds(before: usize, length: usize) -> Result<usize, ResponseError> {
    if before.saturating_add(length) > HEAD_MAX { Err(ResponseError::HeadTooLarge) } else { Ok(length) }
}
