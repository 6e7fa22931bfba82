//! What a plugin's answers amount to: silence, failure and answers of another generation permit nothing.

use std::sync::Arc;

use super::*;
use crate::domain::{
    Claim, Decision, Evaluation, Generation, OnFailure, Outcome, PluginFailure, PluginName, PluginStamp,
    Reason, Timestamp, Verdict,
};

fn decision(claim: Claim, participation: Participation, code: &str) -> Decision {
    Decision {
        claim,
        phase: Phase::new(3),
        participation,
        reason: Some(Reason { code: code.to_owned(), detail: String::new() }),
        memory: None,
        attributes: Vec::new(),
    }
}

fn outcome(result: Verdict) -> Outcome {
    Outcome {
        stamp: PluginStamp {
            name: PluginName::parse("db").unwrap(),
            digest: Digest([0; 32]),
            generation: Generation(1),
        },
        evaluation: Evaluation::default(),
        result,
    }
}

#[test]
fn silence_is_no_permission_and_takes_back_no_skip() {
    use Participation::{Proceed, Skip};
    let silent = outcome(Ok(Arc::new(decision(Claim::Unknown, Proceed, "timeout"))));
    let says_go = decision(Claim::Healthy, Proceed, "ok");
    let says_skip = decision(Claim::Healthy, Skip, "in-backup");
    let base = StandingInput {
        unasked: None,
        on_failure: OnFailure::Hold,
        latest: Some(&silent),
        answered: None,
        answered_by: None,
        in_force: None,
        health: Health::Unknown,
        prioritize_unhealthy: false,
        freshness: Duration::from_secs(60),
        now: Timestamp(100_000),
    };
    let recent = Timestamp(90_000);
    let participation = |input: StandingInput<'_>| standing(&input).participation();

    assert_eq!(participation(StandingInput { latest: None, ..base }), None);
    assert_eq!(participation(base), Some(Skip), "never answered");
    let after_go = StandingInput { answered: Some((&says_go, recent)), ..base };
    assert_eq!(participation(after_go), Some(Skip), "health is unknown");
    assert_eq!(
        participation(StandingInput { health: Health::Healthy, ..after_go }),
        Some(Proceed),
        "one missed"
    );
    let stale = StandingInput { answered: Some((&says_go, Timestamp(0))), health: Health::Healthy, ..base };
    assert_eq!(participation(stale), Some(Skip), "stale");
    let after_skip = StandingInput {
        answered: Some((&says_skip, Timestamp(0))),
        health: Health::Healthy,
        prioritize_unhealthy: true,
        ..base
    };
    assert_eq!(participation(after_skip), Some(Skip), "a skip stands");
    assert_eq!(participation(StandingInput { prioritize_unhealthy: true, ..base }), Some(Proceed));

    let failed = outcome(Err(PluginFailure::OutOfTime { limit_ms: 50 }));
    let how = |on_failure, answered| {
        let input = StandingInput { latest: Some(&failed), on_failure, answered, ..base };
        let standing = standing(&input);
        (standing.participation(), standing.phase())
    };
    let (recently, long_ago) = (Some((&says_go, recent)), Some((&says_go, Timestamp(0))));
    assert_eq!(how(OnFailure::LastGood, recently), (Some(Proceed), Phase::new(3)));
    assert_eq!(how(OnFailure::LastGood, long_ago), (Some(Skip), Phase::new(3)), "no longer fresh");
    assert_eq!(how(OnFailure::LastGood, None), (Some(Skip), None));
    assert_eq!(how(OnFailure::Azure, long_ago), (Some(Proceed), None));
    assert_eq!(how(OnFailure::Azure, None), (Some(Proceed), None));
    let skipped = Some((&says_skip, Timestamp(0)));
    assert_eq!(how(OnFailure::Azure, skipped).0, Some(Skip), "a skip stands");
    let standing = standing(&StandingInput {
        unasked: None,
        latest: Some(&failed),
        health: Health::Healthy,
        prioritize_unhealthy: true,
        ..after_go
    });
    assert_eq!(standing.participation(), Some(Skip));
    assert_eq!(standing.phase(), Phase::new(3), "the last good phase is kept");
}

