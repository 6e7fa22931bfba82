//! Guesses which known word a wrong one was meant to be.

use strsim::osa_distance;

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
        let distance = osa_distance(&folded, &word.to_ascii_lowercase());
        (distance <= limit).then_some((distance, word))
    });
    distances.min_by_key(|(distance, _)| *distance).map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

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
