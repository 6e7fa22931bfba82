//! Numbers as people read them.

use std::time::Duration;

use phasegate_core::sim::forecast::Spread;

/// The three numbers, or one when they are the same.
pub(super) fn spread_text<T: PartialEq>(spread: &Spread<T>, show: impl Fn(&T) -> String) -> String {
    let Spread { median, p95, max } = spread;
    if median == max {
        return show(median);
    }
    format!("median {}, p95 {}, max {}", show(median), show(p95), show(max))
}

/// Millionths as a decimal number without needless zeros.
pub(super) fn decimal(millionths: u64) -> String {
    let text = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub(super) fn share(part: usize, total: usize) -> String {
    let tenths = (part * 1000 + total / 2).checked_div(total).unwrap_or(0);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// A number of things.
pub(super) fn many(count: usize, what: &str) -> String {
    format!("{} {what}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// A number with commas between thousands.
pub(in crate::cli::commands::simulate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A span as people say it.
pub(super) fn said(span: Duration) -> String {
    phasegate_core::sim::forecast::span_text(span)
}

/// A point of time since the beginning.
pub(super) fn clock(at: Duration) -> String {
    let tenths = at.as_millis() / 100;
    let seconds = tenths / 10;
    format!("{:>3}:{:02}:{:02}.{}", seconds / 3600, seconds / 60 % 60, seconds % 60, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(999), "999");
        assert_eq!((many(1, "run"), many(2000, "run")), ("1 run".to_owned(), "2,000 runs".to_owned()));
        assert_eq!(decimal(20_000), "0.02");
        assert_eq!(decimal(3_000_000), "3");
        assert_eq!(share(1, 3), "33.3 %");
        assert_eq!(clock(Duration::from_millis(3_725_250)), "  1:02:05.2");
    }
}
