//! The checker: a program that accepts a version before it is published.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use crate::children;
use crate::net::text::{io_text, one_line};
use phasegate_core::domain::{Digest, ExtensionType, ReleaseVersion};

/// Longest run.
const LIMIT: Duration = Duration::from_secs(60);

/// How much of what it writes to standard error is shown.
const ERRORS_MAX: u64 = 4 * 1024;

/// Where programs are looked for.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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
    let Some((program, arguments)) = texts.split_first() else { return Ok(()) };
    let not_checked = |why: String| CheckError::NotChecked {
        subject: subject.clone(),
        version: version.clone(),
        program: program.clone(),
        why,
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .env("PHASEGATE_PUBLISHER", subject.publisher())
        .env("PHASEGATE_TYPE", subject.name())
        .env("PHASEGATE_VERSION", version.to_string())
        .env("PHASEGATE_DIGEST", &digest)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let started = children::spawn(&mut command);
    let (mut child, _own) =
        started.map_err(|error| not_checked(format!("cannot be started: {}", io_text(&error))))?;
    let errors = child.stderr.take();
    let run = async {
        let mut said = Vec::new();
        if let Some(errors) = errors {
            // What is not read says no less by its exit code.
            _ = errors.take(ERRORS_MAX).read_to_end(&mut said).await;
        }
        (child.wait().await, said)
    };
    let Ok((status, said)) = tokio::time::timeout(LIMIT, run).await else {
        return Err(not_checked(format!("has not ended within {} s", LIMIT.as_secs())));
    };
    let status = status.map_err(|error| not_checked(io_text(&error)))?;
    if status.success() {
        return Ok(());
    }
    let said = one_line(String::from_utf8_lossy(&said).trim());
    let why = if said.is_empty() { format!(" ({status})") } else { format!(" ({status}): {said}") };
    Err(CheckError::Refused {
        subject: subject.clone(),
        version: version.clone(),
        program: program.clone(),
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
