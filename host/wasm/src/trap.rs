//! What a trap is called: its cause, and the functions of the guest in which it happened.
//!
//! The runtime of a language is many frames deep where it panics. They say nothing to the author, so
//! only the functions of the guest itself are named, as long as there are any.

use wasmtime::WasmBacktrace;

use super::text;

/// Guest functions named, innermost first.
const FRAMES_SHOWN_MAX: usize = 4;
/// Longest function name that is demangled: demanglers are slow on names made to hurt them.
const FRAME_NAME_BYTES_MAX: usize = 512;
/// What a plugin in Python did that looks for a file.
const FILES: &str = " (it looked for a file: in Python import at the top of the module, and let no exception leave a function)";
/// What a plugin in Go or C did that asks for the time of day in a world that has none.
const TIME: &str =
    " (it asked for the time of day: say `world = \"timed-policy\"` in phasegate-plugin.toml, or do without)";
/// Longest name of a function that is shown.
const NAME_BYTES_MAX: usize = 96;
/// How functions of the runtimes of Rust, Zig and Go begin; `<` stands before those of a trait.
const RUNTIMES: [&str; 11] = [
    "std::",
    "core::",
    "alloc::",
    "__rustc::",
    "rust_",
    "__rust",
    "__rg_",
    "debug.",
    "builtin.",
    "std.",
    "runtime.",
];

/// The cause of a trap, and where it happened.
pub(super) fn describe(error: &wasmtime::Error) -> String {
    let cause = error.root_cause().to_string();
    let cause = cause.lines().next().unwrap_or_default();
    let cause = text::one_line(cause.strip_prefix("wasm trap: ").unwrap_or(cause), 256);
    let frames = error.downcast_ref::<WasmBacktrace>().map(frame_names).unwrap_or_default();
    located(&cause, &frames)
}

fn located(cause: &str, frames: &[String]) -> String {
    let own: Vec<&str> = frames.iter().map(String::as_str).filter(|name| !is_of_a_runtime(name)).collect();
    let shown: Vec<&str> = if own.is_empty() { frames.iter().map(String::as_str).collect() } else { own };
    let shown: Vec<String> =
        shown.into_iter().take(FRAMES_SHOWN_MAX).map(|name| text::one_line(name, NAME_BYTES_MAX)).collect();
    let panicked = frames.iter().take_while(|name| is_of_a_runtime(name)).any(|name| name.contains("panic"));
    let why = match panicked {
        true => " (a panic)",
        // Only Python gets there: an import in a function, or the report of an exception, reads files.
        false if frames.iter().any(|name| name.contains("populate_preopens")) => FILES,
        // Our stand-in for WASI preview 1.
        false if frames.iter().any(|name| name == "time_of_day") => TIME,
        false => "",
    };
    match shown.is_empty() {
        true => cause.to_owned(),
        false => format!("{cause}{why} in {}", shown.join(" < ")),
    }
}

/// Names of the guest's functions, innermost first.
fn frame_names(trace: &WasmBacktrace) -> Vec<String> {
    let too_long = |name: Option<&str>| name.is_some_and(|name| name.len() > FRAME_NAME_BYTES_MAX);
    if trace.frames().iter().any(|frame| too_long(frame.func_name()) || too_long(frame.module().name())) {
        return vec!["functions with very long names".to_owned()];
    }
    // Only the printed form has the names demangled: `  0:   0x1f - module!function`.
    let printed = trace.to_string();
    printed.lines().filter_map(|line| line.split_once('!').map(|(_, name)| without_hashes(name))).collect()
}

/// `std[a543996e6e7dbf1e]::panicking` is `std::panicking`, and `a::b::h8c1c7e218c5827f3` is `a::b`: the
/// compiler's hashes tell nobody anything.
fn without_hashes(name: &str) -> String {
    let legacy = name
        .rsplit_once("::h")
        .filter(|(_, hash)| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let name = legacy.map_or(name, |(name, _)| name);
    let mut shown = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('[') {
        shown.push_str(before);
        let hash = after
            .split_once(']')
            .filter(|(hash, _)| hash.len() > 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
        rest = match hash {
            Some((_, after)) => after,
            None => {
                shown.push('[');
                after
            }
        };
    }
    shown.push_str(rest);
    shown
}

fn is_of_a_runtime(name: &str) -> bool {
    let name = name.trim_start_matches('<');
    RUNTIMES.iter().any(|begin| name.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_of_the_author_are_named_and_not_those_of_the_runtime() {
        let rust = [
            "__rustc[b7974e8690430dd9]::rust_panic",
            "std[a543996e6e7dbf1e]::panicking::panic_with_hook",
            "<std[a543996e6e7dbf1e]::panicking::Payload as core[1]::X>::get",
            "core[a543996e6e7dbf1e]::option::unwrap_failed",
            "hostile[0123456789abcdef]::first_of",
            "hostile::decide::h8c1c7e218c5827f3",
        ];
        let zig = [
            "debug.panicExtra__func_2",
            "debug.FullPanic((function 'defaultPanic')).outOfBounds",
            "policy.middle",
            "contract.use.Exported.evaluate",
        ];
        let own = ["hostile::my_helper", "core::ops::function::FnOnce::call_once", "hostile::decide"];
        for (frames, expected) in [
            (&rust[..], "x (a panic) in hostile::first_of < hostile::decide"),
            (&zig[..], "x (a panic) in policy.middle < contract.use.Exported.evaluate"),
            (&own[..], "x in hostile::my_helper < hostile::decide"),
            (&["runtime.throw"], "x in runtime.throw"),
            (&["core_policy::decide"], "x in core_policy::decide"),
            (
                &["a", "__wasilibc_populate_preopens"],
                "x (it looked for a file: in Python import at the top of the module, and let no exception \
                 leave a function) in a < __wasilibc_populate_preopens",
            ),
            (&["a[b]", "f", "g", "h", "i"], "x in a[b] < f < g < h"),
            (&[], "x"),
        ] {
            let frames: Vec<String> = frames.iter().map(|name| without_hashes(name)).collect();
            assert_eq!(located("x", &frames), expected);
        }
    }
}
