//! Sends events to Kafka in order and tells which of them lie there. One sender is one attempt: after a failed send whoever
//! has it drops it and begins again, so that acknowledgements of an earlier attempt never count for a later one.
//! Leaves what is sent, and from where on, to the relay in `engine`.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig};
use tokio::sync::mpsc;

use super::connection::{tell, tell_error};
use super::record;
use super::{BEACON, Kafka, KafkaFault};
use crate::LogEvent;

/// How long one event may be under way before the attempt counts as failed.
const SEND_MAX_MS: &str = "20000";

/// How long the thread of a sender waits for a report before it looks whether the sender is still there. Each wait ends with a
/// millisecond of spinning in `rdkafka`, whose own thread does so ten times a second.
const POLL: Duration = Duration::from_secs(1);

/// What became of one event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ack {
    /// Its number.
    pub seq: i64,
    /// Whether it lies in Kafka; a failure may have arrived all the same.
    pub sent: Result<(), String>,
}

/// One attempt to send the events of one source.
pub struct Sender {
    kafka: Kafka,
    producer: Arc<BaseProducer<Reports>>,
    acks: mpsc::UnboundedReceiver<Ack>,
}

impl Kafka {
    /// A sender: idempotent, so that a repeat inside of librdkafka neither doubles nor reorders.
    ///
    /// # Errors
    /// If the settings make no client.
    pub fn sender(&self) -> Result<Sender, KafkaFault> {
        let mut client = self.client();
        client.set("enable.idempotence", "true").set("acks", "all");
        client.set("linger.ms", "1").set("compression.type", "lz4");
        client.set("message.timeout.ms", SEND_MAX_MS);
        let (report, acks) = mpsc::unbounded_channel();
        let producer = Arc::new(BaseProducer::from_config_and_context(&client, Reports(report))?);
        let polled = Arc::downgrade(&producer);
        let poll = move || {
            while let Some(producer) = polled.upgrade() {
                producer.poll(POLL);
            }
        };
        let thread = std::thread::Builder::new().name("kafka-sender".to_owned()).spawn(poll);
        thread.map_err(|error| KafkaFault::Unreachable(format!("no thread can be started: {error}")))?;
        Ok(Sender { kafka: self.clone(), producer, acks })
    }
}

impl Sender {
    /// Puts `event` into the queue of those under way, which holds far more than a relay has under way.
    ///
    /// # Errors
    /// If it cannot be sent at all.
    pub fn send(&self, event: &LogEvent) -> Result<(), KafkaFault> {
        let topic = self.kafka.name_of(&event.topic);
        // Nobody waits for a beacon.
        let seq = if event.kind == BEACON { 0 } else { usize::try_from(event.seq).unwrap_or_default() };
        let record = BaseRecord::with_opaque_to(&topic, seq)
            .partition(i32::from(event.partition.0))
            .key(event.key.as_bytes())
            .payload(event.payload.as_bytes())
            .headers(record::headers(event));
        let refused = |(error, _)| KafkaFault::Unreachable(format!("{} {}/{}: {error}", event.kind, event.source, event.seq));
        self.producer.send(record).map_err(refused)
    }

    /// What became of the next event, in the order in which that is learned.
    pub async fn ack(&mut self) -> Ack {
        let gone = Ack { seq: 0, sent: Err("the sender has ended".to_owned()) };
        self.acks.recv().await.unwrap_or(gone)
    }

    /// What became of the next event, if that is known already.
    pub fn ack_now(&mut self) -> Option<Ack> {
        self.acks.try_recv().ok()
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // What is not sent yet would only be doubled by the next attempt.
        self.producer.purge(PurgeConfig::default().queue().inflight());
    }
}

/// Carries what librdkafka's threads learn to the sender.
struct Reports(mpsc::UnboundedSender<Ack>);

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tell(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tell_error(&error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, seq: usize) {
        let sent = result.as_ref().map(|_| ()).map_err(|(error, _)| error.to_string());
        if seq == 0 && sent.is_ok() {
            return;
        }
        // A sender that was dropped has failed already.
        let _ = self.0.send(Ack { seq: i64::try_from(seq).unwrap_or_default(), sent });
    }
}
