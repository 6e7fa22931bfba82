//! A body in chunks, bytes in, bytes out.

use super::ResponseError;

/// Longest line of a size with its extensions, in bytes.
const LINE_MAX: usize = 4 * 1024;

/// Most bytes of sizes and extensions beyond what honest chunks need.
const OVERHEAD_MAX: usize = 16 * 1024;

/// Most bytes of trailers.
const TRAILERS_MAX: usize = 64 * 1024;

#[derive(Debug)]
enum Stage {
    Size,
    Data(u64),
    DataEnd,
    Trailer,
    Over,
}

/// Takes a body out of its chunks.
#[derive(Debug)]
pub(super) struct Chunks {
    stage: Stage,
    line: Vec<u8>,
    excess: usize,
    trailers: usize,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { stage: Stage::Size, line: Vec::new(), excess: 0, trailers: 0 }
    }

    /// Appends what is data to the body. Gives whether the last chunk and its trailers have come.
    pub(super) fn take(
        &mut self,
        mut bytes: &[u8],
        body: &mut Vec<u8>,
        body_max: usize,
    ) -> Result<bool, ResponseError> {
        while !bytes.is_empty() {
            bytes = match self.stage {
                Stage::Size => self.size(bytes, body.len(), body_max)?,
                Stage::Data(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    let (data, rest) = bytes.split_at(here);
                    body.extend_from_slice(data);
                    let left = left.saturating_sub(u64::try_from(here).unwrap_or(u64::MAX));
                    self.stage = if left == 0 { Stage::DataEnd } else { Stage::Data(left) };
                    rest
                }
                Stage::DataEnd => self.data_end(bytes)?,
                Stage::Trailer => self.trailer(bytes)?,
                Stage::Over => return Ok(true),
            };
        }
        Ok(matches!(self.stage, Stage::Over))
    }

    fn size<'a>(
        &mut self,
        bytes: &'a [u8],
        body_len: usize,
        body_max: usize,
    ) -> Result<&'a [u8], ResponseError> {
        let (is_whole, rest) = self.line(bytes)?;
        if !is_whole {
            return Ok(rest);
        }
        let size = size_of(&self.line)?;
        // A chunk of n bytes may cost 16 + 2n of overhead; who sends one byte at a time with long extensions
        // costs more than the body is worth.
        let honest = usize::try_from(size).unwrap_or(usize::MAX).saturating_mul(2).saturating_add(16);
        self.excess = self.excess.saturating_add(self.line.len() + 2).saturating_sub(honest);
        if self.excess > OVERHEAD_MAX {
            return Err(ResponseError::Overhead(OVERHEAD_MAX));
        }
        self.line.clear();
        if size > u64::try_from(body_max.saturating_sub(body_len)).unwrap_or(u64::MAX) {
            return Err(ResponseError::BodyTooLarge(u64::try_from(body_max).unwrap_or(u64::MAX)));
        }
        self.stage = if size == 0 { Stage::Trailer } else { Stage::Data(size) };
        Ok(rest)
    }

    fn data_end<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], ResponseError> {
        let (is_whole, rest) = self.line(bytes)?;
        if !self.line.is_empty() && self.line != b"\r" {
            return Err(ResponseError::ChunkEnd);
        }
        if is_whole {
            self.line.clear();
            self.stage = Stage::Size;
        }
        Ok(rest)
    }

    fn trailer<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], ResponseError> {
        let (is_whole, rest) = self.line(bytes)?;
        self.trailers = self.trailers.saturating_add(bytes.len() - rest.len());
        if self.trailers > TRAILERS_MAX {
            return Err(ResponseError::Overhead(TRAILERS_MAX));
        }
        if is_whole {
            if self.line.is_empty() {
                self.stage = Stage::Over;
            }
            self.line.clear();
        }
        Ok(rest)
    }

    /// Collects a line without its end. Gives whether it is whole, and what follows.
    fn line<'a>(&mut self, bytes: &'a [u8]) -> Result<(bool, &'a [u8]), ResponseError> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (here, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
        let is_whole = end.is_some();
        self.line.extend_from_slice(here.strip_suffix(b"\n").unwrap_or(here));
        if self.line.len() > LINE_MAX {
            return Err(ResponseError::Overhead(LINE_MAX));
        }
        if is_whole && self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        Ok((is_whole, rest))
    }
}

/// Hexadecimal digits; blanks behind them and extensions mean nothing.
fn size_of(line: &[u8]) -> Result<u64, ResponseError> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    let is_hex = (1..=16).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_hex);
    text.and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or(ResponseError::ChunkSize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8], pieces: usize) -> Result<(bool, Vec<u8>), ResponseError> {
        let (mut chunks, mut body, mut over) = (Chunks::new(), Vec::new(), false);
        for piece in bytes.chunks(pieces) {
            over = chunks.take(piece, &mut body, 100)?;
        }
        Ok((over, body))
    }

    #[test]
    fn chunks_are_taken_apart_in_any_pieces() {
        for pieces in [1, 2, 3, 7, 1_000] {
            for (bytes, expected) in [
                (&b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX: 9\r\n\r\n"[..], Ok((true, b"abcdefg".to_vec()))),
                (b"0003 \r\nabc\r\n000\r\n\r\n", Ok((true, b"abc".to_vec()))),
                (b"3\nabc\n0\n\n", Ok((true, b"abc".to_vec()))),
                (b"3\r\nabc\r\n0\r\n", Ok((false, b"abc".to_vec()))),
                (b"zz\r\n", Err(ResponseError::ChunkSize)),
                (b"\r\n", Err(ResponseError::ChunkSize)),
                (b"-3\r\nabc", Err(ResponseError::ChunkSize)),
                (b"+3\r\nabc", Err(ResponseError::ChunkSize)),
                (b"3\r\nabcd\r\n0\r\n\r\n", Err(ResponseError::ChunkEnd)),
                (b"FFFFFFFFFFFFFFFFF\r\n", Err(ResponseError::ChunkSize)),
                (b"FFFFFFFFFFFFFFFF\r\n", Err(ResponseError::BodyTooLarge(100))),
                (b"65\r\n", Err(ResponseError::BodyTooLarge(100))),
            ] {
                assert_eq!(whole(bytes, pieces), expected, "{pieces} {}", String::from_utf8_lossy(bytes));
            }
        }
    }

    #[test]
    fn what_is_not_the_body_is_bounded() {
        let extension = format!("1;{}\r\na\r\n", "x".repeat(4_000)).into_bytes();
        assert_eq!(whole(&extension.repeat(5), 900), Err(ResponseError::Overhead(OVERHEAD_MAX)));
        let endless = vec![b'1'; 5_000];
        assert_eq!(whole(&endless, 900), Err(ResponseError::Overhead(LINE_MAX)));
        let trailers = [b"0\r\n".to_vec(), b"A: b\r\n".repeat(20_000)].concat();
        assert_eq!(whole(&trailers, 900), Err(ResponseError::Overhead(TRAILERS_MAX)));
    }
}
