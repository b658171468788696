//! The envelope is a CloudEvent 1.0 in JSON, in both directions.
//! Leaves what is inside to the examples.

use contracts::orders::OrderCancelled;
use contracts::{Envelope, OrderId};
use kernel::{Bucket, Draw, Id, Timestamp, TraceContext};
use serde_json::{Value, json};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const ORDER: &str = "01a20eba-5248-740f-8171-a089daba079f";
const EVENT: &str = "01a20eba-6b9c-7d21-8170-5c1f0a9be442";

/// As it lies in a log.
fn stored() -> Value {
    json!({
        "specversion": "1.0",
        "id": EVENT,
        "source": "/orders",
        "type": "order.cancelled.v1",
        "subject": ORDER,
        "time": "2026-11-24T18:05:02.004Z",
        "datacontenttype": "application/json",
        "traceparent": TRACE,
        "data": { "order": ORDER, "reason": "gave-up" },
    })
}

fn sealed() -> Envelope {
    let order: OrderId = ORDER.parse().expect("it is an id");
    let event = OrderCancelled { order, reason: "gave-up".to_owned() };
    let time = Timestamp::parse("2026-11-24T18:05:02.004Z").expect("it is an instant");
    let trace = TraceContext::parse(TRACE).expect("it is a trace");
    Envelope::seal(&event, EVENT.parse().expect("it is an id"), "orders", time, &trace).expect("it is JSON")
}

#[test]
fn an_event_is_sealed_as_a_cloud_event() {
    assert_eq!(serde_json::to_value(sealed()).expect("it is JSON"), stored());
}

#[test]
fn a_cloud_event_is_read_as_it_was_sealed() {
    let envelope: Envelope = serde_json::from_value(stored()).expect("it is an envelope");
    assert_eq!(envelope, sealed());
    let event: OrderCancelled = serde_json::from_value(envelope.data).expect("it is the event");
    assert_eq!((event.order.to_string(), event.reason), (ORDER.to_owned(), "gave-up".to_owned()));
}

#[test]
fn its_attributes_are_named_as_the_standard_wants() {
    let Value::Object(members) = stored() else { panic!("an envelope is an object") };
    for name in members.keys() {
        let sound = name.len() <= 20 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        assert!(sound, "{name}: CloudEvents wants at most 20 lower-case letters and digits");
    }
    for required in ["specversion", "id", "source", "type"] {
        assert!(members.contains_key(required), "{required} is required");
    }
}

#[test]
fn extensions_of_others_are_passed_over() {
    let mut stored = stored();
    stored["partitionkey"] = ORDER.into();
    let envelope: Envelope = serde_json::from_value(stored).expect("CloudEvents may carry extensions");
    assert_eq!(envelope, sealed());
}

#[test]
fn what_is_no_cloud_event_is_refused() {
    for missing in ["specversion", "id", "source", "type", "time", "traceparent", "data"] {
        let mut stored = stored();
        stored.as_object_mut().expect("an envelope is an object").remove(missing);
        assert!(serde_json::from_value::<Envelope>(stored).is_err(), "{missing}");
    }
}

#[test]
fn the_key_of_an_event_is_its_subject_and_its_bucket_the_orders() {
    let order = OrderId(Id::new(Timestamp::from_millis(1), Bucket(23), &mut Draw::seeded(1)));
    let place = contracts::Event::place(&OrderCancelled { order, reason: String::new() });
    assert_eq!((place.bucket, place.key), (Bucket(23), order.to_string()));
}
