//! A peer in this process and one across a socket: the same answers, and no answer where there is none.
//! Leaves what is asked to the services that ask.

use std::sync::Arc;

use kernel::Fault;
use tokio::net::TcpListener;
use web::{Access, Answer, Headers, Json, PEER_ANSWER_BYTES_MAX, Peer, PeerAsk, RawBody, Routes, ServeLimits, json, serve};

use crate::shop::Shop;

async fn echo(Headers(headers): Headers, RawBody(body): RawBody) -> Result<Answer, Fault> {
    let key = headers.get("sandbox-key").and_then(|value| value.to_str().ok()).unwrap_or_default();
    Ok(Answer::accepted(json!({ "key": key, "body": String::from_utf8_lossy(&body) })))
}

async fn leave() -> Result<Answer, Fault> {
    Ok(Answer::see_other("/elsewhere"))
}

async fn cut() -> Result<Answer, Fault> {
    Ok(Answer::cut())
}

async fn flood() -> Result<Answer, Fault> {
    Ok(Answer::bytes("text/plain", vec![b'x'; PEER_ANSWER_BYTES_MAX + 1]))
}

/// The same routes behind a local peer and behind a remote one, whose base has a path of its own.
async fn both() -> [Peer; 2] {
    let routes = || {
        let routes = Routes::new("test").post("/base/echo", Access::anyone(), echo).get("/base/leave", Access::anyone(), leave);
        routes.get("/base/cut", Access::anyone(), cut).get("/base/flood", Access::anyone(), flood)
    };
    let shop = Shop::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/base/", listener.local_addr().unwrap());
    let (router, runtime) = (shop.door.open(routes()), shop.runtime.clone());
    let server = async move {
        serve(listener, router, runtime, ServeLimits::default(), std::future::pending()).await;
    };
    kernel::Runtime::spawn(&*shop.runtime, "server", Box::pin(server));
    [Peer::local(shop.door.open(routes())), Peer::remote(&url).unwrap()]
}

/// The path as the peer knows it: the local one has no base.
fn path(peer: &Peer, path: &str) -> String {
    if format!("{peer:?}") == "Peer::local" { format!("/base{path}") } else { path.to_owned() }
}

fn get(path: String) -> PeerAsk {
    PeerAsk { method: "GET", path, headers: Vec::new(), body: Vec::new() }
}

#[tokio::test]
async fn headers_and_bodies_go_and_come() {
    for peer in both().await {
        let headers = vec![("sandbox-key", "s3cret".to_owned())];
        let ask = PeerAsk { method: "POST", path: path(&peer, "/echo"), headers, body: b"hello".to_vec() };
        // Twice, so that a connection that is kept is used.
        for _ in 0..2 {
            let answer = peer.ask(ask.clone()).await.unwrap();
            assert_eq!(answer.status, 202);
            let body: Json = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(body, json!({ "key": "s3cret", "body": "hello" }));
        }
        assert!(!format!("{peer:?}").contains("s3cret"));
    }
}

#[tokio::test]
async fn refusals_and_redirections_are_answers() {
    for peer in both().await {
        assert_eq!(peer.ask(get(path(&peer, "/leave"))).await.unwrap().status, 303);
        assert_eq!(peer.ask(get(path(&peer, "/nowhere"))).await.unwrap().status, 404);
    }
}

#[tokio::test]
async fn what_is_cut_off_or_too_large_is_no_answer() {
    for peer in both().await {
        let fault = peer.ask(get(path(&peer, "/cut"))).await.unwrap_err();
        assert!(fault.to_string().starts_with("no answer: "), "{fault}");
        let fault = peer.ask(get(path(&peer, "/flood"))).await.unwrap_err();
        assert!(fault.why.contains(&PEER_ANSWER_BYTES_MAX.to_string()), "{fault}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_not_asked() {
    for peer in both().await {
        peer.ask(get("echo".to_owned())).await.unwrap_err();
        peer.ask(PeerAsk { method: "B AD", ..get(path(&peer, "/leave")) }).await.unwrap_err();
        peer.ask(PeerAsk { headers: vec![("b ad", String::new())], ..get(path(&peer, "/leave")) }).await.unwrap_err();
        peer.ask(PeerAsk { headers: vec![("bad", "\n".to_owned())], ..get(path(&peer, "/leave")) }).await.unwrap_err();
    }
}

#[tokio::test]
async fn nobody_answers_before_the_router_is_there_nor_where_nobody_listens() {
    let peer = Peer::unconnected();
    let copy = peer.clone();
    assert!(copy.ask(get("/leave".to_owned())).await.unwrap_err().why.contains("not there yet"));
    let shop = Arc::new(Shop::new());
    peer.connect(shop.door.open(Routes::new("test").get("/leave", Access::anyone(), leave)));
    assert_eq!(copy.ask(get("/leave".to_owned())).await.unwrap().status, 303);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = Peer::remote(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    gone.ask(get("/leave".to_owned())).await.unwrap_err();
}

#[test]
fn only_plain_addresses_are_taken() {
    for right in ["http://127.0.0.1:4242", "http://provider.example/", "http://[::1]:4242/base/path"] {
        assert!(Peer::remote(right).is_ok(), "{right}");
    }
    for wrong in [
        "",
        "127.0.0.1:4242",
        "https://provider.example",
        "ftp://provider.example",
        "http://",
        "http://me:pass@provider.example",
        "http://provider.example/?a=1",
        "http://provider.example/#a",
    ] {
        let error = Peer::remote(wrong).unwrap_err().to_string();
        assert!(error.contains("http://127.0.0.1:4242"), "{wrong}: {error}");
    }
}
