//! What all tests share: a runtime with a clock of its own, a signed-in person of each role, and short ways to ask.
//! Leaves the routes to each test.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use kernel::{BoxFuture, Bucket, Draw, Id, Millis, Runtime, Timestamp};
use web::{Call, Door, Grant, Json, Keyring, Limits, Person, Reply, Role, Router, Routes, SigningKey, TOKEN_TTL_MS};

/// A clock that stands until it is moved; tasks and sleep are real.
pub(crate) struct TestRuntime {
    now_ms: AtomicI64,
    seed: AtomicU64,
}

impl TestRuntime {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { now_ms: AtomicI64::new(1_764_000_000_000), seed: AtomicU64::new(1) })
    }

    pub(crate) fn advance(&self, ms: Millis) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the runtime's port")]
impl Runtime for TestRuntime {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now_ms.load(Ordering::SeqCst))
    }

    fn draw(&self) -> Draw {
        Draw::seeded(self.seed.fetch_add(1, Ordering::SeqCst))
    }

    fn spawn(&self, _: &'static str, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }

    fn sleep(&self, ms: Millis) -> BoxFuture<'static, ()> {
        let span = Duration::from_millis(u64::try_from(ms).unwrap_or_default());
        Box::pin(async move {
            // What never ends, for that long: the only way in which a test sleeps is through the port.
            let _ = tokio::time::timeout(span, std::future::pending::<()>()).await;
        })
    }
}

/// A door with one key, and what is needed to be somebody before it.
pub(crate) struct Shop {
    pub(crate) runtime: Arc<TestRuntime>,
    pub(crate) key: SigningKey,
    pub(crate) keyring: Keyring,
    pub(crate) door: Door,
}

impl Shop {
    pub(crate) fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        let runtime = TestRuntime::new();
        let key = SigningKey::generate().unwrap();
        let keyring = Keyring::new();
        keyring.insert(key.public());
        let door = Door::new(runtime.clone(), keyring.clone(), limits);
        Self { runtime, key, keyring, door }
    }

    pub(crate) fn token(&self, role: Role) -> String {
        let grants = vec![Grant { role, store: None }];
        let person = Person { id: some_id(7), name: "Ada".to_owned(), grants };
        self.key.sign(&person, self.runtime.now(), TOKEN_TTL_MS).unwrap()
    }
}

pub(crate) fn some_id(seed: u64) -> Id {
    Id::new(Timestamp::from_millis(1_764_000_000_000), Bucket(3), &mut Draw::seeded(seed))
}

/// A router without state behind a default door.
pub(crate) fn open(routes: Routes) -> Router {
    Shop::new().door.open(routes)
}

pub(crate) async fn ask(router: &Router, call: Call) -> Reply {
    call.send(router).await.unwrap()
}

/// The problem that was answered: checks its form and gives its status, its reason and the rest.
pub(crate) fn problem(reply: &Reply) -> (u16, String, Json) {
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{reply:?}");
    let members: Json = reply.json().unwrap();
    let status = reply.status.as_u16();
    assert_eq!(members["status"], status);
    assert_eq!(members["request_id"].as_str(), reply.header("x-request-id"));
    assert!(members["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{members}");
    let reason = members["type"].as_str().unwrap().strip_prefix(web::PROBLEM_TYPE_BASE).unwrap().to_owned();
    (status, reason, members)
}

/// Status, reason and first field of a problem.
pub(crate) fn brief(reply: &Reply) -> (u16, String, String) {
    let (status, reason, members) = problem(reply);
    let error = &members["errors"][0];
    let field = error["pointer"].as_str().or(error["parameter"].as_str()).unwrap_or("-");
    (status, reason, field.to_owned())
}

pub(crate) fn is(status: u16, reason: &str, field: &str) -> (u16, String, String) {
    (status, reason.to_owned(), field.to_owned())
}
