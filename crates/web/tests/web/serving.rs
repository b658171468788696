//! Real sockets: an answer on the wire, a drain that waits, a drain that is cut, and slow or silent peers.
//! Leaves everything above the connection to the other tests.

use std::net::SocketAddr;
use std::sync::Arc;

use kernel::Fault;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use web::{Access, Answer, BODY_BYTES_MAX, Body, Drained, Json, Routes, ServeLimits, State, serve};

use crate::shop::Shop;

#[derive(Clone, Default)]
struct Gate {
    reached: Arc<Notify>,
    leave: Arc<Notify>,
}

async fn hold(State(gate): State<Gate>) -> Result<Answer, Fault> {
    gate.reached.notify_one();
    gate.leave.notified().await;
    Ok(Answer::ok("held"))
}

async fn echo(body: Body<Json>) -> Result<Answer, Fault> {
    Ok(Answer::ok(body.value))
}

struct Served {
    address: SocketAddr,
    gate: Gate,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Drained>,
}

#[allow(clippy::disallowed_methods, reason = "the server runs beside the test")]
async fn served(limits: ServeLimits) -> Served {
    let shop = Shop::new();
    let gate = Gate::default();
    let routes = Routes::new("test").get("/hold", Access::anyone(), hold).post("/echo", Access::anyone(), echo);
    let router = shop.door.open(routes.with_state(gate.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async { stopped.await.unwrap_or_default() };
    let ended = tokio::spawn(serve(listener, router, shop.runtime.clone(), limits, shutdown));
    Served { address, gate, stop, ended }
}

async fn send(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

async fn rest_of(mut stream: TcpStream) -> String {
    let mut text = String::new();
    // A connection that is cut ends with an error or without one.
    let _ = stream.read_to_string(&mut text).await;
    text
}

const HOLD: &str = "GET /hold HTTP/1.1\r\nHost: shop\r\n\r\n";

#[tokio::test]
async fn an_answer_arrives_on_the_wire() {
    let served = served(ServeLimits::default()).await;
    let request = "POST /echo HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}";
    let answer = rest_of(send(served.address, request).await).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n{\"a\":1}"), "{answer}");
    served.stop.send(()).unwrap();
    assert_eq!(served.ended.await.unwrap(), Drained::Whole);
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_is_refused_before_it_comes() {
    let served = served(ServeLimits::default()).await;
    let length = BODY_BYTES_MAX + 1;
    let request =
        format!("POST /echo HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    let mut stream = send(served.address, &request).await;
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_drain_waits_for_what_is_under_way_and_closes_what_is_idle() {
    let served = served(ServeLimits::default()).await;
    let idle = send(served.address, "").await;
    let held = send(served.address, HOLD).await;
    served.gate.reached.notified().await;
    served.stop.send(()).unwrap();
    assert_eq!(rest_of(idle).await, "");
    assert!(TcpStream::connect(served.address).await.is_err());
    served.gate.leave.notify_one();
    assert!(rest_of(held).await.ends_with("\"held\""));
    assert_eq!(served.ended.await.unwrap(), Drained::Whole);
}

#[tokio::test]
async fn a_drain_that_takes_too_long_is_cut() {
    let served = served(ServeLimits { drain_ms_max: 30, ..ServeLimits::default() }).await;
    let held = send(served.address, HOLD).await;
    served.gate.reached.notified().await;
    served.stop.send(()).unwrap();
    assert_eq!(served.ended.await.unwrap(), Drained::Cut);
    assert_eq!(rest_of(held).await, "");
}

#[tokio::test]
async fn a_peer_that_does_not_finish_its_head_is_let_go() {
    let served = served(ServeLimits { head_ms_max: 30, ..ServeLimits::default() }).await;
    for start in ["", "GET /hold HT"] {
        let stream = send(served.address, start).await;
        assert!(!rest_of(stream).await.contains(" 200 "), "{start}");
    }
}

#[tokio::test]
async fn a_connection_over_the_limit_waits_unread() {
    let served = served(ServeLimits { connections_max: 1, ..ServeLimits::default() }).await;
    let first = send(served.address, HOLD).await;
    served.gate.reached.notified().await;
    let second = send(served.address, HOLD).await;
    drop(first);
    served.gate.reached.notified().await;
    served.gate.leave.notify_one();
    let mut start = [0; 12];
    let mut second = second;
    second.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
}
