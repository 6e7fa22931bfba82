//! The bytes of an answer, to know the same answer again without reading it: most of them are.
//!
//! What is compared is everything but the value of a `Date` that nobody asked for; so the answer reads the same,
//! whatever the rules.

/// An answer that came whole and by itself at the beginning of what was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raw {
    bytes: Box<[u8]>,
    /// Where the value of its date begins and ends.
    date: Option<(usize, usize)>,
    /// Whether another probe may follow on its connection.
    pub(super) keeps: bool,
}

impl Raw {
    /// Of these bytes, and whether another probe may follow on their connection; `kept` are the headers that somebody looks
    /// at.
    pub(super) fn new((bytes, keeps): (&[u8], bool), kept: &[String]) -> Self {
        let is_kept = kept.iter().any(|name| name.eq_ignore_ascii_case("date"));
        let date = if is_kept { None } else { date(bytes) };
        Self { bytes: bytes.into(), date, keeps }
    }

    /// Whether these bytes say the same.
    pub(super) fn is_same(&self, bytes: &[u8]) -> bool {
        if bytes.len() != self.bytes.len() {
            return false;
        }
        let Some((from, to)) = self.date else { return *bytes == *self.bytes };
        let is_plain = |value: &[u8]| value.iter().all(|byte| matches!(byte, b' '..=b'~'));
        bytes.get(..from) == self.bytes.get(..from)
            && bytes.get(to..) == self.bytes.get(to..)
            && bytes.get(from..to).is_some_and(is_plain)
    }

    /// Whether another one is this one, as far as it is compared.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.date, self.keeps) == (other.date, other.keeps) && self.is_same(&other.bytes)
    }
}

/// The value of the first date in a head.
fn date(bytes: &[u8]) -> Option<(usize, usize)> {
    const NAME: &[u8] = b"date:";
    let head = bytes.get(..memchr::memmem::find(bytes, b"\r\n\r\n")?)?;
    let starts = memchr::memmem::find_iter(head, b"\r\n").map(|at| at + 2);
    let is_date =
        |at: &usize| head.get(*at..*at + NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME));
    let from = starts.into_iter().find(is_date)? + NAME.len();
    let length = memchr::memchr2(b'\r', b'\n', bytes.get(from..)?)?;
    let value = bytes.get(from..from + length)?;
    value.iter().all(|byte| matches!(byte, b' '..=b'~')).then_some((from, from + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &[u8] =
        b"HTTP/1.1 200 OK\r\nDate: Mon, 30 Nov 2026 12:32:38 GMT\r\nContent-Length: 2\r\n\r\nok";

    fn with(from: &str, to: &str) -> Vec<u8> {
        String::from_utf8(ONE.to_vec()).unwrap().replace(from, to).into_bytes()
    }

    #[test]
    fn another_date_is_the_same_answer() {
        let raw = Raw::new((ONE, true), &[]);
        assert!(raw.is_same(ONE) && raw.is_same(&with("12:32:38", "12:32:39")));
        for (from, to) in [
            ("ok", "no"),
            ("ok", "ok "),
            ("200", "500"),
            ("Date", "Data"),
            ("Length: 2", "Length: 1"),
            ("12:32:38", "12:3\r\n38"),
            ("12:32:38", "12:32:3\u{1}"),
        ] {
            assert!(!raw.is_same(&with(from, to)), "{to:?} in the place of {from:?}");
        }
    }

    #[test]
    fn a_date_that_somebody_looks_at_counts() {
        let raw = Raw::new((ONE, true), &["dATE".to_owned()]);
        assert!(raw.is_same(ONE) && !raw.is_same(&with("12:32:38", "12:32:39")));
    }

    #[test]
    fn a_date_in_a_body_is_part_of_the_answer() {
        let one = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\r\ndate: 1";
        let raw = Raw::new((one, true), &[]);
        assert!(raw.is_same(one) && !raw.is_same(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\r\ndate: 2"));
        let without_end = b"HTTP/1.1 200 OK\ndate: 1\n\nok";
        assert!(!Raw::new((without_end, true), &[]).is_same(b"HTTP/1.1 200 OK\ndate: 2\n\nok"));
    }
}
