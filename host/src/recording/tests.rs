//! Records: written, read, judged again.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::plugins::tests::guests;
use phasegate_core::domain::{
    Answer, Generation, InstanceFacts, InstanceId, PluginFailure, PluginName, Response, ScaleSetName,
    Timestamp, UpgradeId,
};
use phasegate_wasm::{Isolation, LoadedPlugin, Runtime, settings_digest};

fn observation(id: usize, body: &[u8]) -> Observation {
    Observation {
        instance: Arc::new(InstanceFacts {
            id: InstanceId::parse(&id.to_string()).unwrap(),
            scale_set: ScaleSetName::parse("web").unwrap(),
            region: None,
            zone: Some("1".to_owned()),
            fault_domain: None,
            update_domain: Some(3),
            version: None,
            desired_version: None,
            labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        }),
        answers: vec![Answer {
            source: "health".to_owned(),
            outcome: Ok(Response { status: 200, headers: Vec::new(), body: body.to_vec() }),
        }]
        .into(),
        memory: Some(vec![0xff, 1]),
        attributes: vec![("probe-protocol".to_owned(), "http".to_owned())],
    }
}

fn load(bytes: &[u8]) -> LoadedPlugin {
    let limits = PluginLimits::DEFAULT;
    Runtime::new(Clock::shared()).unwrap().load(bytes, "{}", limits, Isolation::PerBatch).unwrap()
}

fn write(recorder: &Recorder, at: i64, seen: &Observation, result: &Verdict, digest: Digest) {
    let stamp = PluginStamp { name: PluginName::parse("db").unwrap(), digest, generation: Generation(2) };
    recorder.record(Judgement {
        stamp: &stamp,
        settings: settings_digest("{}"),
        limits: PluginLimits::DEFAULT,
        evaluation: Evaluation { at: Timestamp(at), ..Evaluation::default() },
        observation: seen,
        result,
    });
}

fn failed() -> Verdict {
    Err(PluginFailure::Trapped("x".to_owned()))
}

#[test]
fn what_is_recorded_is_judged_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(folder.path(), &RecordingConfig::default(), Clock::start()).unwrap();
    let bytes = guests::component("counter").unwrap();
    let mut plugin = load(&bytes);
    let name = PluginName::parse("db").unwrap();
    recorder.keep(&name, (plugin.digest(), &bytes), "{}");
    for (at, body) in [b"7".as_slice(), b"\xff\x00", b"X", b"F"].into_iter().enumerate() {
        let seen = observation(at, body);
        let result = plugin.evaluate(std::slice::from_ref(&seen), 0).pop().unwrap();
        write(&recorder, i64::try_from(at).unwrap(), &seen, &result, plugin.digest());
    }
    recorder.flush();
    let Reading { records, damaged, .. } = read(folder.path()).unwrap();
    assert_eq!((records.len(), damaged), (4, 0));
    let mut replay = Replay::new(Runtime::new(Clock::shared()).unwrap());
    for (at, record) in records.iter().enumerate() {
        assert_eq!(record.observation().memory, Some(vec![0xff, 1]));
        let again = replay.as_recorded(record, folder.path()).unwrap();
        assert_eq!(again.outcome, record.outcome, "{at}");
        assert!(again.pure && (again.cost.fuel > 0 || at == 2), "{at} {again:?}");
    }
    let one = find(folder.path(), &records[1].instance().scale_set, &records[1].instance().id, Timestamp(1));
    assert_eq!(one.unwrap().unwrap(), records[1]);

    // Without the component nothing is claimed.
    fs::remove_dir_all(folder.path().join("blobs")).unwrap();
    let mut replay = Replay::new(Runtime::new(Clock::shared()).unwrap());
    assert!(matches!(replay.as_recorded(&records[0], folder.path()), Err(ReplayError::Missing { .. })));
}

