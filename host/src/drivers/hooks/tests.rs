//! Hooks as they are run: programs and URLs, good, bad and slow.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::config::What;
use super::run::Runs;
use super::*;
use crate::drivers::ends::End;
use crate::drivers::template::{Scope, Template};
use crate::drivers::testing::{PATIENCE, request, tls};
use phasegate_core::domain::{Change, Component, Direction, Goal, HookKind, InstanceId, Located, Version};
use phasegate_core::kernel::effect::HookRound;

use crate::drivers::testing::stub::{Agent, answer};

fn call(kind: HookKind) -> HookCall {
    let asked = request("1", "v2", "db-7/1/hook/1");
    let version = Version::parse("v2").unwrap();
    let round = match kind {
        HookKind::BeforeInstance | HookKind::AfterInstance => HookRound::Instance {
            instance: Box::new(asked.instance),
            located: Located::Yes,
            version: Some(version.clone()),
        },
        HookKind::BeforeBatch | HookKind::AfterBatch => HookRound::Batch {
            number: 3,
            instances: ["1", "2"].iter().map(|id| InstanceId::parse(id).unwrap()).collect(),
        },
    };
    HookCall {
        scale_set: asked.scale_set,
        hook: kind,
        direction: Direction::Back,
        round,
        goal: Goal::new([Change { component: Component::Application, to: version }]),
        operation: asked.operation,
        fence: asked.fence,
    }
}

fn template(text: &str, kind: HookKind) -> Template {
    let scope = match kind {
        HookKind::BeforeInstance | HookKind::AfterInstance => Scope::Hook,
        HookKind::BeforeBatch | HookKind::AfterBatch => Scope::BatchHook,
    };
    Template::parse(text, scope).unwrap()
}

fn runs(dir: &Path, kind: HookKind, what: What, timeout: Duration) -> Runs {
    let hooks = Hooks { all: BTreeMap::from([(kind, Hook { what, timeout })]), working_dir: dir.to_owned() };
    Runs::start_with(hooks, "/usr/bin:/bin".into(), None).unwrap()
}

/// Runs a shell script in a folder of its own, and gives its end and all that it said meanwhile.
async fn script(kind: HookKind, text: &str, timeout: Duration, end: &End) -> (Result<(), String>, String) {
    let dir = tempfile::tempdir().unwrap();
    let argv = ["sh", "-c", text, "hook", "{direction}"].iter().map(|text| template(text, kind)).collect();
    let runs = runs(dir.path(), kind, What::Command(argv), timeout);
    let (says, mut heard) = Says::new();
    let ended = runs.run(&call(kind), &says, end).await.map_err(|error| error.to_string());
    let mut said = Vec::new();
    while let Ok(text) = heard.try_recv() {
        said.push(text);
    }
    runs.shutdown().await;
    (ended, said.join("|"))
}

#[tokio::test]
async fn a_program_is_told_what_it_is_about_and_says_how_it_went() {
    let never = End::never();
    let knows = "[ \"$1 $PHASEGATE_INSTANCE $PHASEGATE_VERSION $PHASEGATE_OPERATION $PHASEGATE_SCALE_SET\" = \
                 'back 1 v2 db-7/1/hook/1 db' ]";
    assert_eq!(script(HookKind::BeforeInstance, knows, PATIENCE, &never).await.0, Ok(()));
    let batch = "[ \"$PHASEGATE_BATCH $PHASEGATE_INSTANCES $PHASEGATE_HOOK\" = '3 1,2 beforeBatch' ]";
    assert_eq!(script(HookKind::BeforeBatch, batch, PATIENCE, &never).await.0, Ok(()));
    let (failed, _) = script(HookKind::AfterInstance, "echo no such backend; exit 3", PATIENCE, &never).await;
    assert_eq!(failed, Err("`sh` exited with code 3: no such backend".to_owned()));
}

#[tokio::test]
async fn a_program_that_says_not_yet_is_asked_again_until_its_time_is_over() {
    let twice = "n=$(cat n 2>/dev/null); echo \"rate $n\"; echo \"x$n\" > n; [ \"$n\" = xx ] || exit 75";
    let (ended, said) = script(HookKind::BeforeBatch, twice, PATIENCE, &End::never()).await;
    assert_eq!((ended, said.as_str()), (Ok(()), "rate|rate x"));
    let limit = Duration::from_millis(700);
    let (late, _) = script(HookKind::BeforeBatch, "echo rate 2; exit 75", limit, &End::never()).await;
    assert_eq!(late, Err("said \"not yet\" for 0.7 s: rate 2".to_owned()));
    let (hangs, _) = script(HookKind::BeforeBatch, "sleep 600", limit, &End::never()).await;
    assert_eq!(hangs, Err("did not end within 0.7 s".to_owned()));
}

