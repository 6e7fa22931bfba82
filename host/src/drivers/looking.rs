//! How instances are looked at that the site keeps running: the keys that the drivers share which can ask.
//!
//! Does not ask; `site` does.

use std::time::Duration;

use crate::keys::{Given, Is, Key, Section, no_check};
use phasegate_core::domain::{CanTell, Sight};

/// When an answer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirm {
    /// So many answers in a row, 1 to 100.
    pub answers: u32,
    /// Over at least so long.
    pub over: Duration,
    /// How long after "done" nobody may name the wanted version.
    pub within: Duration,
}

/// How a driver looks at instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looking {
    /// When an answer counts.
    pub confirm: Confirm,
    /// From one look to the next.
    pub interval: Duration,
}

impl Default for Looking {
    fn default() -> Self {
        let confirm = Confirm { answers: 5, over: Duration::from_secs(2), within: Duration::from_secs(10) };
        Self { confirm, interval: Sight::INTERVAL }
    }
}

impl Looking {
    /// What can be seen of instances where these can be asked for.
    #[must_use]
    pub fn sight(&self, application: CanTell, extensions: CanTell) -> Sight {
        Sight { application, extensions, interval: self.interval }
    }
}

/// The keys of `confirm`.
pub(super) const CONFIRM: Section<Confirm> = Section {
    keys: &[
        Key::<Confirm>::preset("answers", "5", Is::Whole(1, 100, |confirm, answers| confirm.answers = answers))
            .doc("so many answers in a row must name a version before it counts"),
        Key::<Confirm>::preset(
            "over",
            "\"PT2S\"",
            Is::Span(Some(("PT0S", "PT10M")), |confirm, over| confirm.over = over),
        )
        .doc("over at least so long: while a graceful reload goes on, old and new answer side by side"),
        Key::<Confirm>::preset(
            "within",
            "\"PT10S\"",
            Is::Span(Some(("PT0.1S", "PT24H")), |confirm, within| confirm.within = within),
        )
        .doc(
            "so long after \"done\" no answer may name the wanted version; then it has failed. Old and new side by \
             side are waited for as long as the operation may take",
        ),
    ],
    check: no_check,
};

/// Settings that the table of a driver fills.
pub(super) trait HasLooking: Sized + 'static {
    /// Where they are.
    fn looking(&mut self) -> &mut Looking;
}

/// The key `confirm`.
pub(super) const fn confirm_key<T: HasLooking>() -> Key<T> {
    Key::<T>::table(
        "confirm",
        "{ answers = 5, over = \"PT2S\" }",
        Is::Table(|| CONFIRM.shape(), |keys, table| CONFIRM.read(table, &mut keys.looking().confirm)),
    )
    .doc("when it counts what an instance says that it runs")
}

/// Reports settings for a look that nobody takes, where the key that says how to look is left out.
pub(super) fn only_with(observe: &'static str, given: &mut Given<'_>) {
    for key in ["confirm", "observeInterval"] {
        if given.has(key) && !given.has(observe) {
            given.conflict(
                key,
                format!("is set although {observe} is not: nobody is asked what an instance runs"),
                format!("add {observe}, or leave {key} out"),
            );
        }
    }
}

/// The key `observeInterval`.
pub(super) const fn interval_key<T: HasLooking>() -> Key<T> {
    Key::<T>::preset(
        "observeInterval",
        "\"PT5M\"",
        Is::Span(Some(("PT1S", "PT24H")), |keys, interval| keys.looking().interval = interval),
    )
    .doc(
        "how often each instance is asked what it runs, spread over this time; and before a start, whenever the last \
         answer is older than a minute or says that nothing is left to do",
    )
}
