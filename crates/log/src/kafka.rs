//! Apache Kafka as the log between processes and databases: where it is, which topics a shop needs there, who sends to it
//! (`sender`), who listens (`listener`) and where partitions end (`ends`). Leaves what is sent, and what is done with what is heard, to `engine`.

mod connection;
mod ends;
mod listener;
mod record;
mod sender;
mod topics;

use std::fmt;
use std::sync::Arc;

use contracts::EventInfo;
use kernel::Fault;

use crate::KafkaConfig;

pub use listener::{End, Heard, Listener, Partition};
pub use record::{BEACON, Record};
pub use sender::{Ack, Sender};

/// A Kafka and this shop's part of it. Cheap to clone; opens nothing by itself.
#[derive(Clone, Debug)]
pub struct Kafka {
    config: Arc<KafkaConfig>,
    partitions: u16,
    asker: Arc<ends::Asker>,
}

/// Why Kafka did not do what it was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KafkaFault {
    /// It does not answer, or not now.
    Unreachable(String),
    /// What is there is not what this shop needs.
    Wrong(String),
}

impl fmt::Display for KafkaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "Kafka: {why}"),
            Self::Wrong(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for KafkaFault {}

/// When whoever asked for what needs Kafka may ask again.
const RETRY_AFTER_MS: i64 = 1000;

impl From<KafkaFault> for Fault {
    fn from(fault: KafkaFault) -> Self {
        match fault {
            KafkaFault::Unreachable(why) => Self::unavailable(format!("Kafka: {why}"), RETRY_AFTER_MS),
            KafkaFault::Wrong(why) => Self::internal(why),
        }
    }
}

impl From<rdkafka::error::KafkaError> for KafkaFault {
    fn from(error: rdkafka::error::KafkaError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

impl Kafka {
    /// The Kafka that `config` names, with one partition of every topic for each of the shop's `partitions` buckets.
    #[must_use]
    pub fn new(config: &KafkaConfig, partitions: u16) -> Self {
        Self { config: Arc::new(config.clone()), partitions, asker: Arc::default() }
    }

    /// How often a relay says where each partition stands.
    #[must_use]
    pub fn beacon_every_ms(&self) -> kernel::Millis {
        self.config.beacon_every_ms
    }

    /// The name that `topic` has there.
    fn name_of(&self, topic: &str) -> String {
        format!("{}{topic}", self.config.prefix)
    }

    /// The topic that is called `name` there, if it is this shop's.
    fn topic_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&self.config.prefix)
    }
}

/// Every topic of a shop, by name.
#[must_use]
pub fn every_topic() -> Vec<&'static str> {
    let mut topics: Vec<&str> = contracts::every_event().iter().map(|event: &EventInfo| event.topic).collect();
    topics.sort_unstable();
    topics.dedup();
    topics
}
