//! A running payments and its sandbox provider, with orders said by a speaker, and short ways to pay and to look at both books.
//! Leaves the stage to `testkit` and what is to be expected to the tests.

use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use contracts::orders::{OrderCancelling, OrderDelivered, OrderPaymentAgain, OrderRefundRequested, OrderReserved};
use contracts::{Event, OrderId, RefundId, StoreId};
use engine::Running;
use kernel::{Draw, Millis, Money, TraceContext};
use payments::{Ask, Config, Provider, SandboxProvider, Truth};
use sandbox::{Faults, Mishap, Webhooks};
use testkit::{Engine, Stage, TestRuntime, TestStore, migrated, ok, some_id};
use web::{Call, HeaderName, Json, Method, Peer, Reply, json};

/// What lets payments in at the provider.
const KEY: &str = "the-key-of-the-provider";
/// What the provider signs its webhooks with.
pub(crate) const SECRET: &str = "the-secret-of-the-webhooks";
/// Until when an order is to be paid.
pub(crate) const PAY_WITHIN_MS: Millis = 600_000;

/// Payments and its provider.
pub(crate) struct Shop {
    stage: Stage,
    pub(crate) payments: Arc<Running>,
    sandbox: Arc<Running>,
    provider: SandboxProvider,
    config: Config,
}

impl Deref for Shop {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

/// Settings for impatient tests; the sweep waits for those that want it.
pub(crate) fn quick() -> Config {
    Config {
        worker_every_ms: 5,
        retry_first_ms: 2,
        retry_longest_ms: 20,
        call_timeout_ms: 300,
        reconcile_every_ms: 3_600_000,
        ..Config::default()
    }
}

/// As [`quick`], with a sweep that does not wait.
pub(crate) fn sweeping() -> Config {
    Config { reconcile_every_ms: 20, ..quick() }
}

fn sandbox_config() -> sandbox::Config {
    sandbox::Config {
        slow_ms: 30,
        silence_ms: 1000,
        expire_after_ms: 50,
        dispute_after_ms: 5,
        webhook_look_ms: 5,
        webhook_again_first_ms: 5,
        webhook_again_max_ms: 20,
        ..sandbox::Config::default()
    }
}

fn webhooks(peer: &Peer) -> Webhooks {
    Webhooks { peer: peer.clone(), path: "/v1/webhooks/sandbox".to_owned() }
}

/// A fresh database with the tables of both.
pub(crate) async fn database(engine: Engine) -> TestStore {
    let payments = payments::service(&quick(), Arc::new(SandboxProvider::default()));
    let sandbox = sandbox::service(&sandbox_config(), webhooks(&Peer::default()));
    migrated(engine, &[payments.migrations, sandbox.migrations]).await
}

impl Shop {
    /// A shop with the sandbox provider.
    pub(crate) async fn open(engine: Engine) -> Self {
        Self::open_with(engine, quick(), |sandbox| Arc::new(sandbox)).await
    }

    /// A shop with other settings and a line to the sandbox provider.
    pub(crate) async fn open_with(engine: Engine, config: Config, line: impl Fn(SandboxProvider) -> Arc<dyn Provider>) -> Self {
        let mut stage = Stage::on(database(engine).await, TestRuntime::flowing(), &["orders"]).await;
        let (peer, provider) = (Peer::default(), SandboxProvider::default());
        provider.connect(peer.clone(), KEY, SECRET);
        let sandbox = stage.play(sandbox::service(&sandbox_config(), webhooks(&peer))).await;
        let given = sandbox::Given { key: Some(KEY.to_owned()), webhook_secret: Some(SECRET.to_owned()) };
        sandbox::ensure_secrets(&sandbox.handle, given).await.unwrap();
        let line = line(provider.clone());
        let payments = stage.play(payments::service(&config, line.clone())).await;
        let routes = payments::routes(payments.handle.clone(), &config, line);
        stage.open(routes.merge(sandbox::routes(sandbox.handle.clone(), &sandbox_config(), KEY)));
        peer.connect(stage.router().clone());
        Self { stage, payments, sandbox, provider, config }
    }

