//! Deciders against each other on real databases, from two processes where there can be two: whatever races, an offer, an
//! acceptance and a hand-over have one winner. Leaves the way in over HTTP and by event to `tests/`.

use std::sync::Arc;

use contracts::orders::Contact;
use contracts::{Address, Event, Point, Slot, SlotKey};
use engine::{Handle, Lane, Running};
use futures_util::future::{join, join_all};
use kernel::TraceContext;
use testkit::{Engine, Stage, TestRuntime, migrated};

use super::*;
use crate::config::Config;
use crate::domain::courier::Task;
use crate::store::{MIGRATIONS, breaches};

const RULES: OfferRules = OfferRules { ttl_ms: 60_000, kept_max: 50 };
const PINS_TRIED: PinRules = PinRules { tries_max: 5, lock_ms: 60_000 };

testkit::on_both! {
    offers_have_one_winner
    an_end_and_an_acceptance_agree
    an_end_and_a_pick_up_agree
    a_hand_over_and_a_recall_have_one_winner
}

/// Two processes of one shop that offer nothing by themselves.
struct Processes {
    stages: [Stage; 2],
    running: [Arc<Running>; 2],
    store: StoreId,
    deadlines: Deadlines,
}

impl Processes {
    async fn start(engine: Engine) -> Self {
        let mut one = Stage::on(migrated(engine, &[MIGRATIONS]).await, TestRuntime::flowing(), &["orders", "identity"]).await;
        let mut other = one.another().await;
        let config = Config::default();
        let service = || engine::Service { jobs: Vec::new(), ..crate::service(&config) };
        let running = [one.play(service()).await, other.play(service()).await];
        let store = StoreId(one.new_id());
        Self { stages: [one, other], running, store, deadlines: config.deadlines() }
    }

    fn handle(&self, index: usize) -> &Handle {
        &self.running[index % 2].handle
    }

    async fn decide<T: Send + Sync + 'static>(
        &self,
        index: usize,
        decide: impl Fn(&mut Work<'_>, Deadlines) -> Result<T, Stop> + Send + Sync + 'static,
    ) -> Result<T, Fault> {
        let (handle, deadlines) = (self.handle(index), self.deadlines);
        let trace = TraceContext::start(&mut handle.runtime().draw());
        handle.decide(Lane::Money, &trace, move |work| decide(work, deadlines)).await
    }

    async fn courier(&self) -> PersonId {
        let courier = PersonId(self.stages[0].new_id());
        let said =
            CourierChanged { courier, name: "Rider".into(), store: self.store, vehicle: "cargo-bike".into(), active: true };
        self.decide(0, move |work, deadlines| keep_courier(work, &said, deadlines)).await.unwrap();
        self.decide(0, move |work, deadlines| set_shift(work, courier, true, deadlines)).await.unwrap();
        courier
    }

    async fn ready(&self) -> OrderId {
        let order = OrderId(self.stages[0].new_id());
        let at = self.stages[0].now();
        let said = OrderConfirmed {
            order,
            store: self.store,
            contact: Contact { name: "Ada".into(), email: "ada@example.test".into(), phone: String::new() },
            address: Address { street: "1 Main St".into(), note: String::new(), point: Point { lat: 33.7, lon: -84.3 } },
            slot: Slot { starts_at: SlotKey(at), ends_at: at, cutoff_at: at },
        };
        self.decide(0, move |work, _| create_delivery(work, &said)).await.unwrap();
        self.decide(0, move |work, deadlines| make_ready(work, order, deadlines)).await.unwrap();
        order
    }

    /// An order that is offered to `courier`, who has made these moves with it.
    async fn after(&self, courier: PersonId, moves: &[Step]) -> OrderId {
        let order = self.ready().await;
        assert!(self.decide(0, move |work, deadlines| offer(work, order, courier, RULES, deadlines)).await.unwrap());
        for step in moves {
            self.step(0, order, courier, *step).await.unwrap();
        }
        order
    }

    async fn step(&self, index: usize, order: OrderId, courier: PersonId, step: Step) -> Result<Stored, Fault> {
        self.decide(index, move |work, deadlines| move_as_courier(work, order, courier, deadlines, step)).await
    }

    async fn recall(&self, index: usize, order: OrderId) {
        self.decide(index, move |work, deadlines| recall(work, order, "gave-up", deadlines)).await.unwrap();
    }

    async fn delivery(&self, order: OrderId) -> Delivery {
        self.handle(0).find::<Delivery>(&order).await.unwrap().unwrap().0
    }

    async fn task(&self, courier: PersonId) -> Task {
        self.handle(0).find::<Courier>(&courier).await.unwrap().unwrap().0.task
    }

