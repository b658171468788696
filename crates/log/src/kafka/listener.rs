//! One member of a consumer group, on a thread of its own: tells in one order what it was given, what it must give back, and
//! what it heard. Where to read from is asked of whoever listens, never of Kafka: the offset that Kafka keeps is a courtesy
//! to those who watch its lag. Leaves applying to `engine`.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender as StdSender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kernel::Bucket;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc;

use super::connection::{CALL_MAX, tell, tell_error};
use super::record::{self, Record};
use super::{Kafka, KafkaFault};

/// How many records are handed over at once at most.
const RECORDS_MAX: usize = 512;
/// How long the thread waits for a record before it looks for a command.
const POLL: Duration = Duration::from_millis(100);
/// How long a broker keeps a request when there is nothing to hear. What comes meanwhile is told at once. Each request names every
/// partition, so that many of them are what listening costs while nothing happens.
const FETCH_WAIT_MAX_MS: &str = "500";
/// After how long without a poll a member's partitions go to the others: longer than any batch takes.
const POLL_MAX_MS: &str = "300000";
/// How much of what lies in Kafka is fetched ahead, in KiB.
const AHEAD_KIB: &str = "8192";

/// A partition of a topic, which is named without the prefix.
pub type Partition = (String, Bucket);

/// What a listener tells.
#[derive(Debug)]
pub enum Heard {
    /// These partitions are ours from now on: read from where?
    Assigned {
        /// The partitions.
        partitions: Vec<Partition>,
        /// Takes the offset of each, in order; 0 is the beginning. Without an answer they are read from the beginning.
        from: SyncSender<Vec<i64>>,
    },
    /// These are no longer ours; dropping `done` lets them go.
    Revoked {
        /// The partitions.
        partitions: Vec<Partition>,
        /// Held for as long as something of them is under way.
        done: SyncSender<()>,
    },
    /// Records, those of a partition in its order.
    Records(Vec<Record>),
    /// From here on these are read from where [`Listener::seek`] said, or it failed.
    Sought(Vec<Partition>, Result<(), KafkaFault>),
    /// What [`Listener::ask_ends`] asked for.
    Ends(Result<Vec<End>, KafkaFault>),
}

/// What there is of a partition of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// Which one.
    pub partition: Partition,
    /// The offset of the first record that is still there.
    pub start: i64,
    /// The offset of the next record that there will be.
    pub end: i64,
}

enum Command {
    /// Read these from there on.
    Seek(Vec<(Partition, i64)>),
    /// Tell where our partitions begin and end.
    Ends,
    /// Note for those who watch Kafka's lag how far these are.
    Note(Vec<(Partition, i64)>),
}

/// A member of a group.
pub struct Listener {
    heard: mpsc::Receiver<Heard>,
    /// Dropped, it ends the thread, which leaves the group.
    commands: Option<StdSender<Command>>,
}

impl Kafka {
    /// Joins `group` and listens to `topics`.
    ///
    /// # Errors
    /// If the settings make no client.
    pub fn listen(&self, group: &str, topics: &[&str]) -> Result<Listener, KafkaFault> {
        let mut client = self.client();
        client.set("group.id", self.name_of(group)).set("partition.assignment.strategy", "cooperative-sticky");
        client.set("session.timeout.ms", self.config.session_ms.to_string());
        client.set("heartbeat.interval.ms", (self.config.session_ms / 5).to_string());
        client.set("max.poll.interval.ms", POLL_MAX_MS).set("fetch.wait.max.ms", FETCH_WAIT_MAX_MS);
        client.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        client.set("auto.offset.reset", "earliest").set("isolation.level", "read_committed");
        client.set("queued.max.messages.kbytes", AHEAD_KIB);
        if !self.config.member.is_empty() {
            client.set("group.instance.id", format!("{}.{group}", self.config.member));
        }
        let (tell, heard) = mpsc::channel(1);
        let context = Membership { kafka: self.clone(), tell, pending: Mutex::default() };
        let consumer = BaseConsumer::from_config_and_context(&client, context)?;
        let names: Vec<String> = topics.iter().map(|topic| self.name_of(topic)).collect();
        consumer.subscribe(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        let (commands, orders) = channel();
        let thread = std::thread::Builder::new().name("kafka-listener".to_owned()).spawn(move || listen(&consumer, &orders));
        thread.map_err(|error| KafkaFault::Unreachable(format!("no thread can be started: {error}")))?;
        Ok(Listener { heard, commands: Some(commands) })
    }
}

impl Listener {
    /// What is heard next; nothing once it has left the group, or was thrown out for good.
    pub async fn heard(&mut self) -> Option<Heard> {
        self.heard.recv().await
    }

