//! Events in commit order. A source's log is its outbox, numbered under the head row; this crate reads it, links it into
//! chains for logs between databases, says which event a cursor may take, and wakes readers on commit.
//! Leaves applying events, and the cursors themselves, to `engine`.

mod chain;
mod config;
mod outbox;
mod tail;
mod wakes;

pub use chain::{Admission, admit, link};
pub use config::{Config, KafkaConfig, Security, Way};
pub use outbox::{LogEvent, Outbox, READ_EVENTS_MAX, READS};
pub use wakes::Wakes;
