//! Conditions: entity tags of versions, and the wait that a caller prefers.
//! Leaves versions to the store.

use kernel::Fault;
use testkit::{brief, is, problem};
use web::{Access, Answer, Call, Conditions, HeaderName, Json, Prefer, Router, Routes, header};

use crate::shop::{ask, open};

const PRESENT: i64 = 12;

async fn read(conditions: Conditions) -> Result<Answer, Fault> {
    Ok(conditions.answer(PRESENT, "the view"))
}

async fn change(conditions: Conditions) -> Result<Answer, Fault> {
    conditions.required()?.check(PRESENT)?;
    Ok(Answer::no_content().etag(PRESENT + 1))
}

async fn change_if(conditions: Conditions) -> Result<Answer, Fault> {
    conditions.check(PRESENT)?;
    Ok(Answer::no_content())
}

async fn wait(prefer: Prefer) -> Result<Answer, Fault> {
    Ok(Answer::ok(prefer.wait_ms))
}

fn router() -> Router {
    let routes = Routes::new("test").get("/thing", Access::anyone(), read).put("/thing", Access::anyone(), change);
    open(routes.patch("/thing", Access::anyone(), change_if).post("/wait", Access::anyone(), wait))
}

async fn get(tag: &str) -> web::Reply {
    ask(&router(), Call::get("/thing").header(header::IF_NONE_MATCH, tag)).await
}

async fn put(tag: &str) -> web::Reply {
    ask(&router(), Call::new(web::Method::PUT, "/thing").header(header::IF_MATCH, tag)).await
}

#[tokio::test]
async fn a_reader_who_has_it_gets_no_body() {
    for tag in ["\"12\"", "W/\"12\"", "\"3\", \"12\"", "*", "\"other\",\"12\""] {
        let reply = get(tag).await;
        assert_eq!((reply.status.as_u16(), reply.header("etag"), reply.body.len()), (304, Some("\"12\""), 0), "{tag}");
    }
    for tag in ["\"11\"", "\"012\"", "12", "", "\"a,b\"", "W/12", "\"+12\""] {
        let reply = get(tag).await;
        assert_eq!((reply.status.as_u16(), reply.header("etag")), (200, Some("\"12\"")), "{tag}");
    }
    let two = Call::get("/thing").header(header::IF_NONE_MATCH, "\"1\"").header(header::IF_NONE_MATCH, "\"12\"");
    assert_eq!(ask(&router(), two).await.status, 304);
}

#[tokio::test]
async fn a_change_states_what_it_expects() {
    let reply = put("\"12\"").await;
    assert_eq!((reply.status.as_u16(), reply.header("etag")), (204, Some("\"13\"")));
    assert_eq!(put("*").await.status, 204);
    for stale in ["\"11\"", "W/\"12\"", "\"x\""] {
        let reply = put(stale).await;
        assert_eq!(brief(&reply), is(412, "stale", "-"), "{stale}");
        assert_eq!(problem(&reply).2["version"], 12);
    }
    for malformed in ["12", "", "\"12"] {
        assert_eq!(brief(&put(malformed).await), is(400, "invalid-header", "If-Match"), "{malformed}");
    }
    let missing = ask(&router(), Call::new(web::Method::PUT, "/thing")).await;
    assert_eq!(brief(&missing), is(428, "precondition-required", "If-Match"));
    let patch = Call::new(web::Method::PATCH, "/thing");
    assert_eq!(ask(&router(), patch.clone()).await.status, 204);
    assert_eq!(ask(&router(), patch.header(header::IF_MATCH, "\"1\"")).await.status, 412);
}

#[tokio::test]
async fn a_wait_is_granted_up_to_a_minute() {
    for (prefer, wait_ms) in [
        ("wait=5", Some(5000)),
        ("Wait = \"7\"", Some(7000)),
        ("respond-async, wait=3; x=y", Some(3000)),
        ("wait=600", Some(60_000)),
        ("wait=0", Some(0)),
        ("wait=4294967295", Some(60_000)),
        ("wait=99999999999", None),
        ("wait=-1", None),
        ("wait", None),
        ("await=5", None),
        ("", None),
    ] {
        let call = Call::post("/wait").header(HeaderName::from_static("prefer"), prefer);
        assert_eq!(ask(&router(), call).await.json::<Json>().unwrap().as_i64(), wait_ms, "{prefer}");
    }
}
