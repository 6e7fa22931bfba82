//! Whole numbers out of JSON's many ways to write them.
//!
//! Deliberately exact and without floating point, whose formatting alone is a tenth of a plugin.

/// The value of a JSON number when it is whole and within `0..=max`, however it is written:
/// `1`, `1.0` and `10e-1` are all one. Exact: no rounding through floating point.
pub(crate) fn whole(number: &str, max: u64) -> Option<u64> {
    // Nearly every number is written in plain digits.
    if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
        return number.parse().ok().filter(|value| *value <= max);
    }
    let (negative, unsigned) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || integer.bytes().chain(fraction.bytes());
    if digits().all(|digit| digit == b'0') {
        return Some(0);
    }
    if negative {
        return None;
    }
    // An exponent that does not fit is far outside the range in one direction or the other.
    let exponent: i64 = exponent.parse().ok()?;
    let point = i64::try_from(integer.len()).ok()?.checked_add(exponent)?;
    let point = usize::try_from(point).ok()?;
    if digits().skip(point).any(|digit| digit != b'0') {
        return None;
    }
    let significant = digits().skip_while(|digit| *digit == b'0').count();
    let leading = digits().count().saturating_sub(significant);
    let mut value: u64 = 0;
    // Zeros after the written digits are part of the number; the bound stops a huge exponent.
    for position in leading..point {
        let digit = digits().nth(position).unwrap_or(b'0').checked_sub(b'0')?;
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    (value <= max).then_some(value)
}

/// The first number of a valid JSON text that is too large for a double, which Azure's extension does not take.
pub(crate) fn overflowing(json: &str) -> Option<&str> {
    let bytes = json.as_bytes();
    let is_exponent = |pair: &[u8]| matches!(pair, [b'0'..=b'9', b'e' | b'E']);
    // Nearly no text has a number that could be.
    if bytes.len() <= DOUBLE_DIGITS && !bytes.windows(2).any(is_exponent) {
        return None;
    }
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let rest = json.get(at..).unwrap_or_default();
        at += match byte {
            b'"' => text_length(rest.as_bytes()),
            b'-' | b'0'..=b'9' => {
                let of_number = |byte: char| matches!(byte, '0'..='9' | '+' | '-' | '.' | 'e' | 'E');
                let number = rest.split(|byte| !of_number(byte)).next().unwrap_or_default();
                if is_too_large(number) {
                    return Some(number);
                }
                number.len()
            }
            _ => 1,
        };
    }
    None
}

/// The length of the string literal at the front, quotes included.
fn text_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        at += match byte {
            b'"' => return at + 1,
            b'\\' => 2,
            _ => 1,
        };
    }
    bytes.len()
}

/// Digits before the point of the largest double.
const DOUBLE_DIGITS: usize = 309;

/// The first digits of what is rounded to infinity: half a step above the largest double.
const TOO_LARGE: &[u8] = b"1797693134862315808";

/// Whether a JSON number is too large for a double.
fn is_too_large(number: &str) -> bool {
    let unsigned = number.trim_start_matches('-');
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || integer.bytes().chain(fraction.bytes());
    let Some(leading) = digits().position(|digit| digit != b'0') else { return false };
    let Ok(exponent) = exponent.parse::<i64>() else { return !exponent.starts_with('-') };
    let before_point = i64::try_from(integer.len()).unwrap_or(i64::MAX);
    let length =
        before_point.saturating_sub(i64::try_from(leading).unwrap_or(i64::MAX)).saturating_add(exponent);
    match length.cmp(&i64::try_from(DOUBLE_DIGITS).unwrap_or(i64::MAX)) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => digits().skip(leading).ge(TOO_LARGE.iter().copied()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_a_double_are_found_wherever_they_stand() {
        let long = |first: &str, zeros: usize| format!("[{first}{}]", "0".repeat(zeros));
        for (json, too_large) in [
            (r#"{"a":1e999}"#.to_owned(), true),
            (r#"{"a":[{"b":-1E+400}]}"#.to_owned(), true),
            (r#"{"a":"1e999","1e999":1}"#.to_owned(), false),
            (r#"{"a\"1e999":"x\\","b":2e2}"#.to_owned(), false),
            ("[0e999, 0.0e99999999999999999999]".to_owned(), false),
            ("[1e-99999999999999999999]".to_owned(), false),
            ("[1e99999999999999999999]".to_owned(), true),
            ("[1.7976931348623157e308]".to_owned(), false),
            ("[1.7976931348623159e308]".to_owned(), true),
            ("[0.00017976931348623159e312]".to_owned(), true),
            ("[1e308, 9e307]".to_owned(), false),
            (long("1", 308), false),
            (long("2", 308), true),
            (long("1", 309), true),
        ] {
            assert_eq!(overflowing(&json).is_some(), too_large, "{json}");
            let infinite = |number: &str| number.parse::<f64>().is_ok_and(f64::is_infinite);
            let numbers = json.split(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'));
            let quoted = json.contains("1e999\"");
            assert_eq!(
                numbers.into_iter().any(infinite) && !quoted,
                too_large,
                "as a library has it: {json}"
            );
        }
    }

    #[test]
    fn whole_numbers_are_exact() {
        let max = 2_147_483_647;
        for (number, expected) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("007", Some(7)),
            ("0.0e5", Some(0)),
            ("0e99999999999999999999", Some(0)),
            ("1", Some(1)),
            ("1.0", Some(1)),
            ("1e0", Some(1)),
            ("10e-1", Some(1)),
            ("0.001e3", Some(1)),
            ("0.0012e4", Some(12)),
            ("12E+2", Some(1200)),
            ("2147483647", Some(max)),
            ("2147483647.000", Some(max)),
            ("2147483648", None),
            ("2147483647.0000000000000000001", None),
            ("0.99999999999999999999999999", None),
            ("1.5", None),
            ("-1", None),
            ("1e-1", None),
            ("1e99", None),
            ("1e9223372036854775807", None),
            ("1e-9223372036854775808", None),
            ("1e99999999999999999999", None),
            ("99999999999999999999999999999999", None),
        ] {
            assert_eq!(whole(number, max), expected, "{number}");
        }
        assert_eq!(whole("18446744073709551615", u64::MAX), Some(u64::MAX));
        assert_eq!(whole("18446744073709551616", u64::MAX), None);
    }
}