/// A language imports clocks whatever a policy does: what was used decides.
#[test]
fn what_used_no_time_and_no_randomness_is_proved() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(folder.path(), &RecordingConfig::default(), Clock::start()).unwrap();
    let bytes = guests::component("wasi").unwrap();
    let mut plugin = load(&bytes);
    recorder.keep(&PluginName::parse("db").unwrap(), (plugin.digest(), &bytes), "{}");
    let bodies = [("e", true), ("w", true), ("t", false), ("r", false), ("p", true)];
    for (at, (body, _)) in bodies.iter().enumerate() {
        let seen = observation(at, body.as_bytes());
        let result = plugin.evaluate(std::slice::from_ref(&seen), 0).pop().unwrap();
        write(&recorder, i64::try_from(at).unwrap(), &seen, &result, plugin.digest());
    }
    recorder.flush();
    let Reading { records, .. } = read(folder.path()).unwrap();
    let mut replay = Replay::new(Runtime::new(Clock::shared()).unwrap());
    for (record, (body, pure)) in records.iter().zip(bodies) {
        let again = replay.as_recorded(record, folder.path()).unwrap();
        assert_eq!((again.outcome == record.outcome, again.pure), (true, pure), "{body}");
    }
}

#[test]
fn half_a_line_costs_one_record() {
    let folder = tempfile::tempdir().unwrap();
    let config = RecordingConfig::default();
    for run in 0..3 {
        let recorder = Recorder::start(folder.path(), &config, Clock::start()).unwrap();
        write(&recorder, run, &observation(1, b""), &failed(), Digest([7; 32]));
        write(&recorder, run, &observation(2, b""), &failed(), Digest([7; 32]));
        recorder.flush();
        drop(recorder);
        let (_, newest) = segments::files(folder.path()).unwrap().pop().unwrap();
        let text = fs::read(&newest).unwrap();
        fs::write(&newest, &text[..text.len() - 100]).unwrap();
    }
    let Reading { records, damaged, .. } = read(folder.path()).unwrap();
    assert_eq!((records.len(), damaged), (3, 3));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_records_and_leaves_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(folder.path(), &RecordingConfig::default(), Clock::start()).unwrap();
    let first = recorder.segment();
    std::os::unix::fs::symlink("/dev/full", folder.path().join(format!("{first:016}.jsonl"))).unwrap();
    for at in 0..20 {
        write(&recorder, at, &observation(1, b""), &failed(), Digest([7; 32]));
        recorder.flush();
    }
    assert_eq!((recorder.lost(), recorder.segment()), (20, first));
    assert_eq!(segments::files(folder.path()).unwrap().len(), 1);
}

#[test]
fn the_ring_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let config = RecordingConfig { bytes_max: 1 << 20, ..RecordingConfig::default() };
    let recorder = Recorder::start(folder.path(), &config, Clock::start()).unwrap();
    let name = PluginName::parse("db").unwrap();
    let (old, new) = (Digest([1; 32]), Digest([2; 32]));
    recorder.keep(&name, (old, b"old"), "{}");
    write(&recorder, 0, &observation(1, b""), &failed(), old);
    recorder.keep(&name, (new, b"new"), "{}");
    let body = vec![b'x'; 3000];
    for at in 1..=2000 {
        write(&recorder, at, &observation(1, &body), &failed(), new);
        if at % 50 == 0 {
            recorder.flush();
        }
    }
    let size: u64 = segments::files(folder.path())
        .unwrap()
        .iter()
        .map(|(_, path)| fs::metadata(path).unwrap().len())
        .sum();
    assert!(size <= (1 << 20) + (256 << 10) && size > 512 << 10, "{size}");
    assert_eq!(recorder.lost(), 0);
    let Reading { records, damaged, .. } = read(folder.path()).unwrap();
    assert_eq!((records.last().unwrap().at, damaged), (Timestamp(2000), 0));
    let blob = |digest| blobs::path(folder.path(), digest, blobs::Kind::Component).exists();
    assert!(blob(new) && !blob(old), "components go with their records");
}

