//! What a provider may say to a question: a closed set, in which not knowing is a word of its own.
//! Leaves what follows from it to `payment`.

use serde::{Deserialize, Serialize};

/// What became of a question to the provider.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done.
    Done {
        /// The provider's name for the money of this order.
        intent: String,
    },
    /// It was definitely not done and never will be under this key.
    Declined {
        /// The provider's reason, as `card-declined`.
        reason: String,
    },
    /// It may or may not have been done: ask again with the same key.
    Unknown {
        /// What happened instead of an answer.
        cause: String,
    },
}

impl Outcome {
    /// Declined for `reason`.
    #[must_use]
    pub fn declined(reason: &str) -> Self {
        Self::Declined { reason: reason.to_owned() }
    }

    /// Unknown because of `cause`.
    #[must_use]
    pub fn unknown(cause: impl Into<String>) -> Self {
        Self::Unknown { cause: cause.into() }
    }

    /// Whether it says what happened.
    #[must_use]
    pub fn known(&self) -> bool {
        !matches!(self, Self::Unknown { .. })
    }
}
