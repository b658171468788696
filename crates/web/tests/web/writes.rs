//! Writes: idempotency keys, and what an answer to a write carries.
//! Leaves the memory of keys to the services.

use kernel::Fault;
use testkit::{brief, is};
use web::{Access, Answer, Call, IdempotencyKey, Router, Routes, StatusCode};

use crate::shop::{ask, open};

async fn write(key: IdempotencyKey) -> Result<Answer, Fault> {
    match key.as_str() {
        "reused" => Err(web::key_reused()),
        "again" => Ok(Answer::ok(key.as_str()).with_status(StatusCode::CREATED).location("/things/1").etag(3).replayed(true)),
        "broken" => Ok(Answer::created("/things/\n", ())),
        other => Ok(Answer::created("/things/1", other).replayed(false)),
    }
}

fn router() -> Router {
    open(Routes::new("test").post("/things", Access::anyone(), write))
}

async fn post(key: &str) -> web::Reply {
    ask(&router(), Call::post("/things").key(key)).await
}

#[tokio::test]
async fn a_key_is_taken_with_or_without_the_quotes_of_the_draft() {
    let longest = "k".repeat(128);
    for (sent, taken) in [("a-1", "a-1"), ("\"a-1\"", "a-1"), ("~!'()", "~!'()"), (&longest, &longest)] {
        let reply = post(sent).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (201, Some("/things/1")), "{sent}");
        assert_eq!(reply.json::<String>().unwrap(), taken);
        assert_eq!(reply.header("idempotency-replayed"), None);
    }
}

#[tokio::test]
async fn a_key_that_is_missing_or_malformed_is_refused_with_the_fix() {
    let reply = ask(&router(), Call::post("/things")).await;
    assert_eq!(brief(&reply), is(400, "idempotency-key-missing", "Idempotency-Key"));
    for key in ["", "\"\"", "\"", "a b", "a\"b", "\"a", "a\\", &"k".repeat(129)] {
        assert_eq!(brief(&post(key).await), is(400, "idempotency-key-invalid", "Idempotency-Key"), "{key}");
    }
    let two = Call::post("/things").key("a").key("a");
    assert_eq!(brief(&ask(&router(), two).await), is(400, "idempotency-key-invalid", "Idempotency-Key"));
}

#[tokio::test]
async fn a_reused_key_is_422_and_a_repeat_is_marked() {
    assert_eq!(brief(&post("reused").await), is(422, "idempotency-key-reused", "-"));
    let reply = post("again").await;
    assert_eq!(reply.status, 201);
    assert_eq!(reply.header("idempotency-replayed"), Some("true"));
    assert_eq!((reply.header("etag"), reply.header("location")), (Some("\"3\""), Some("/things/1")));
}

#[tokio::test]
async fn an_answer_that_cannot_be_sent_is_a_defect() {
    assert_eq!(brief(&post("broken").await), is(500, "internal", "-"));
}