    /// Reads `partitions` from other offsets on; 0 is the beginning. Records of before come until [`Heard::Sought`].
    pub fn seek(&self, partitions: Vec<(Partition, i64)>) {
        self.command(Command::Seek(partitions));
    }

    /// Asks what there is of the partitions that are ours; [`Heard::Ends`] tells.
    pub fn ask_ends(&self) {
        self.command(Command::Ends);
    }

    /// Tells Kafka how far `partitions` were read, for those who watch its lag.
    pub fn note(&self, partitions: Vec<(Partition, i64)>) {
        self.command(Command::Note(partitions));
    }

    /// Leaves the group. What is under way still comes, until [`Listener::heard`] tells nothing more.
    pub fn leave(&mut self) {
        self.commands = None;
    }

    fn command(&self, command: Command) {
        if let Some(commands) = &self.commands {
            // A thread that has ended is noticed by whoever waits for what it hears.
            let _ = commands.send(command);
        }
    }
}

/// Polls until nobody listens any more, or the member is thrown out for good; then leaves the group.
fn listen(consumer: &BaseConsumer<Membership>, commands: &Receiver<Command>) {
    let mut wait = POLL;
    loop {
        match commands.recv_timeout(Duration::ZERO) {
            Ok(command) => obey(consumer, command),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let context = consumer.context();
        let waiting = match consumer.poll(wait) {
            Some(Ok(message)) => context.keep(&message),
            // As when another member has come by the same name: this client hears nothing any more, a new one will.
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                tracing::info!(%error, "Kafka: this member is over");
                return;
            }
            Some(Err(error)) => {
                tracing::info!(%error, "Kafka: nothing heard");
                0
            }
            None => 0,
        };
        let more = (1..RECORDS_MAX).contains(&waiting);
        if !more {
            context.hand_over();
        }
        wait = if more { Duration::ZERO } else { POLL };
    }
}

fn obey(consumer: &BaseConsumer<Membership>, command: Command) {
    match command {
        Command::Seek(partitions) => {
            let context = consumer.context();
            context.hand_over();
            let sought = seek(consumer, &context.kafka, &partitions);
            context.tell(Heard::Sought(partitions.into_iter().map(|(partition, _)| partition).collect(), sought));
        }
        Command::Ends => ask_ends(consumer),
        Command::Note(partitions) => {
            let list = list(&consumer.context().kafka, &partitions, |offset| Offset::Offset(*offset));
            // A courtesy: nothing rests on it.
            let _ = list.and_then(|list| Ok(consumer.commit(&list, CommitMode::Async)?));
        }
    }
}

fn seek(consumer: &BaseConsumer<Membership>, kafka: &Kafka, partitions: &[(Partition, i64)]) -> Result<(), KafkaFault> {
    let list = list(kafka, partitions, |offset| start(*offset))?;
    consumer.seek_partitions(list, CALL_MAX)?;
    Ok(())
}

/// Asks beside the listening, which must not wait for the answer.
fn ask_ends(consumer: &BaseConsumer<Membership>) {
    let (kafka, tell) = (consumer.context().kafka.clone(), consumer.context().tell.clone());
    let assigned = consumer.assignment();
    let ask = move || {
        let ends = assigned.map_err(KafkaFault::from).and_then(|assigned| kafka.ends(assigned));
        // Who does not listen any more needs no answer.
        let _ = tell.blocking_send(Heard::Ends(ends));
    };
    // Without a thread there is no answer, and it is asked again.
    let _ = std::thread::Builder::new().name("kafka-ends".to_owned()).spawn(ask);
}

fn start(offset: i64) -> Offset {
    if offset > 0 { Offset::Offset(offset) } else { Offset::Beginning }
}

fn list<T>(
    kafka: &Kafka,
    partitions: &[(Partition, T)],
    offset: impl Fn(&T) -> Offset,
) -> Result<TopicPartitionList, KafkaFault> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for ((topic, bucket), at) in partitions {
        list.add_partition_offset(&kafka.name_of(topic), i32::from(bucket.0), offset(at))?;
    }
    Ok(list)
}

