//! The compiler of plugins: a process of its own, within limits, gone as soon as nobody wants its work.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::http::request;
use crate::support::answers::Answers;
use crate::support::plugin::{azure_health, db, edit, generation, guest, site, stage, started, variant};
use crate::support::{Background, Finished, Site, wait_for};

/// A section of a WebAssembly file.
fn section(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[kind], &*number(content.len()), content].concat()
}

fn number(mut rest: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}

/// A component that carries one more core module, which is valid and never run.
fn carrying(module: &[u8]) -> Vec<u8> {
    [guest("good"), section(1, module)].concat()
}

/// Every loop has a value for every local, which a compiler keeps: the product of two numbers from a file that
/// holds their sum.
fn eats_memory() -> Vec<u8> {
    const EACH: usize = 6000;
    let mut text = String::from("(module (func (export \"f\") (param i32)");
    text.push_str(&" (local i32)".repeat(EACH));
    text.push_str(&" (loop".repeat(EACH));
    for local in 1..EACH {
        text.push_str(&format!(" (local.set {local} (i32.add (local.get {local}) (local.get 0)))"));
    }
    text.push_str(&" (br_if 0 (local.get 0)))".repeat(EACH));
    text.push_str("))");
    carrying(&wat::parse_str(text).unwrap())
}

/// Nothing special, but a lot of it: the same function of two numbers, over and over.
fn takes_long() -> Vec<u8> {
    const FUNCTIONS: usize = 12_000;
    // local.set 0 (i32.mul (i32.add 0 1) (i32.xor 1 0))
    let line = [0x20, 0, 0x20, 1, 0x6a, 0x20, 1, 0x20, 0, 0x73, 0x6c, 0x21, 0];
    let body = [&[0][..], &line.repeat(100), &[0x20, 0, 0x0b]].concat();
    let all = |one: &[u8]| [number(FUNCTIONS), one.repeat(FUNCTIONS)].concat();
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &[1, 0x60, 2, 0x7f, 0x7f, 1, 0x7f]),
        section(3, &all(&[0])),
        section(10, &all(&[number(body.len()), body].concat())),
    ];
    carrying(&module.concat())
}

/// A site whose compiler may use no more than this.
fn bounded(compile: &str) -> (Site, Answers) {
    let (site, answers) = site("");
    edit(&site, "timeoutMs = 200", &format!("timeoutMs = 200, compile = {{ {compile} }}"));
    (site, answers)
}

/// Compilers that a host has started and that still run.
fn compilers(host: &Background<'_>) -> usize {
    compiler_pids(host).len()
}

fn compiler_pids(host: &Background<'_>) -> Vec<i32> {
    let wanted = format!("--parent\0{}\0", host.pid());
    let processes = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).into_owned();
        let is_one = command.contains("__compile") && command.contains(&wanted);
        entry.file_name().to_str()?.parse().ok().filter(|_| is_one)
    });
    processes.collect()
}

