//! Each instance asked once, for a first impression: by the probe of the host itself, as the configuration says.
//!
//! No judgement: the host's own probes and its plugins do that.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::author::live::as_configured;
use crate::config::Config;
use phasegate_core::domain::{Address, Answer, ProbeProtocol, Response};

/// Longest wait for one instance.
const PATIENCE: Duration = Duration::from_secs(4);

/// So many are asked at once.
const AT_ONCE: usize = 32;

/// What the default plugin reads.
const STATE: &str = "ApplicationHealthState";

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reached {
    answered: usize,
    /// Answered with something that `azure-health` has no word for.
    plain: usize,
    /// Those that did not answer, and why.
    silent: Vec<String>,
}

/// Asks all of them.
///
/// # Errors
/// When the machine gives no resources for it.
pub(super) fn all(config: &Config) -> std::io::Result<Reached> {
    let all = config.scale_sets.iter().flat_map(|set| set.instances.values().map(move |one| (set, one)));
    let all: Vec<_> = all.collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(async {
        let mut reached = Reached::default();
        for some in all.chunks(AT_ONCE) {
            let mut asked = JoinSet::new();
            for (place, (set, one)) in some.iter().enumerate() {
                let answer = as_configured(set, one, PATIENCE);
                asked.spawn(async move { (place, answer.await) });
            }
            let mut answers = asked.join_all().await;
            answers.sort_by_key(|(place, _)| *place);
            for ((_, answer), (set, one)) in answers.into_iter().zip(some) {
                match answer {
                    Ok(answer) => reached.note((&one.address, set.health.protocol), answer),
                    Err(short_of) => reached
                        .silent
                        .push(format!("{}: not asked, as this machine is short of {short_of}", one.address)),
                }
            }
        }
        reached
    }))
}

impl Reached {
    fn note(&mut self, (address, protocol): (&Address, ProbeProtocol), answer: Answer) {
        match answer.outcome {
            Ok(response) => {
                self.answered += 1;
                let is_plain = protocol != ProbeProtocol::Tcp && !has_word(&response);
                self.plain += usize::from(is_plain);
            }
            Err(failure) => self.silent.push(format!("{address}: {failure}")),
        }
    }

    /// For people.
    pub(super) fn said(&self, of: usize) -> String {
        let Self { answered, plain, silent } = self;
        let mut text = format!("{answered} of {of} instances answered\n");
        for line in silent.iter().take(5) {
            text.push_str(&format!("  {line}\n"));
        }
        if silent.len() > 5 {
            text.push_str(&format!("  and {} more\n", silent.len() - 5));
        }
        if *plain > 0 {
            text.push_str(&format!(
                "{plain} of them did not say {{\"{STATE}\": \"Healthy\"}}, which the plugin azure-health reads: choose \
                 another path, --protocol tcp, or a plugin of your own\n"
            ));
        }
        text
    }
}

/// Whether the default plugin finds its word in it.
fn has_word(response: &Response) -> bool {
    (200..300).contains(&response.status) && String::from_utf8_lossy(&response.body).contains(STATE)
}
