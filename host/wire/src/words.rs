//! The words of the wire: fields whose values are a closed set, as types.
//!
//! A newer host may know a word more than the program that reads its answer. Such a word is kept as
//! `Other` and shown as it came, so that a list does not break because of one state. Each set of words
//! stands in the file of its subject; here is only how they are made.

use std::fmt;
use std::marker::PhantomData;

use serde::de::Visitor;

/// Defines an enum of words: its variants, how each is written, and what becomes of an unknown one.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name {
            $($(#[$about])* $variant,)+
            /// A word that this version does not know.
            Other(String),
        }

        impl $name {
            /// All words that this version knows.
            pub const KNOWN: &'static [&'static str] = &[$($word),+];

            /// As it is written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)+
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                // Pads where a table asks for it.
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(crate::words::Word::new())
            }
        }

        #[cfg(feature = "schema")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                crate::schema::words(Self::KNOWN)
            }
        }

        #[cfg(feature = "schema")]
        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

pub(crate) use words;

/// Reads a word without a copy of those that are known.
pub(crate) struct Word<T>(PhantomData<T>);

impl<T> Word<T> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: for<'a> From<&'a str>> Visitor<'_> for Word<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word")
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<T, E> {
        Ok(T::from(word))
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        BatchState, Claim, ErrorCode, Health, LogKind, Participation, PluginStageName, PluginStageState,
        SwapStrategy, UpgradeState, WarningCode,
    };

    #[test]
    fn every_word_is_read_as_it_is_written() {
        for (known, back) in [
            (Health::KNOWN, (|word| Health::from(word).to_string()) as fn(&str) -> String),
            (Claim::KNOWN, |word| Claim::from(word).to_string()),
            (Participation::KNOWN, |word| Participation::from(word).to_string()),
            (UpgradeState::KNOWN, |word| UpgradeState::from(word).to_string()),
            (BatchState::KNOWN, |word| BatchState::from(word).to_string()),
            (WarningCode::KNOWN, |word| WarningCode::from(word).to_string()),
            (PluginStageName::KNOWN, |word| PluginStageName::from(word).to_string()),
            (PluginStageState::KNOWN, |word| PluginStageState::from(word).to_string()),
            (ErrorCode::KNOWN, |word| ErrorCode::from(word).to_string()),
            (LogKind::KNOWN, |word| LogKind::from(word).to_string()),
            (SwapStrategy::KNOWN, |word| SwapStrategy::from(word).to_string()),
        ] {
            for word in known {
                assert_eq!(back(word), *word);
            }
        }
    }

    #[test]
    fn a_word_of_a_newer_host_is_kept_and_shown() {
        let health: Health = serde_json::from_str("\"Draining\"").unwrap();
        assert_eq!(health, Health::Other("Draining".to_owned()));
        assert_eq!(serde_json::to_string(&health).unwrap(), "\"Draining\"");
        assert_eq!(format!("{health:>10}|"), "  Draining|");
        assert!(serde_json::from_str::<Health>("3").is_err());
    }

    #[test]
    fn a_known_word_is_its_variant() {
        let health: Health = serde_json::from_str("\"Healthy\"").unwrap();
        assert_eq!(health, Health::Healthy);
        assert_eq!(serde_json::to_string(&health).unwrap(), "\"Healthy\"");
    }
}
