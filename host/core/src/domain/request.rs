//! The name of a request that is under way.

/// Names a request to the host while it is under way: its reply carries the same number. Given out once in
/// the life of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);
