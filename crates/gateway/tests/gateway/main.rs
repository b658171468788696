//! A gateway before a service that answers on a real socket: everything passes as if the service had been asked itself, and
//! where it does not answer that is said. Leaves what is tried again to the tests of `web`.

use std::sync::Arc;

use kernel::{Fault, Runtime};
use testkit::{Asked, HANG_UP, TestRuntime, problem, serve, some_time};
use tokio::net::TcpListener;
use web::{
    Access, Answer, BODY_BYTES_MAX, Body, Call, Caller, Conditions, Door, HeaderName, Headers, IdempotencyKey, InternalKey, Json,
    Keyring, Limits, Method, Peer, PeerLimits, Prefer, Reply, Router, Routes, ServeLimits, StatusCode, json,
};

const KEY: &str = "the-key-of-the-shop";

async fn echo(headers: Headers, caller: Caller, _key: IdempotencyKey, body: Body<Json>) -> Result<Answer, Fault> {
    let text = |name: &str| headers.0.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let told = json!({
        "body": body.value, "request": caller.request_id, "trace": caller.trace.to_string(), "capability": caller.capability,
        "authorization": text("authorization"), "connection": text("connection"), "proto": text("x-forwarded-proto"),
    });
    Ok(Answer::created("/v1/things/7", told))
}

async fn read(conditions: Conditions, prefer: Prefer) -> Result<Answer, Fault> {
    Ok(conditions.answer(7, json!({ "wait_ms": prefer.wait_ms })))
}

async fn nothing() -> Result<Answer, Fault> {
    Ok(Answer::ok(json!({})))
}

fn service() -> Routes {
    Routes::new("things")
        .post("/v1/things", Access::anyone(), echo)
        .get("/v1/things/{id}", Access::anyone(), read_one)
        .get("/v1/things", Access::anyone(), read)
        .get("/v1/secret", Access::admin(), nothing)
}

async fn read_one(web::Path(id): web::Path<String>) -> Result<Answer, Fault> {
    Ok(Answer::ok(json!({ "id": id })))
}

fn runtime() -> Arc<dyn Runtime> {
    Arc::new(TestRuntime::standing(some_time()))
}

/// The gateway before whoever answers at `urls`.
fn gateway(urls: &[String]) -> Router {
    let limits = PeerLimits { try_ms: 1000, deadline_ms: 5000 };
    let peer = Peer::pool(urls, limits, runtime()).unwrap();
    let routes = gateway::routes("things", service().list(), &peer, Some(InternalKey::named(KEY)));
    Door::new(runtime(), Keyring::new(), Limits::default()).open(routes)
}

/// The service on a socket, which knows the key of the shop, and the gateway before it.
async fn open() -> Router {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let keyring = Keyring::new().trusting(InternalKey::named(KEY));
    let router = Door::new(runtime(), keyring, Limits::default()).open(service());
    let served = async move {
        web::serve(listener, router, runtime(), ServeLimits::default(), std::future::pending()).await;
    };
    runtime().spawn("server", Box::pin(served));
    gateway(&[url])
}

async fn ask(router: &Router, call: Call) -> Reply {
    call.send(router).await.unwrap()
}

/// The status and the reason of a refusal.
fn refusal(reply: &Reply) -> (u16, String) {
    let (status, reason, _) = problem(reply);
    (status, reason)
}

fn header(name: &'static str) -> HeaderName {
    HeaderName::from_static(name)
}

