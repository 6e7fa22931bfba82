//! Sources that live: files that are written and half written, servers that answer, break and are slow.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::entries::Instances;
use super::super::testing::*;
use super::super::{Credentials, HttpSource, Source, keep};
use super::*;
use crate::net::url::HttpUrl;

/// Longest wait of a test.
const PATIENCE: Duration = Duration::from_secs(60);

fn name() -> ScaleSetName {
    ScaleSetName::parse("orders").unwrap()
}

/// A discovery, and what it has told.
struct Rig {
    discoveries: Discoveries,
    members: Arc<Mutex<Instances>>,
    told: watch::Receiver<usize>,
    /// Whether what is told is taken.
    takes: Arc<Mutex<bool>>,
}

impl Rig {
    fn start(source: Source, before: Instances) -> Self {
        Self::with(
            DiscoveryConfig { source, refresh: Duration::from_secs(1), ..config() },
            before,
            Listed::default(),
        )
    }

    fn with(config: DiscoveryConfig, before: Instances, listed: Listed) -> Self {
        let members = Arc::new(Mutex::new(before.clone()));
        let takes = Arc::new(Mutex::new(true));
        let (count, told) = watch::channel(0);
        let (held, may) = (Arc::clone(&members), Arc::clone(&takes));
        let tell = move |told: Told| -> Telling {
            let taken = *may.lock().unwrap();
            if taken {
                let mut members = held.lock().unwrap();
                *members = keep::apply(&members, &told.delta);
            }
            count.send_modify(|count| *count += 1);
            Box::pin(async move { if taken { Ok(()) } else { Err("the disk is full".to_owned()) } })
        };
        let behind = Behind { listed: Arc::new(move |_| Arc::clone(&listed)), tell: Arc::new(tell) };
        let discoveries = Discoveries::start(
            vec![(name(), config, Before { instances: before, ..Before::default() })],
            Clock::start(),
            &behind,
        )
        .unwrap();
        Self { discoveries, members, told, takes }
    }

    fn ids(&self) -> Vec<String> {
        self.members.lock().unwrap().keys().map(ToString::to_string).collect()
    }

    fn view(&self) -> View {
        self.discoveries.view(&name()).unwrap()
    }

