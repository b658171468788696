//! What all tests share: a door with one key under a clock that stands, a signed-in person of each role, and short ways to ask.
//! Leaves the clock and the reading of replies to `testkit`, and the routes to each test.

use std::sync::Arc;

use kernel::Runtime;
use testkit::{TestRuntime, some_id, some_time};
use web::{Call, Door, Grant, Keyring, Limits, Person, Reply, Role, Router, Routes, SigningKey, TOKEN_TTL_MS};

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
        let runtime = Arc::new(TestRuntime::standing(some_time()));
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

/// A router without state behind a default door.
pub(crate) fn open(routes: Routes) -> Router {
    Shop::new().door.open(routes)
}

pub(crate) async fn ask(router: &Router, call: Call) -> Reply {
    call.send(router).await.unwrap()
}
