//! Random walks over the whole service, several orders and SKUs, each command said twice: after every step it stands where a
//! model written down here says, and the second time nothing moved.
//! Leaves what comes in the same moment to `races`.

use std::collections::BTreeMap;

use contracts::delivery::Store;
use contracts::{OrderId, SlotKey};
use kernel::{Draw, Timestamp};
use testkit::store;
use web::{Call, Json, Method, json};

use crate::shop::{Shop, order, places_path, request, slot_path, stock_path};

testkit::on_both! {
    Shop::open =>
    a_walk_ends_where_the_model_says
    another_walk_ends_where_the_model_says
}

const SKUS: [&str; 3] = ["BREAD", "EGGS", "MILK"];
const ORDERS: u64 = 8;
const STEPS: u32 = 90;

/// What can be promised of a thing, what is promised, and what was used.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Level {
    available: i64,
    held: i64,
    used: i64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Hold {
    state: &'static str,
    units: BTreeMap<&'static str, i64>,
    slot: usize,
    expires_at: Timestamp,
}

impl Hold {
    fn lives(&self) -> bool {
        matches!(self.state, "reserved" | "committed")
    }
}

/// Inventory as simply as it can be said.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Model {
    stock: BTreeMap<&'static str, Level>,
    slots: [Level; 2],
    withdrawn: [bool; 2],
    holds: BTreeMap<OrderId, Hold>,
    /// Units written off, and orders told that their slot is gone.
    lost: i64,
    told: BTreeMap<OrderId, usize>,
}

