//! Changes a component in one place at a time, and asks whether its cases notice: a case that passes whatever the code
//! does tests nothing.
//!
//! Works on the binary, in place and without moving a byte, so that it does not matter which language it was written in:
//! comparisons are turned round, sums become differences, constants that are compared or stored change, branches are
//! never or always taken. What no case comes to is told apart by a trap in the same place. Deliberately changes no data:
//! the decisions of an interpreter are data, and a mutant of the interpreter says nothing about them. Deliberately leaves
//! alone what is not the author's (`whose`): no case of a policy can notice what a mutant of an allocator does.

mod go;
mod sites;
mod whose;

use std::time::Duration;

use super::cases::{Case, Got};
use super::trial::ask_alone;
use super::{CompiledPlugin, Limits, LoadPluginError, Runtime};
pub use sites::What;
use sites::{Places, Site, places};
pub use whose::Scope;

/// Each mutant is compiled anew, whole: of one in Go, of 2.6 to 4.6 MB, that takes seconds, and of larger ones too long.
pub const MUTANTS_BYTES_MAX: usize = 8 << 20;

/// What components carry in which a policy is data: the marks of interpreters.
const INTERPRETERS: [(&str, &str); 4] = [
    ("componentize_qjs", "the JavaScript engine QuickJS"),
    ("rquickjs-core", "the JavaScript engine QuickJS"),
    ("libpython3", "Python"),
    ("SpiderMonkey", "the JavaScript engine SpiderMonkey"),
];

/// The interpreter that a component carries; none where its policy is compiled.
#[must_use]
pub fn interpreter(component: &[u8]) -> Option<&'static str> {
    let carries = |mark: &str| memchr::memmem::find(component, mark.as_bytes()).is_some();
    INTERPRETERS.iter().find(|(mark, _)| carries(mark)).map(|(_, name)| *name)
}

/// How many mutants, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// So many that some case comes to.
    pub count: usize,
    /// No longer than that.
    pub time: Duration,
    /// The same seed chooses the same places.
    pub seed: u64,
}

/// One place that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// Where: the byte of the component.
    pub offset: usize,
    /// The function, counted through all modules.
    pub function: u32,
    /// Its name, where the component has it.
    pub name: Option<String>,
    /// File and line of the source, where the component has them.
    pub line: Option<(String, u32)>,
    /// What was changed.
    pub what: What,
}

/// What became of all mutants.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mutants {
    /// Those that a case notices.
    pub noticed: usize,
    /// Those that no case notices although one comes to the place.
    pub missed: Vec<Mutant>,
    /// Places to which no case comes.
    pub unreached: usize,
    /// Places that were to be had.
    pub places: usize,
    /// Whose code they are in.
    pub scope: Scope,
    /// Places in code that is not the author's.
    pub not_tried: usize,
    /// Whether the time was over first.
    pub out_of_time: bool,
}

impl Mutants {
    /// Those that a case comes to.
    #[must_use]
    pub fn reached(&self) -> usize {
        self.noticed + self.missed.len()
    }

    /// To how many of a hundred places that were looked at some case comes, rounded down; none where none was.
    #[must_use]
    pub fn coverage(&self) -> Option<usize> {
        (self.reached() * 100).checked_div(self.reached() + self.unreached)
    }

    /// How many of a hundred are noticed, rounded down; none where none was reached.
    #[must_use]
    pub fn percent(&self) -> Option<usize> {
        (self.noticed * 100).checked_div(self.reached())
    }
}