    /// Waits for something that comes with a look.
    async fn until(&self, what: &str, holds: impl Fn(&View) -> bool) {
        let wait = async {
            let mut pace = tokio::time::interval(Duration::from_millis(20));
            while !holds(&self.view()) {
                pace.tick().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "{what}: {:?}", self.view());
    }
}

fn write(path: &Path, targets: &[&str]) {
    let text = serde_json::json!([{ "targets": targets }]).to_string();
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(beside, path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_followed_renamed_or_in_place_and_half_of_one_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("targets.json");
    let rig = Rig::start(Source::File(path.clone()), Instances::new());
    rig.discoveries.first_looks().await;
    assert!(rig.view().failure.unwrap().text.starts_with("cannot be read"), "it is not there yet");
    write(&path, &["h:1", "h:2", "h:3", "h:4", "h:5"]);
    rig.until("it comes", |view| view.instances == 5 && view.failure.is_none()).await;
    // In place, and half of it.
    std::fs::write(&path, "[{\"targets\": [\"h:1\", \"h:2").unwrap();
    rig.until("half a file", |view| view.failure.is_some()).await;
    assert_eq!(rig.ids().len(), 5, "nobody goes");
    std::fs::write(&path, "[{\"targets\": [\"h:1\", \"h:2\", \"h:3\", \"h:4\", \"h:6\"]}]").unwrap();
    rig.until("the whole of it", |view| view.failure.is_none()).await;
    assert_eq!(rig.ids(), ["h-1", "h-2", "h-3", "h-4", "h-6"], "one of five may go");
    std::fs::remove_file(&path).unwrap();
    rig.until("it is gone", |view| view.failure.is_some()).await;
    for text in ["", "[]", "null", "{}", "\u{0}\u{1}", "[{\"targets\": [7]}]"] {
        std::fs::write(&path, text).unwrap();
        let failures = rig.view().failures;
        rig.until(text, |view| view.held.is_some() || view.failures > failures).await;
        assert_eq!(rig.ids().len(), 5, "{text:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_go_at_once_stay_until_they_are_named_again_or_a_person_accepts_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("targets.json");
    write(&path, &["h:1", "h:2", "h:3", "h:4"]);
    let rig = Rig::start(Source::File(path.clone()), Instances::new());
    rig.discoveries.first_looks().await;
    assert_eq!(rig.ids().len(), 4);
    let nothing = rig.discoveries.accept(&name(), By::host()).await.unwrap_err();
    assert!(nothing.to_string().starts_with("nothing is held"), "{nothing}");
    write(&path, &["h:1", "h:9"]);
    rig.until("they are held", |view| view.held.as_ref().is_some_and(|held| held.removed == 3)).await;
    assert_eq!(rig.ids(), ["h-1", "h-2", "h-3", "h-4", "h-9"], "who is new comes");
    let why = rig.view().held.unwrap().seen.text;
    assert!(why.contains("3 of 5") || why.contains("3 of 4"), "{why}");
    assert!(
        why.contains("maxRemovedPercent = 20") && why.contains("phasegate discovery accept orders"),
        "{why}"
    );
    assert_eq!(rig.discoveries.accept(&name(), By::host()).await, Ok(3));
    assert_eq!(rig.ids(), ["h-1", "h-9"]);
    assert!(rig.view().held.is_none());
    // An empty source is no source, and nobody can accept that.
    std::fs::write(&path, "[]").unwrap();
    rig.until("it names nobody", |view| view.held.as_ref().is_some_and(|held| held.removed == 2)).await;
    let refused = rig.discoveries.accept(&name(), By::host()).await.unwrap_err();
    assert!(matches!(refused, AcceptError::Source(_)), "{refused}");
    let unknown = ScaleSetName::parse("other").unwrap();
    assert!(matches!(rig.discoveries.accept(&unknown, By::host()).await, Err(AcceptError::NoDiscovery(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_told_again_and_the_same_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("targets.yaml");
    std::fs::write(&path, "- targets: [h:1, h:2]\n").unwrap();
    let rig = Rig::start(Source::File(path.clone()), Instances::new());
    *rig.takes.lock().unwrap() = false;
    rig.until("it is not taken", |view| view.failures > 2).await;
    assert!(rig.view().failure.unwrap().text.ends_with("the disk is full") && rig.ids().is_empty());
    *rig.takes.lock().unwrap() = true;
    rig.until("it is taken", |view| view.instances == 2).await;
    let told = *rig.told.borrow();
    let looks = rig.view().looks;
    rig.until("it looks on", |view| view.looks > looks + 1).await;
    assert_eq!(*rig.told.borrow(), told, "nothing is another");
    rig.discoveries.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_whose_source_is_dead_has_what_was_found_before() {
    let rig = Rig::start(Source::File("/nowhere/targets.json".into()), so_many(3));
    rig.discoveries.first_looks().await;
    assert_eq!(rig.view().instances, 3);
    rig.until("it fails", |view| view.failure.is_some()).await;
    assert_eq!(rig.ids().len(), 3);
    assert_eq!(*rig.told.borrow(), 0);
}

/// A server that gives each request the answer of the moment.
struct Server {
    address: String,
    answer: Arc<Mutex<String>>,
    heard: Arc<Mutex<String>>,
}

impl Server {
    async fn start(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answer = Arc::new(Mutex::new(answer.to_owned()));
        let heard = Arc::new(Mutex::new(String::new()));
        let (says, hears) = (Arc::clone(&answer), Arc::clone(&heard));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = vec![0; 4096];
                let length = stream.read(&mut bytes).await.unwrap_or(0);
                *hears.lock().unwrap() = String::from_utf8_lossy(&bytes[..length]).into_owned();
                let answer = says.lock().unwrap().clone();
                if answer == "silence" {
                    // Kept open, and never answered.
                    tokio::spawn(async move {
                        let _stream = stream;
                        std::future::pending::<()>().await;
                    });
                    continue;
                }
                // Who has closed hears nothing.
                _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { address, answer, heard }
    }

    fn say(&self, answer: &str) {
        *self.answer.lock().unwrap() = answer.to_owned();
    }

    fn source(&self) -> HttpSource {
        HttpSource {
            url: HttpUrl::parse(&format!("http://{}/targets?a=1", self.address)).unwrap(),
            headers: vec![("X-Scope".to_owned(), "fleet".to_owned())],
            credentials: None,
            ca_file: None,
        }
    }
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_asked_with_headers_and_a_token_and_its_failures_remove_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "s3cret\n").unwrap();
    let server = Server::start(&ok("[{\"targets\": [\"h:1\", \"h:2\"]}]")).await;
    let source = HttpSource { credentials: Some(Credentials::Bearer(token)), ..server.source() };
    let config = DiscoveryConfig {
        source: Source::Http(source),
        refresh: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        ..config()
    };
    let rig = Rig::with(config, Instances::new(), Listed::default());
    rig.discoveries.first_looks().await;
    assert_eq!(rig.ids(), ["h-1", "h-2"]);
    let heard = server.heard.lock().unwrap().to_ascii_lowercase();
    assert!(heard.starts_with("get /targets?a=1 http/1.1\r\n"), "{heard}");
    for line in ["x-scope: fleet", "authorization: bearer s3cret", "accept: application/json"] {
        assert!(heard.contains(line), "{heard}");
    }
    for (answer, expected) in [
        (
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            "answered 302; redirects",
        ),
        ("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", "answered 401; look at tokenFile"),
        ("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "answered 500"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[{\"targets\": []", ""),
        ("HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n[", "has more than"),
        ("silence", "gave no answer within 1 s"),
        ("rubbish", ""),
        ("", ""),
    ] {
        let failures = rig.view().failures;
        server.say(answer);
        // The one that is under way may have been answered before.
        rig.until(answer, |view| view.failures > failures + 1).await;
        let text = rig.view().failure.unwrap().text;
        assert!(text.contains(expected) && !text.contains("s3cret"), "{answer:?}: {text}");
        assert_eq!(rig.ids(), ["h-1", "h-2"]);
    }
    server.say(&ok("[{\"targets\": [\"h:1\", \"h:2\", \"h:3\"]}]"));
    rig.until("it is back", |view| view.failure.is_none() && view.instances == 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_a_source_and_those_that_cannot_be_looked_up_remove_nobody() {
    let here = Source::Addresses { host: "localhost".to_owned(), port: 9 };
    let rig = Rig::start(here, Instances::new());
    rig.discoveries.first_looks().await;
    assert!(rig.ids().contains(&"127.0.0.1-9".to_owned()), "{:?}", rig.ids());
    let nowhere = Source::Services("_db._tcp.invalid.".to_owned());
    let rig = Rig::start(nowhere, so_many(2));
    rig.until("it fails", |view| view.failure.is_some()).await;
    assert_eq!(rig.ids().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_comes_before_a_source_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("targets.json");
    write(&path, &["h:1", "h:2"]);
    let rig = Rig::with(
        DiscoveryConfig { source: Source::File(path), ..config() },
        Instances::new(),
        Arc::new(so_many(1)),
    );
    rig.discoveries.first_looks().await;
    let view = rig.view();
    assert_eq!(view.refused, 1);
    assert!(view.problems[0].contains("instance `h-1` is one of the file's `instances`"), "{view:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_are_found_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("targets.json");
    let targets: Vec<String> =
        (0..50_000).map(|n| format!("10.{}.{}.{}:80", n / 62_500, n / 250 % 250, n % 250)).collect();
    write(&path, &targets.iter().map(String::as_str).collect::<Vec<_>>());
    let rig = Rig::start(Source::File(path), Instances::new());
    rig.discoveries.first_looks().await;
    assert_eq!(rig.ids().len(), 50_000);
    let looks = rig.view().looks;
    rig.until("it looks again", |view| view.looks > looks).await;
    assert_eq!(*rig.told.borrow(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_goes_over_to_another_source_at_once_and_its_limits_hold() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one.json"), folder.path().join("other.json"));
    write(&one, &["h:1", "h:2", "h:3", "h:4", "h:5"]);
    write(&other, &["h:1", "h:2", "h:3", "h:4", "h:9"]);
    let of = |path: &Path| DiscoveryConfig {
        source: Source::File(path.to_owned()),
        refresh: Duration::from_secs(3600),
        ..config()
    };
    let rig = Rig::with(of(&one), Instances::new(), Listed::default());
    rig.discoveries.first_looks().await;
    assert_eq!(rig.ids().len(), 5);
    rig.discoveries.go_by(&BTreeMap::from([(name(), of(&other))]));
    rig.until("the other file", |view| view.looks >= 2).await;
    assert_eq!(rig.ids(), ["h-1", "h-2", "h-3", "h-4", "h-9"]);
    assert!(rig.view().source.contains("other.json"), "{:?}", rig.view());
    // It is followed as the one before was.
    write(&other, &["h:1"]);
    rig.until("they are held", |view| view.held.as_ref().is_some_and(|held| held.removed == 4)).await;
    assert_eq!(rig.ids().len(), 5, "a share of them is too many");
    let patient =
        DiscoveryConfig { max_removed: phasegate_core::domain::Percent::new(100).unwrap(), ..of(&other) };
    rig.discoveries.go_by(&BTreeMap::from([(name(), patient)]));
    rig.until("they go", |view| view.instances == 1).await;
}