#[tokio::test]
async fn a_wish_ends_a_program_and_a_gate_that_says_not_yet() {
    for text in ["sleep 600", "exit 75"] {
        let ends = Ends::default();
        let in_hand = ends.begin(&call(HookKind::BeforeBatch).operation);
        let end = in_hand.end();
        let (ended, ()) = tokio::join!(script(HookKind::BeforeBatch, text, PATIENCE, &end), async {
            ends.end(&call(HookKind::BeforeBatch).operation);
        });
        assert_eq!(ended.0, Err("it was ended, because its upgrade is to end".to_owned()), "{text}");
    }
}

#[tokio::test]
async fn one_that_ignores_its_end_holds_the_end_of_the_host_for_a_moment() {
    let dir = tempfile::tempdir().unwrap();
    // Ended by its time just before, or by the end of the host.
    for limit in [Duration::from_millis(300), PATIENCE] {
        let deaf = ["sh", "-c", "trap '' TERM; echo here > here; while :; do sleep 0.05; done"];
        let argv = deaf.iter().map(|text| template(text, HookKind::BeforeBatch)).collect();
        let runs = runs(dir.path(), HookKind::BeforeBatch, What::Command(argv), limit);
        let (says, _heard) = Says::new();
        let (call, never) = (call(HookKind::BeforeBatch), End::never());
        let (ended, took) = tokio::join!(runs.run(&call, &says, &never), async {
            while !dir.path().join("here").exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            tokio::time::sleep(Duration::from_millis(400)).await;
            let began = tokio::time::Instant::now();
            runs.shutdown().await;
            began.elapsed()
        });
        assert!(ended.is_err(), "it is repeated by the next host");
        assert!(took > Duration::from_secs(2) && took < Duration::from_secs(5), "{took:?}");
        std::fs::remove_file(dir.path().join("here")).unwrap();
    }
}

#[tokio::test]
async fn a_url_is_posted_to_under_its_key_until_it_is_done() {
    let agent = Agent::start(|_, before| match before {
        0 => answer(202, "", "{\"rate\":0.02}"),
        1 => answer(503, "", ""),
        _ => answer(204, "", ""),
    });
    let kind = HookKind::BeforeInstance;
    let url = template(&format!("http://127.0.0.1:{}/drain/{{id}}?way={{direction}}", agent.port), kind);
    let dir = tempfile::tempdir().unwrap();
    let runs = runs(dir.path(), kind, What::Url { to: url, ca_file: None }, PATIENCE);
    let (says, mut heard) = Says::new();
    runs.run(&call(kind), &says, &End::never()).await.unwrap();
    let seen = agent.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|one| one.method == "POST" && one.target == "/drain/1?way=back"), "{seen:?}");
    assert!(seen.iter().all(|one| one.header("idempotency-key") == Some("db-7/1/hook/1")), "{seen:?}");
    assert!(seen[0].body.contains("\"direction\":\"back\""), "{}", seen[0].body);
    assert!(heard.try_recv().unwrap().contains("answered 202: {\"rate\":0.02}"));
    runs.shutdown().await;
}

#[tokio::test]
async fn a_url_that_refuses_has_failed_and_one_that_is_dead_is_asked_until_its_time_is_over() {
    let agent = Agent::start(|_, _| answer(500, "", "no such pool"));
    let kind = HookKind::AfterBatch;
    let dir = tempfile::tempdir().unwrap();
    let limit = Duration::from_millis(700);
    for (port, part) in [(agent.port, "answered 500: no such pool"), (1, "said \"not yet\" for 0.7 s")] {
        let url = template(&format!("http://127.0.0.1:{port}/gate?batch={{batch}}"), kind);
        let runs = runs(dir.path(), kind, What::Url { to: url, ca_file: None }, limit);
        let failed = runs.run(&call(kind), &Says::new().0, &End::never()).await.unwrap_err().to_string();
        assert!(failed.contains(part), "{failed}");
        runs.shutdown().await;
    }
    assert_eq!(agent.seen().len(), 1, "it is not asked again");
}

#[tokio::test]
async fn a_gate_behind_tls_is_asked_and_a_stranger_is_not_believed() {
    let port = tls::serve_tls("127.0.0.1").await;
    let kind = HookKind::BeforeBatch;
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, tls::CA).unwrap();
    let to = template(&format!("https://127.0.0.1:{port}/gate"), kind);
    let trusts = |ca_file| What::Url { to: to.clone(), ca_file };
    let known = runs(dir.path(), kind, trusts(Some(ca_file)), PATIENCE);
    known.run(&call(kind), &Says::new().0, &End::never()).await.unwrap();
    known.shutdown().await;
    let stranger = runs(dir.path(), kind, trusts(None), Duration::from_millis(700));
    let failed = stranger.run(&call(kind), &Says::new().0, &End::never()).await.unwrap_err().to_string();
    assert!(failed.contains("UnknownIssuer"), "{failed}");
    stranger.shutdown().await;
    let nothing = runs(dir.path(), kind, trusts(Some(dir.path().join("gone.pem"))), PATIENCE);
    let failed = nothing.run(&call(kind), &Says::new().0, &End::never()).await.unwrap_err().to_string();
    assert!(failed.contains("gone.pem"), "{failed}");
    nothing.shutdown().await;
}