    /// Payments once more: as another process of a shared database, as another worker where there is one process.
    pub(crate) async fn another(&self, provider: Arc<dyn Provider>) -> Stage {
        let mut stage = self.stage.another().await;
        stage.play(payments::service(&self.config, provider)).await;
        stage
    }

    /// The provider on this shop's books.
    pub(crate) fn provider(&self) -> SandboxProvider {
        self.provider.clone()
    }

    /// From now on so many percent of what the provider does goes wrong in these ways.
    pub(crate) async fn play(&self, share_percent: u64, kinds: &[Mishap]) {
        let faults = Faults { share_percent, seed: 7, delay_ms: 20, kinds: kinds.to_vec() };
        sandbox::play_faults(&self.sandbox.handle, &faults).await.unwrap();
    }

    /// A new order's id.
    pub(crate) fn order(&self) -> OrderId {
        OrderId(self.new_id())
    }

    async fn orders_say<E: Event>(&self, event: E) {
        self.say("orders", event).await;
    }

    pub(crate) async fn reserve(&self, order: OrderId, token: &str) {
        let pay_by = self.now().plus_ms(PAY_WITHIN_MS);
        let reserved = OrderReserved { order, store: store_id(), amount: money(1000), payment_token: token.to_owned(), pay_by };
        self.orders_say(reserved).await;
    }

    pub(crate) async fn pay_again(&self, order: OrderId, attempt: i64, token: &str) {
        let (payment_token, pay_by) = (token.to_owned(), self.now().plus_ms(PAY_WITHIN_MS));
        self.orders_say(OrderPaymentAgain { order, attempt, amount: money(1000), payment_token, pay_by }).await;
    }

    pub(crate) async fn deliver(&self, order: OrderId, minor: i64) {
        self.orders_say(OrderDelivered { order, amount: money(minor) }).await;
    }

    pub(crate) async fn cancel(&self, order: OrderId) {
        self.orders_say(OrderCancelling { order, reason: "gave-up".to_owned() }).await;
    }

    pub(crate) async fn refund(&self, order: OrderId, refund: RefundId, minor: i64) {
        self.orders_say(OrderRefundRequested { order, refund, amount: money(minor), reason: "bruised".to_owned() }).await;
    }

    /// What the shopper answers their bank.
    pub(crate) async fn answer(&self, intent: &str, answer: &str) {
        let form = format!("answer={answer}");
        let call = Call::post(&format!("/sandbox/actions/{intent}")).bytes("application/x-www-form-urlencoded", form);
        assert_eq!(self.send(call).await.status, 303);
    }

    /// Asks the provider for something that only tests ask for, as `dispute-close`.
    pub(crate) async fn control(&self, intent: &str, what: &str, body: &Json) {
        let call = Call::post(&format!("/sandbox/v1/intents/{intent}/{what}")).key(&self.fresh_key()).json(body);
        ok(&self.send(call.header(HeaderName::from_static(sandbox::KEY_HEADER), KEY)).await);
    }

    /// The sums of the provider's books.
    pub(crate) async fn books(&self) -> Json {
        let call = Call::new(Method::GET, "/sandbox/v1/books");
        ok(&self.send(call.header(HeaderName::from_static(sandbox::KEY_HEADER), KEY)).await)
    }

    /// Sends a webhook as the provider would, or as somebody else with another secret.
    pub(crate) async fn webhook(&self, secret: &str, body: &Json) -> Reply {
        let body = body.to_string();
        let signature = sandbox::sign(secret, self.now(), body.as_bytes());
        let call = Call::post("/v1/webhooks/sandbox").bytes("application/json", body);
        self.send(call.header(HeaderName::from_static(sandbox::SIGNATURE_HEADER), &signature)).await
    }

