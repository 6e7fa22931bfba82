//! Guests that import WASI: what they get, and what they do not.

use super::{LIMITS, batch, guests};
use crate::{ImportVerdict, Isolation, inspect};

/// The phase that the guest answers for each body.
fn ask(bodies: &[&str], now_ms: u64) -> Vec<Result<u32, String>> {
    let bytes = guests::component("wasi").unwrap();
    let mut plugin = super::runtime().load(&bytes, "{}", LIMITS, Isolation::PerBatch).unwrap();
    let results = plugin.evaluate(&batch(bodies), now_ms);
    results
        .into_iter()
        .map(|result| match result {
            Ok(decision) => Ok(decision.phase.unwrap().get()),
            Err(failure) => Err(failure.to_string()),
        })
        .collect()
}

#[test]
fn there_is_nothing_behind_wasi() {
    let none = Ok(0);
    assert_eq!(ask(&["e", "w"], 0), [none.clone(), none], "environment and folders; stdout");
    assert_eq!(ask(&["i", "p"], 0), [Ok(11), Ok(11)], "stdin is closed; waiting is over");
}

#[test]
fn clocks_show_the_time_of_the_evaluation_and_stand_still() {
    assert_eq!(ask(&["t", "m", "t"], 1_234_567), [Ok(1_234), Ok(1_234_567), Ok(1_234)]);
}

#[test]
fn randomness_follows_from_what_is_judged() {
    let first = ask(&["r", "r"], 0);
    assert_eq!(first, ask(&["r", "r"], 5), "the time has no part in it");
    assert_ne!(first[0], first[1]);
    assert_ne!(first[0], ask(&["r", "rx"], 0)[0], "another batch, other numbers");
}

#[test]
fn misuse_fails_the_evaluation_and_nothing_else() {
    let failed = |body: &str| ask(&[body], 0).remove(0).unwrap_err();
    assert!(failed("x").contains("ended itself by calling exit"), "{}", failed("x"));
    assert!(failed("h").contains("holds too many WASI handles"), "{}", failed("h"));
    assert!(failed("b").contains("more than 65536 bytes"), "{}", failed("b"));
    assert_eq!(ask(&["u"], 0), [Ok(3000)], "handles that are given back do not count");
}

#[test]
fn stubs_are_named_and_clocks_make_it_impure() {
    let report = inspect(&guests::component("wasi").unwrap());
    assert_eq!((&report.fits, report.pure), (&Ok(()), false));
    let verdict = |name: &str| {
        report
            .imports
            .iter()
            .find(|import| import.name.starts_with(name))
            .map(|import| import.verdict.clone())
    };
    assert_eq!(verdict("wasi:cli/environment@"), Some(ImportVerdict::Allowed("empty")));
    assert_eq!(verdict("wasi:random/random@"), Some(ImportVerdict::Allowed("follows from the input")));
}

#[test]
fn sockets_and_http_are_refused_at_load_with_a_recipe() {
    for (name, import, why) in [
        ("wasi-sockets", "`wasi:sockets/tcp-create-socket@0.2.3`", "a plugin gets no sockets"),
        ("wasi-http", "`wasi:http/outgoing-handler@0.2.3`", "a plugin gets no HTTP"),
    ] {
        let message = super::refusal(name);
        for part in [import, why, "--stub-wasi", "--disable all", "wasm32-unknown-unknown"] {
            assert!(message.contains(part), "{name}: {message}");
        }
    }
}

#[test]
fn python_gets_sockets_that_are_denied() {
    // What its tools leave in a component, as a section that means nothing.
    let mut bytes = guests::component("wasi-sockets").unwrap();
    let words = b"\x05notes libpython3 componentize-py";
    bytes.extend([0, u8::try_from(words.len()).unwrap()]);
    bytes.extend(words);
    let mut plugin = super::runtime().load(&bytes, "{}", LIMITS, Isolation::PerBatch).unwrap();
    super::one(&mut plugin).unwrap();
}

#[test]
fn wasi_of_another_shape_is_refused_or_fails() {
    // An interface that is called WASI's and has a resource that WASI does not know.
    let text = "(component
        (import \"wasi:cli/environment@0.2.0\" (instance (export \"secret\" (type (sub resource)))))
        (instance $i)
        (export \"phasegate:policy/evaluator@1.0.0\" (instance $i)))";
    let bytes = wat::parse_str(text).unwrap();
    let error = super::runtime().load(&bytes, "{}", LIMITS, Isolation::PerBatch).err().unwrap();
    assert!(error.to_string().contains("has types that differ from wit/v1"), "{error}");
}
