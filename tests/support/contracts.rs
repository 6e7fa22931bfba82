//! Guests that were built against another contract than the host's.

use super::guests;

/// A guest built against another contract than `wit/v1`; `change` edits the text of the contract
/// and the same edit is made to the guest, which names versions too.
pub(crate) fn component_of_other_contract(
    name: &str,
    change: impl Fn(String) -> String,
) -> anyhow::Result<Vec<u8>> {
    let guests = guests::folder("tests/guests");
    let text = std::fs::read_to_string(guests.join(format!("{name}.wat")))?;
    let shared = std::fs::read_to_string(guests.join("abi.wat"))?;
    let contract = std::fs::read_to_string(guests::folder("wit/v1/policy.wit"))?;
    let text = change(text.replace("  ;; @include abi.wat\n", &shared));
    guests::encode(&guests::embed(&text, Some(&change(contract)))?)
}
