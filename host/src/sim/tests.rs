//! Seeds by the thousand, and a crash at every place of one upgrade.

use super::*;

#[test]
fn seeds() {
    let mut bad = 0;
    let t = std::time::Instant::now();
    let (mut steps, mut states, mut back) = (0, std::collections::BTreeMap::new(), 0);
    for seed in 0..1000 {
        let mut rng = Rng::new(seed);
        let scenario = Scenario::random(&mut rng);
        let outcome = run(rng.next_u64(), &scenario);
        steps += outcome.steps;
        back += usize::from(outcome.rolled_back);
        *states.entry(outcome.state.name()).or_insert(0) += 1;
        if !outcome.violations.is_empty() {
            bad += 1;
            if bad < 12 { println!("{seed}: {:?}", outcome.violations.iter().take(2).map(|v| v.to_string()).collect::<Vec<_>>()); }
        }
    }
    println!("{bad} bad, {steps} steps, {:?}, {back} rolled back, {:?}", states, t.elapsed());
}
