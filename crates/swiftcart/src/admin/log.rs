//! How the log of each service travels, and having a part of it sent to Kafka again.
//! Leaves sending to `engine`.

use engine::LogStatus;
use futures_util::future::join_all;
use kernel::Fault;
use serde::Deserialize;
use web::{Access, Answer, Body, Caller, IdempotencyKey, Path, Routes, State, json};

use super::{Own, Whole};

pub(super) fn internal(service: &'static str) -> Routes<Own> {
    Routes::new(service).get(&format!("/internal/{service}/log"), Access::admin(), status_of_service).post(
        &format!("/internal/{service}/log/republish"),
        Access::admin(),
        republish_of_service,
    )
}

pub(super) fn routes() -> Routes<Whole> {
    Routes::new("swiftcart").get("/v1/admin/log", Access::admin(), status).post(
        "/v1/admin/log/{service}/republish",
        Access::admin(),
        republish,
    )
}

/// From which event on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct From {
    from: i64,
}

async fn status_of_service(State(own): State<Own>) -> Result<Answer, Fault> {
    Ok(Answer::ok(own.running.log_status().await?))
}

async fn status(State(whole): State<Whole>) -> Result<Answer, Fault> {
    let asked = whole.peers.services().map(|service| whole.get(service, "log"));
    let mut items = Vec::new();
    for told in join_all(asked).await {
        let status: LogStatus =
            serde_json::from_value(told?).map_err(|error| Fault::internal(format!("a log's status: {error}")))?;
        items.push(status);
    }
    Ok(Answer::ok(json!({ "items": items })))
}

/// Puts the relay's mark back; doing it again changes nothing that is not said again anyway, so its key is for the way only.
async fn republish_of_service(
    State(own): State<Own>,
    caller: Caller,
    _key: IdempotencyKey,
    body: Body<From>,
) -> Result<Answer, Fault> {
    let From { from } = body.value;
    if from < 1 {
        return Err(Fault::invalid_field("/from", "events are numbered from 1 on"));
    }
    let after = own.running.republish(from - 1, &caller.trace).await?;
    Ok(Answer::ok(json!({ "service": own.name(), "from": after + 1 })))
}

async fn republish(
    State(whole): State<Whole>,
    Path(service): Path<String>,
    key: IdempotencyKey,
    body: Body<From>,
) -> Result<Answer, Fault> {
    let (service, _) = whole.peers.peer(&service).ok_or_else(|| Fault::not_found("service"))?;
    Ok(Answer::ok(whole.post(service, "log/republish", &key, &json!({ "from": body.value.from })).await?))
}
