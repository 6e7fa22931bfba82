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

#[cfg(test)]
mod tests {
    use super::*;

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