#[derive(Clone, Debug)]
enum Step {
    Request(OrderId, Vec<(&'static str, i64)>, usize),
    Commit(OrderId),
    Release(OrderId),
    Consume(OrderId),
    Reduce(OrderId, Vec<(&'static str, i64, bool)>),
    Count(&'static str, i64),
    Places(usize, i64),
    Withdraw(usize),
    Reopen(usize),
    Wait(i64),
}

impl Step {
    fn draw(draw: &mut Draw) -> Self {
        let mut below = |end: u64| draw.below(end);
        let who = order(below(ORDERS));
        let units = |number: u64| i64::try_from(number).unwrap();
        let sku = |number: u64| SKUS[usize::try_from(number).unwrap()];
        let slot = |number: u64| usize::try_from(number).unwrap();
        match below(20) {
            0..5 => {
                let lines = (0..=below(2)).map(|_| (sku(below(3)), 1 + units(below(5)))).collect();
                Self::Request(who, lines, slot(below(2)))
            }
            5..8 => Self::Commit(who),
            8..10 => Self::Release(who),
            10..12 => Self::Consume(who),
            12..15 => Self::Reduce(who, vec![(sku(below(3)), units(below(4)) - 1, below(2) == 0)]),
            15 => Self::Count(sku(below(3)), units(below(12))),
            16 => Self::Places(slot(below(2)), units(below(6))),
            17 => Self::Withdraw(slot(below(2))),
            18 => Self::Reopen(slot(below(2))),
            _ => Self::Wait(60_000 * (1 + units(below(4)))),
        }
    }
}

impl Model {
    /// What the step changes; people's wishes may be refused, and then `false` comes back.
    fn take(&mut self, step: &Step, now: Timestamp) -> bool {
        match step {
            Step::Request(order, lines, slot) => self.request(*order, lines, *slot, now),
            Step::Commit(order) => self.end_or_keep(*order, now, "committed"),
            Step::Release(order) => self.end_or_keep(*order, now, "released"),
            Step::Consume(order) => self.end_or_keep(*order, now, "consumed"),
            Step::Reduce(order, lines) => lines.iter().for_each(|line| self.reduce(*order, *line)),
            Step::Count(sku, on_hand) => {
                let level = self.stock.entry(sku).or_default();
                if *on_hand < level.held {
                    return false;
                }
                level.available = on_hand - level.held;
            }
            Step::Places(slot, places) => {
                let level = &mut self.slots[*slot];
                if self.withdrawn[*slot] || *places < level.held + level.used {
                    return false;
                }
                level.available = places - level.held - level.used;
            }
            Step::Withdraw(slot) | Step::Reopen(slot) => {
                let withdraw = matches!(step, Step::Withdraw(_));
                if self.withdrawn[*slot] == withdraw {
                    return false;
                }
                self.withdrawn[*slot] = withdraw;
                let here = self.holds.iter().filter(|(_, hold)| withdraw && hold.lives() && hold.slot == *slot);
                self.told.extend(here.map(|(order, _)| (*order, 1)));
            }
            Step::Wait(_) => {
                let due = |hold: &Hold| hold.state == "reserved" && hold.expires_at <= now;
                let over: Vec<OrderId> = self.holds.iter().filter(|(_, hold)| due(hold)).map(|(order, _)| *order).collect();
                over.iter().for_each(|order| self.give_back(*order, "expired"));
            }
        }
        true
    }

    fn request(&mut self, order: OrderId, lines: &[(&'static str, i64)], slot: usize, now: Timestamp) {
        if self.holds.contains_key(&order) {
            return;
        }
        let mut units = BTreeMap::new();
        lines.iter().for_each(|(sku, wanted)| *units.entry(*sku).or_default() += wanted);
        let there = units.iter().all(|(sku, wanted)| self.stock.get(sku).is_some_and(|level| level.available >= *wanted));
        let free = !self.withdrawn[slot] && self.slots[slot].available >= 1;
        let mut hold = Hold { state: "rejected", units, slot, expires_at: now.plus_ms(600_000) };
        if there && free {
            hold.state = "reserved";
            for (sku, wanted) in &hold.units {
                let level = self.stock.get_mut(sku).unwrap();
                (level.available, level.held) = (level.available - wanted, level.held + wanted);
            }
            let level = &mut self.slots[slot];
            (level.available, level.held) = (level.available - 1, level.held + 1);
        }
        self.holds.insert(order, hold);
    }

    fn end_or_keep(&mut self, order: OrderId, now: Timestamp, next: &'static str) {
        let Some(hold) = self.holds.get_mut(&order) else {
            if next != "consumed" {
                let tombstone = Hold { state: "released", units: BTreeMap::new(), slot: 0, expires_at: now };
                self.holds.insert(order, tombstone);
            }
            return;
        };
        match (hold.state, next) {
            ("reserved", "committed") => hold.state = next,
            ("reserved" | "committed", "released") => self.give_back(order, next),
            ("committed", "consumed") => {
                hold.state = next;
                let (units, slot) = (hold.units.clone(), hold.slot);
                for (sku, units) in units {
                    let level = self.stock.get_mut(sku).unwrap();
                    (level.held, level.used) = (level.held - units, level.used + units);
                }
                let level = &mut self.slots[slot];
                (level.held, level.used) = (level.held - 1, level.used + 1);
            }
            _ => {}
        }
    }

    fn give_back(&mut self, order: OrderId, next: &'static str) {
        let hold = self.holds.get_mut(&order).unwrap();
        hold.state = next;
        for (sku, units) in &hold.units {
            let level = self.stock.get_mut(sku).unwrap();
            (level.available, level.held) = (level.available + units, level.held - units);
        }
        let level = &mut self.slots[hold.slot];
        (level.available, level.held) = (level.available + 1, level.held - 1);
    }

    fn reduce(&mut self, order: OrderId, (sku, keeps, restock): (&'static str, i64, bool)) {
        let Some(hold) = self.holds.get_mut(&order).filter(|hold| hold.lives()) else { return };
        let Some(units) = hold.units.get_mut(sku) else { return };
        let gone = (*units - keeps.max(0)).max(0);
        *units -= gone;
        let level = self.stock.get_mut(sku).unwrap();
        level.held -= gone;
        level.available += if restock { gone } else { 0 };
        self.lost += if restock { 0 } else { gone };
    }

    /// State and units of each hold, in the words of the audit.
    fn facts(&self) -> BTreeMap<OrderId, (String, i64, bool)> {
        let fact = |hold: &Hold| {
            let counts = hold.lives() || hold.state == "consumed";
            let units = if counts { hold.units.values().sum() } else { 0 };
            (hold.state.to_owned(), units, hold.state != "reserved")
        };
        self.holds.iter().map(|(order, hold)| (*order, fact(hold))).collect()
    }
}

/// A shop on a walk.
struct Walk {
    shop: Shop,
    store: Store,
    slots: [SlotKey; 2],
    model: Model,
    seed: u64,
}

async fn a_walk_ends_where_the_model_says(shop: Shop) {
    walk(shop, 1).await;
}

async fn another_walk_ends_where_the_model_says(shop: Shop) {
    walk(shop, 2).await;
}

async fn walk(shop: Shop, seed: u64) {
    let store = store(1);
    shop.know(&store).await;
    // Late slots, so that none is over before the walk is.
    let slots = [20, 21].map(|hour| SlotKey(shop.now().plus_ms(hour * 3_600_000)));
    let fresh = Level { available: store.slots.places, ..Level::default() };
    let mut walk = Walk { shop, store, slots, model: Model { slots: [fresh; 2], ..Model::default() }, seed };
    for sku in SKUS {
        walk.step(&Step::Count(sku, 9), 1000).await;
    }
    for slot in 0..2 {
        walk.step(&Step::Places(slot, 5), 2000).await;
    }
    let mut draw = Draw::seeded(seed);
    for number in 0..STEPS {
        let step = Step::draw(&mut draw);
        walk.step(&step, number).await;
    }
    // From wherever it stands there is a way to the end: everything given back.
    for seed in 0..ORDERS {
        walk.step(&Step::Release(order(seed)), STEPS).await;
    }
    assert!(walk.model.holds.values().all(|hold| !hold.lives()));
    assert!(walk.model.stock.values().all(|level| level.held == 0));
    walk.shop.close().await;
}

impl Walk {
    async fn step(&mut self, step: &Step, number: u32) {
        let what = format!("seed {}, step {number}: {step:?}", self.seed);
        if let Step::Wait(ms) = step {
            self.shop.clock.advance(*ms);
        }
        let before = self.model.clone();
        let taken = self.model.take(step, self.shop.now());
        assert!(taken || self.model == before);
        let key = self.shop.fresh_key();
        for _ in 0..2 {
            assert_eq!(self.ask(step, &key).await, taken, "{what}");
            self.shop.settle().await;
            self.assert_as_the_model(&what).await;
        }
    }

    /// Has the step taken, and tells whether it was.
    async fn ask(&self, step: &Step, key: &str) -> bool {
        let (shop, id) = (&self.shop, self.store.id);
        let send = async |method: Method, path: String, body: Json| {
            let reply = shop.send(Call::new(method, &path).bearer(&shop.admin()).key(key).json(&body)).await;
            assert!(matches!(reply.status.as_u16(), 200 | 409), "{reply:?}");
            reply.status == 200
        };
        let why = || json!({ "reason": "a walk" });
        match step {
            Step::Request(order, lines, slot) => shop.request(vec![request(id, *order, lines, self.slots[*slot])]).await,
            Step::Commit(order) => shop.commit(id, *order).await,
            Step::Release(order) => shop.release(id, *order).await,
            Step::Consume(order) => shop.consume(id, *order).await,
            Step::Reduce(order, lines) => shop.reduce(id, *order, lines).await,
            Step::Count(sku, on_hand) => return send(Method::PUT, stock_path(id, sku), json!({ "on_hand": on_hand })).await,
            Step::Places(slot, places) => {
                return send(Method::PUT, places_path(id, self.slots[*slot]), json!({ "places": places })).await;
            }
            Step::Withdraw(slot) => return send(Method::POST, slot_path(id, self.slots[*slot], "withdraw"), why()).await,
            Step::Reopen(slot) => return send(Method::POST, slot_path(id, self.slots[*slot], "reopen"), why()).await,
            Step::Wait(_) => {}
        }
        true
    }

    async fn assert_as_the_model(&self, what: &str) {
        let (shop, model, id) = (&self.shop, &self.model, self.store.id);
        // Timers and the telling come by themselves, the rest is there.
        shop.until(what, async || shop.facts().await == model.facts()).await;
        shop.until(what, async || self.told().await == model.told).await;
        for (sku, level) in &model.stock {
            assert_eq!(shop.level(id, sku).await, (level.available, level.held), "{what}: {sku}");
        }
        let all = shop.all_slots(id).await;
        for (slot, level) in self.slots.iter().zip(&model.slots) {
            let Some(found) = all.iter().find(|found| found["starts_at"] == json!(slot)) else { continue };
            assert_eq!([&found["left"], &found["held"]], [&json!(level.available), &json!(level.held)], "{what}: {slot}");
        }
        let reserved = model.holds.values().filter(|hold| hold.state == "reserved").count();
        assert_eq!(shop.expiries().await, i64::try_from(reserved).unwrap(), "{what}");
        // What is there is what came and went, by the movements themselves.
        let mut moved: BTreeMap<String, i64> = BTreeMap::new();
        let mut of = BTreeMap::from([("consumed", 0), ("not-found", 0), ("counted", 0)]);
        for (sku, reason, units) in shop.movements(id).await {
            *moved.entry(sku).or_default() += units;
            *of.get_mut(reason.as_str()).unwrap() -= units;
        }
        for (sku, level) in &model.stock {
            assert_eq!(moved[*sku], level.available + level.held, "{what}: {sku}");
        }
        let used: i64 = model.stock.values().map(|level| level.used).sum();
        assert_eq!((of["consumed"], of["not-found"]), (used, model.lost), "{what}");
        shop.assert_sound("inventory").await;
    }

    /// How often each order was told that its slot is gone.
    async fn told(&self) -> BTreeMap<OrderId, usize> {
        let mut told = BTreeMap::new();
        for (kind, event) in self.shop.said("inventory.holds").await {
            if kind == "slot.withdrawn.v1" {
                *told.entry(serde_json::from_value(event["order"].clone()).unwrap()).or_default() += 1;
            }
        }
        told
    }
}