/// Ends the next compiler that comes up, as a machine without memory does.
fn end_the_next(host: &Background<'_>) {
    let pid = wait_for("a compiler", || compiler_pids(host).first().copied());
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

fn compiling(site: &Site, host: &Background<'_>) {
    wait_for("a compiler", || (compilers(host) == 1).then_some(()));
    assert_eq!(stage(&db(site), "compile").0, "running");
}

#[test]
fn what_its_compiler_cannot_take_does_not_load_and_hurts_nobody() {
    let (site, _answers) = bounded("memoryMiB = 256, cpuSeconds = 60");
    let host = started(&site);
    site.write("new.wasm", eats_memory());
    let refused = site.run(&["plugin", "swap", "db", "new.wasm"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("limits.compile.memoryMiB (256 MiB)"), "{refused:?}");
    assert_eq!(generation(&site), 1);

    // As the watched file it is tried once, and the next start takes up what ran.
    fs::rename(site.path("new.wasm"), site.path("db.wasm")).unwrap();
    let said = wait_for("a word about the file", || {
        db(&site)["lastError"]
            .as_str()
            .filter(|error| error.contains("db.wasm does not compile"))
            .map(str::to_owned)
    });
    assert!(said.contains("memoryMiB"), "{said}");
    host.kill();
    let host = started(&site);
    assert_eq!((generation(&site), compilers(&host)), (1, 0));
    host.stop();

    let check = site.run(&["check"]);
    assert_eq!(check.code, 1, "{check:?}");
    assert!(check.stdout.contains("limits.compile.memoryMiB (256 MiB)"), "{check:?}");
}

#[test]
fn time_is_bounded_too() {
    // Unoptimised, a compiler takes longer for anything.
    let seconds = if cfg!(debug_assertions) { 20 } else { 2 };
    let (site, _answers) = bounded(&format!("cpuSeconds = {seconds}"));
    let host = started(&site);
    site.write("new.wasm", takes_long());
    let refused = site.run(&["plugin", "swap", "db", "new.wasm"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    let expected = format!("limits.compile.cpuSeconds ({seconds} s)");
    assert!(refused.stderr.contains(&expected), "{refused:?}");
    host.stop();
}

#[test]
fn a_compiler_that_ends_every_other_time_costs_a_try_and_nothing_else() {
    let (site, _answers) = site("");
    let host = started(&site);
    for (round, mark) in [b'1', b'2'].into_iter().enumerate() {
        site.write("new.wasm", variant(mark));
        let before = generation(&site);
        let mut swap = site.command(&["plugin", "swap", "db", "new.wasm"]);
        let swap = swap.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        end_the_next(&host);
        let refused: Finished = swap.wait_with_output().unwrap().into();
        assert_eq!(refused.code, 1, "{refused:?}");
        let said = db(&site)["lastError"].as_str().unwrap_or_default().to_owned();
        assert!(said.contains("new.wasm") && said.contains("compile"), "round {round}: {said}");
        assert_eq!(generation(&site), before, "what is active decides on");
        let taken = site.run(&["plugin", "swap", "db", "new.wasm"]);
        assert_eq!(taken.code, 0, "a person tries again: {taken:?}");
        assert_eq!(generation(&site), before + 1);
    }
    // The watched file ends its compiler: it is not tried again by itself, and a reload says so. A person tries it.
    let before = generation(&site);
    fs::write(site.path("part.wasm"), variant(b'3')).unwrap();
    fs::rename(site.path("part.wasm"), site.path("db.wasm")).unwrap();
    end_the_next(&host);
    wait_for("a word about the file", || {
        db(&site)["lastError"].as_str().is_some_and(|error| error.contains("db.wasm")).then_some(())
    });
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        assert_eq!((generation(&site), compilers(&host)), (before, 0));
        std::thread::sleep(Duration::from_millis(100));
    }
    let reloaded = site.run(&["reload"]);
    assert!(
        reloaded.code == 1 && reloaded.stderr.contains("its compiler ended with signal: 9"),
        "{reloaded:?}"
    );
    let taken = site.run(&["plugin", "swap", "db", "db.wasm"]);
    assert_eq!(taken.code, 0, "{taken:?}");
    assert_eq!(generation(&site), before + 1);
    assert_eq!(site.run(&["reload"]).code, 0, "what the file says is in force");
    site.wait_until_healthy();
    host.stop();
}

#[test]
fn a_compiler_ends_with_the_wish_for_its_work() {
    let (site, _answers) = bounded("memoryMiB = 8192");
    site.write("long.wasm", takes_long());
    site.write("other.wasm", guest("good"));
    let host = started(&site);

    let swap = site.spawn(&["plugin", "swap", "db", "long.wasm"]);
    compiling(&site, &host);
    let discarded = site.run(&["plugin", "discard", "db"]);
    assert_eq!(discarded.code, 0, "{discarded:?}");
    wait_for("its end", || (compilers(&host) == 0).then_some(()));
    assert_eq!(swap.wait().code, 1);
    assert_eq!(generation(&site), 1);

    // By a newer load of the same plugin.
    site.write("db.wasm", takes_long());
    compiling(&site, &host);
    let newer = site.run(&["plugin", "swap", "db", "other.wasm"]);
    assert_eq!(newer.code, 0, "{newer:?}");
    wait_for("its end", || (compilers(&host) == 0).then_some(()));
    assert_eq!(generation(&site), 2);

    host.stop();

    // By the end of the host, whichever.
    for in_good_order in [false, true] {
        site.write("db.wasm", azure_health());
        let host = started(&site);
        let pid = host.pid();
        site.write("db.wasm", takes_long());
        compiling(&site, &host);
        if in_good_order {
            host.stop();
        } else {
            host.kill();
        }
        wait_for("its end", || {
            let left = fs::read_dir("/proc").unwrap().flatten().any(|entry| {
                let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&command).contains(&format!("--parent\0{pid}\0"))
            });
            (!left).then_some(())
        });
    }
}

#[test]
fn what_was_compiled_once_is_not_compiled_again() {
    let (site, _answers) = site("");
    let folder = site.path("cache/phasegate/compiled");
    let kept = || fs::read_dir(&folder).map_or(0, Iterator::count);
    assert_eq!(site.run(&["check"]).code, 0);
    let after_check = kept();
    assert!(after_check >= 2, "a key and code: {after_check}");
    assert_eq!(site.run(&["plugin", "bench", "db.wasm"]).code, 0);
    assert_eq!(kept(), after_check);
}

#[test]
fn the_first_start_probes_while_it_compiles() {
    let (site, answers) = bounded("memoryMiB = 8192");
    site.write("db.wasm", takes_long());
    let host = site.spawn(&["run"]);
    wait_for("a compiler and probes beside it", || {
        (compilers(&host) == 1 && answers.asked() >= 8).then_some(())
    });
    host.stop();
}

#[test]
fn the_api_answers_while_the_first_start_compiles_and_changes_nothing() {
    let (site, _answers) = bounded("memoryMiB = 8192");
    site.write("db.wasm", takes_long());
    let host = site.spawn(&["run"]);
    let compiles = "plugin `db` does not decide yet (stage compile)";
    wait_for("an answer beside a compiler", || {
        (site.run(&["fleet"]).code == 0).then_some(())?;
        let ready = request(site.port(), "GET /readyz", "");
        assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
        ready.contains(compiles).then_some(())
    });
    let alive = request(site.port(), "GET /healthz", "");
    assert!(alive.starts_with("HTTP/1.1 200"), "{alive}");
    for instance in site.instances() {
        assert!(["Initializing", "Unknown"].contains(&instance["health"].as_str().unwrap()), "{instance}");
        assert_eq!(instance["reason"], compiles);
        assert_eq!(instance["held"]["code"], "undecided");
    }
    assert_eq!(site.run(&["status"]).code, 0);
    let refused = site.run(&["upgrade", "start", "orders", "--to", "v2"]);
    assert!(refused.code != 0 && refused.stderr.contains(compiles), "{refused:?}");
    assert_eq!(compilers(&host), 1, "that took less time than this component");
    let begun = Instant::now();
    host.stop();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    site.write("db.wasm", guest("good"));
    let host = site.host();
    assert_eq!(site.json(&["status"])["scaleSets"][0]["upgrade"], serde_json::Value::Null);
    host.stop();
}
