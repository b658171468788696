//! Deciders against each other on real databases: whatever races, an offer and an acceptance have one winner.
//! Leaves the way in over HTTP and by event to `tests/`.

use std::sync::Arc;

use contracts::orders::Contact;
use contracts::{Address, Point, Slot, SlotKey};
use engine::{Handle, Lane, Running, Settings, TokioRuntime};
use futures_util::future::join_all;
use kernel::{Bucket, Runtime, Timestamp, TraceContext};
use testkit::{Engine, TestStore, fresh};

use super::*;
use crate::config::Config;
use crate::store::breaches;

const RULES: OfferRules = OfferRules { ttl_ms: 60_000, kept_max: 50 };

/// Two processes of one shop that offer nothing by themselves.
struct Processes {
    test: TestStore,
    running: Vec<Running>,
    store: StoreId,
}

impl Processes {
    async fn start(engine: Engine) -> Self {
        let test = fresh(engine).await;
        let migrations = [store::PLATFORM, engine::MIGRATIONS, crate::store::MIGRATIONS].concat();
        test.store.migrate(&migrations).await.unwrap();
        let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::new());
        let store = StoreId(Id::new(runtime.now(), Bucket(5), &mut runtime.draw()));
        // An embedded shop is one process: its two doors are the same.
        let stores = match engine {
            Engine::Sqlite => vec![test.store.clone()],
            Engine::Postgres => vec![test.store.clone(), test.another().await],
        };
        let mut running = Vec::new();
        for store in stores {
            let settings = Settings { store, runtime: runtime.clone(), wakes: log::Wakes::default() };
            let service = engine::Service { jobs: Vec::new(), ..crate::service(&Config::default()) };
            running.push(engine::start(service, &settings).await.unwrap());
        }
        Self { test, running, store }
    }

    fn handle(&self, index: usize) -> &Handle {
        &self.running[index % self.running.len()].handle
    }

    fn id(&self) -> Id {
        let runtime = self.handle(0).runtime();
        Id::new(runtime.now(), Bucket(7), &mut runtime.draw())
    }

    async fn decide<T: Send + Sync + 'static>(
        &self,
        index: usize,
        decide: impl Fn(&mut Work<'_>) -> Result<T, Stop> + Send + Sync + 'static,
    ) -> Result<T, Fault> {
        let handle = self.handle(index);
        let trace = TraceContext::start(&mut handle.runtime().draw());
        handle.decide(Lane::Money, &trace, decide).await
    }

    async fn courier(&self) -> PersonId {
        let courier = PersonId(self.id());
        let said =
            CourierChanged { courier, name: "Rider".into(), store: self.store, vehicle: "cargo-bike".into(), active: true };
        self.decide(0, move |work| keep_courier(work, &said)).await.unwrap();
        self.decide(0, move |work| set_shift(work, courier, true)).await.unwrap();
        courier
    }

    async fn ready(&self) -> OrderId {
        let order = OrderId(self.id());
        let at = Timestamp::from_millis(1_000_000);
        let said = OrderConfirmed {
            order,
            store: self.store,
            contact: Contact { name: "Ada".into(), email: "ada@example.test".into(), phone: String::new() },
            address: Address { street: "1 Main St".into(), note: String::new(), point: Point { lat: 33.7, lon: -84.3 } },
            slot: Slot { starts_at: SlotKey(at), ends_at: at, cutoff_at: at },
        };
        self.decide(0, move |work| create_delivery(work, &said)).await.unwrap();
        self.decide(0, move |work| make_ready(work, order)).await.unwrap();
        order
    }

    async fn end(self) {
        assert_eq!(breaches(self.handle(0), 10).await.unwrap(), []);
        for running in self.running {
            running.shut_down().await;
        }
        drop(self.test);
    }
}

/// Every courier is offered every delivery at once from both processes: each gets one, and no delivery gets two.
async fn offers_have_one_winner(engine: Engine) {
    let shop = Processes::start(engine).await;
    let mut pairs = Vec::new();
    let couriers = [shop.courier().await, shop.courier().await, shop.courier().await];
    for _ in &couriers {
        let order = shop.ready().await;
        pairs.extend(couriers.map(|courier| (order, courier)));
    }
    let offered = winners(&shop, &pairs, |work, order, courier| offer(work, order, courier, RULES)).await;
    assert_eq!(offered.len(), couriers.len());
    let accepted = winners(&shop, &pairs, |work, order, courier| accept(work, order, courier).map(|_| true)).await;
    assert_eq!(accepted, offered, "who was offered it accepts it, and nobody else");
    shop.end().await;
}

/// The pairs for which `decide`, run for all of them at once, says yes.
async fn winners(
    shop: &Processes,
    pairs: &[(OrderId, PersonId)],
    decide: fn(&mut Work<'_>, OrderId, PersonId) -> Result<bool, Stop>,
) -> Vec<(OrderId, PersonId)> {
    let tries = pairs.iter().enumerate().map(|(index, (order, courier))| {
        let (order, courier) = (*order, *courier);
        shop.decide(index, move |work| decide(work, order, courier))
    });
    let won = join_all(tries).await;
    pairs.iter().zip(won).filter(|(_, won)| *won == Ok(true)).map(|(pair, _)| *pair).collect()
}

/// An acceptance and a cancellation race: whichever comes first, the courier and the delivery agree.
async fn a_cancellation_and_an_acceptance_agree(engine: Engine) {
    let shop = Processes::start(engine).await;
    let courier = shop.courier().await;
    for _ in 0..5 {
        let order = shop.ready().await;
        assert!(shop.decide(0, move |work| offer(work, order, courier, RULES)).await.unwrap());
        let both = futures_util::future::join(
            shop.decide(0, move |work| accept(work, order, courier)),
            shop.decide(1, move |work| withdraw(work, order)),
        );
        let (_, withdrawn) = both.await;
        withdrawn.unwrap();
        let (delivery, _) = shop.handle(0).find::<Delivery>(&order).await.unwrap().unwrap();
        let (courier, _) = shop.handle(0).find::<Courier>(&courier).await.unwrap().unwrap();
        assert_eq!((delivery.state, courier.task), (State::Cancelled, Task::None));
    }
    shop.end().await;
}

macro_rules! on_both_engines {
    ($($test:ident)+) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(testkit::Engine::Sqlite).await;
            })+
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(testkit::Engine::Postgres).await;
            })+
        }
    };
}

on_both_engines! { offers_have_one_winner a_cancellation_and_an_acceptance_agree }
