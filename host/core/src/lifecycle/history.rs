//! The rows of a plugin's former generations: how many are kept, and which of them count as ways back.
//! Values in, values out.

use crate::domain::Digest;
use crate::record::StoredGeneration;

/// Components with their settings that can be gone back to, the active one included.
const KEPT_MAX: usize = 5;
/// Rows of the history: some more, because each way back is a row that brings nothing new.
const ROWS_MAX: usize = 20;

/// Leaves the latest rows, so that few components have to be kept, and a row of each of them.
pub(super) fn prune(history: &mut Vec<StoredGeneration>) {
    let mut kept: Vec<(Digest, String)> = Vec::new();
    let is_new = |one: &StoredGeneration, kept: &[(Digest, String)]| {
        !kept.iter().any(|(digest, settings)| *digest == one.digest && *settings == one.settings)
    };
    let mut rows = Vec::new();
    // Latest first; of those of one component and its settings the first one says how it ended.
    for one in std::mem::take(history).into_iter().rev() {
        let fits = if is_new(&one, &kept) { kept.len() < KEPT_MAX } else { rows.len() < ROWS_MAX - KEPT_MAX };
        if fits {
            if is_new(&one, &kept) {
                kept.push((one.digest, one.settings.clone()));
            }
            rows.push(one);
        }
    }
    rows.reverse();
    *history = rows;
}

/// The generations that can be gone back to without being named, latest first: each component with its settings
/// once, not the one that runs, and none that was left for being worse.
pub(super) fn ways_back<'a>(
    history: &'a [StoredGeneration],
    runs: (Digest, &str),
) -> Vec<&'a StoredGeneration> {
    let mut seen = vec![runs];
    let mut ways = Vec::new();
    for one in history.iter().rev() {
        let what = (one.digest, one.settings.as_str());
        if seen.contains(&what) {
            continue;
        }
        seen.push(what);
        if one.left_because.is_none() {
            ways.push(one);
        }
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Generation, Timestamp};
    use crate::record::Forced;

    fn generation(number: u64, component: u8, left: Option<&str>) -> StoredGeneration {
        StoredGeneration {
            generation: Generation(number),
            digest: Digest([component; 32]),
            source: "upload".to_owned(),
            settings: "{}".to_owned(),
            at: Timestamp(0),
            why: String::new(),
            left_because: left.map(str::to_owned),
            forced: Forced::No,
        }
    }

    #[test]
    fn nothing_goes_back_twice_to_what_it_left() {
        let numbers = |history: &[StoredGeneration], runs: u8| -> Vec<u64> {
            ways_back(history, (Digest([runs; 32]), "{}")).iter().map(|one| one.generation.0).collect()
        };
        let first = generation(1, 1, None);
        let second = generation(2, 2, None);
        let third = generation(3, 3, None);
        assert_eq!(numbers(&[first.clone(), second.clone(), third], 3), [2, 1]);
        // The third one was left for the second one, which is in trouble now.
        let left = generation(3, 3, Some("failed"));
        let back = generation(4, 2, None);
        assert_eq!(numbers(&[first.clone(), second.clone(), left.clone(), back], 2), [1]);
        let left_too = generation(4, 2, Some("failed"));
        let last = generation(5, 1, None);
        assert_eq!(numbers(&[first, second, left.clone(), left_too, last], 1), Vec::<u64>::new());
        // A person has brought it in again since: then it counts as any other one.
        assert_eq!(numbers(&[left, generation(4, 3, None), generation(5, 4, None)], 4), [4]);
    }

    #[test]
    fn ways_back_push_no_component_out() {
        // An old one, a good one, and one bad swap after the other, each of which is taken back.
        let mut history = vec![generation(1, 100, None), generation(2, 101, None)];
        for bad in 0..3 {
            history.push(generation(3 + 2 * u64::from(bad), bad, None));
            history.push(generation(4 + 2 * u64::from(bad), 101, None));
            prune(&mut history);
        }
        let numbers: Vec<u64> = history.iter().map(|one| one.generation.0).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8], "five components, the old one among them");
        history.push(generation(9, 50, None));
        prune(&mut history);
        assert_eq!(history.first().map(|one| one.generation.0), Some(2), "the oldest one goes");
        for number in 10..100 {
            history.push(generation(number, if number % 2 == 0 { 101 } else { 50 }, None));
            prune(&mut history);
            assert!(history.len() <= ROWS_MAX, "{}", history.len());
        }
        let mut kept: Vec<u8> = history.iter().map(|one| one.digest.0[0]).collect();
        kept.sort_unstable();
        kept.dedup();
        assert_eq!(kept, [0, 1, 2, 50, 101]);
        assert_eq!(history.last().map(|one| one.generation.0), Some(99));
    }
}
