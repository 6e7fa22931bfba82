//! The order in which a new instance gets its extensions, as the file says it: what fights, names nobody or rests on
//! nothing is refused.
//!
//! Reads no key; `estate` declares them.

use std::time::Duration;

use super::estate::ExtensionKeys;
use crate::keys::Given;
use phasegate_core::domain::{ExtensionName, Provisioning};

/// The key with the others that come before.
const KEY: &str = "provisionAfterExtensions";

/// As the kernel goes by it.
pub(super) fn of(all: &[ExtensionKeys], budget: Duration) -> Provisioning {
    let after = all.iter().filter(|one| !one.after.is_empty());
    let after = after.filter_map(|one| Some((one.name.clone()?, one.after.iter().cloned().collect())));
    Provisioning { after: after.collect(), budget }
}

/// Reports what cannot be; says whether nothing is.
pub(super) fn check(all: &[ExtensionKeys], mut given: Vec<Given<'_>>) -> bool {
    let named = |name: &ExtensionName| all.iter().find(|one| one.name.as_ref() == Some(name));
    let known = || all.iter().filter_map(|one| Some(format!("\"{}\"", one.name.as_ref()?)));
    for (one, given) in all.iter().zip(&mut given) {
        for before in &one.after {
            match named(before) {
                None => given.conflict(
                    KEY,
                    format!("has \"{before}\", which is no extension of the model"),
                    format!("defined: {}", known().collect::<Vec<_>>().join(", ")),
                ),
                Some(_) if one.name.as_ref() == Some(before) => {
                    given.conflict(KEY, format!("has \"{before}\" itself"), "name others only");
                }
                Some(before) if before.configured == Default::default() => {
                    let name = before.name.as_ref().map(ToString::to_string).unwrap_or_default();
                    given.conflict(
                        KEY,
                        format!("has \"{name}\", which has neither settings nor protectedSettings"),
                        format!("give \"{name}\" settings = {{}}, or what it needs: as in Azure, nothing comes after an extension without them"),
                    );
                }
                Some(_) => {}
            }
        }
    }
    if !given.iter().all(Given::is_sound) {
        return false;
    }
    let names: Vec<ExtensionName> = all.iter().filter_map(|one| one.name.clone()).collect();
    let Err(waiting) = of(all, Duration::ZERO).in_order(&names) else { return true };
    let texts: Vec<String> = waiting.iter().map(|name| format!("\"{name}\"")).collect();
    let at = all.iter().position(|one| one.name.as_ref() == waiting.first());
    if let Some(given) = at.and_then(|at| given.get_mut(at)) {
        let message = format!("goes round in a circle: {} wait for one another", texts.join(", "));
        given.conflict(KEY, message, "leave one of these out");
    }
    false
}
