//! The topics of a shop in Kafka: made with one partition for each bucket, and refused if they are otherwise, because the
//! partitions of a topic never change. Leaves who needs which to whoever asks.

use std::collections::HashMap;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::oneshot;

use super::connection::{CALL_MAX, Telling};
use super::{Kafka, KafkaFault};

/// From how many copies on an event must lie on two brokers before it counts.
const REPLICATION_SAFE: i32 = 3;

impl Kafka {
    /// Which of `topics` are not there.
    ///
    /// # Errors
    /// [`KafkaFault::Wrong`] if one has another number of partitions than the shop has buckets.
    pub async fn missing<'a>(&self, topics: &[&'a str]) -> Result<Vec<&'a str>, KafkaFault> {
        let there = self.look().await?;
        let mut missing = Vec::new();
        for topic in topics {
            let name = self.name_of(topic);
            match there.get(&name) {
                None => missing.push(*topic),
                Some(count) if *count == usize::from(self.partitions) => {}
                Some(count) => {
                    let wanted = self.partitions;
                    let why = format!(
                        "the topic {name} has {count} partitions, and the shop has {wanted} buckets; a topic's partitions never \
                         change: take another kafka.prefix, or delete the topic if nothing of it is needed"
                    );
                    return Err(KafkaFault::Wrong(why));
                }
            }
        }
        Ok(missing)
    }

    /// Makes those of `topics` that are not there, and tells which these were.
    ///
    /// # Errors
    /// As [`Kafka::missing`]; [`KafkaFault::Wrong`] if Kafka refuses one.
    pub async fn ensure<'a>(&self, topics: &[&'a str]) -> Result<Vec<&'a str>, KafkaFault> {
        let missing = self.missing(topics).await?;
        if missing.is_empty() {
            return Ok(missing);
        }
        let names: Vec<String> = missing.iter().map(|topic| self.name_of(topic)).collect();
        let retention = self.config.retention_ms.to_string();
        let replicas = if self.config.replication >= REPLICATION_SAFE { "2" } else { "1" };
        let new = names.iter().map(|name| {
            NewTopic::new(name, i32::from(self.partitions), TopicReplication::Fixed(self.config.replication))
                .set("cleanup.policy", "delete")
                .set("retention.ms", &retention)
                .set("min.insync.replicas", replicas)
        });
        let new: Vec<NewTopic<'_>> = new.collect();
        let options = AdminOptions::new().operation_timeout(Some(CALL_MAX)).request_timeout(Some(CALL_MAX));
        for made in self.admin()?.create_topics(&new, &options).await? {
            match made {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, error)) => return Err(KafkaFault::Wrong(format!("the topic {name} cannot be made: {error}"))),
            }
        }
        Ok(missing)
    }

    /// How many partitions each topic has.
    async fn look(&self) -> Result<HashMap<String, usize>, KafkaFault> {
        let admin = self.admin()?;
        let looked = on_thread(move || {
            let metadata = admin.inner().fetch_metadata(None, CALL_MAX)?;
            Ok(metadata.topics().iter().map(|topic| (topic.name().to_owned(), topic.partitions().len())).collect())
        });
        looked.await
    }

    fn admin(&self) -> Result<AdminClient<Telling>, KafkaFault> {
        use rdkafka::config::FromClientConfigAndContext;
        Ok(AdminClient::from_config_and_context(&self.client(), Telling)?)
    }
}

/// Does what waits for the network on a thread of its own.
async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T, KafkaFault> + Send + 'static) -> Result<T, KafkaFault> {
    let (answer, answered) = oneshot::channel();
    let started = std::thread::Builder::new().name("kafka-look".to_owned()).spawn(move || {
        // Who no longer waits for the answer does not need it.
        let _ = answer.send(work());
    });
    started.map_err(|error| KafkaFault::Unreachable(format!("no thread can be started: {error}")))?;
    answered.await.unwrap_or_else(|_| Err(KafkaFault::Unreachable("the thread that asked has ended".to_owned())))
}
