//! The order of names as people count: `web-2` before `web-10`, `z-9` before `z-10`.
//!
//! Deliberately without letters' order of any language: whatever is no digit is ordered by its bytes.

use std::cmp::Ordering;

/// Orders runs of digits by their value, however long they are, and all else by bytes; texts that are
/// then alike, such as `a1` and `a01`, by bytes. A total order: equal only for equal texts. Allocates
/// nothing.
#[must_use]
pub fn natural_cmp<'a>(a: &'a str, b: &'a str) -> Ordering {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    // Names of one fleet have long beginnings in common. Only a number in which they part counts.
    let same = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let digits = a.iter().take(same).rev().take_while(|byte| byte.is_ascii_digit()).count();
    let behind = |text: &'a [u8]| text.get(same - digits..).unwrap_or_default();
    tokens(behind(a), behind(b)).then_with(|| a.cmp(b))
}

/// Compares number by number and byte by byte.
fn tokens(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        let (first_a, rest_a, first_b, rest_b) = match (a.split_first(), b.split_first()) {
            (Some((x, rest_a)), Some((y, rest_b))) => (x, rest_a, y, rest_b),
            (x, y) => return x.is_some().cmp(&y.is_some()),
        };
        if first_a.is_ascii_digit() && first_b.is_ascii_digit() {
            let ((number_a, rest_a), (number_b, rest_b)) = (number(a), number(b));
            let order = number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b));
            if order.is_ne() {
                return order;
            }
            (a, b) = (rest_a, rest_b);
        } else if first_a == first_b {
            (a, b) = (rest_a, rest_b);
        } else {
            return first_a.cmp(first_b);
        }
    }
}

/// The digits at the beginning without leading zeros, and what is behind them.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    (digits.get(zeros..).unwrap_or_default(), rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_people_count() {
        let sorted = [
            "",
            "-2",
            "0",
            "00",
            "01",
            "1",
            "1-10",
            "1a",
            "2",
            "010",
            "10",
            "99999999999999999999",
            "100000000000000000000",
            "A",
            "a",
            "a-",
            "a01",
            "a1",
            "a1b",
            "a01c",
            "a2",
            "a2-z",
            "a10",
            "a_1",
            "web-2",
            "web-2.1",
            "web-10",
            "é2",
            "é10",
        ];
        let mut shuffled: Vec<&str> = sorted.iter().rev().copied().collect();
        shuffled.sort_by(|a, b| natural_cmp(a, b));
        assert_eq!(shuffled, sorted);
    }

    /// Short texts in which digits, zeros and letters meet.
    fn any_text() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(vec!['0', '1', '2', '9', 'a', 'b', '-', '_']), 0..6)
            .prop_map(|chars| chars.into_iter().collect())
    }

    /// The same order said plainly, with everything copied.
    fn plain(text: &str) -> (Vec<(u8, u128)>, Vec<u8>) {
        let mut tokens: Vec<(u8, u128)> = Vec::new();
        let mut is_inside = false;
        for byte in text.bytes() {
            let is_digit = byte.is_ascii_digit();
            match tokens.last_mut().filter(|_| is_digit && is_inside) {
                Some((_, value)) => *value = *value * 10 + u128::from(byte - b'0'),
                None if is_digit => tokens.push((b'0', u128::from(byte - b'0'))),
                None => tokens.push((byte, 0)),
            }
            is_inside = is_digit;
        }
        (tokens, text.as_bytes().to_vec())
    }

    proptest! {
        #[test]
        fn quick_and_plain_order_agree(a in any_text(), b in any_text(), prefix in any_text()) {
            let (a, b) = (format!("{prefix}{a}"), format!("{prefix}{b}"));
            prop_assert_eq!(natural_cmp(&a, &b), plain(&a).cmp(&plain(&b)), "{} {}", a, b);
        }

        #[test]
        fn equal_means_the_same_text(a in any_text(), b in any_text()) {
            prop_assert_eq!(natural_cmp(&a, &b).is_eq(), a == b);
            prop_assert_eq!(natural_cmp(&a, &b), natural_cmp(&b, &a).reverse());
        }
    }
}
