//! Tests with a real server, which stands for an agent and is not always a good one.

use std::sync::Arc;

use super::*;
use crate::drivers::backoff::Backoff;
use crate::drivers::testing::{CONFIRM, PATIENCE, question, request, until, word};

mod hostile;
mod secure;
mod surge;

use crate::drivers::testing::stub::{Agent, Reply, Seen, answer};

/// Whether the site can be asked for versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    Yes,
    No,
}

struct Urls {
    base: String,
    looks: Looks,
}

impl AgentUrls for Urls {
    fn apply(&self, request: &Ensure) -> Result<HttpUrl, RenderError> {
        Ok(HttpUrl::parse(&format!("{}/up/{}?x", self.base, request.instance.id)).unwrap())
    }

    fn create(&self, request: &Create) -> Result<Option<HttpUrl>, RenderError> {
        Ok(Some(HttpUrl::parse(&format!("{}/create/{}", self.base, request.instance.id)).unwrap()))
    }

    fn delete(&self, request: &Delete) -> Result<Option<HttpUrl>, RenderError> {
        Ok(Some(HttpUrl::parse(&format!("{}/delete/{}", self.base, request.instance.id)).unwrap()))
    }

    fn look(
        &self,
        _: &ScaleSetName,
        instance: &Instance,
        _: &Component,
    ) -> Result<Option<HttpUrl>, RenderError> {
        let url = || HttpUrl::parse(&format!("{}/version/{}", self.base, instance.id)).unwrap();
        Ok((self.looks == Looks::Yes).then(url))
    }
}

struct Site {
    agent: Agent,
    driver: Arc<HttpDriver>,
}

fn driver(base: String, looks: Looks, change: impl FnOnce(&mut HttpSettings)) -> HttpDriver {
    let mut settings = HttpSettings {
        words: crate::drivers::Words::default(),
        extensions: crate::drivers::settings::ExtensionSettings::default(),
        urls: Box::new(Urls { base, looks }),
        creation: Creation::Possible,
        sight: Sight::APPLICATION,
        confirm: CONFIRM,
        token_file: None,
        ca_file: None,
        identity: None,
        timeout: PATIENCE,
        max_concurrent: 64,
    };
    change(&mut settings);
    let milliseconds = Duration::from_millis;
    let short = Backoff::new(milliseconds(5), milliseconds(20), Duration::MAX);
    let timing = Timing {
        retry: short,
        poll: short,
        after_min: milliseconds(10),
        after_max: milliseconds(50),
        end_within: milliseconds(50),
    };
    HttpDriver::start_with(settings, timing).unwrap()
}

fn site_with(
    looks: Looks,
    change: impl FnOnce(&mut HttpSettings),
    handler: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static,
) -> Site {
    let agent = Agent::start(handler);
    let base = format!("http://127.0.0.1:{}", agent.port);
    Site { driver: Arc::new(driver(base, looks, change)), agent }
}

