//! Declares `[plugins.signature]`: by whom the components of a plugin must be signed.
//!
//! Whether the files hold keys depends on the machine, and is `check`'s affair.

use std::path::PathBuf;

use crate::keys::{Form, Given, Is, Key, Section, Value};
use crate::plugins::signature::SignatureRule;

/// Most files with keys.
const FILES_MAX: usize = 16;

/// The keys as they are written.
#[derive(Default)]
pub(super) struct Signature {
    files: Vec<PathBuf>,
    threshold: u32,
}

impl Signature {
    pub(super) fn rule(self) -> SignatureRule {
        let threshold = usize::try_from(self.threshold).unwrap_or(usize::MAX);
        SignatureRule { public_key_files: self.files, threshold }
    }
}

pub(super) const SIGNATURE: Section<Signature> = Section {
    keys: &[
        Key::<Signature>::required(
            "publicKeyFiles",
            "[\"release.pub\"]",
            Is::Own(|| Form::List(Box::new(Form::Text)), files),
        )
        .bounds("1 to 16")
        .doc(
            "files with public keys, ECDSA over P-256 in PEM, as `cosign generate-key-pair` writes them; read at each load, \
             so that a key which is taken away counts for nothing from then on",
        ),
        Key::<Signature>::preset(
            "threshold",
            "1",
            Is::Whole(1, 16, |signature, threshold| signature.threshold = threshold),
        )
        .doc("how many of the keys must have signed"),
    ],
    check,
};

fn files(signature: &mut Signature, value: &Value<'_>) -> Option<()> {
    let values = value.array("an array of paths")?;
    if values.is_empty() || values.len() > FILES_MAX {
        value.problem(format!("names {} files", values.len()), format!("1 to {FILES_MAX}"));
        return None;
    }
    signature.files = values.iter().map(Value::path).collect::<Option<_>>()?;
    Some(())
}

fn check(signature: &mut Signature, given: &mut Given<'_>) {
    let files = signature.files.len();
    let threshold = usize::try_from(signature.threshold).unwrap_or(usize::MAX);
    // One file may hold several keys: how many there are is known when they are read.
    if given.are_sound(&["publicKeyFiles", "threshold"]) && files == 0 && threshold > 0 {
        given.spoil();
    }
}
