//! Evaluation: answers, hostile answers, limits, isolation.

use std::sync::Arc;

use phasegate_core::domain::{Claim, Decision, Participation, PluginFailure};

use super::{LIMITS, batch, failure, guests, load, load_as, observation, one, phases};
use crate::{Isolation, Limits};

#[test]
fn a_good_guest_decides() {
    let expected = Arc::new(Decision {
        claim: Claim::Healthy,
        phase: None,
        participation: Participation::Proceed,
        reason: None,
        memory: None,
        attributes: Vec::new(),
    });
    for isolation in [Isolation::PerBatch, Isolation::Reused] {
        let mut plugin = load_as("good", isolation).unwrap();
        for size in [0, 1, 128, 300] {
            let results = plugin.evaluate(&vec![observation(1, "{}"); size], 0);
            assert_eq!(results, vec![Ok(Arc::clone(&expected)); size]);
        }
    }
}

#[test]
fn input_arrives_and_output_leaves() {
    let results = load("body-health").evaluate(&batch(&["ok", "u", "?", "s", "d", "7"]), 0);
    let said: Vec<(Claim, Option<u32>, &str)> = results
        .iter()
        .map(|result| result.as_ref().unwrap())
        .map(|d| (d.claim, d.phase.map(|phase| phase.get()), d.participation.name()))
        .collect();
    assert_eq!(
        said,
        [
            (Claim::Healthy, None, "proceed"),
            (Claim::Unhealthy, None, "proceed"),
            (Claim::Unknown, None, "proceed"),
            (Claim::Healthy, None, "skip"),
            (Claim::Healthy, None, "defer"),
            (Claim::Healthy, Some(7), "proceed"),
        ]
    );
}

#[test]
fn hostile_guests_cost_a_failure() {
    let slow = "ran longer than 300 ms; raise limits.timeoutMs or make the plugin faster";
    let large = "needed more than 8 MiB of memory; raise limits.memoryMiB or make the plugin leaner";
    let wrong = "answered outside the contract";
    for (name, expected) in [
        ("loop-evaluate", slow.to_owned()),
        ("memory-bomb", large.to_owned()),
        ("table-bomb", large.to_owned()),
        (
            "trap-evaluate",
            "trapped: wasm `unreachable` instruction executed in deep < middle < evaluate".to_owned(),
        ),
        ("stack-overflow", "trapped: call stack exhausted in down < down < down < down".to_owned()),
        ("wrong-count", format!("{wrong}: 2 results for 1 observations")),
        ("huge-count", format!("{wrong}: list pointer/length out of bounds of memory")),
        ("huge-memory", format!("{wrong}: memory of 5000 bytes (limit 4096)")),
        ("huge-phase", format!("{wrong}: phase 4294967295 (limit 2147483647)")),
        ("not-utf8", format!("{wrong}: invalid utf-8 sequence of 1 bytes from index 0")),
    ] {
        assert_eq!(failure(name), expected, "{name}");
    }
}

