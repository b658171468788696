//! The door itself: names, traces, security headers, unknown paths and methods, panics, limits and deadlines.
//! Leaves sockets to `serving`.

use std::future::pending;
use std::sync::Arc;

use kernel::{Fault, Runtime, TraceContext};
use testkit::{TestRuntime, brief, is, problem};
use tokio::sync::Notify;
use web::{Access, Answer, Call, Caller, HeaderName, Json, Limits, Method, Router, Routes, State, header, json};

use crate::shop::{Shop, ask, open};

async fn show(caller: Caller) -> Result<Answer, Fault> {
    Ok(Answer::ok(json!([caller.request_id, caller.trace, caller.capability])))
}

async fn write() -> Result<Answer, Fault> {
    Ok(Answer::accepted(1))
}

async fn page() -> Result<Answer, Fault> {
    Ok(Answer::bytes("text/html; charset=utf-8", "<p>").header(header::CACHE_CONTROL, "max-age=60"))
}

async fn fall() -> Result<Answer, Fault> {
    panic!("the secret is 1234");
}

async fn never() -> Result<Answer, Fault> {
    pending().await
}

fn router() -> Router {
    let routes = Routes::new("one").get("/show", Access::anyone(), show).post("/show", Access::anyone(), write);
    let more = Routes::new("two").delete("/show", Access::admin(), write).get("/page", Access::anyone(), page);
    open(routes.merge(more.get("/fall", Access::anyone(), fall)))
}

fn name(text: &'static str) -> HeaderName {
    HeaderName::from_static(text)
}

#[tokio::test]
async fn a_request_keeps_a_sane_name_and_gets_one_otherwise() {
    let named = ask(&router(), Call::get("/show").header(name("x-request-id"), "Check-out_7.a")).await;
    assert_eq!(named.header("x-request-id"), Some("Check-out_7.a"));
    for insane in ["", "a b", "a\"b", "é", &"x".repeat(65)] {
        let reply = ask(&router(), Call::get("/show").header(name("x-request-id"), insane)).await;
        let given = reply.header("x-request-id").unwrap();
        assert!(given.parse::<kernel::Id>().is_ok(), "{insane}: {given}");
        assert_eq!(reply.json::<Json>().unwrap()[0], given);
    }
}

#[tokio::test]
async fn a_trace_goes_on_or_begins() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let call = Call::get("/show").header(name("traceparent"), trace).capability("a.b");
    let reply = ask(&router(), call).await;
    let shown = reply.json::<Json>().unwrap();
    let (given, child) = (TraceContext::parse(trace).unwrap(), TraceContext::parse(shown[1].as_str().unwrap()).unwrap());
    assert_eq!((child.trace_id(), &shown[2]), (given.trace_id(), &json!("a.b")));
    assert_ne!(child.span_id(), given.span_id());
    assert_eq!(reply.header("traceparent"), shown[1].as_str());
    let call = Call::get("/show").header(name("traceparent"), "nonsense");
    let shown = ask(&router(), call).await.json::<Json>().unwrap();
    assert!(TraceContext::parse(shown[1].as_str().unwrap()).is_some());
}

#[tokio::test]
async fn every_answer_is_furnished() {
    for call in
        [Call::get("/show"), Call::get("/fall"), Call::get("/nowhere"), Call::post("/page"), Call::get("/show").bearer("x")]
    {
        let reply = ask(&router(), call).await;
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert!(reply.header("x-request-id").is_some());
    }
    assert_eq!(ask(&router(), Call::get("/page")).await.header("cache-control"), Some("max-age=60"));
}

#[tokio::test]
async fn an_unknown_path_or_method_is_a_problem() {
    assert_eq!(brief(&ask(&router(), Call::get("/nowhere")).await), is(404, "no-such-path", "-"));
    for method in [Method::PUT, Method::OPTIONS, Method::TRACE] {
        let reply = ask(&router(), Call::new(method, "/show")).await;
        assert_eq!(brief(&reply), is(405, "method-not-allowed", "-"));
        assert_eq!(reply.header("allow"), Some("GET, POST, DELETE, HEAD"));
    }
    assert_eq!(ask(&router(), Call::post("/page")).await.header("allow"), Some("GET, HEAD"));
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let reply = ask(&router(), Call::new(Method::HEAD, "/page")).await;
    assert_eq!((reply.status.as_u16(), reply.header("content-length"), reply.body.len()), (200, Some("3"), 0));
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
}

