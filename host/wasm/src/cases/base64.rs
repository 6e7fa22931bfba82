//! Base64 as case files use it: the standard alphabet, padding required.

use data_encoding::{BASE64, DecodeError, DecodeKind};

/// Why a text is no Base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBase64Error {
    /// A part of a group of four is missing, or there is too much `=`.
    #[error("base64 must be padded to a multiple of 4 characters")]
    Padding,
    /// A character of another alphabet, or bits that mean nothing.
    #[error("what stands at character {0} is not base64")]
    Character(usize),
}

/// Decodes.
///
/// # Errors
/// When the text is no Base64.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, InvalidBase64Error> {
    BASE64.decode(text.as_bytes()).map_err(|DecodeError { position, kind }| match kind {
        DecodeKind::Length | DecodeKind::Padding => InvalidBase64Error::Padding,
        DecodeKind::Symbol | DecodeKind::Trailing => {
            InvalidBase64Error::Character(position.saturating_add(1))
        }
    })
}

/// Encodes, to show bytes as a case file would.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refuses_junk() {
        for (bytes, text) in
            [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"\xff\xfe\xfd", "//79")]
        {
            assert_eq!(encode(bytes), text);
            assert_eq!(decode(text).as_deref(), Ok(bytes));
        }
        for (text, message) in [
            ("Z", "base64 must be padded to a multiple of 4 characters"),
            ("Zg=", "base64 must be padded to a multiple of 4 characters"),
            ("Z===", "base64 must be padded to a multiple of 4 characters"),
            ("Zm9-", "what stands at character 4 is not base64"),
            ("Zh==", "what stands at character 2 is not base64"),
        ] {
            assert_eq!(decode(text).unwrap_err().to_string(), message, "{text}");
        }
    }
}