#[test]
fn a_long_reason_is_cut() {
    let reason = one(&mut load("huge-reason")).unwrap().reason.clone().unwrap();
    assert_eq!(reason.code, "a".repeat(64));
    assert_eq!(reason.detail, "A".repeat(1024));
    // Ten of them are more than the host takes in one call: the batch is split.
    let results = load("huge-reason").evaluate(&vec![observation(1, ""); 10], 0);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

#[test]
fn bodies_that_are_too_much_together_are_judged_in_parts() {
    let mut plugin = load("good");
    let seen = vec![observation(1, &"x".repeat(64 << 10)); 128];
    for _ in 0..2 {
        assert!(plugin.evaluate(&seen, 0).iter().all(Result::is_ok));
    }
}

#[test]
fn too_much_for_one_call_is_refused() {
    let bytes = guests::component("log-huge").unwrap();
    let limits = Limits { memory_mib: 64, ..LIMITS };
    let mut plugin = super::runtime().load(&bytes, "{}", limits, Isolation::PerBatch).unwrap();
    assert_eq!(
        one(&mut plugin).unwrap_err().to_string(),
        "answered outside the contract: more than 8 MiB in one call"
    );
}

#[test]
fn only_the_poison_fails() {
    for isolation in [Isolation::PerBatch, Isolation::Reused] {
        let mut plugin = load_as("poison", isolation).unwrap();
        for poisons in [vec![0], vec![77], vec![127], vec![3, 4, 100], (0..128).collect()] {
            let mut seen = vec![observation(1, "ok"); 128];
            for at in &poisons {
                seen[*at] = observation(1, "X");
            }
            let results = plugin.evaluate(&seen, 0);
            for (at, result) in results.iter().enumerate() {
                let trapped = matches!(result, Err(PluginFailure::Trapped(_)));
                assert_eq!(trapped, poisons.contains(&at), "{at} {result:?}");
            }
        }
    }
}

#[test]
fn only_the_endless_observation_runs_out_of_time() {
    let mut seen = vec![observation(1, "ok"); 16];
    seen[11] = observation(1, "L");
    let results = load("poison").evaluate(&seen, 0);
    for (at, result) in results.iter().enumerate() {
        let late = matches!(result, Err(PluginFailure::OutOfTime { limit_ms: 300 }));
        assert_eq!(late, at == 11, "{at} {result:?}");
    }
}

#[test]
fn a_refused_observation_is_not_a_failed_call() {
    let results = load("poison").evaluate(&batch(&["ok", "U", "ok"]), 0);
    assert!(results[0].is_ok() && results[2].is_ok());
    assert_eq!(
        results[1],
        Err(PluginFailure::Refused { kind: "unreadable".to_owned(), detail: "bad body".to_owned() })
    );
}

#[test]
fn a_hopeless_guest_does_not_cost_a_timeout_for_each_observation() {
    let clock = super::clock();
    let begun = clock.thread_cpu();
    let results = load("loop-evaluate").evaluate(&vec![observation(1, ""); 128], 0);
    assert!(results.iter().all(|result| matches!(result, Err(PluginFailure::OutOfTime { .. }))));
    assert_eq!(results.len(), 128);
    let took = clock.thread_cpu().saturating_sub(begun);
    assert!(took < super::LIMITS.timeout * 30, "{took:?}");
}

#[test]
fn globals_last_as_long_as_the_isolation_says() {
    let calls = |isolation| {
        let mut plugin = load_as("global-state", isolation).unwrap();
        let results: Vec<_> = (0..3).map(|_| one(&mut plugin)).collect();
        phases(&results)
    };
    assert_eq!(calls(Isolation::PerBatch), [Some(1), Some(1), Some(1)]);
    assert_eq!(calls(Isolation::Reused), [Some(1), Some(2), Some(3)]);
}

#[test]
fn an_instance_that_failed_is_replaced_and_the_observation_judged_again() {
    let mut plugin = load_as("global-trap", Isolation::Reused).unwrap();
    for round in 0..10 {
        assert!(one(&mut plugin).is_ok(), "{round}");
    }
}

#[test]
fn a_flood_of_lines_is_dropped_and_counted() {
    let mut plugin = load("log-flood");
    assert!(one(&mut plugin).is_ok());
    assert!(plugin.log_lines_dropped() >= 900, "{}", plugin.log_lines_dropped());
}

#[test]
fn the_clock_shows_the_time_of_the_evaluation() {
    let results = load("clock").evaluate(&batch(&["", ""]), 1_234_567);
    assert_eq!(phases(&results), [Some(1234), Some(1234)]);
}

#[test]
fn a_deadline_belongs_to_one_call_not_to_an_instance() {
    let mut plugin = load_as("slow", Isolation::Reused).unwrap();
    // Each call takes tens of milliseconds; together they take longer than one deadline.
    for round in 0..15 {
        assert!(one(&mut plugin).is_ok(), "{round}");
    }
}
