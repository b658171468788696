//! Events in commit order. A source's log is its outbox, numbered under the head row; this crate reads it, links it into
//! chains for logs between databases, says which event a cursor may take, and wakes readers on commit.
//! Leaves applying events, and the cursors themselves, to `engine`.

mod chain;
mod config;
mod kafka;
mod outbox;
mod tail;
mod wakes;

pub use chain::{Admission, Tails, admit, link};
pub use config::{Config, KafkaConfig, Security, Way};
pub use kafka::{Ack, BEACON, End, Heard, Kafka, KafkaFault, Listener, Partition, Record, Sender, every_topic};
pub use outbox::{LogEvent, Outbox, READ_EVENTS_MAX, READS};
pub use wakes::Wakes;