#[tokio::test]
async fn a_panic_is_a_problem_that_tells_nothing() {
    let reply = ask(&router(), Call::get("/fall")).await;
    assert_eq!(brief(&reply), is(500, "internal", "-"));
    assert!(!String::from_utf8_lossy(&reply.body).contains("1234"));
}

#[tokio::test]
async fn a_read_that_takes_too_long_is_unavailable_and_a_write_is_unknown() {
    let shop = Shop::with_limits(Limits { deadline_ms: 20, ..Limits::default() });
    let routes = Routes::new("test").get("/never", Access::anyone(), never).post("/never", Access::anyone(), never);
    let router = shop.door.open(routes);
    let reply = ask(&router, Call::get("/never")).await;
    assert_eq!(brief(&reply), is(503, "unavailable", "-"));
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert_eq!(brief(&ask(&router, Call::post("/never")).await), is(503, "outcome-unknown", "-"));
}

#[tokio::test]
async fn a_preferred_wait_moves_the_deadline() {
    async fn rest(State(runtime): State<Arc<TestRuntime>>) -> Result<Answer, Fault> {
        runtime.sleep(60).await;
        Ok(Answer::no_content())
    }
    let shop = Shop::with_limits(Limits { deadline_ms: 20, ..Limits::default() });
    let router = shop.door.open(Routes::new("test").get("/rest", Access::anyone(), rest).with_state(shop.runtime.clone()));
    assert_eq!(ask(&router, Call::get("/rest")).await.status, 503);
    assert_eq!(ask(&router, Call::get("/rest").header(name("prefer"), "wait=5")).await.status, 204);
}

#[tokio::test]
async fn requests_over_the_limit_are_refused_at_once_and_waiting_ones_are_counted_apart() {
    async fn hold(State(gate): State<Arc<Notify>>) -> Result<Answer, Fault> {
        gate.notified().await;
        Ok(Answer::no_content())
    }
    let gate = Arc::new(Notify::new());
    let limits = Limits { requests_max: 1, waits_max: 1, ..Limits::default() };
    let door = Shop::with_limits(limits).door;
    let router = door.open(Routes::new("test").get("/hold", Access::anyone(), hold).with_state(gate.clone()));
    let waiting = || Call::get("/hold").header(name("prefer"), "wait=5");
    let held = ask(&router, Call::get("/hold"));
    let held_waiting = ask(&router, waiting());
    let over = async {
        for call in [Call::get("/hold"), waiting()] {
            let reply = ask(&router, call).await;
            assert_eq!(brief(&reply), is(503, "overloaded", "-"));
            assert_eq!(reply.header("retry-after"), Some("1"));
        }
        gate.notify_waiters();
    };
    let (first, second, ()) = tokio::join!(held, held_waiting, over);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (204, 204));
    gate.notify_one();
    assert_eq!(ask(&router, Call::get("/hold")).await.status, 204);
}

#[test]
#[should_panic(expected = "two handlers for GET /show")]
fn two_handlers_for_one_route_are_a_defect() {
    let routes = Routes::new("one").get("/show", Access::anyone(), show).get("/show", Access::admin(), write);
    let _ = open(routes);
}

#[tokio::test]
async fn a_fault_of_a_handler_is_its_answer() {
    async fn refuse() -> Result<Answer, Fault> {
        Err(Fault::conflict("out-of-stock", "two lines are short").with("lines", json!([1])))
    }
    let router = open(Routes::new("test").post("/orders", Access::anyone(), refuse));
    let (status, reason, members) = problem(&ask(&router, Call::post("/orders")).await);
    assert_eq!((status, reason.as_str(), &members["lines"]), (409, "out-of-stock", &json!([1])));
}