    async fn said(&self, order: OrderId, kind: &str) -> usize {
        let said = self.stages[0].log_of("delivery", &[DeliveryDelivered::TOPIC]).await;
        said.iter().filter(|event| event.subject == order.to_string() && event.kind == kind).count()
    }

    async fn end(self) {
        assert_eq!(breaches(self.handle(0), 10).await.unwrap(), []);
        for stage in self.stages.iter().rev() {
            stage.close().await;
        }
    }
}

type Step = fn(&mut Pair, &Turn) -> Moved;

/// Every courier is offered every delivery at once from both processes: each gets one, and no delivery gets two.
async fn offers_have_one_winner(engine: Engine) {
    let shop = Processes::start(engine).await;
    let mut pairs = Vec::new();
    let couriers = [shop.courier().await, shop.courier().await, shop.courier().await];
    for _ in &couriers {
        let order = shop.ready().await;
        pairs.extend(couriers.map(|courier| (order, courier)));
    }
    let offers = pairs.iter().enumerate().map(|(index, (order, courier))| {
        let (order, courier) = (*order, *courier);
        shop.decide(index, move |work, deadlines| offer(work, order, courier, RULES, deadlines))
    });
    let offered: Vec<bool> = join_all(offers).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(offered.iter().filter(|offered| **offered).count(), couriers.len());
    let tries = pairs.iter().enumerate().map(|(index, (order, courier))| shop.step(index, *order, *courier, Pair::accept));
    let accepted: Vec<bool> = join_all(tries).await.into_iter().map(|tried| tried.is_ok()).collect();
    assert_eq!(accepted, offered, "who was offered it accepts it, and nobody else");
    shop.end().await;
}

/// An acceptance and the end of the order race: whichever comes first, the courier and the delivery agree.
async fn an_end_and_an_acceptance_agree(engine: Engine) {
    let shop = Processes::start(engine).await;
    let courier = shop.courier().await;
    for _ in 0..5 {
        let order = shop.after(courier, &[]).await;
        let _ = join(shop.step(0, order, courier, Pair::accept), shop.recall(1, order)).await;
        assert_eq!((shop.delivery(order).await.state, shop.task(courier).await), (State::Cancelled, Task::None));
    }
    shop.end().await;
}

/// A pick-up and the end of the order race: either the goods never leave the store, or they come back before it is over.
async fn an_end_and_a_pick_up_agree(engine: Engine) {
    let shop = Processes::start(engine).await;
    let courier = shop.courier().await;
    for _ in 0..5 {
        let order = shop.after(courier, &[Pair::accept, Pair::reach_pickup]).await;
        let (picked_up, ()) = join(shop.step(0, order, courier, Pair::pick_up), shop.recall(1, order)).await;
        let state = shop.delivery(order).await.state;
        match picked_up {
            Ok(_) => {
                assert_eq!((state, shop.task(courier).await), (State::Returning, Task::Delivering(order)));
                assert_eq!(shop.said(order, DeliveryWithdrawn::KIND).await, 0, "nothing is given back before the goods are");
                shop.step(0, order, courier, Pair::take_in).await.unwrap();
            }
            Err(fault) => assert_eq!((state, fault.reason.as_str()), (State::Cancelled, "illegal-move")),
        }
        assert_eq!((shop.said(order, DeliveryWithdrawn::KIND).await, shop.task(courier).await), (1, Task::None));
    }
    shop.end().await;
}

/// A hand-over and a recall race: either it is delivered, and that is said once, or the goods come back.
async fn a_hand_over_and_a_recall_have_one_winner(engine: Engine) {
    let shop = Processes::start(engine).await;
    let courier = shop.courier().await;
    for _ in 0..5 {
        let order = shop.after(courier, &[Pair::accept, Pair::reach_pickup, Pair::pick_up, Pair::reach_dropoff]).await;
        let pin = shop.delivery(order).await.errand.unwrap().pin;
        let hand_over = shop.decide(0, move |work, deadlines| deliver(work, order, courier, (&pin, PINS_TRIED), deadlines));
        let (handed_over, ()) = join(hand_over, shop.recall(1, order)).await;
        shop.recall(1, order).await;
        let delivered = handed_over.is_ok();
        assert_eq!(shop.said(order, DeliveryDelivered::KIND).await, usize::from(delivered));
        if let Err(fault) = handed_over {
            assert_eq!((fault.reason.as_str(), &fault.more["state"]), ("illegal-move", &web::json!("returning")));
            shop.step(0, order, courier, Pair::take_in).await.unwrap();
        }
        let state = if delivered { State::Delivered } else { State::Returned };
        assert_eq!((shop.delivery(order).await.state, shop.task(courier).await), (state, Task::None));
        assert_eq!(shop.said(order, DeliveryWithdrawn::KIND).await, usize::from(!delivered));
    }
    shop.end().await;
}
