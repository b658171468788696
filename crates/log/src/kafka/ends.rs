//! Where partitions begin and end, asked over a connection that does nothing else: a broker answers each connection in turn, so
//! that on one that listens the question would wait behind a fetch that waits for records, and every record behind the question.
//! Leaves when to ask to `listener`.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

use super::connection::{CALL_MAX, Telling};
use super::listener::{End, Partition, partition_of};
use super::{Kafka, KafkaFault};

/// The client that asks, once somebody has.
#[derive(Default)]
pub(super) struct Asker(OnceLock<BaseConsumer<Telling>>);

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asker")
    }
}

impl ConsumerContext for Telling {}

impl Kafka {
    fn asker(&self) -> Result<&BaseConsumer<Telling>, KafkaFault> {
        if self.asker.0.get().is_none() {
            let asker = BaseConsumer::from_config_and_context(&self.client(), Telling)?;
            // Another may have been quicker; one of the two is enough.
            let _ = self.asker.0.set(asker);
        }
        self.asker.0.get().ok_or_else(|| KafkaFault::Unreachable("there is no client".to_owned()))
    }

    /// What there is of the partitions in `list`. Waits for the broker.
    pub(super) fn ends(&self, mut list: TopicPartitionList) -> Result<Vec<End>, KafkaFault> {
        let asker = self.asker()?;
        // What it has to tell of its connections comes out here.
        let _ = asker.poll(Duration::ZERO);
        if list.count() == 0 {
            return Ok(Vec::new());
        }
        // In the place of a time, these ask for the first record and for what comes after the last one.
        let mut offsets = |bound: Offset| -> Result<Vec<(Partition, i64)>, KafkaFault> {
            list.set_all_offsets(bound)?;
            let answer = asker.offsets_for_times(list.clone(), CALL_MAX)?;
            let offset = |element: &TopicPartitionListElem<'_>| {
                let partition = partition_of(self, element.topic(), element.partition())?;
                Some((partition, element.offset().to_raw().filter(|offset| *offset >= 0)?))
            };
            Ok(answer.elements().iter().filter_map(offset).collect())
        };
        let starts: HashMap<Partition, i64> = offsets(Offset::Beginning)?.into_iter().collect();
        let ends = offsets(Offset::End)?.into_iter();
        Ok(ends.filter_map(|(partition, end)| Some(End { start: *starts.get(&partition)?, partition, end })).collect())
    }
}
