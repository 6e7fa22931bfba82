//! Undoes the codings of a body, up to a size.

use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::ResponseError;

/// How a body was encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    /// With or without the wrapping of zlib: servers send both.
    Deflate,
    /// Nobody here can undo it; its name.
    Other(String),
}

impl Coding {
    /// None for `identity`, which is none.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "" | "identity" => None,
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            _ => Some(Self::Other(name.to_owned())),
        }
    }
}

/// Undoes what the header names, whatever the body looks like.
pub(super) fn decode(coding: &Coding, body: Vec<u8>, body_max: usize) -> Result<Vec<u8>, ResponseError> {
    match coding {
        Coding::Gzip => {
            inflate(MultiGzDecoder::new(body.as_slice()), body_max)?.ok_or(ResponseError::Encoded("gzip"))
        }
        Coding::Deflate => {
            let wrapped = inflate(ZlibDecoder::new(body.as_slice()), body_max)?;
            let bare = match wrapped {
                Some(body) => Some(body),
                None => inflate(DeflateDecoder::new(body.as_slice()), body_max)?,
            };
            bare.ok_or(ResponseError::Encoded("deflate"))
        }
        Coding::Other(name) => Err(ResponseError::Coding(name.clone())),
    }
}

/// Undoes what the header names where the body bears it out: a proxy that unpacks and forgets the header is
/// common, and its text is readable as it is.
pub(super) fn decode_if_so(
    coding: &Coding,
    body: Vec<u8>,
    body_max: usize,
) -> Result<Vec<u8>, ResponseError> {
    const GZIP: &[u8] = &[0x1f, 0x8b];
    let is_so = match coding {
        Coding::Gzip => body.starts_with(GZIP),
        Coding::Deflate | Coding::Other(_) => std::str::from_utf8(&body).is_err(),
    };
    if is_so { decode(coding, body, body_max) } else { Ok(body) }
}

/// None when it is not valid to its end.
fn inflate(from: impl Read, body_max: usize) -> Result<Option<Vec<u8>>, ResponseError> {
    let limit = u64::try_from(body_max).unwrap_or(u64::MAX);
    let mut body = Vec::new();
    if from.take(limit.saturating_add(1)).read_to_end(&mut body).is_err() {
        return Ok(None);
    }
    if body.len() > body_max {
        return Err(ResponseError::BodyTooLarge(limit));
    }
    Ok(Some(body))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let text = b"{\"a\":1}";
        assert_eq!(decode(&Coding::Gzip, gzip(text), 100), Ok(text.to_vec()));
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(text).unwrap();
        assert_eq!(decode(&Coding::Deflate, zlib.finish().unwrap(), 100), Ok(text.to_vec()));
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::default());
        bare.write_all(text).unwrap();
        assert_eq!(decode(&Coding::Deflate, bare.finish().unwrap(), 100), Ok(text.to_vec()));
    }

    #[test]
    fn half_and_false_codings_are_told_apart() {
        let mut cut = gzip(b"{\"a\":1}");
        cut.truncate(cut.len() - 6);
        assert_eq!(decode(&Coding::Gzip, cut.clone(), 100), Err(ResponseError::Encoded("gzip")));
        assert_eq!(decode_if_so(&Coding::Gzip, cut, 100), Err(ResponseError::Encoded("gzip")));
        assert_eq!(decode(&Coding::Gzip, b"{}".to_vec(), 100), Err(ResponseError::Encoded("gzip")));
        assert_eq!(decode_if_so(&Coding::Gzip, b"{}".to_vec(), 100), Ok(b"{}".to_vec()));
        let br = Coding::of("br").unwrap();
        assert_eq!(decode_if_so(&br, b"{}".to_vec(), 100), Ok(b"{}".to_vec()));
        let seen = decode_if_so(&br, vec![0xff, 0x80], 100).unwrap_err().to_string();
        assert_eq!(seen, "the body is encoded as `br`, which is not decoded (gzip and deflate are)");
        assert_eq!(Coding::of("Identity"), None);
    }

    #[test]
    fn a_bomb_costs_no_more_than_the_cap() {
        let bomb = gzip(&vec![0; 50_000_000]);
        assert!(bomb.len() < 100_000);
        assert_eq!(decode(&Coding::Gzip, bomb, 1_000), Err(ResponseError::BodyTooLarge(1_000)));
    }
}
