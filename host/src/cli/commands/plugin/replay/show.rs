//! What `plugin replay` found, for people.

use super::{Difference, Report, Unproved};
use crate::cli::output::table;
use crate::recording::RecordedOutcome;
use phasegate_core::domain::Decision;

/// Characters shown of what differs besides health, phase, participation and reason.
const REST_SHOWN_MAX: usize = 60;
/// Characters shown before the first one that differs.
const REST_BEFORE: usize = 12;

pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    if !report.differences.is_empty() {
        let row = |difference: &Difference| {
            let Difference { at, plugin, scale_set, instance, before, after } = difference;
            let names = [at, plugin, scale_set, instance].map(String::clone);
            names.into_iter().chain(sides(before, after)).collect()
        };
        let rows: Vec<Vec<String>> = report.differences.iter().map(row).collect();
        text.push_str(&table(&["AT", "PLUGIN", "SCALE SET", "INSTANCE", "BEFORE", "AFTER"], &rows));
        text.push('\n');
    }
    let (judged, same) = (report.judged, report.same);
    text.push_str(&format!("{judged} judged again, {same} the same, {} differ\n", report.differences.len()));
    for Unproved { records, why } in &report.unproved {
        text.push_str(&format!("{records} not proved: {why}\n"));
    }
    if report.damaged > 0 {
        text.push_str(&format!("{} lines are no records; a crash leaves one\n", report.damaged));
    }
    text
}

/// Both sides in short; where that is the same, with the rest of what differs.
fn sides(before: &RecordedOutcome, after: &RecordedOutcome) -> [String; 2] {
    let (mut old, mut new) = (short(before), short(after));
    let (RecordedOutcome::Decision(was), RecordedOutcome::Decision(is)) = (before, after) else {
        return [old, new];
    };
    if old != new {
        return [old, new];
    }
    for ((what, was), (_, is)) in rest(was).into_iter().zip(rest(is)) {
        if was != is {
            let same = was.chars().zip(is.chars()).take_while(|(was, is)| was == is).count();
            old.push_str(&format!(" [{what}: {}]", from(&was, same)));
            new.push_str(&format!(" [{what}: {}]", from(&is, same)));
        }
    }
    [old, new]
}

/// What [`short`] leaves out.
fn rest(decision: &Decision) -> [(&'static str, String); 3] {
    let none = || "none".to_owned();
    let attributes = decision.attributes.iter().map(|(name, value)| format!("{name} = {value}"));
    [
        ("reason code", decision.reason.as_ref().map_or_else(none, |reason| reason.code.clone())),
        (
            "memory in base64",
            decision.memory.as_ref().map_or_else(none, |memory| data_encoding::BASE64.encode(memory)),
        ),
        ("attributes", attributes.collect::<Vec<_>>().join("; ")),
    ]
}

/// A text from a little before the first `same` characters end; `--json` has all of it.
fn from(text: &str, same: usize) -> String {
    let begin = same.saturating_sub(REST_BEFORE);
    let shown: String = text.chars().skip(begin).take(REST_SHOWN_MAX).collect();
    let lead = if begin > 0 { "…" } else { "" };
    let more = if text.chars().count() > begin + REST_SHOWN_MAX { "…" } else { "" };
    format!("{lead}{shown}{more}").replace(char::is_control, " ")
}

fn short(outcome: &RecordedOutcome) -> String {
    match outcome {
        RecordedOutcome::Failure(failure) => format!("failed: {failure}"),
        RecordedOutcome::Decision(decision) => {
            let phase = decision.phase.map_or_else(|| "last".to_owned(), |phase| phase.get().to_string());
            let why = decision.reason.as_ref().map_or("", |reason| reason.detail.as_str());
            let (health, takes_part) = (decision.claim, decision.participation.name());
            format!("{health:?}, phase {phase}, {takes_part}: {why}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use phasegate_core::domain::{Claim, Participation, Reason};

    fn decided(code: &str, memory: &[u8]) -> RecordedOutcome {
        RecordedOutcome::Decision(Decision {
            claim: Claim::Healthy,
            phase: None,
            participation: Participation::Proceed,
            reason: Some(Reason { code: code.to_owned(), detail: "all is well".to_owned() }),
            memory: Some(memory.to_vec()),
            attributes: vec![("a".to_owned(), "b".to_owned())],
        })
    }

    #[test]
    fn rows_that_differ_show_where() {
        let plain = "Healthy, phase last, proceed: all is well";
        let [old, new] = sides(&decided("ok", b"1"), &decided("fine", b"1"));
        assert_eq!(old, format!("{plain} [reason code: ok]"));
        assert_eq!(new, format!("{plain} [reason code: fine]"));
        let long = [vec![b'x'; 300], vec![b'y']].concat();
        let [old, new] = sides(&decided("ok", &[b'x'; 300]), &decided("ok", &long));
        assert!(old != new && old.len() < 200 && old.contains("[memory in base64: …"), "{old} {new}");
    }
}