fn site(handler: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Site {
    site_with(Looks::No, |_| (), handler)
}

impl Site {
    async fn ensure(&self, instance: &str, version: &str, operation: &str) -> Result<(), String> {
        let result = self.driver.ensure(request(instance, version, operation));
        tokio::time::timeout(PATIENCE * 2, result).await.unwrap().map(drop).map_err(|error| error.to_string())
    }

    async fn observed(&self, instance: &str) -> String {
        word(&self.driver.observe(question(instance)).await)
    }

    /// Method and target of every request.
    fn asked(&self) -> Vec<String> {
        self.agent.seen().iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect()
    }

    /// Keys of all requests that ask for something to be done.
    fn keys(&self) -> Vec<String> {
        let seen = self.agent.seen();
        let posts = seen.iter().filter(|seen| seen.method == "POST");
        posts.map(|seen| seen.header("idempotency-key").unwrap().to_owned()).collect()
    }

    /// The text without the port.
    fn short(&self, text: &str) -> String {
        text.replace(&format!(":{}", self.agent.port), ":PORT")
    }
}

#[tokio::test]
async fn one_request_says_everything() {
    let site = site(|_, _| answer(200, "", "ok"));
    assert_eq!(site.driver.custody(), Custody::Site);
    let mut request = request("1", "v2", "u/9/1/1");
    request.instance.zone = Some("z1".to_owned());
    request.instance.labels.insert("rack".to_owned(), "a".to_owned());
    site.driver.ensure(request).await.unwrap();
    let [seen] = site.agent.seen().try_into().unwrap();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/up/1?x"));
    assert_eq!(seen.header("idempotency-key"), Some("u/9/1/1"));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("host").unwrap(), format!("127.0.0.1:{}", site.agent.port));
    assert_eq!(seen.header("authorization"), None);
    insta::assert_snapshot!(seen.body, @r#"{"scaleSet":"db","instance":"1","address":"127.0.0.1:9","zone":"z1","labels":{"rack":"a"},"component":"application","version":"v2","operation":"u/9/1/1","generation":1}"#);
    assert_eq!(site.observed("1").await, "unknown", "nobody can be asked");
}

#[tokio::test]
async fn repeats_are_done_at_once() {
    let site = site(|_, _| answer(204, "", ""));
    let (first, again) = tokio::join!(site.ensure("1", "v1", "a"), site.ensure("1", "v1", "a"));
    assert_eq!((first, again), (Ok(()), Ok(())));
    assert_eq!(site.asked(), ["POST /up/1?x"]);
    site.ensure("1", "v1", "b").await.unwrap();
    assert_eq!(site.keys(), ["a", "b"], "another operation to the same version is done");
}

#[tokio::test]
async fn what_is_under_way_is_asked_for() {
    for (first, place) in [
        (answer(202, "Location: /op/1\r\nRetry-After: 0\r\n", ""), "/op/1"),
        (answer(202, "", r#"{"poll":"op/1","message":"begun"}"#), "/up/op/1"),
        (answer(202, "", ""), "/up/1?x&operation=u%2F1"),
    ] {
        let first = std::sync::Mutex::new(Some(first));
        let site = site(move |_, before| match before {
            0 => first.lock().unwrap().take().unwrap(),
            1 => answer(202, "", ""),
            2 => answer(200, "", r#"{"state":"running","message":"half"}"#),
            3 => answer(503, "", ""),
            4 => Reply::Close,
            _ => answer(200, "", r#"{"state":"done"}"#),
        });
        site.ensure("1", "v2", "u/1").await.unwrap();
        let poll = format!("GET {place}");
        assert_eq!(site.asked(), ["POST /up/1?x", &poll, &poll, &poll, &poll, &poll]);
    }
}

#[tokio::test]
async fn busy_and_broken_agents_are_asked_again_with_the_same_key() {
    let site = site(|_, before| match before {
        0 => answer(409, "", "locked"),
        1 => answer(423, "Retry-After: 9999\r\n", ""),
        2 => answer(429, "", ""),
        3 => answer(503, "Retry-After: 0\r\n", ""),
        4 => answer(500, "", ""),
        5 => Reply::Close,
        6 => Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc".to_vec()),
        _ => answer(200, "", ""),
    });
    site.ensure("1", "v2", "a").await.unwrap();
    assert_eq!(site.keys(), ["a"; 8]);
}

#[tokio::test]
async fn an_instance_that_can_be_asked_is_asked_until_it_is_certain() {
    let site = site_with(
        Looks::Yes,
        |_| (),
        |seen, before| match (seen.method.as_str(), before) {
            ("GET", 1 | 3) => answer(200, "", r#"{"version":"v1","since":"yesterday"}"#),
            ("GET", _) => answer(200, "", r#"{"version":"v2"}"#),
            _ => answer(200, "", ""),
        },
    );
    site.ensure("1", "v2", "a").await.unwrap();
    // v1, v2, v1: side by side; then three times v2.
    let looks = site.asked().iter().filter(|asked| asked.starts_with("GET")).count();
    assert_eq!((site.asked().first().map(String::as_str), looks), (Some("POST /up/1?x"), 6));
    assert_eq!(site.observed("3").await, "v2");
}

#[tokio::test]
async fn three_words_for_what_runs() {
    for (status, body, expected) in [
        (200, r#"{"version":"v2"}"#, "v2"),
        (200, r#"{"version":null,"state":"absent"}"#, "absent"),
        (200, r#"{"state":"absent"}"#, "unknown"),
        (200, r#"{"version":"v2","state":null}"#, "v2"),
        (200, r#"{"version":null}"#, "unknown"),
        (200, r#"{"version":"v2","state":"absent"}"#, "unknown"),
        (200, r#"{"version":null,"state":"gone"}"#, "unknown"),
        (200, r#"{"version":""}"#, "unknown"),
        (200, "", "unknown"),
        (404, r#"{"version":"v2"}"#, "unknown"),
        (503, r#"{"version":null,"state":"absent"}"#, "unknown"),
    ] {
        let site = site_with(Looks::Yes, |_| (), move |_, _| answer(status, "", body));
        assert_eq!(site.observed("1").await, expected, "{status} {body}");
    }
}

#[tokio::test]
async fn the_token_is_read_each_time_and_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let file = path.clone();
    let site = site_with(
        Looks::No,
        |settings| settings.token_file = Some(file),
        |seen, _| match seen.header("authorization") {
            Some("Bearer s3cret") => answer(200, "", ""),
            _ => answer(401, "", "who are you?"),
        },
    );
    let error = site.ensure("1", "v2", "a").await.unwrap_err();
    assert_eq!(error, format!("token file `{}`: No such file or directory (os error 2)", path.display()));
    for (token, expected) in [
        ("wr0ng", "the agent answered 401: who are you?".to_owned()),
        (" \n", format!("token file `{}` does not hold one line of text", path.display())),
        ("s3cret\nX: y", format!("token file `{}` does not hold one line of text", path.display())),
    ] {
        std::fs::write(&path, token).unwrap();
        assert_eq!(site.ensure("1", "v2", "b").await.unwrap_err(), expected);
    }
    std::fs::write(&path, "s3cret\n").unwrap();
    site.ensure("1", "v2", "c").await.unwrap();
}

#[tokio::test]
async fn no_more_requests_than_allowed_are_under_way() {
    let (go, gone) = (Arc::new(std::sync::Barrier::new(3)), std::sync::atomic::AtomicUsize::new(0));
    let barrier = Arc::clone(&go);
    let site = site_with(
        Looks::No,
        |settings| settings.max_concurrent = 2,
        move |_, _| {
            if gone.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2 {
                barrier.wait();
            }
            answer(200, "", "")
        },
    );
    let tasks = ["1", "2", "3", "4"].map(|id| tokio::spawn(site.driver.ensure(request(id, "v2", id))));
    until("two requests", || site.asked().len() == 2).await;
    // Room for a third to show up.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(site.asked().len(), 2);
    tokio::task::spawn_blocking(move || go.wait()).await.unwrap();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn shutdown_hangs_up() {
    let site = site(|_, _| Reply::Hang);
    let task = tokio::spawn(site.driver.ensure(request("1", "v2", "a")));
    until("the request", || site.asked().len() == 1).await;
    tokio::join!(site.driver.shutdown(), site.driver.shutdown());
    assert_eq!(task.await.unwrap().unwrap_err().to_string(), "the driver has ended");
    assert_eq!(site.ensure("2", "v2", "b").await.unwrap_err(), "the driver has ended");
    assert_eq!(site.observed("1").await, "unknown");
}
