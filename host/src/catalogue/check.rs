//! The checker: a program that accepts a version before it is published.

use std::time::Duration;

use crate::net::text::{io_text, one_line};
use crate::program::{self, Program, Ran, RunError};
use phasegate_core::domain::{Digest, ExtensionType, ReleaseVersion};

/// Longest run.
const LIMIT: Duration = Duration::from_secs(60);

/// Where a checker is looked for that is no path.
pub const CHECKER_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why a version is not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The checker said no.
    #[error("{subject} {version} was refused by its checker `{program}`{why}; nothing was published")]
    Refused {
        /// Of what.
        subject: ExtensionType,
        /// Which.
        version: ReleaseVersion,
        /// The checker.
        program: String,
        /// What it said.
        why: String,
    },
    /// Nobody knows what the checker says.
    #[error("{subject} {version} was not checked: `{program}` {why}; nothing was published")]
    NotChecked {
        /// Of what.
        subject: ExtensionType,
        /// Which.
        version: ReleaseVersion,
        /// The checker.
        program: String,
        /// What went wrong.
        why: String,
    },
}

/// Lets the checker of a type look at a version.
///
/// # Errors
/// When it does not accept it: by any exit code but 0, or by none.
pub async fn check(
    checker: &[String],
    subject: &ExtensionType,
    (version, digest): (&ReleaseVersion, Option<Digest>),
) -> Result<(), CheckError> {
    let digest = digest.map_or_else(String::new, |digest| digest.to_string());
    let filled = |text: &String| {
        text.replace("{publisher}", subject.publisher())
            .replace("{type}", subject.name())
            .replace("{version}", &version.to_string())
            .replace("{digest}", &digest)
    };
    let texts: Vec<String> = checker.iter().map(filled).collect();
    let Some((name, arguments)) = texts.split_first() else { return Ok(()) };
    let not_checked = |why: String| CheckError::NotChecked {
        subject: subject.clone(),
        version: version.clone(),
        program: name.clone(),
        why,
    };
    let environment = [
        ("PATH", CHECKER_PATH.to_owned()),
        ("PHASEGATE_PUBLISHER", subject.publisher().to_owned()),
        ("PHASEGATE_TYPE", subject.name().to_owned()),
        ("PHASEGATE_VERSION", version.to_string()),
        ("PHASEGATE_DIGEST", digest),
    ];
    let environment = environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let what = Program { program: name, arguments, environment, output_max: None };
    let Ok(ran) = tokio::time::timeout(LIMIT, program::run(what)).await else {
        return Err(not_checked(format!("has not ended within {} s", LIMIT.as_secs())));
    };
    let Ran { status, output: _, errors } = ran.map_err(|error| match error {
        RunError::NotStarted(error) => not_checked(format!("cannot be started: {}", io_text(&error))),
        RunError::Flooded => not_checked("has printed too much".to_owned()),
        RunError::Wait(error) => not_checked(io_text(&error)),
    })?;
    if status.success() {
        return Ok(());
    }
    let said = one_line(String::from_utf8_lossy(&errors).trim());
    let why = if said.is_empty() { format!(" ({status})") } else { format!(" ({status}): {said}") };
    Err(CheckError::Refused {
        subject: subject.clone(),
        version: version.clone(),
        program: name.clone(),
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn checked(script: &str) -> Result<(), CheckError> {
        let checker = ["/bin/sh", "-c", script, "{version}"].map(str::to_owned);
        let subject = ExtensionType::new("contoso", "agent").unwrap();
        check(&checker, &subject, (&ReleaseVersion::parse("1.2").unwrap(), None)).await
    }

    #[tokio::test]
    async fn what_it_leaves_behind_holds_up_nobody_and_is_ended() {
        let directory = tempfile::tempdir().unwrap();
        let pid = directory.path().join("pid");
        let leaves = |how: &str| format!("{how} sleep 300 & echo $! > {}; exit 0", pid.display());
        for how in ["", "setsid"] {
            assert_eq!(checked(&leaves(how)).await, Ok(()), "{how}");
            let left = std::fs::read_to_string(&pid).unwrap();
            let stat = || std::fs::read_to_string(format!("/proc/{}/stat", left.trim())).unwrap_or_default();
            let is_gone = |stat: &str| stat.is_empty() || stat.contains(") Z ");
            // It may be dead and not collected yet, and the kernel takes a moment.
            for _ in 0..500 {
                if is_gone(&stat()) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert!(is_gone(&stat()), "{how}: {}", stat());
        }
    }

    #[tokio::test]
    async fn only_exit_code_0_accepts() {
        assert_eq!(checked("test \"$0\" = 1.2 && test $PHASEGATE_TYPE = agent").await, Ok(()));
        let refused = checked("echo too young >&2; exit 3").await.unwrap_err().to_string();
        assert!(refused.contains("too young") && refused.contains("contoso/agent 1.2"), "{refused}");
        assert!(matches!(checked("kill -9 $$").await, Err(CheckError::Refused { .. })));
        let subject = ExtensionType::new("contoso", "agent").unwrap();
        let none = ["/nowhere/check".to_owned()];
        let missing = check(&none, &subject, (&ReleaseVersion::parse("1.2").unwrap(), None)).await;
        assert!(matches!(missing, Err(CheckError::NotChecked { .. })), "{missing:?}");
    }
}
