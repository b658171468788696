//! A running provider, a shop that hears its webhooks, and short ways to demand.
//! Leaves the stage to `testkit` and what is to be expected to the tests.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use engine::Running;
use kernel::{Fault, FaultKind, Timestamp};
use sandbox::{Config, Faults, Given, KEY_HEADER, Mishap, SIGNATURE_HEADER, Secrets, Webhooks, sign};
use testkit::{Engine, Stage, TestRuntime, migrated, ok};
use web::{
    Access, Answer, Call, Door, Headers, Json, Keyring, Limits, Method, Peer, PeerAnswer, PeerAsk, PeerFault, RawBody, Reply,
    Routes, State, json,
};

/// The provider and its hearer.
pub(crate) struct Bank {
    stage: Stage,
    pub(crate) running: Arc<Running>,
    pub(crate) hook: Hook,
    pub(crate) secrets: Secrets,
    pub(crate) config: Config,
}

impl Deref for Bank {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

/// Settings for impatient tests.
pub(crate) fn quick() -> Config {
    Config {
        slow_ms: 20,
        silence_ms: 20,
        expire_after_ms: 20,
        dispute_after_ms: 20,
        webhook_look_ms: 5,
        webhook_timeout_ms: 2000,
        webhook_again_first_ms: 5,
        webhook_again_max_ms: 20,
        ..Config::default()
    }
}

impl Bank {
    pub(crate) async fn open(engine: Engine) -> Self {
        Self::open_with(engine, quick()).await
    }

    pub(crate) async fn open_with(engine: Engine, config: Config) -> Self {
        let webhooks = |peer| Webhooks { peer, path: "/hook".to_owned() };
        let nobody = sandbox::service(&config, webhooks(Peer::unconnected()));
        let database = migrated(engine, &[nobody.migrations]).await;
        let mut stage = Stage::on(database, TestRuntime::flowing(), &[]).await;
        let hook = Hook::default();
        let running = stage.play(sandbox::service(&config, webhooks(hook.peer(&stage)))).await;
        let secrets = sandbox::ensure_secrets(&running.handle, Given::default()).await.unwrap();
        hook.secret.set(secrets.webhook_secret.clone()).unwrap();
        stage.open(sandbox::routes(running.handle.clone(), &config, &secrets.key));
        Self { stage, running, hook, secrets, config }
    }

    /// A client in the same process.
    pub(crate) fn peer(&self) -> Peer {
        Peer::local(self.router().clone())
    }

    /// Sends any request with the provider's key.
    pub(crate) async fn ask(&self, call: Call) -> Reply {
        self.send(call.header(web::HeaderName::from_static(KEY_HEADER), &self.secrets.key)).await
    }

    /// Reads `path` with the provider's key.
    pub(crate) async fn look(&self, path: &str) -> Reply {
        self.ask(Call::get(path)).await
    }

    /// Demands something under `key`.
    pub(crate) async fn demand(&self, path: &str, key: &str, body: &Json) -> Reply {
        self.ask(Call::post(path).key(key).json(body)).await
    }

    /// Demands something as a client that may get no answer.
    pub(crate) async fn try_demand(&self, peer: &Peer, path: &str, key: &str, body: &Json) -> Result<PeerAnswer, PeerFault> {
        let headers = vec![
            (KEY_HEADER, self.secrets.key.clone()),
            ("idempotency-key", key.to_owned()),
            ("content-type", "application/json".to_owned()),
        ];
        peer.ask(PeerAsk { method: "POST", path: path.to_owned(), headers, body: body.to_string().into_bytes() }).await
    }

    /// An intent of a token that is done at once.
    pub(crate) async fn held(&self, reference: &str, token: &str) -> String {
        let reply = self.demand(INTENTS, &self.fresh_key(), &wanted(reference, token)).await;
        ok(&reply)["intent"].as_str().unwrap().to_owned()
    }

    /// What was done to an intent under a fresh key.
    pub(crate) async fn done(&self, intent: &str, what: &str, body: &Json) -> Json {
        ok(&self.demand(&format!("{INTENTS}/{intent}/{what}"), &self.fresh_key(), body).await)
    }

    /// An intent as it is now.
    pub(crate) async fn intent(&self, intent: &str) -> Json {
        ok(&self.look(&format!("{INTENTS}/{intent}")).await)
    }

    /// Waits until an intent has `value` as its `member`.
    pub(crate) async fn becomes(&self, intent: &str, member: &str, value: &str) -> Json {
        let found = async || Some(self.intent(intent).await).filter(|found| found[member] == *value);
        self.until_some(&format!("{member} is {value}"), found).await
    }

    pub(crate) async fn books(&self) -> Json {
        ok(&self.look("/sandbox/v1/books").await)
    }

    /// From now on so many of a hundred requests, and webhooks, meet one of these mishaps.
    pub(crate) async fn play(&self, share_percent: u64, kinds: &[Mishap]) {
        let faults = Faults { share_percent, delay_ms: 20, kinds: kinds.to_vec(), ..Faults::default() };
        let call = Call::new(Method::PUT, "/sandbox/v1/faults").json(&faults);
        assert_eq!(ok(&self.ask(call).await), serde_json::to_value(&faults).unwrap());
        assert_eq!(ok(&self.look("/sandbox/v1/faults").await)["share_percent"], share_percent);
    }
}

pub(crate) const INTENTS: &str = "/sandbox/v1/intents";

/// A demand for ten dollars.
pub(crate) fn wanted(reference: &str, token: &str) -> Json {
    json!({ "reference": reference, "amount": dollars(1000), "token": token })
}

pub(crate) fn dollars(minor: i64) -> Json {
    json!({ "minor": minor, "currency": "USD" })
}

/// A shop that hears webhooks.
#[derive(Clone, Default)]
pub(crate) struct Hook {
    heard: Arc<Mutex<Vec<Heard>>>,
    secret: Arc<OnceLock<String>>,
    /// Whether it takes none.
    pub(crate) shut: Arc<AtomicBool>,
}

/// A webhook as it came.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) genuine: bool,
    pub(crate) body: Json,
}

impl Hook {
    fn peer(&self, stage: &Stage) -> Peer {
        let door = Door::new(stage.clock.clone(), Keyring::new(), Limits::default());
        Peer::local(door.open(Routes::new("hook").post("/hook", Access::anyone(), hear).with_state(self.clone())))
    }

    /// Every webhook so far, taken or not.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// Those of one intent.
    pub(crate) fn of(&self, intent: &str) -> Vec<Heard> {
        self.heard().into_iter().filter(|heard| heard.body["intent"] == *intent).collect()
    }
}

async fn hear(State(hook): State<Hook>, Headers(headers): Headers, RawBody(body): RawBody) -> Result<Answer, Fault> {
    let signature = headers.get(SIGNATURE_HEADER).unwrap().to_str().unwrap().to_owned();
    let seconds: i64 = signature.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
    let expected = sign(hook.secret.get().unwrap(), Timestamp::from_millis(seconds * 1000), &body);
    let genuine = signature == expected;
    hook.heard.lock().unwrap().push(Heard { genuine, body: serde_json::from_slice(&body).unwrap() });
    if hook.shut.load(Ordering::SeqCst) {
        return Err(Fault::unavailable("the shop is shut", 1));
    }
    if !genuine {
        return Err(Fault::new(FaultKind::Unauthenticated, "signature-invalid", "that signature is not the provider's"));
    }
    Ok(Answer::no_content())
}