#[test]
fn a_phase_orders_whatever_the_health_is_and_permits_nothing() {
    use Participation::{Proceed, Skip};
    let says = |claim, phase, participation| Decision {
        phase: Phase::new(phase),
        ..decision(claim, participation, "unknown-state")
    };
    let hello = outcome(Ok(Arc::new(says(Claim::Unknown, 7, Proceed))));
    let before = says(Claim::Healthy, 1, Proceed);
    let base = StandingInput {
        unasked: None,
        on_failure: OnFailure::Hold,
        latest: Some(&hello),
        answered: Some((&before, Timestamp(90_000))),
        answered_by: None,
        in_force: None,
        health: Health::Unknown,
        prioritize_unhealthy: false,
        freshness: Duration::from_secs(60),
        now: Timestamp(100_000),
    };
    let held = standing(&base);
    assert_eq!((held.participation(), held.said(), held.phase()), (Some(Skip), Some(Proceed), Phase::new(7)));
    let (first, basis) = judged(&StandingInput { prioritize_unhealthy: true, ..base });
    assert_eq!((first.participation(), first.phase()), (Some(Proceed), Phase::new(7)), "in its phase");
    assert_eq!(basis, Basis::Latest);
    let (missed, basis) = judged(&StandingInput { health: Health::Healthy, ..base });
    assert_eq!((missed.participation(), missed.phase()), (Some(Proceed), Phase::new(7)), "it moved");
    assert_eq!(basis, Basis::Answered);

    let trapped = outcome(Err(PluginFailure::Trapped("unreachable".to_owned())));
    let failed = standing(&StandingInput { latest: Some(&trapped), ..base });
    assert_eq!((failed.said(), failed.phase()), (None, Phase::new(1)), "a trap says nothing");
    let silent = outcome(Ok(Arc::new(Decision { phase: None, ..says(Claim::Unknown, 0, Proceed) })));
    assert_eq!(standing(&StandingInput { latest: Some(&silent), ..base }).phase(), Phase::new(1));
}

#[test]
fn what_another_generation_has_permitted_is_no_permission() {
    use Participation::{Proceed, Skip};
    let go = outcome(Ok(Arc::new(decision(Claim::Healthy, Proceed, "ok"))));
    let silent = outcome(Ok(Arc::new(decision(Claim::Unknown, Proceed, "timeout"))));
    let failed = outcome(Err(PluginFailure::OutOfTime { limit_ms: 50 }));
    let (says_go, says_skip) =
        (decision(Claim::Healthy, Proceed, "ok"), decision(Claim::Healthy, Skip, "in-backup"));
    let base = StandingInput {
        unasked: None,
        on_failure: OnFailure::LastGood,
        latest: Some(&go),
        answered: Some((&says_go, Timestamp(90_000))),
        answered_by: Some(Generation(1)),
        in_force: Some(Generation(1)),
        health: Health::Healthy,
        prioritize_unhealthy: false,
        freshness: Duration::from_secs(60),
        now: Timestamp(100_000),
    };
    let participation = |input: StandingInput<'_>| standing(&input).participation();
    assert_eq!(participation(base), Some(Proceed));
    let (second, first) = (Some(Generation(2)), Some(Generation(0)));
    assert_eq!(participation(StandingInput { in_force: second, ..base }), None, "not judged by it");

    // It is judged now, and without an answer: the one before says nothing in its place.
    let silent = StandingInput { latest: Some(&silent), ..base };
    assert_eq!(participation(silent), Some(Proceed), "one missed");
    assert_eq!(participation(StandingInput { answered_by: first, ..silent }), Some(Skip));
    let skipped = Some((&says_skip, Timestamp(0)));
    let after_skip = StandingInput { answered: skipped, answered_by: first, ..silent };
    assert_eq!(participation(StandingInput { prioritize_unhealthy: true, ..after_skip }), Some(Skip));
    let fails = StandingInput { latest: Some(&failed), answered_by: first, ..base };
    assert_eq!(participation(fails), Some(Proceed), "that is what last-good asks for");
}
