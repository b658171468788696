//! The envelope of an event: CloudEvents 1.0 in JSON with `traceparent`, and what every event must say of itself.
//! Leaves `seq` and order to the log.

use kernel::{Bucket, Id, Timestamp, TraceContext};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Where an event goes: its partition, and the key whose order must hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The partition.
    pub bucket: Bucket,
    /// The key, usually an id.
    pub key: String,
}

impl Place {
    /// The place of an id: its own bucket, itself as key.
    #[must_use]
    pub fn of(id: impl Into<Id>) -> Self {
        let id = id.into();
        Self { bucket: id.bucket(), key: id.to_string() }
    }
}

/// What can be published: typed, versioned, with a fixed topic.
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Type and version, as `order.placed.v1`.
    const KIND: &'static str;
    /// The topic, named after the aggregate whose key it carries.
    const TOPIC: &'static str;

    /// Where it goes.
    fn place(&self) -> Place;
}

/// CloudEvents 1.0, structured mode, with the distributed tracing extension.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// Always `1.0`.
    pub specversion: String,
    /// Unique per event.
    pub id: Id,
    /// The service that says it, as `/orders`.
    pub source: String,
    /// Type and version, as `order.placed.v1`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whose it is: the key.
    pub subject: String,
    /// When it was decided.
    pub time: Timestamp,
    /// Always `application/json`.
    pub datacontenttype: String,
    /// The request that it goes back to.
    pub traceparent: TraceContext,
    /// The event itself.
    pub data: serde_json::Value,
}

impl Envelope {
    /// The envelope of `event`, said by `service` at `time`.
    ///
    /// # Errors
    /// If the event is not representable in JSON, which is a defect of its type.
    pub fn seal<E: Event>(
        event: &E,
        id: Id,
        service: &str,
        time: Timestamp,
        trace: &TraceContext,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            specversion: "1.0".to_owned(),
            id,
            source: format!("/{service}"),
            kind: E::KIND.to_owned(),
            subject: event.place().key,
            time,
            datacontenttype: "application/json".to_owned(),
            traceparent: trace.clone(),
            data: serde_json::to_value(event)?,
        })
    }
}