#[tokio::test]
async fn a_request_passes_as_it_came_and_so_does_its_answer() {
    let router = open().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let call = Call::post("/v1/things").key("k").json(&json!({ "a": 1 })).capability("some.seal");
    let call = call.header(header("x-request-id"), "mine-1").header(header("traceparent"), trace);
    let reply = ask(&router, call.header(header("connection"), "close")).await;
    assert_eq!(reply.status, StatusCode::CREATED);
    assert_eq!((reply.header("location"), reply.header("x-request-id")), (Some("/v1/things/7"), Some("mine-1")));
    let told: Json = reply.json().unwrap();
    let expected = json!({
        "body": { "a": 1 }, "request": "mine-1", "trace": trace, "capability": "some.seal", "authorization": null,
        "connection": null, "proto": "http",
    });
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_request_without_a_name_has_the_same_one_behind_the_gateway() {
    let router = open().await;
    let reply = ask(&router, Call::post("/v1/things").key("k").json(&json!(1))).await;
    let named = reply.header("x-request-id").unwrap().to_owned();
    assert_eq!(reply.json::<Json>().unwrap()["request"], named.as_str());
}

#[tokio::test]
async fn conditions_heads_and_waits_pass() {
    let router = open().await;
    let whole = ask(&router, Call::get("/v1/things").header(header("prefer"), "wait=3")).await;
    assert_eq!((whole.status, whole.header("etag")), (StatusCode::OK, Some("\"7\"")));
    assert_eq!(whole.json::<Json>().unwrap(), json!({ "wait_ms": 3000 }));
    let fresh = ask(&router, Call::get("/v1/things").header(header("if-none-match"), "\"7\"")).await;
    assert_eq!((fresh.status, fresh.body.len()), (StatusCode::NOT_MODIFIED, 0));
    let head = ask(&router, Call::new(Method::HEAD, "/v1/things")).await;
    let plain = ask(&router, Call::get("/v1/things")).await;
    assert_eq!((head.status, head.body.len(), head.header("etag")), (StatusCode::OK, 0, Some("\"7\"")));
    assert_eq!(head.header("content-length"), Some(plain.body.len().to_string().as_str()));
}

#[tokio::test]
async fn paths_pass_as_they_are_written() {
    let router = open().await;
    for (path, id) in [("/v1/things/a%2Fb%20c", "a/b c"), ("/v1/things/%E2%98%83", "\u{2603}")] {
        assert_eq!(ask(&router, Call::get(path)).await.json::<Json>().unwrap(), json!({ "id": id }));
    }
    assert_eq!(refusal(&ask(&router, Call::get("/v1/things/%FF")).await).1, "invalid-path");
    assert_eq!(refusal(&ask(&router, Call::get("/v1/things?odd=1")).await).1, "unknown-parameter");
}

#[tokio::test]
async fn who_may_call_is_decided_by_the_service_and_nobody_passes_for_a_process_of_the_shop() {
    let router = open().await;
    assert_eq!(refusal(&ask(&router, Call::get("/v1/secret")).await), (401, "unauthenticated".to_owned()));
    assert_eq!(refusal(&ask(&router, Call::get("/v1/secret").bearer("odd")).await), (401, "token-invalid".to_owned()));
    for shown in [format!("Bearer {KEY}"), format!("bearer   {KEY}")] {
        let reply = ask(&router, Call::get("/v1/secret").header(header("authorization"), &shown)).await;
        assert_eq!(refusal(&reply), (401, "token-invalid".to_owned()), "{shown}");
    }
}

#[tokio::test]
async fn what_is_too_large_and_what_is_nowhere_is_refused_here() {
    let router = open().await;
    let huge = Call::post("/v1/things").key("k").bytes("application/json", vec![b' '; BODY_BYTES_MAX + 1]);
    assert_eq!(refusal(&ask(&router, huge).await), (413, "body-too-large".to_owned()));
    assert_eq!(refusal(&ask(&router, Call::get("/v1/nothing")).await), (404, "no-such-path".to_owned()));
    assert_eq!(refusal(&ask(&router, Call::new(Method::DELETE, "/v1/things")).await), (405, "method-not-allowed".to_owned()));
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_named_and_nothing_is_claimed_that_is_not_known() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nowhere = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let hangs_up = serve(|asked: &Asked| if asked.path == "/livez" { (200, "{}".to_owned()) } else { (HANG_UP, String::new()) });
    let hangs_up = hangs_up.await;
    let post = || Call::post("/v1/things").json(&json!(1));
    let unavailable = (503, "peer-unavailable".to_owned());
    let unknown = (503, "outcome-unknown".to_owned());
    let cases = [
        (&nowhere, Call::get("/v1/things"), &unavailable),
        (&nowhere, post(), &unavailable),
        (&hangs_up, Call::get("/v1/things"), &unavailable),
        (&hangs_up, post(), &unknown),
        (&hangs_up, post().key("k"), &unknown),
    ];
    for (url, call, expected) in cases {
        let reply = ask(&gateway(&[url.clone()]), call).await;
        assert_eq!(refusal(&reply), *expected, "{url}");
        assert_eq!(reply.json::<Json>().unwrap()["service"], "things");
        assert_eq!(reply.header("retry-after"), Some("1"));
        assert!(!String::from_utf8_lossy(&reply.body).contains(url.as_str()), "where it is is nobody's business");
    }
}
