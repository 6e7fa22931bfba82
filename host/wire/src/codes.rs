//! Refusals, once: what each code means, its HTTP status, and how a command ends that gets it.
//!
//! The API takes the status from here, the command line its exit code, and the manual its table. Codes that
//! tell how an upgrade ended refuse nothing and are not here.

use crate::ErrorCode;

/// How a command ends that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// It ran, and the answer is no: exit code 1.
    No,
    /// It could not run: exit code 2.
    CouldNotRun,
}

/// One code of a refusal.
#[derive(Debug)]
pub struct Code {
    /// As it is written.
    pub code: ErrorCode,
    /// Status of the HTTP answer, 400 to 599.
    pub status: u16,
    /// How a command ends.
    pub ends: Ends,
    /// When it is given.
    pub about: &'static str,
}

const fn code(code: ErrorCode, status: u16, ends: Ends, about: &'static str) -> Code {
    Code { code, status, ends, about }
}

/// Every code of a refusal, by its status.
pub static CODES: &[Code] = &[
    code(
        ErrorCode::InvalidParameter,
        400,
        Ends::CouldNotRun,
        "the request is wrong: its path, its query, a header or its body",
    ),
    code(
        ErrorCode::Unauthorized,
        401,
        Ends::CouldNotRun,
        "there is no token, or it is wrong, was revoked or has expired",
    ),
    code(
        ErrorCode::Forbidden,
        403,
        Ends::CouldNotRun,
        "the role of the token is too low, or the request was made for another server or by a foreign page",
    ),
    code(ErrorCode::NotFound, 404, Ends::CouldNotRun, "there is no such thing"),
    code(
        ErrorCode::MethodNotAllowed,
        405,
        Ends::CouldNotRun,
        "there is, and it takes the methods of `Allow`",
    ),
    code(ErrorCode::RequestTimeout, 408, Ends::CouldNotRun, "the body did not arrive in time"),
    code(ErrorCode::Conflict, 409, Ends::No, "not in this state; a second start names the running upgrade"),
    code(ErrorCode::RequestEntityTooLarge, 413, Ends::CouldNotRun, "the body is too large"),
    code(
        ErrorCode::Refused,
        422,
        Ends::No,
        "what was handed in is not good enough: a component, or a configuration",
    ),
    code(ErrorCode::InternalServerError, 500, Ends::CouldNotRun, "a fault of the host; please report it"),
    code(
        ErrorCode::ServiceUnavailable,
        503,
        Ends::CouldNotRun,
        "not now: nothing can be recorded, or too much is asked at once; `Retry-After` says when to try again",
    ),
];

impl ErrorCode {
    /// What it means as the code of a refusal; none for a code that tells how an upgrade ended, or that is
    /// not known.
    #[must_use]
    pub fn as_refusal(&self) -> Option<&'static Code> {
        CODES.iter().find(|known| known.code == *self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_but_those_of_upgrades_refuses_something() {
        let of_upgrades = ["MaxUnhealthy", "RollingUpgrade", "PlanChanged"];
        for word in ErrorCode::KNOWN {
            let tells = of_upgrades.iter().any(|begin| word.starts_with(begin));
            assert_eq!(ErrorCode::from(*word).as_refusal().is_none(), tells, "{word}");
        }
        assert!(CODES.iter().all(|known| (400..600).contains(&known.status)));
        assert!(CODES.is_sorted_by_key(|known| known.status));
    }
}
