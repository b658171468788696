//! A running payments and its sandbox provider, with orders said by a speaker, and short ways to pay and to look at both books.
//! Leaves the stage to `testkit` and what is to be expected to the tests.

use std::ops::Deref;
use std::sync::Arc;

use contracts::orders::{OrderCancelling, OrderDelivered, OrderReserved};
use contracts::{Event, OrderId, StoreId};
use engine::Running;
use kernel::Money;
use payments::{Config, Provider, SandboxProvider};
use testkit::{Engine, Stage, TestRuntime, TestStore, migrated, some_id};
use web::Json;

/// Payments and its provider.
pub(crate) struct Shop {
    stage: Stage,
    pub(crate) payments: Arc<Running>,
    sandbox: Arc<Running>,
    config: Config,
}

impl Deref for Shop {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

/// Settings for impatient tests.
pub(crate) fn quick() -> Config {
    let sandbox = payments::SandboxConfig { slow_ms: 30 };
    Config { worker_every_ms: 5, retry_first_ms: 2, retry_longest_ms: 20, sandbox, ..Config::default() }
}

/// A fresh database with the tables of both.
pub(crate) async fn database(engine: Engine, config: &Config) -> TestStore {
    let payments = payments::service(config, Arc::new(crate::providers::Nobody));
    migrated(engine, &[payments.migrations, payments::sandbox(config).migrations]).await
}

impl Shop {
    /// A shop with the sandbox provider.
    pub(crate) async fn open(engine: Engine) -> Self {
        Self::open_with(engine, quick(), |sandbox| Arc::new(sandbox)).await
    }

    /// A shop with other settings and a provider around the sandbox's.
    pub(crate) async fn open_with(
        engine: Engine,
        config: Config,
        provider: impl Fn(SandboxProvider) -> Arc<dyn Provider>,
    ) -> Self {
        let mut stage = Stage::on(database(engine, &config).await, TestRuntime::flowing(), &["orders"]).await;
        let sandbox = stage.play(payments::sandbox(&config)).await;
        let provider = provider(SandboxProvider::new(sandbox.handle.clone(), &config));
        let payments = stage.play(payments::service(&config, provider)).await;
        let routes = payments::routes(payments.handle.clone(), &config)
            .merge(payments::sandbox_routes(sandbox.handle.clone()))
            .merge(payments::reconcile_routes(payments.handle.clone(), sandbox.handle.clone()));
        stage.open(routes);
        Self { stage, payments, sandbox, config }
    }

    /// Payments once more: as another process of a shared database, as another worker where there is one process.
    pub(crate) async fn another(&self, provider: Arc<dyn Provider>) -> Stage {
        let mut stage = self.stage.another().await;
        stage.play(payments::service(&self.config, provider)).await;
        stage
    }

    /// The provider on this shop's books.
    pub(crate) fn provider(&self) -> SandboxProvider {
        SandboxProvider::new(self.sandbox.handle.clone(), &self.config)
    }

    /// A new order's id.
    pub(crate) fn order(&self) -> OrderId {
        OrderId(self.new_id())
    }

    async fn orders_say<E: Event>(&self, event: E) {
        self.say("orders", event).await;
    }

    pub(crate) async fn reserve(&self, order: OrderId, token: &str) {
        let pay_by = self.now().plus_ms(600_000);
        let reserved = OrderReserved { order, store: store_id(), amount: money(1000), payment_token: token.to_owned(), pay_by };
        self.orders_say(reserved).await;
    }

    pub(crate) async fn deliver(&self, order: OrderId, minor: i64) {
        self.orders_say(OrderDelivered { order, amount: money(minor) }).await;
    }

    pub(crate) async fn cancel(&self, order: OrderId) {
        self.orders_say(OrderCancelling { order, reason: "gave-up".to_owned() }).await;
    }

    /// All items of a list, page by page.
    pub(crate) async fn all(&self, target: &str) -> Vec<Json> {
        self.list(target, 7, Some(&self.admin())).await
    }

    /// The payment of an order, once it is in `state` and nothing is to be asked for it.
    pub(crate) async fn settled(&self, order: OrderId, state: &str) -> Json {
        self.until_some(&format!("{order} is {state}"), async || {
            let found = self.get_as(&format!("/v1/admin/payments/{order}"), &self.admin()).await;
            let payment: Json = found.json().ok()?;
            (payment["state"] == *state && !self.tasks_of(order).await).then_some(payment)
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
            let facts = self.all("/v1/admin/audit/payments/facts").await;
            (facts.len() == count && facts.iter().all(|fact| fact["settled"] == true)).then_some(facts)
        })
        .await
    }

    /// The provider's own books of an order.
    pub(crate) async fn intents(&self, order: OrderId) -> Vec<Json> {
        let intents = self.all("/v1/admin/sandbox/intents").await;
        intents.into_iter().filter(|intent| intent["order"] == order.to_string()).collect()
    }

    /// What payments has said of an order, in order: the kinds of its events.
    pub(crate) async fn said(&self, order: OrderId) -> Vec<String> {
        let said = self.log_of("payments", &["payments.payments"]).await.into_iter();
        said.filter(|event| event.subject == order.to_string()).map(|event| event.kind).collect()
    }

    /// Fails if anything is wrong in our tables, or beside the provider's books; then ends everything.
    pub(crate) async fn close(&self) {
        for audit in ["breaches", "reconcile"] {
            let found = self.read(&format!("/v1/admin/audit/payments/{audit}")).await;
            assert_eq!(found["items"], web::json!([]), "{audit}");
        }
        self.stage.close().await;
    }
}

/// The store of all orders.
pub(crate) fn store_id() -> StoreId {
    StoreId(some_id(77))
}

pub(crate) fn money(minor: i64) -> Money {
    Money::new(minor, "USD".parse().unwrap())
}
