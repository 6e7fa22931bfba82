//! What each function of the interfaces answers.
//!
//! Values are dynamic: a guest may declare any type for an import, and one that is not WASI's fails
//! when it calls, not before.

use wasmtime::StoreContextMut;
use wasmtime::component::types::{ComponentFunc, Type};
use wasmtime::component::{ResourceDynamic, Val};

use super::resource;
use super::state::Stream;
use crate::capability::HostState;

/// Bytes that an output stream says it takes at once.
const WRITE_BYTES_MAX: u64 = 4096;
/// Random bytes of one call.
const RANDOM_BYTES_MAX: u64 = 64 << 10;
/// Resolution of the clocks in nanoseconds.
const RESOLUTION_NS: u32 = 1_000_000;

/// What to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Nothing,
    EmptyList,
    Absent,
    True,
    /// A new handle of this resource.
    Handle(&'static str),
    Output(Stream),
    /// The end of a stream.
    Closed,
    Room,
    Done,
    Write,
    AllReady,
    Exit,
    MonotonicNow,
    MonotonicResolution,
    WallNow,
    WallResolution,
    RandomBytes,
    RandomNumber,
    RandomPair,
    Denied,
}

impl Answer {
    /// The answer of a function, by interface and name.
    pub(super) fn of(interface: &str, function: &str) -> Self {
        match (interface, function) {
            ("cli/environment", "get-environment" | "get-arguments") => Self::EmptyList,
            ("cli/environment", "initial-cwd") => Self::Absent,
            ("cli/exit", _) => Self::Exit,
            ("cli/stdin", "get-stdin") => Self::Handle("input-stream"),
            ("cli/stdout", "get-stdout") => Self::Output(Stream::Out),
            ("cli/stderr", "get-stderr") => Self::Output(Stream::Err),
            ("cli/terminal-stdin", "get-terminal-stdin")
            | ("cli/terminal-stdout", "get-terminal-stdout")
            | ("cli/terminal-stderr", "get-terminal-stderr")
            | ("filesystem/types", "filesystem-error-code") => Self::Absent,
            ("filesystem/preopens", "get-directories") => Self::EmptyList,
            ("io/poll", "[method]pollable.ready") => Self::True,
            ("io/poll", "[method]pollable.block") => Self::Nothing,
            ("io/poll", "poll") => Self::AllReady,
            ("io/streams", method) => stream(method),
            ("clocks/monotonic-clock", "now") => Self::MonotonicNow,
            ("clocks/monotonic-clock", "resolution") => Self::MonotonicResolution,
            ("clocks/monotonic-clock", "subscribe-instant" | "subscribe-duration") => {
                Self::Handle("pollable")
            }
            ("clocks/wall-clock", "now") => Self::WallNow,
            ("clocks/wall-clock", "resolution") => Self::WallResolution,
            ("random/random", "get-random-bytes") | ("random/insecure", "get-insecure-random-bytes") => {
                Self::RandomBytes
            }
            ("random/random", "get-random-u64") | ("random/insecure", "get-insecure-random-u64") => {
                Self::RandomNumber
            }
            ("random/insecure-seed", "insecure-seed") => Self::RandomPair,
            ("sockets/instance-network", "instance-network") => Self::Handle("network"),
            _ => Self::Denied,
        }
    }
}

fn stream(method: &str) -> Answer {
    match method {
        "[method]input-stream.subscribe" | "[method]output-stream.subscribe" => Answer::Handle("pollable"),
        "[method]input-stream.read"
        | "[method]input-stream.blocking-read"
        | "[method]input-stream.skip"
        | "[method]input-stream.blocking-skip"
        | "[method]output-stream.splice"
        | "[method]output-stream.blocking-splice" => Answer::Closed,
        "[method]output-stream.check-write" => Answer::Room,
        "[method]output-stream.write" | "[method]output-stream.blocking-write-and-flush" => Answer::Write,
        "[method]output-stream.flush"
        | "[method]output-stream.blocking-flush"
        | "[method]output-stream.write-zeroes"
        | "[method]output-stream.blocking-write-zeroes-and-flush" => Answer::Done,
        _ => Answer::Denied,
    }
}

