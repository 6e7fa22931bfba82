//! The time of the evaluation. A plugin that asks for it is of the world `timed-policy`, and is asked again also about
//! what it has judged before; one that only imports this file is not.

const import = struct {
    extern "phasegate:policy/clock@1.0.0" fn @"now-ms"() u64;
};

/// Milliseconds since 1970 in UTC, the same during a whole call.
pub fn nowMs() u64 {
    return import.@"now-ms"();
}