pub(super) fn partition_of(kafka: &Kafka, name: &str, number: i32) -> Option<Partition> {
    Some((kafka.topic_of(name)?.to_owned(), Bucket(u16::try_from(number).ok()?)))
}

/// What the member's thread and its callbacks share.
struct Membership {
    kafka: Kafka,
    tell: mpsc::Sender<Heard>,
    /// Heard, and not handed over yet.
    pending: Mutex<Vec<Record>>,
}

impl Membership {
    /// Keeps a record until it is handed over with others; tells how many these are.
    fn keep(&self, message: &rdkafka::message::BorrowedMessage<'_>) -> usize {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let topic = self.kafka.topic_of(message.topic()).unwrap_or(message.topic());
        match record::read(topic, message) {
            Ok(record) => pending.push(record),
            Err(why) => {
                let (partition, offset) = (message.partition(), message.offset());
                tracing::error!(topic, partition, offset, why, "a record in Kafka is not an event; it is passed over");
            }
        }
        pending.len()
    }

    fn hand_over(&self) {
        let records = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        if !records.is_empty() {
            self.tell(Heard::Records(records));
        }
    }

    fn tell(&self, heard: Heard) {
        // Who does not listen any more has ended the thread, too.
        let _ = self.tell.blocking_send(heard);
    }

    /// Where to read each of `list` from, as far as whoever listens knows.
    fn ask(&self, partitions: &[Partition]) -> Vec<i64> {
        let (from, answer) = sync_channel(1);
        let asked = self.tell.blocking_send(Heard::Assigned { partitions: partitions.to_vec(), from });
        asked.ok().and_then(|()| answer.recv().ok()).unwrap_or_default()
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> Result<(), KafkaFault> {
        let partitions = self.partitions(list);
        let mut offsets = self.ask(&partitions);
        offsets.resize(partitions.len(), 0);
        let with_offsets: Vec<(Partition, i64)> = partitions.into_iter().zip(offsets).collect();
        let list = self::list(&self.kafka, &with_offsets, |offset| start(*offset))?;
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&list)?,
            _ => consumer.assign(&list)?,
        }
        Ok(())
    }

    fn give_back(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> Result<(), KafkaFault> {
        let (done, wait) = sync_channel(0);
        let told = self.tell.blocking_send(Heard::Revoked { partitions: self.partitions(list), done });
        if told.is_ok() {
            // It ends when the other side drops its end.
            let _ = wait.recv();
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(list)?,
            _ => consumer.unassign()?,
        }
        Ok(())
    }

    fn partitions(&self, list: &TopicPartitionList) -> Vec<Partition> {
        list.elements().iter().filter_map(|element| partition_of(&self.kafka, element.topic(), element.partition())).collect()
    }
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tell(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tell_error(&error, reason);
    }
}

impl ConsumerContext for Membership {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        // What was heard of a partition comes before that it is given back.
        self.hand_over();
        let done = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => self.give_back(consumer, list),
        };
        if let Err(fault) = done {
            tracing::warn!(%fault, "partitions not taken or given back");
        }
    }
}