#[test]
fn what_an_upgrade_has_gone_by_outlives_the_ring() {
    let folder = tempfile::tempdir().unwrap();
    let config = RecordingConfig { bytes_max: 1 << 20, ..RecordingConfig::default() };
    let recorder = Recorder::start(folder.path(), &config, Clock::start()).unwrap();
    let name = PluginName::parse("db").unwrap();
    let (old, new) = (Digest([1; 32]), Digest([2; 32]));
    recorder.keep(&name, (old, b"old"), "{}");
    write(&recorder, 7, &observation(1, b"before"), &failed(), old);
    write(&recorder, 7, &observation(1, b"last of that moment"), &failed(), old);
    write(&recorder, 7, &observation(2, b"of another"), &failed(), old);
    recorder.flush();
    let keeper = recorder.keeper(1 << 20);
    let used = |upgrade: &str, id: &str, at: i64| Used {
        scale_set: ScaleSetName::parse("web").unwrap(),
        upgrade: UpgradeId::parse(upgrade).unwrap(),
        instance: InstanceId::parse(id).unwrap(),
        at: Timestamp(at),
    };
    keeper.keep(&[used("u1", "1", 7), used("u1", "2", 8)]).unwrap();

    // The ring turns, the component is replaced.
    recorder.keep(&name, (new, b"new"), "{}");
    let body = vec![b'x'; 3000];
    for at in 100..=1500 {
        write(&recorder, at, &observation(1, &body), &failed(), new);
        if at % 50 == 0 {
            recorder.flush();
        }
    }
    let seen = used("u1", "1", 7);
    assert_eq!(find(folder.path(), &seen.scale_set, &seen.instance, seen.at).unwrap(), None);
    let found = find_used(folder.path(), &seen).unwrap().unwrap();
    let body = found.observation().answers[0].outcome.clone().unwrap().body;
    assert_eq!(body, b"last of that moment");
    assert_eq!(find_used(folder.path(), &used("u1", "2", 7)).unwrap(), None, "nobody went by it");
    assert_eq!(find_used(folder.path(), &used("u1", "2", 8)).unwrap(), None, "there is none");
    assert!(blobs::path(folder.path(), old, blobs::Kind::Component).exists(), "a kept record names it");

    // A line that a crash has cut costs itself.
    let cut = kept::path(folder.path(), &seen.scale_set, &seen.upgrade);
    let text = fs::read(&cut).unwrap();
    fs::write(&cut, &text[..text.len() - 9]).unwrap();
    for upgrade in ["u1", "u2", "u3", "u4"] {
        keeper.keep(&[used(upgrade, "1", 1500)]).unwrap();
        assert!(find_used(folder.path(), &used(upgrade, "1", 1500)).unwrap().is_some(), "{upgrade}");
    }
    assert_eq!(kept::files(folder.path()).len(), 3, "of the latest upgrades");
    assert!(!cut.exists());
    recorder.keeper(100).keep(&[used("u5", "1", 1500)]).unwrap();
    assert!(kept::files(folder.path()).iter().all(|file| fs::metadata(file).unwrap().len() == 0));
}

