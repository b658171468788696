//! Why a load cannot go on. What the shop refuses a shopper is no error: that is counted in `figures`.

use std::path::PathBuf;

use contracts::OrderId;
use kernel::Millis;

/// Why a load cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The logins are not of the form that a shop writes.
    #[error("{path}: these are no logins of a shop: {source}")]
    Logins {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// What was asked for cannot be done.
    #[error("{0}")]
    Options(String),
    /// No client can be made.
    #[error("the HTTP client cannot be made: {0}")]
    Client(#[source] reqwest::Error),
    /// Nothing has succeeded for too long.
    #[error("gave up: nothing succeeded for {after_ms} ms; the last was {what}: {detail}")]
    GivenUp {
        /// For how long.
        after_ms: Millis,
        /// The request.
        what: String,
        /// What it met.
        detail: String,
    },
    /// Somebody who asks once got no answer: what they asked for may have been done.
    #[error("{what}: no answer, and not asked again: {detail}")]
    Unanswered {
        /// The request.
        what: String,
        /// What it met.
        detail: String,
    },
    /// The shop refuses what it should not refuse.
    #[error("{what}: refused with {status} {reason}: {detail}")]
    Refused {
        /// The request.
        what: String,
        /// The status.
        status: u16,
        /// The reason in kebab-case.
        reason: String,
        /// The sentence for people.
        detail: String,
    },
    /// The shop answers what cannot be read.
    #[error("{what}: the answer is not of the expected form: {source}")]
    Unreadable {
        /// The request.
        what: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Nothing happens with an order that has not ended.
    #[error("order {order} is {state} and nothing has happened with it for {after_ms} ms")]
    Stuck {
        /// Which.
        order: OrderId,
        /// Where it is.
        state: String,
        /// For how long.
        after_ms: Millis,
    },
    /// A task ended without a word, which is a defect of the load.
    #[error("a task of the load broke off: {0}")]
    Lost(&'static str),
    /// The shop cannot be audited.
    #[error("audit: {0}")]
    Audit(#[from] audit::AuditError),
}
