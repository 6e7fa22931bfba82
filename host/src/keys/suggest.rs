//! Guesses which known word a wrong one was meant to be.

/// The known word that is nearest to `seen`: the same but for case, or at most about a third
/// of its letters away.
pub(crate) fn suggest<'a>(seen: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = seen.to_ascii_lowercase();
    let distances = known.into_iter().filter_map(|word| {
        let limit = (word.len() + 1) / 3;
        // A difference in length is a lower bound; this also keeps huge keys cheap.
        if seen.len().abs_diff(word.len()) > limit {
            return None;
        }
        let distance = edit_distance(&folded, &word.to_ascii_lowercase());
        (distance <= limit).then_some((distance, word))
    });
    distances.min_by_key(|(distance, _)| *distance).map(|(_, word)| word)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one text into the other.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous_a = None;
    for (row, char_a) in a.chars().enumerate() {
        let mut current = vec![row + 1];
        let mut previous_b = None;
        for (column, char_b) in b.iter().copied().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX);
            let replaced = at(&last, column) + usize::from(char_a != char_b);
            let mut best = replaced.min(at(&last, column + 1) + 1).min(at(&current, column) + 1);
            if previous_a == Some(char_b) && previous_b == Some(char_a) && column > 0 {
                best = best.min(at(&before_last, column - 1) + 1);
            }
            current.push(best);
            previous_b = Some(char_b);
        }
        before_last = std::mem::replace(&mut last, current);
        previous_a = Some(char_a);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        for (a, b, distance) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("port", "port", 0),
            ("prot", "port", 1),
            ("ort", "port", 1),
            ("ports", "port", 1),
            ("part", "port", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(edit_distance(a, b), distance, "{a} -> {b}");
        }
    }

    #[test]
    fn suggests_only_what_is_near() {
        let known = ["requestPath", "port", "intervalInSeconds", "numberOfProbes", "db"];
        for (seen, expected) in [
            ("requestpath", Some("requestPath")),
            ("request_path", Some("requestPath")),
            ("Port", Some("port")),
            ("bd", Some("db")),
            ("prot", Some("port")),
            ("intervalSeconds", Some("intervalInSeconds")),
            ("alien", None),
            ("p", None),
            ("", None),
            ("päth", None),
            (&"x".repeat(100_000), None),
        ] {
            assert_eq!(suggest(seen, known), expected, "{seen:.20}");
        }
    }
}
