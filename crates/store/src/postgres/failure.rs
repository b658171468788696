//! What a failed statement means: refused by a server that lives on, or a lost connection.
//! Leaves what a batch makes of it to `pipeline`.

use deadpool_postgres::{HookError, PoolError};
use tokio_postgres::error::Severity;

use crate::Error;

/// Why a statement failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// The server answered with an error; the connection lives and the transaction is aborted.
    Refused(Refusal),
    /// The connection is gone, or cannot be trusted any more.
    Lost(String),
}

/// A server's error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    pub(super) state: String,
    pub(super) text: String,
    pub(super) detail: Option<String>,
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(refused) = error.as_db_error() else {
            return Self::Lost(with_cause(&error));
        };
        let state = refused.code().code().to_owned();
        // No detail: it may quote rows, which are nobody's to log.
        let on = refused.constraint().map(|name| format!(", {name}")).unwrap_or_default();
        let text = format!("{} ({state}{on})", refused.message());
        match refused.parsed_severity() {
            Some(Severity::Error) => Self::Refused(Refusal { state, text, detail: refused.detail().map(str::to_owned) }),
            _ => Self::Lost(text),
        }
    }
}

impl Failure {
    /// Whether the connection may be used again, if it is outside of a transaction. After other errors, such as a
    /// plan that went stale, a new one is the simplest cure.
    pub(super) fn leaves_connection(&self) -> bool {
        match self {
            Self::Refused(refusal) => {
                matches!(refusal.state.get(..2), Some("SC" | "22" | "23" | "40" | "42")) || refusal.state == "57014"
            }
            Self::Lost(_) => false,
        }
    }

    /// The error of a read: a statement that the server does not understand is broken.
    pub(super) fn of_read(self) -> Error {
        match self {
            Self::Refused(refusal) if refusal.is_misunderstood() => Error::Broken(refusal.text),
            Self::Refused(refusal) => refusal.of_batch(),
            Self::Lost(text) => Error::Unavailable(text),
        }
    }

    /// The error of what comes before a batch: loading its rows, preparing its statements. Nobody's data is to blame if the
    /// server does not understand what was rendered.
    pub(super) fn before_batch(self) -> Error {
        match self {
            Self::Refused(refusal) => refusal.of_batch(),
            Self::Lost(text) => Error::Unavailable(text),
        }
    }
}

impl Refusal {
    /// The error of a batch that blames its data, or else nobody: a table that is not there is the operator's to mend.
    pub(super) fn of_batch(self) -> Error {
        match self.state.get(..2) {
            Some("22" | "23" | "54") => Error::Broken(self.text),
            _ => Error::Unavailable(self.text),
        }
    }

    /// Whether a unique key, or an exclusion, is taken.
    pub(super) fn is_taken(&self) -> bool {
        matches!(self.state.as_str(), "23505" | "23P01")
    }

    fn is_misunderstood(&self) -> bool {
        self.state != "42501" && matches!(self.state.get(..2), Some("42" | "0A"))
    }
}

/// No connection could be had.
pub(super) fn of_pool(error: PoolError) -> Error {
    Error::Unavailable(match error {
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => described(error),
        PoolError::PostCreateHook(HookError::Message(text)) => text.into_owned(),
        PoolError::Timeout(_) => "no connection was free in time".to_owned(),
        other => other.to_string(),
    })
}

fn described(error: tokio_postgres::Error) -> String {
    match Failure::from(error) {
        Failure::Refused(Refusal { text, .. }) | Failure::Lost(text) => text,
    }
}

/// The driver's error and what it keeps behind it.
pub(super) fn with_cause(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(state: &str) -> Refusal {
        Refusal { state: state.to_owned(), text: state.to_owned(), detail: None }
    }

    #[test]
    fn codes_become_the_closed_set() {
        for state in ["23514", "23502", "22003", "22021", "54000"] {
            assert_eq!(refused(state).of_batch(), Error::Broken(state.to_owned()));
        }
        for state in ["40001", "40P01", "53100", "57014", "55P03", "25006", "42P01", "XX000", ""] {
            assert_eq!(refused(state).of_batch(), Error::Unavailable(state.to_owned()));
        }
        assert!(refused("23505").is_taken());
    }

    #[test]
    fn a_read_that_is_not_understood_is_broken() {
        assert_eq!(Failure::Refused(refused("42P01")).of_read(), Error::Broken("42P01".to_owned()));
        assert_eq!(Failure::Refused(refused("42501")).of_read(), Error::Unavailable("42501".to_owned()));
        assert_eq!(Failure::Lost(String::new()).of_read(), Error::Unavailable(String::new()));
    }

    #[test]
    fn only_known_errors_leave_a_connection() {
        for (state, leaves) in
            [("SC001", true), ("22003", true), ("57014", true), ("26000", false), ("0A000", false), ("XX000", false)]
        {
            assert_eq!(Failure::Refused(refused(state)).leaves_connection(), leaves, "{state}");
        }
        assert!(!Failure::Lost(String::new()).leaves_connection());
    }
}
