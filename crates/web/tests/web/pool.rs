//! A peer at several addresses: what is repeated elsewhere and what never is, for how long nobody is waited for, who is not asked
//! any more and when again. Leaves one address to `peers`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kernel::{Fault, Millis, Runtime};
use testkit::{Asked, HANG_UP, SILENCE, STALL, TestRuntime, serve, serve_at, some_time};
use tokio::net::TcpListener;
use web::{Access, Answer, Peer, PeerAnswer, PeerAsk, PeerFault, PeerLimits, Routes, ServeLimits, State, json};

use crate::shop::Shop;

const LIMITS: PeerLimits = PeerLimits { try_ms: 200, deadline_ms: 5000 };

/// How many failures on end open a breaker, and for how long.
const FAILURES: usize = 5;
const OPEN_MS: Millis = 1000;

/// A server that counts what it is asked, besides the looks at its life.
struct Counted {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Counted {
    /// It answers with `status`, given how often it was asked before.
    async fn new(status: impl Fn(usize) -> u16 + Send + Sync + 'static) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let answer = move |asked: &Asked| match asked.path.as_str() {
            "/livez" => (200, "{}".to_owned()),
            _ => (status(count.fetch_add(1, Ordering::SeqCst)), "told".to_owned()),
        };
        Self { url: serve(answer).await, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// An address at which nobody listens.
async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn pool_at(urls: &[&str]) -> (Peer, Arc<TestRuntime>) {
    let runtime = Arc::new(TestRuntime::standing(some_time()));
    let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
    (Peer::pool(&urls, LIMITS, runtime.clone()).unwrap(), runtime)
}

async fn ask(peer: &Peer, method: &'static str, headers: &[(&'static str, &str)]) -> Result<PeerAnswer, PeerFault> {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    peer.ask(PeerAsk { method, path: "/thing".to_owned(), headers, body: Vec::new() }).await
}

const KEY: (&str, &str) = ("idempotency-key", "k");

/// Waits until it is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..10_000_000 {
        if is_so() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{what}");
}

#[tokio::test]
async fn what_was_not_sent_is_sent_elsewhere_whatever_it_is() {
    let well = Counted::new(|_| 200).await;
    let (peer, _) = pool_at(&[&nowhere().await, &well.url]);
    for round in 1..=4 {
        assert_eq!(ask(&peer, "POST", &[]).await.unwrap().status, 200);
        assert_eq!(well.asked(), round);
    }
}

#[tokio::test]
async fn what_may_have_been_done_is_repeated_if_that_is_safe_and_never_else() {
    for broken in [HANG_UP, SILENCE] {
        let (first, second) = (Counted::new(move |_| broken).await, Counted::new(move |_| broken).await);
        let (peer, _) = pool_at(&[&first.url, &second.url]);
        let fault = ask(&peer, "POST", &[]).await.unwrap_err();
        assert!(fault.maybe_done, "{fault}");
        assert_eq!(first.asked() + second.asked(), 1, "it is not repeated");
        let fault = ask(&peer, "POST", &[KEY]).await.unwrap_err();
        assert!(fault.maybe_done, "a key makes a repetition safe and the outcome no better known: {fault}");
        assert!(first.asked() >= 1 && second.asked() >= 1, "it is repeated at the other");
        let fault = ask(&peer, "GET", &[]).await.unwrap_err();
        assert!(!fault.maybe_done, "a read does nothing: {fault}");
    }
}

#[tokio::test]
async fn one_that_dies_or_freezes_is_made_up_for_by_the_other() {
    for broken in [HANG_UP, SILENCE] {
        let (ill, well) = (Counted::new(move |_| broken).await, Counted::new(|_| 200).await);
        let (peer, _) = pool_at(&[&ill.url, &well.url]);
        for (method, headers) in [("GET", &[][..]), ("POST", &[KEY]), ("PUT", &[KEY]), ("HEAD", &[])] {
            assert_eq!(ask(&peer, method, headers).await.unwrap().status, 200);
        }
        assert!(ill.asked() > 0 && well.asked() == 4);
    }
}