/// Tries mutants of a component on its cases, all of which pass.
///
/// # Errors
/// When the component itself does not load.
pub fn run(
    runtime: &Runtime,
    component: &[u8],
    cases: &[Case],
    limits: Limits,
    bounds: Bounds,
    said: &mut dyn FnMut(&Mutants),
) -> Result<Mutants, LoadPluginError> {
    let from = runtime.clock.elapsed();
    let Places { sites: mut order, scope, not_tried } = places(component)?;
    shuffle(&mut order, bounds.seed);
    let mut mutants = Mutants { places: order.len(), scope, not_tried, ..Mutants::default() };
    let mut changed = component.to_vec();
    for site in order {
        if mutants.reached() >= bounds.count {
            break;
        }
        if runtime.clock.elapsed().saturating_sub(from) >= bounds.time {
            mutants.out_of_time = true;
            break;
        }
        match tried(runtime, &mut changed, &site, (cases, limits)) {
            Tried::Noticed => mutants.noticed += 1,
            Tried::Unreached => mutants.unreached += 1,
            Tried::Invalid => {}
            Tried::Missed => {
                let Site { at, function, name, line, what, .. } = site;
                mutants.missed.push(Mutant { offset: at, function, name, line, what });
            }
        }
        said(&mutants);
    }
    mutants.missed.sort_by_key(|mutant| mutant.offset);
    Ok(mutants)
}

enum Tried {
    Noticed,
    Missed,
    Unreached,
    Invalid,
}

fn tried(runtime: &Runtime, changed: &mut [u8], site: &Site, with: (&[Case], Limits)) -> Tried {
    let outcome = |bytes: &[u8]| runtime.compile(bytes).ok().map(|plugin| is_noticed(&plugin, with));
    let before = site.put(changed, &site.with);
    let noticed = outcome(changed);
    let tried = match noticed {
        None => Tried::Invalid,
        Some(true) => Tried::Noticed,
        Some(false) => {
            site.put(changed, &site.trap);
            // A trap is noticed wherever somebody comes.
            if outcome(changed) == Some(true) { Tried::Missed } else { Tried::Unreached }
        }
    };
    site.put(changed, &before);
    tried
}

/// Whether a case that passes with the component does not with the mutant.
fn is_noticed(plugin: &CompiledPlugin, (cases, limits): (&[Case], Limits)) -> bool {
    let differs = |case: &Case| match ask_alone(plugin, case, limits) {
        Got::Broken(_) => true,
        got => !case.expected.compare(&got).is_empty(),
    };
    cases.iter().any(differs)
}

/// In an order that only the seed knows: xorshift, Fisher and Yates.
fn shuffle(sites: &mut [Site], seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for last in (1..sites.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let bound = u64::try_from(last + 1).unwrap_or(u64::MAX);
        sites.swap(last, usize::try_from(state % bound).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin;
    use crate::cases;
    use crate::tests::{guests, runtime};

    fn bounds(count: usize) -> Bounds {
        Bounds { count, time: Duration::from_secs(3600), seed: 7 }
    }

    #[test]
    fn places_are_chosen_by_the_seed_alone() {
        let chosen = |seed| {
            let mut all = places(builtin::AZURE_HEALTH).unwrap().sites;
            shuffle(&mut all, seed);
            all.iter().take(20).map(|site| site.at).collect::<Vec<_>>()
        };
        assert_eq!(chosen(1), chosen(1));
        assert_ne!(chosen(1), chosen(2));
    }

    #[test]
    fn a_share_of_what_was_reached() {
        let mutant = |offset| Mutant { offset, function: 0, name: None, line: None, what: What::Comparison };
        let mutants = Mutants { noticed: 9, missed: vec![mutant(1)], unreached: 40, ..Mutants::default() };
        assert_eq!((mutants.reached(), mutants.percent(), mutants.coverage()), (10, Some(90), Some(20)));
        assert_eq!((Mutants::default().percent(), Mutants::default().coverage()), (None, None));
    }

    #[test]
    fn cases_notice_and_no_cases_do_not() {
        let component = guests::component("skip").unwrap();
        let none = run(&runtime(), &component, &[], Limits::DEFAULT, bounds(5), &mut |_| ()).unwrap();
        assert_eq!((none.noticed, none.missed.len()), (0, 0), "nobody comes anywhere: {none:?}");
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/prometheus-gauge");
        let component = std::fs::read(folder.join("prometheus-gauge.wasm")).unwrap();
        let cases = cases::read(&folder.join("cases")).unwrap();
        let few = run(&runtime(), &component, &cases, Limits::DEFAULT, bounds(2), &mut |_| ()).unwrap();
        assert_eq!(few.reached(), 2, "{few:?}");
    }
}