    /// All items of a list, page by page.
    pub(crate) async fn all(&self, target: &str) -> Vec<Json> {
        self.list(target, 7, Some(&self.admin())).await
    }

    /// The payment of an order as it is shown.
    pub(crate) async fn payment(&self, order: OrderId) -> Json {
        self.read(&format!("/v1/admin/payments/{order}")).await
    }

    /// The payment of an order, once it is in `state`.
    pub(crate) async fn stands(&self, order: OrderId, state: &str) -> Json {
        self.until_some(&format!("{order} is {state}"), async || {
            let found = self.get_as(&format!("/v1/admin/payments/{order}"), &self.admin()).await;
            found.json().ok().filter(|payment: &Json| payment["state"] == *state)
        })
        .await
    }

    /// The payment of an order, once it is in `state` and nothing is to be asked for it.
    pub(crate) async fn settled(&self, order: OrderId, state: &str) -> Json {
        self.until_some(&format!("{order} is {state}"), async || {
            let payment = self.stands(order, state).await;
            (!self.tasks_of(order).await).then_some(payment)
        })
        .await
    }

    async fn tasks_of(&self, order: OrderId) -> bool {
        let facts = self.all("/v1/admin/audit/payments/facts").await;
        facts.iter().any(|fact| fact["order"] == order.to_string() && fact["settled"] == false)
    }

    /// Waits until every one of `count` payments is settled.
    pub(crate) async fn all_settled(&self, count: usize) -> Vec<Json> {
        self.until_some("all are settled", async || {
            let facts = self.list("/v1/admin/audit/payments/facts", 100, Some(&self.admin())).await;
            (facts.len() == count && facts.iter().all(|fact| fact["settled"] == true)).then_some(facts)
        })
        .await
    }

    /// All of the provider's own books.
    pub(crate) async fn all_intents(&self) -> Vec<Truth> {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let page = self.provider.changes(after, 100).await.unwrap();
            let Some(last) = page.last() else { return all };
            after = last.changed;
            all.extend(page);
        }
    }

    /// The provider's own books of an order.
    pub(crate) async fn intents(&self, order: OrderId) -> Vec<Truth> {
        self.all_intents().await.into_iter().filter(|truth| truth.reference == order.to_string()).collect()
    }

    /// What payments has said of an order, in order: the kinds of its events.
    pub(crate) async fn said(&self, order: OrderId) -> Vec<String> {
        let said = self.log_of("payments", &["payments.payments"]).await.into_iter();
        said.filter(|event| event.subject == order.to_string()).map(|event| event.kind).collect()
    }

    /// The last event of this kind that payments has said of an order.
    pub(crate) async fn last_said<E: Event>(&self, order: OrderId) -> E {
        let mut said = self.log_of("payments", &["payments.payments"]).await.into_iter();
        let last = said.rfind(|event| event.subject == order.to_string() && event.kind == E::KIND);
        serde_json::from_value(last.expect("it was said").data).unwrap()
    }

    /// Fails if anything is wrong in our tables, or beside the provider's books; then ends everything.
    pub(crate) async fn close(&self) {
        assert_eq!(self.read("/v1/admin/audit/payments/breaches").await["items"], json!([]));
        assert_eq!(self.all("/v1/admin/audit/payments/reconcile").await, Vec::<Json>::new());
        self.stage.close().await;
    }

    /// Ends everything as it is.
    pub(crate) async fn leave(&self) {
        self.stage.close().await;
    }
}

/// The store of all orders.
pub(crate) fn store_id() -> StoreId {
    StoreId(some_id(77))
}

/// How somebody asks the provider past payments.
pub(crate) fn asked(key: &str) -> Ask<'_> {
    static TRACE: LazyLock<TraceContext> = LazyLock::new(|| TraceContext::start(&mut Draw::seeded(3)));
    Ask { key, trace: &TRACE }
}

pub(crate) fn money(minor: i64) -> Money {
    Money::new(minor, "USD".parse().unwrap())
}
