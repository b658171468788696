//! What a provider may say: the outcome of a question, in which not knowing is a word of its own, and how an intent stands.
//! Leaves what follows from it to `payment`.

use kernel::Money;
use serde::{Deserialize, Serialize};

/// What became of a question to the provider.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done.
    Done {
        /// The provider's name for the money.
        intent: String,
    },
    /// The shopper must do something first; nothing is held yet.
    ActionRequired {
        /// The provider's name for the money.
        intent: String,
        /// Where the shopper does it.
        url: String,
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

    /// The provider's name for the money that it speaks of, if it names one.
    #[must_use]
    pub fn intent(&self) -> Option<&str> {
        match self {
            Self::Done { intent } | Self::ActionRequired { intent, .. } => Some(intent),
            Self::Declined { .. } | Self::Unknown { .. } => None,
        }
    }
}

/// How an intent stands at the provider.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// The shopper must do something first.
    RequiresAction,
    /// The amount is held.
    Authorised,
    /// It was refused; nothing is held.
    Declined,
    /// It was taken, or some of it and the rest let go.
    Captured,
    /// It was let go because somebody asked for that.
    Voided,
    /// It was let go because nobody took it in time.
    Expired,
}

/// How the dispute of a payment stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dispute {
    /// The shopper's bank wants the money back.
    Open,
    /// The money stays ours.
    Won,
    /// It went back.
    Lost,
}

/// What the provider has of an intent, as it says when it is asked for the truth.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Truth {
    /// The provider's name for the money.
    pub intent: String,
    /// What it was asked for: an order, if it was us who asked.
    pub reference: String,
    /// How it stands.
    pub standing: Standing,
    /// How much was to be held.
    pub amount: Money,
    /// How much was taken.
    pub captured_minor: i64,
    /// How much of that was given back.
    pub refunded_minor: i64,
    /// Where the shopper acts, while they must.
    pub url: Option<String>,
    /// Whether the shopper's bank disputes it.
    pub dispute: Option<Dispute>,
    /// The provider's counter of changes when it last changed: of two truths the one with the higher number is newer.
    pub changed: i64,
}