#[test]
fn segments_are_read_when_the_ring_is_opened_and_never_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = RecordingConfig { bytes_max: 1 << 20, ..RecordingConfig::default() };
    let start = || Recorder::start(folder.path(), &config, Clock::start()).unwrap();
    let name = PluginName::parse("db").unwrap();
    let (old, new) = (Digest([1; 32]), Digest([2; 32]));
    let old_is_kept = || blobs::path(folder.path(), old, blobs::Kind::Component).exists();
    let body = vec![b'x'; 64 << 10];
    // More than a segment holds, so that the next record begins another one.
    let fill = |recorder: &Recorder| {
        for at in 0..4 {
            write(recorder, at, &observation(1, &body), &failed(), new);
            recorder.flush();
        }
    };
    let recorder = start();
    recorder.keep(&name, (old, b"old"), "{}");
    write(&recorder, 0, &observation(1, b""), &failed(), old);
    recorder.flush();
    drop(recorder);

    // A record of an earlier run keeps its component, also when a segment is begun.
    let recorder = start();
    recorder.keep(&name, (new, b"new"), "{}");
    recorder.flush();
    let (_, first) = segments::files(folder.path()).unwrap().remove(0);
    let nothing = vec![b' '; usize::try_from(fs::metadata(&first).unwrap().len()).unwrap()];
    fs::write(&first, nothing).unwrap();
    fill(&recorder);
    assert!(recorder.segment() >= 3 && old_is_kept(), "known since it was opened: {}", recorder.segment());
    drop(recorder);
    start().flush();
    assert!(!old_is_kept(), "no record names it");
}

#[test]
fn old_segments_go() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("0000000000000003.jsonl");
    fs::write(&old, "{}\n").unwrap();
    let yesterday = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000);
    fs::File::options().append(true).open(&old).unwrap().set_modified(yesterday).unwrap();
    let recorder = Recorder::start(folder.path(), &RecordingConfig::default(), Clock::start()).unwrap();
    recorder.flush();
    assert!(!old.exists());
    assert_eq!(recorder.segment(), 4, "numbers are not used twice");
}

#[test]
fn a_redacted_record_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let redact = vec![Pointer::parse("/password").unwrap()];
    let config = RecordingConfig { redact, ..RecordingConfig::default() };
    let recorder = Recorder::start(folder.path(), &config, Clock::start()).unwrap();
    write(&recorder, 1, &observation(1, br#"{"password":"hunter2"}"#), &failed(), Digest([1; 32]));
    write(&recorder, 2, &observation(1, br#"{"other":1}"#), &failed(), Digest([1; 32]));
    recorder.flush();
    let records = read(folder.path()).unwrap().records;
    assert_eq!((records[0].redacted, records[1].redacted), (true, false));
    let other = records[0].with_other_stand_ins().unwrap();
    let body = |record: &Record| match &record.observation().answers[0].outcome {
        Ok(response) => String::from_utf8(response.body.clone()).unwrap(),
        Err(failure) => panic!("{failure}"),
    };
    assert_eq!(body(&records[0]), r#"{"password":"[redacted]"}"#);
    assert_eq!(body(&other), r#"{"password":"[left out]"}"#);
    assert_eq!(records[1].with_other_stand_ins(), None, "nothing was taken out");
    let (_, path) = segments::files(folder.path()).unwrap().pop().unwrap();
    assert!(!fs::read_to_string(path).unwrap().contains("hunter2"));
}

#[test]
fn components_of_former_generations_go_before_they_fill_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let config = RecordingConfig { bytes_max: 1 << 20, ..RecordingConfig::default() };
    let recorder = Recorder::start(folder.path(), &config, Clock::start()).unwrap();
    let plugin = PluginName::parse("db").unwrap();
    let size = || {
        let blobs = std::fs::read_dir(folder.path().join("blobs")).unwrap().flatten();
        // The ring's own thread may remove one between the listing and the look.
        blobs.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum::<u64>()
    };
    for mark in 0..12_u8 {
        let bytes = vec![mark; 100 << 10];
        recorder.keep(&plugin, (phasegate_wasm::component_digest(&bytes), &bytes), "{}");
        assert!(size() <= 512 << 10, "generation {mark}: {} bytes", size());
        let path = format!("{}.wasm", phasegate_wasm::component_digest(&bytes)).replace("sha256:", "");
        assert!(folder.path().join("blobs").join(path).exists(), "the one that runs is there");
    }
    // One that is too large by itself is not kept, and nothing is lost for it but that it can be judged again.
    let large = vec![0xff; 600 << 10];
    recorder.keep(&plugin, (phasegate_wasm::component_digest(&large), &large), "{}");
    assert!(size() <= 512 << 10);
}
