//! An event as a record of Kafka: its partition is its bucket, its key the key, its place in the chain stands in the headers.
//! Leaves sending and listening to their files.

use kernel::Bucket;
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};

use crate::LogEvent;

/// The kind of a record that says no event but where its partition stands: its `seq` and its `prev` are the last event's. So
/// the chain takes it for seen by whoever has come that far, and for a gap by whoever lost its place.
pub const BEACON: &str = "log.beacon";

/// A record as it was heard.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    /// The event, its topic without the prefix.
    pub event: LogEvent,
    /// Where it lies in its partition.
    pub offset: i64,
}

/// The headers of `event`.
pub(super) fn headers(event: &LogEvent) -> OwnedHeaders {
    let (seq, prev) = (event.seq.to_string(), event.prev.to_string());
    let header = |key, value| Header { key, value: Some(value) };
    OwnedHeaders::new_with_capacity(4)
        .insert(header("source", event.source.as_str()))
        .insert(header("seq", seq.as_str()))
        .insert(header("prev", prev.as_str()))
        .insert(header("kind", event.kind.as_str()))
}

/// The record of `topic` in `message`, or why it is none of ours.
pub(super) fn read(topic: &str, message: &BorrowedMessage<'_>) -> Result<Record, String> {
    let headers = message.headers().ok_or("it has no headers")?;
    let text = |name: &str| {
        let value = headers.iter().find(|header| header.key == name).and_then(|header| header.value);
        value.and_then(|value| std::str::from_utf8(value).ok()).ok_or_else(|| format!("its header `{name}` is missing"))
    };
    let number = |name: &str| text(name)?.parse::<i64>().map_err(|_| format!("its header `{name}` is no number"));
    let utf8 = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let partition = u16::try_from(message.partition()).map_err(|_| "its partition is no bucket")?;
    let event = LogEvent {
        source: text("source")?.to_owned(),
        seq: number("seq")?,
        prev: number("prev")?,
        topic: topic.to_owned(),
        partition: Bucket(partition),
        key: utf8(message.key()),
        kind: text("kind")?.to_owned(),
        payload: utf8(message.payload()),
    };
    Ok(Record { event, offset: message.offset() })
}
