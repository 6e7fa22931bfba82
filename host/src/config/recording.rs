//! Declares `[recording]`.

use std::time::Duration;

use crate::keys::{Form, Is, Key, Section, no_check};
use crate::recording::{Pointer, RecordingConfig};

/// The keys as they are written.
#[derive(Default)]
pub(super) struct Recording {
    mib: u32,
    age_max: Duration,
    redact: Vec<Pointer>,
}

pub(super) const RECORDING: Section<Recording> = Section {
    keys: &[
        Key::<Recording>::preset("maxMiB", "64", Is::Whole(0, 65_536, |recording, mib| recording.mib = mib))
            .doc("size of the whole folder; 0 records nothing")
            .restart(),
        Key::<Recording>::preset(
            "maxAge",
            "\"P1D\"",
            Is::Span(Some(("PT1M", "P365D")), |recording, age| recording.age_max = age),
        )
        .doc("records that are older go")
        .restart(),
        Key::<Recording>::preset(
            "redact",
            "[]",
            Is::Own(
                || Form::List(Box::new(Form::Text)),
                |recording, value| {
                    let values = value.array("an array of JSON pointers")?;
                    // All are looked at, so that each that is wrong is told of.
                    let pointers: Vec<Option<Pointer>> = values
                        .iter()
                        .map(|value| {
                            let text = value.filled()?;
                            value.parsed(text, Pointer::parse(text))
                        })
                        .collect();
                    recording.redact = pointers.into_iter().collect::<Option<_>>()?;
                    Some(())
                },
            ),
        )
        .example("[\"/password\", \"/users/*/email\"]")
        .bounds("JSON pointers, `*` for any name or index")
        .doc(
            "values in JSON bodies that are not written down; a body that is no JSON is then left out as a \
             whole. Something of the same type stands there, and `replay` judges such a record twice, with another thing the \
             second time: what comes out the same counts, of the rest nothing can be proved. What a plugin itself \
             puts into its reason, memory or attributes is written down",
        )
        .restart(),
    ],
    check: no_check,
};

impl Recording {
    /// None when nothing is recorded.
    pub(super) fn config(self) -> Option<RecordingConfig> {
        let Self { mib, age_max, redact } = self;
        (mib > 0).then(|| RecordingConfig { bytes_max: u64::from(mib) << 20, age_max, redact })
    }
}