/// Answers one call.
pub(super) fn give(
    answer: Answer,
    name: &str,
    mut store: StoreContextMut<'_, HostState>,
    ty: &ComponentFunc,
    params: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    let handles = release(&mut store, params)?;
    let value = match answer {
        Answer::Nothing => return Ok(()),
        Answer::Exit => return Err(wasmtime::Error::msg("ended itself by calling exit")),
        Answer::EmptyList => Val::List(Vec::new()),
        Answer::Absent => Val::Option(None),
        Answer::True => Val::Bool(true),
        Answer::Handle(kind) => open(&mut store, kind, 0)?,
        Answer::Output(stream) => open(&mut store, "output-stream", stream.handle())?,
        Answer::Closed => Val::Result(Err(Some(Box::new(Val::Variant("closed".to_owned(), None))))),
        Answer::Room => Val::Result(Ok(Some(Box::new(Val::U64(WRITE_BYTES_MAX))))),
        Answer::Done => Val::Result(Ok(None)),
        Answer::Write => {
            let stream = Stream::of_handle(handles.first().copied().unwrap_or(0));
            store.data_mut().print(stream, &bytes(params));
            Val::Result(Ok(None))
        }
        Answer::AllReady => {
            let count = u32::try_from(handles.len()).unwrap_or(u32::MAX);
            Val::List((0..count).map(Val::U32).collect())
        }
        Answer::MonotonicNow => Val::U64(now_ms(&mut store).saturating_mul(1_000_000)),
        Answer::MonotonicResolution => Val::U64(RESOLUTION_NS.into()),
        Answer::WallNow => {
            let now_ms = now_ms(&mut store);
            let rest = u32::try_from(now_ms % 1000).unwrap_or(0);
            wall(now_ms / 1000, rest * 1_000_000)
        }
        Answer::WallResolution => wall(0, RESOLUTION_NS),
        Answer::RandomBytes => {
            let wanted = match params.first() {
                Some(Val::U64(wanted)) if *wanted <= RANDOM_BYTES_MAX => *wanted,
                _ => {
                    return Err(wasmtime::Error::msg(format!(
                        "`{name}`: more than {RANDOM_BYTES_MAX} bytes"
                    )));
                }
            };
            let random = &mut store.data_mut().wasi;
            Val::List((0..wanted).map(|_| Val::U8(random.byte())).collect())
        }
        Answer::RandomNumber => Val::U64(store.data_mut().wasi.number()),
        Answer::RandomPair => {
            let random = &mut store.data_mut().wasi;
            Val::Tuple(vec![Val::U64(random.number()), Val::U64(random.number())])
        }
        Answer::Denied => denial(ty)
            .ok_or_else(|| wasmtime::Error::msg(format!("called `{name}`, which a plugin does not get")))?,
    };
    if let Some(result) = results.first_mut() {
        *result = value;
    }
    Ok(())
}

fn now_ms(store: &mut StoreContextMut<'_, HostState>) -> u64 {
    let state = store.data_mut();
    state.wasi.asked_time();
    state.now_ms
}

/// Gives back the handles among the parameters, and their numbers.
fn release(store: &mut StoreContextMut<'_, HostState>, params: &[Val]) -> wasmtime::Result<Vec<u32>> {
    let mut handles = Vec::new();
    for param in params {
        let list: &[Val] = match param {
            Val::List(list) => list,
            single => std::slice::from_ref(single),
        };
        for value in list {
            let Val::Resource(any) = value else { continue };
            let handle = any.try_into_resource_dynamic(&mut *store)?;
            if handle.owned() {
                store.data_mut().wasi.closed();
            }
            handles.push(handle.rep());
        }
    }
    Ok(handles)
}

fn open(store: &mut StoreContextMut<'_, HostState>, kind: &str, handle: u32) -> wasmtime::Result<Val> {
    if !store.data_mut().wasi.opened() {
        return Err(wasmtime::Error::msg("holds too many WASI handles"));
    }
    let handle = ResourceDynamic::new_own(handle, resource(kind).unwrap_or(0));
    Ok(Val::Resource(handle.try_into_resource_any(store)?))
}

fn bytes(params: &[Val]) -> Vec<u8> {
    let Some(Val::List(list)) = params.get(1) else { return Vec::new() };
    list.iter().map(|value| if let Val::U8(byte) = value { *byte } else { b'?' }).collect()
}

fn wall(seconds: u64, nanoseconds: u32) -> Val {
    Val::Record(vec![
        ("seconds".to_owned(), Val::U64(seconds)),
        ("nanoseconds".to_owned(), Val::U32(nanoseconds)),
    ])
}

/// "Access denied", where the type of the function has a word for it.
fn denial(ty: &ComponentFunc) -> Option<Val> {
    const DENIED: &str = "access-denied";
    const UNSUPPORTED: &str = "not-supported";
    let Some(Type::Result(result)) = ty.results().next() else { return None };
    let Some(Type::Enum(codes)) = result.err() else { return None };
    let word = [DENIED, UNSUPPORTED].into_iter().find(|word| codes.names().any(|name| name == *word))?;
    Some(Val::Result(Err(Some(Box::new(Val::Enum(word.to_owned()))))))
}
