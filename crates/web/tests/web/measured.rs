//! What a door counts: by route, method, service and class of status; and that no caller can make it count more kinds of things.
//! Leaves the form of the text to `telemetry`.

use std::future::pending;

use futures_util::FutureExt;
use kernel::{Draw, Fault, FaultKind};
use telemetry::Text;
use web::{Access, Answer, Call, HeaderName, Limits, Method, Router, Routes, Traffic};

use crate::shop::{Shop, ask};

async fn well() -> Result<Answer, Fault> {
    Ok(Answer::no_content())
}

async fn badly() -> Result<Answer, Fault> {
    Err(Fault::new(FaultKind::Conflict, "taken", "somebody else was faster"))
}

async fn never() -> Result<Answer, Fault> {
    pending().await
}

fn open(limits: Limits) -> (Router, Traffic) {
    let traffic = Traffic::default();
    let routes = Routes::new("shop").get("/things/{id}", Access::anyone(), well).put("/things/{id}", Access::anyone(), badly);
    let routes = routes.get("/never", Access::anyone(), never);
    (Shop::with_limits(limits).door.counting(traffic.clone()).open(routes), traffic)
}

fn told(traffic: &Traffic) -> String {
    let mut text = Text::default();
    traffic.tell(&mut text);
    text.to_string()
}

fn tells(traffic: &Traffic, sample: &str) {
    let text = told(traffic);
    assert!(text.lines().any(|line| line == sample), "{sample} in {text}");
}

/// How many series there are.
fn series(traffic: &Traffic) -> usize {
    told(traffic).lines().filter(|line| !line.starts_with('#')).count()
}

#[tokio::test]
async fn requests_are_counted_by_route_and_answer() {
    let (router, traffic) = open(Limits::default());
    let prefer = HeaderName::from_static("prefer");
    for call in [Call::get("/things/1"), Call::new(Method::HEAD, "/things/2"), Call::get("/things/3").header(prefer, "wait=5")] {
        ask(&router, call).await;
    }
    ask(&router, Call::new(Method::PUT, "/things/1")).await;
    ask(&router, Call::new(Method::DELETE, "/things/1")).await;
    ask(&router, Call::get("/elsewhere")).await;
    let reading = r#"service="shop",method="GET",route="/things/{id}""#;
    tells(&traffic, &format!("swiftcart_http_requests_total{{{reading},status=\"2xx\"}} 3"));
    // One of them preferred to wait: how long that took says nothing.
    tells(&traffic, &format!("swiftcart_http_request_duration_seconds_count{{{reading}}} 2"));
    let writing = r#"service="shop",method="PUT",route="/things/{id}""#;
    tells(&traffic, &format!("swiftcart_http_requests_total{{{writing},status=\"4xx\"}} 1"));
    tells(&traffic, r#"swiftcart_http_requests_total{service="none",method="any",route="none",status="4xx"} 2"#);
}

#[tokio::test]
async fn what_is_under_way_refused_or_given_up_is_counted() {
    let (router, traffic) = open(Limits { requests_max: 1, ..Limits::default() });
    let never = r#"service="shop",method="GET",route="/never""#;
    let mut held = Box::pin(ask(&router, Call::get("/never")));
    assert!(held.as_mut().now_or_never().is_none());
    tells(&traffic, &format!("swiftcart_http_requests_in_flight{{{never}}} 1"));
    assert_eq!(ask(&router, Call::get("/things/1")).await.status, 503);
    tells(&traffic, r#"swiftcart_http_requests_shed_total{service="shop",method="GET",route="/things/{id}"} 1"#);
    tells(&traffic, r#"swiftcart_http_requests_total{service="shop",method="GET",route="/things/{id}",status="5xx"} 1"#);
    drop(held);
    tells(&traffic, &format!("swiftcart_http_requests_in_flight{{{never}}} 0"));
    tells(&traffic, &format!("swiftcart_http_requests_total{{{never},status=\"gone\"}} 1"));
}

#[tokio::test]
async fn doors_that_share_a_traffic_count_a_route_once() {
    let traffic = Traffic::default();
    for _ in 0..2 {
        let door = Shop::new().door.counting(traffic.clone());
        ask(&door.open(Routes::new("shop").get("/things", Access::anyone(), well)), Call::get("/things")).await;
    }
    tells(&traffic, r#"swiftcart_http_requests_total{service="shop",method="GET",route="/things",status="2xx"} 2"#);
}

#[tokio::test]
async fn a_flood_of_paths_and_methods_makes_no_series() {
    let (router, traffic) = open(Limits::default());
    let mut draw = Draw::seeded(5);
    let mut flood = async |count: usize| {
        for _ in 0..count {
            let any = draw.next_u64();
            let method = Method::from_bytes(format!("M{any:x}").as_bytes()).unwrap();
            for call in [Call::get(&format!("/things/{any}")), Call::get(&format!("/{any}")), Call::new(method, "/things/1")] {
                let traced = call.header(HeaderName::from_static("x-request-id"), &any.to_string());
                ask(&router, traced).await;
            }
        }
    };
    flood(1).await;
    let before = series(&traffic);
    flood(200).await;
    assert_eq!(series(&traffic), before);
}
