//! Raises documents of payments that an older program wrote to the form of today.
//! Leaves today's form to `domain`.

use serde_json::{Value, json};
use store::Error;

/// Version 1 had one means of payment, whose terms and sums stood in the payment itself, and called its questions attempts.
pub(super) fn raise(doc_v: i64, mut doc: Value) -> Result<Value, Error> {
    if doc_v != 1 {
        return Err(Error::Broken(format!("a payment of version {doc_v} is not known to this program")));
    }
    let terms = doc["terms"].take();
    let mut asked = doc["attempts"].take();
    for question in asked.as_array_mut().into_iter().flatten() {
        (question["attempt"], question["refund"]) = (json!(1), Value::Null);
    }
    let state = doc["state"].as_str().unwrap_or_default();
    let state = match state {
        // A question was lost: whether that was the first or a later one, the intent tells.
        "unknown" | "created" if doc["intent"].is_null() => "asked",
        "unknown" | "created" => "authorised",
        other => other,
    };
    let attempt = json!({
        "number": 1,
        "amount": terms["amount"],
        "token": terms["token"],
        "pay_by": terms["pay_by"],
        "state": state,
        "intent": doc["intent"],
        "url": null,
        "authorised_minor": doc["authorised_minor"],
        "captured_minor": doc["captured_minor"],
        "voided_minor": doc["voided_minor"],
        "reason": doc["reason"],
        "written_off": matches!(state, "declined" | "voided" | "expired"),
        "doubted": false,
        "changed": 0,
    });
    Ok(json!({
        "order": doc["order"],
        "store": terms["store"],
        "wish": doc["wish"],
        "attempts": if terms.is_null() { json!([]) } else { json!([attempt]) },
        "asked": asked,
        "refunds": [],
        "dispute": null,
        "voided_said": state == "voided",
        "created_at": doc["created_at"],
        "changed_at": doc["changed_at"],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::payment::{Payment, PaymentState};

    fn raised(state: &str, intent: &Value, terms: &Value, word: &Value) -> Payment {
        let old = json!({
            "order": "01a20eba-5248-740f-8171-a089daba079f",
            "state": state,
            "wish": "hold",
            "terms": terms,
            "intent": intent,
            "authorised_minor": 1000,
            "captured_minor": 0,
            "voided_minor": 0,
            "reason": null,
            "attempts": [{
                "operation": "authorise",
                "number": 1,
                "amount": { "minor": 1000, "currency": "USD" },
                "trace": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                "asked_at": "2026-11-24T18:12:41.530Z",
                "word": word,
            }],
            "created_at": "2026-11-24T18:12:41.530Z",
            "changed_at": "2026-11-24T18:12:41.530Z",
        });
        serde_json::from_value(raise(1, old).unwrap()).unwrap()
    }

    #[test]
    fn payments_of_version_1_go_on_as_they_stood() {
        let terms = json!({
            "store": "01a05cd7-2a00-7082-8059-97a8db88b5d1",
            "amount": { "minor": 1000, "currency": "USD" },
            "token": "tok_ok",
            "pay_by": "2026-11-24T18:12:41.530Z",
        });
        let held = raised("authorised", &json!("pi_1"), &terms, &json!({ "done": { "intent": "pi_1" } }));
        assert_eq!((held.state(), held.authorised_minor()), (PaymentState::Authorised, 1000));
        assert_eq!(held.counting().unwrap().intent.as_deref(), Some("pi_1"));
        let lost = raised("unknown", &Value::Null, &terms, &json!({ "unknown": { "cause": "lost" } }));
        assert_eq!(
            (lost.state(), lost.asked[0].key(lost.order)),
            (PaymentState::Unknown, format!("sc:{}:authorise:1", lost.order))
        );
        let mark = raised("voided", &Value::Null, &Value::Null, &Value::Null);
        assert_eq!((mark.state(), mark.voided_said), (PaymentState::Voided, true));
        assert!(raise(3, json!({})).is_err());
    }
}
