//! A running identity with what it hears of delivery said by a speaker, and short ways to sign in and up and to change people.
//! Leaves the stage to `testkit`.

use std::ops::Deref;
use std::sync::Arc;

use contracts::StoreId;
use contracts::delivery::StoreChanged;
use engine::Running;
use identity::{Config, Secret};
use testkit::{Engine, Stage, TestRuntime, body, brief, migrated, ok, store};
use web::{Call, Json, Method, Reply, header, json};

/// The first admin.
pub(crate) const ADMIN: &str = "admin@example.org";

/// The password of everybody in these tests, unless they say otherwise.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A running identity, which alone says whose token is whose here.
pub(crate) struct Shop {
    stage: Stage,
    pub(crate) identity: Arc<Running>,
}

impl Deref for Shop {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

/// Few free attempts and quick sweeps, so that tests are short.
pub(crate) fn config() -> Config {
    Config { attempts_free_max: 4, attempts_swept_every_ms: 1000, ..Config::default() }
}

impl Shop {
    /// An identity on a fresh database of `engine`.
    pub(crate) async fn open(engine: Engine) -> Self {
        let database = migrated(engine, &[identity::service(&config()).migrations]).await;
        Self::on(Stage::on(database, TestRuntime::flowing(), &["delivery"]).await).await
    }

    /// One more identity on the same database, as another process would run it.
    pub(crate) async fn another(&self) -> Self {
        Self::on(self.stage.another().await).await
    }

    async fn on(mut stage: Stage) -> Self {
        let identity = stage.play(identity::service(&config())).await;
        stage.open(identity::routes(identity.handle.clone(), &config()));
        Self { stage, identity }
    }

    /// The token of the first admin, who is made for it.
    pub(crate) async fn first_admin(&self) -> String {
        assert_eq!(identity::ensure_admin(&self.identity.handle, "Ada", ADMIN, Secret::new(PASSWORD)).await, Ok(true));
        self.token_of(ADMIN).await
    }

    /// The token of whoever has this address and [`PASSWORD`]; the door trusts it from now on.
    pub(crate) async fn token_of(&self, email: &str) -> String {
        self.keyring.insert(&identity::ensure_signing_key(&self.identity.handle).await.unwrap());
        ok(&self.sign_in(email, PASSWORD).await)["token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn sign_in(&self, email: &str, password: &str) -> Reply {
        self.send(Call::post("/v1/sign-in").json(&json!({ "email": email, "password": password }))).await
    }

    pub(crate) async fn sign_up(&self, key: &str, email: &str, password: &str) -> Reply {
        let who = json!({ "name": "Grace", "email": email, "password": password });
        self.send(Call::post("/v1/sign-up").key(key).json(&who)).await
    }

    /// Adds a person under a fresh key.
    pub(crate) async fn add(&self, token: &str, person: &Json) -> Reply {
        self.send(Call::post("/v1/admin/people").bearer(token).key(&self.fresh_key()).json(person)).await
    }

    /// Puts a person's profile under a fresh key, expecting `version`.
    pub(crate) async fn change(&self, token: &str, id: &Json, version: i64, profile: &Json) -> Reply {
        let path = format!("/v1/admin/people/{}", id.as_str().unwrap());
        let call = Call::new(Method::PUT, &path).bearer(token).key(&self.fresh_key());
        self.send(call.header(header::IF_MATCH, &format!("\"{version}\"")).json(profile)).await
    }

    /// Lets delivery say that there is the store `seed`, and waits until roles may be in it.
    pub(crate) async fn know_store(&self, admin: &str, seed: u64) -> StoreId {
        let store = store(seed);
        let id = store.id;
        self.say("delivery", StoreChanged { store }).await;
        let manager = person(&format!("knows-{id}@example.org"), &json!([{ "role": "manager", "store": id }]));
        self.until("the store is known", async || self.add(admin, &manager).await.status != 422).await;
        id
    }
}

/// A person to be added, with [`PASSWORD`].
pub(crate) fn person(email: &str, grants: &Json) -> Json {
    json!({ "name": "Somebody", "email": email, "password": PASSWORD, "grants": grants })
}

/// The status and the reason of a refusal.
pub(crate) fn refusal(reply: &Reply) -> (u16, String) {
    let (status, reason, _) = brief(reply);
    (status, reason)
}

/// The place of the first fault in the body.
pub(crate) fn pointer(reply: &Reply) -> String {
    body(reply)["errors"][0]["pointer"].as_str().unwrap_or_default().to_owned()
}
