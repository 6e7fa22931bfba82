//! Base64 as case files use it: the standard alphabet, padding required.
//!
//! Hand-written: a dozen lines are not worth a dependency. The guest SDK has the same.

/// Decodes, or says what is wrong.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, String> {
    if !text.len().is_multiple_of(4) {
        return Err("base64 must be padded to a multiple of 4 characters".to_owned());
    }
    let digits = text.trim_end_matches('=');
    if text.len().saturating_sub(digits.len()) > 2 {
        return Err("base64 has too much padding".to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let (mut bits, mut held) = (0_u32, 0_u32);
    for character in digits.chars() {
        let value = digit(character).ok_or_else(|| format!("`{character}` is not base64"))?;
        // Only the low bits are still needed, so it does not matter that the high ones go.
        held = (held << 6) | value;
        bits = bits.saturating_add(6);
        if bits >= 8 {
            bits = bits.saturating_sub(8);
            out.extend(u8::try_from((held >> bits) & 0xff));
        }
    }
    Ok(out)
}

/// Encodes, to show bytes as a case file would.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let held = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for (at, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let index = usize::try_from((held >> shift) & 63).unwrap_or(0);
            let shown = ALPHABET.get(index).copied().map_or('=', char::from);
            out.push(if at > chunk.len() { '=' } else { shown });
        }
    }
    out
}

fn digit(character: char) -> Option<u32> {
    let (first, base) = match character {
        'A'..='Z' => ('A', 0),
        'a'..='z' => ('a', 26),
        '0'..='9' => ('0', 52),
        '+' => return Some(62),
        '/' => return Some(63),
        _ => return None,
    };
    u32::from(character).checked_sub(u32::from(first)).map(|above| above.saturating_add(base))
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
        for text in ["Z", "Zg=", "Z===", "Zg==Zg==", "Zm9-"] {
            assert!(decode(text).is_err(), "{text}");
        }
    }
}