#[tokio::test]
async fn a_connection_that_broke_under_a_request_is_made_again_at_the_only_address() {
    let dying = Counted::new(|asked| if asked == 0 { HANG_UP } else { 200 }).await;
    let (peer, _) = pool_at(&[&dying.url]);
    assert_eq!(ask(&peer, "GET", &[]).await.unwrap().status, 200);
    assert_eq!(dying.asked(), 2);
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_is_not_repeated() {
    let full = Counted::new(|_| 503).await;
    let (peer, _) = pool_at(&[&full.url, &full.url]);
    assert_eq!(ask(&peer, "GET", &[]).await.unwrap().status, 503);
    assert_eq!(full.asked(), 1);
}

#[tokio::test]
async fn who_fails_again_and_again_is_left_alone_and_then_asked_by_one_request_at_a_time() {
    let ill = Counted::new(|asked| if asked <= FAILURES { HANG_UP } else { 200 }).await;
    let (peer, clock) = pool_at(&[&ill.url]);
    for _ in 0..FAILURES {
        assert!(ask(&peer, "POST", &[]).await.unwrap_err().maybe_done);
    }
    assert!(!peer.standing()[0].well);
    let fault = ask(&peer, "POST", &[]).await.unwrap_err();
    assert!(!fault.maybe_done && ill.asked() == FAILURES, "nothing was sent: {fault}");
    clock.advance(OPEN_MS);
    ask(&peer, "POST", &[]).await.unwrap_err();
    assert_eq!(ill.asked(), FAILURES + 1, "one request sees that it is still ill");
    ask(&peer, "POST", &[]).await.unwrap_err();
    assert_eq!(ill.asked(), FAILURES + 1, "and the next does not");
    clock.advance(OPEN_MS);
    assert_eq!(ask(&peer, "POST", &[]).await.unwrap().status, 200);
    assert!(peer.standing()[0].well);
}

#[tokio::test]
async fn repetitions_are_few_beside_the_requests() {
    // Neither fails often enough on end to be left alone.
    let often = |asked: usize| if asked % FAILURES == 0 { 200 } else { HANG_UP };
    let (first, second) = (Counted::new(often).await, Counted::new(often).await);
    let (peer, _) = pool_at(&[&first.url, &second.url]);
    let requests = 400;
    for _ in 0..requests {
        let _ = ask(&peer, "GET", &[]).await;
    }
    let repeated = first.asked() + second.asked() - requests;
    assert!((requests / 5..=requests / 5 + 20).contains(&repeated), "{repeated}");
}

#[tokio::test]
async fn who_is_gone_is_not_asked_and_is_asked_again_when_it_is_there() {
    let url = nowhere().await;
    let (peer, _) = pool_at(&[&url]);
    until("it is found to be gone", || !peer.standing()[0].well).await;
    let fault = ask(&peer, "POST", &[]).await.unwrap_err();
    assert!(!fault.maybe_done && fault.why.contains("none of its addresses"), "{fault}");
    serve_at(url.strip_prefix("http://").unwrap(), |_| (200, "{}".to_owned())).await;
    until("it is there again", || peer.standing()[0].well).await;
    assert_eq!(ask(&peer, "POST", &[]).await.unwrap().status, 200);
}

#[tokio::test]
async fn who_gives_no_sign_of_life_is_asked_only_if_nobody_else_is_there() {
    let busy = Arc::new(AtomicUsize::new(0));
    let count = busy.clone();
    let silent = serve(move |asked: &Asked| match asked.path.as_str() {
        "/livez" => (SILENCE, String::new()),
        _ => (200, count.fetch_add(1, Ordering::SeqCst).to_string()),
    });
    let silent = silent.await;
    let well = Counted::new(|_| 200).await;
    let ((peer, _), (alone, _)) = (pool_at(&[&silent, &well.url]), pool_at(&[&silent]));
    until("it is found to be silent", || !peer.standing()[0].well && !alone.standing()[0].well).await;
    let why = peer.standing()[0].why.clone().unwrap();
    assert!(why.contains("no sign of life"), "{why}");
    for _ in 0..4 {
        ask(&peer, "POST", &[]).await.unwrap();
    }
    assert_eq!((busy.load(Ordering::SeqCst), well.asked()), (0, 4));
    assert_eq!(ask(&alone, "POST", &[]).await.unwrap().status, 200, "it was only busy");
    assert!(alone.standing()[0].well, "and an answer is a sign of life");
}

#[tokio::test]
async fn who_is_about_to_end_is_asked_only_if_nobody_else_is_there() {
    let leaving = Arc::new(AtomicUsize::new(0));
    let count = leaving.clone();
    let url = serve(move |asked: &Asked| match asked.path.as_str() {
        "/livez" => (200, r#"{"draining":true}"#.to_owned()),
        _ => (200, count.fetch_add(1, Ordering::SeqCst).to_string()),
    });
    let url = url.await;
    let well = Counted::new(|_| 200).await;
    let (peer, _) = pool_at(&[&url, &well.url]);
    until("it has said so", || !peer.standing()[0].well).await;
    for _ in 0..4 {
        ask(&peer, "POST", &[]).await.unwrap();
    }
    assert_eq!((leaving.load(Ordering::SeqCst), well.asked()), (0, 4));
    let (alone, _) = pool_at(&[&url]);
    until("it has said so", || !alone.standing()[0].well).await;
    assert_eq!(ask(&alone, "POST", &[]).await.unwrap().status, 200);
}

#[tokio::test]
async fn an_answer_that_stands_still_is_cut_off() {
    let slow = Counted::new(|_| STALL).await;
    let (peer, _) = pool_at(&[&slow.url]);
    let fault = ask(&peer, "POST", &[]).await.unwrap_err();
    assert!(fault.maybe_done, "{fault}");
}

#[tokio::test]
async fn each_process_can_be_asked_by_itself() {
    let (first, second) = (Counted::new(|_| 200).await, Counted::new(|_| 404).await);
    let (peer, _) = pool_at(&[&first.url, &second.url]);
    let mut told = Vec::new();
    for each in peer.each() {
        told.push(ask(&each, "GET", &[]).await.unwrap().status);
    }
    assert_eq!((told, first.asked(), second.asked()), (vec![200, 404], 1, 1));
    assert_eq!(Peer::unconnected().each().len(), 1);
}

async fn slowly(State(runtime): State<Arc<dyn Runtime>>) -> Result<Answer, Fault> {
    runtime.sleep(LIMITS.try_ms * 2).await;
    Ok(Answer::ok(json!("news")))
}

#[tokio::test]
async fn who_prefers_to_wait_is_waited_for() {
    let shop = Shop::new();
    let runtime: Arc<dyn Runtime> = shop.runtime.clone();
    let router = shop.door.open(Routes::new("test").get("/thing", Access::anyone(), slowly).with_state(runtime.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = serve_for_ever(listener, router, runtime.clone());
    runtime.spawn("server", Box::pin(served));
    let (peer, _) = pool_at(&[&url]);
    assert_eq!(ask(&peer, "GET", &[("prefer", "wait=1")]).await.unwrap().status, 200);
    ask(&peer, "GET", &[]).await.unwrap_err();
}

async fn serve_for_ever(listener: TcpListener, router: web::Router, runtime: Arc<dyn Runtime>) {
    web::serve(listener, router, runtime, ServeLimits::default(), std::future::pending()).await;
}
