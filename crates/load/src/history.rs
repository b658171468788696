//! What the shoppers of a run know of each order they placed: invoked, and then ok, failed, or never answered; and what must be
//! so of it at the end, looked at once: every order that was ok is there once and has ended, one that failed is not there, one
//! that was never answered is there once or not; each has cost nothing or its total; and what was sold, and nothing else, has
//! left the stock. The shop must have been this run's alone. Leaves the rules between services to `audit`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use audit::{Known, Shop};
use contracts::{CartId, OrderId, Sku, StoreId};
use futures_util::StreamExt;
use futures_util::stream::iter;
use kernel::{Id, Timestamp};
use serde::{Deserialize, Serialize};

use crate::city::{StoreView, list};
use crate::client::{Ask, Client};
use crate::error::LoadError;
use crate::people::Session;
use crate::shopper::{OrderView, Quoted};

/// How many carts are asked for beside each other.
const ASKED_MAX: usize = 32;

/// The states of a payment that keeps nobody's money waiting.
const CLOSED: [&str; 7] = ["declined", "captured", "partially-refunded", "refunded", "voided", "expired", "disputed"];

/// One step of a placement, which is called by its cart: a cart becomes one order at most.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Step {
    at: Timestamp,
    cart: CartId,
    #[serde(flatten)]
    what: What,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub(crate) enum What {
    /// The order was sent.
    Invoked,
    /// The shop has acknowledged it.
    Ok {
        /// As this order.
        order: OrderId,
    },
    /// The shop has refused it.
    Failed {
        /// For this reason.
        reason: String,
    },
    /// There was no answer.
    Unknown,
}

/// The history of a run, as it comes about.
#[derive(Default)]
pub(crate) struct History(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    steps: Vec<Step>,
    /// What opens each cart.
    carts: BTreeMap<CartId, String>,
}

impl History {
    /// An order is sent for a cart.
    pub(crate) fn invoked(&self, at: Timestamp, quoted: &Quoted) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.carts.insert(quoted.cart, quoted.capability.clone());
        kept.steps.push(Step { at, cart: quoted.cart, what: What::Invoked });
    }

    /// This came of it.
    pub(crate) fn ended(&self, at: Timestamp, cart: CartId, what: What) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).steps.push(Step { at, cart, what });
    }

    /// Writes it as JSON, a step a line.
    pub(crate) fn write(&self, path: &Path) -> Result<(), LoadError> {
        let failed = |source| LoadError::File { path: path.to_owned(), source };
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = std::io::BufWriter::new(std::fs::File::create(path).map_err(failed)?);
        for step in &kept.steps {
            let line = serde_json::to_string(step);
            let line = line.map_err(|source| LoadError::Unreadable { what: "the history".to_owned(), source })?;
            writeln!(file, "{line}").map_err(failed)?;
        }
        file.flush().map_err(failed)
    }

    /// What is wrong with it, by what the shop says now that it is at rest.
    pub(crate) async fn verify(
        &self,
        client: &Client,
        admin: &Session,
        shop: Shop,
        before: Stock,
    ) -> Result<Vec<String>, LoadError> {
        let Kept { steps, carts } = {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *kept)
        };
        let asked = iter(&carts).map(|(cart, capability)| became(client, *cart, capability)).buffer_unordered(ASKED_MAX);
        let became: Vec<Result<(CartId, Option<Order>), LoadError>> = asked.collect().await;
        let became = became.into_iter().collect::<Result<_, _>>()?;
        let after = Stock::read(client, admin).await?;
        Ok(Evidence { steps, became, shop, before, after }.faults())
    }
}

/// An order as its shopper sees it.
#[derive(Clone, Debug)]
struct Order {
    id: OrderId,
    is_final: bool,
    delivered: bool,
    /// How many units of which SKUs it has.
    units: BTreeMap<Sku, i64>,
}

#[derive(Deserialize)]
struct CartView {
    order: Option<OrderId>,
}

/// The order that a cart became, if any.
async fn became(client: &Client, cart: CartId, capability: &str) -> Result<(CartId, Option<Order>), LoadError> {
    let ask = Ask::get(format!("/v1/carts/{cart}")).capability(capability);
    let CartView { order } = client.send(&ask).await?.expect()?;
    let Some(order) = order else { return Ok((cart, None)) };
    let view: OrderView = client.send(&Ask::get(format!("/v1/orders/{order}")).capability(capability)).await?.expect()?;
    let mut units: BTreeMap<Sku, i64> = BTreeMap::new();
    for line in view.lines.iter().filter(|line| line.quantity > 0) {
        *units.entry(line.sku.clone()).or_default() += line.quantity;
    }
    Ok((cart, Some(Order { id: order, is_final: view.is_final(), delivered: view.state == "delivered", units })))
}

/// What the stores have, and how it came about.
#[derive(Default, Debug)]
pub(crate) struct Stock {
    levels: BTreeMap<(StoreId, Sku), Level>,
    movements: BTreeMap<Id, (StoreId, Movement)>,
}

#[derive(Clone, Debug, Deserialize)]
struct Level {
    sku: Sku,
    available: i64,
    held: i64,
}

#[derive(Clone, Debug, Deserialize)]
struct Movement {
    id: Id,
    sku: Sku,
    reason: String,
    units: i64,
    order: Option<OrderId>,
}

impl Stock {
    /// What all stores have now.
    pub(crate) async fn read(client: &Client, admin: &Session) -> Result<Self, LoadError> {
        let mut stock = Self::default();
        for StoreView { id, .. } in list::<StoreView>(client, "/v1/stores").await? {
            let levels: Vec<Level> = admin.list(&format!("/v1/stores/{id}/stock")).await?;
            stock.levels.extend(levels.into_iter().map(|level| ((id, level.sku.clone()), level)));
            let moved: Vec<Movement> = admin.list(&format!("/v1/admin/stores/{id}/movements")).await?;
            stock.movements.extend(moved.into_iter().map(|moved| (moved.id, (id, moved))));
        }
        Ok(stock)
    }
}

/// Everything that a history is judged by.
struct Evidence {
    steps: Vec<Step>,
    became: BTreeMap<CartId, Option<Order>>,
    shop: Shop,
    before: Stock,
    after: Stock,
}

impl Evidence {
    fn faults(&self) -> Vec<String> {
        [self.placements(), self.money(), self.stock()].concat()
    }

    /// Every placement came to what its shopper was told, once.
    fn placements(&self) -> Vec<String> {
        let (mut faults, mut seen) = (Vec::new(), BTreeSet::new());
        for Step { cart, what, .. } in &self.steps {
            let order = self.became.get(cart).and_then(Option::as_ref);
            match (what, order) {
                (What::Ok { order }, None) => faults.push(format!("order {order} was acknowledged, and cart {cart} has none")),
                (What::Ok { order }, Some(other)) if *order != other.id => {
                    faults.push(format!("order {order} was acknowledged, and cart {cart} has become {}", other.id));
                }
                (What::Failed { reason }, Some(order)) => {
                    faults.push(format!("cart {cart} was refused as {reason}, and has become order {}", order.id));
                }
                _ => {}
            }
        }
        for (cart, order) in self.became.iter().filter_map(|(cart, order)| Some((cart, order.as_ref()?))) {
            if !seen.insert(order.id) {
                faults.push(format!("order {} is of two carts, one of them {cart}", order.id));
            }
            if !order.is_final {
                faults.push(format!("order {} has not ended", order.id));
            }
        }
        faults
    }

    /// Each order has cost nothing or its total, and keeps no money waiting.
    fn money(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for order in self.became.values().flatten() {
            let Some(known) = self.shop.0.get(&order.id) else {
                faults.push(format!("order {} is not known to the shop as a whole", order.id));
                continue;
            };
            let sum = |fact: &Option<_>, name: &str| fact.as_ref().map_or(0, |fact: &contracts::audit::Fact| sum_of(fact, name));
            let Known { order: ordered, payment, .. } = known;
            let due = if order.delivered { sum(ordered, "total") } else { 0 };
            let charged = sum(payment, "captured");
            if charged != due {
                faults.push(format!("order {} has cost {charged} instead of {due}", order.id));
            }
            if let Some(fact) = payment.as_ref().filter(|fact| !CLOSED.contains(&fact.state.as_str())) {
                faults.push(format!("the money of order {} waits: it is {}", order.id, fact.state));
            }
        }
        faults
    }

    /// What was delivered has left the stock, each order once, and what there was is still there or accounted for.
    fn stock(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut sold: BTreeMap<(OrderId, &Sku), i64> = BTreeMap::new();
        for order in self.became.values().flatten().filter(|order| order.delivered) {
            sold.extend(order.units.iter().map(|(sku, units)| ((order.id, sku), *units)));
        }
        let mut moved: BTreeMap<(StoreId, &Sku), i64> = BTreeMap::new();
        let new = self.after.movements.iter().filter(|(id, _)| !self.before.movements.contains_key(id));
        for (store, movement) in new.map(|(_, moved)| moved) {
            *moved.entry((*store, &movement.sku)).or_default() += movement.units;
            let (Some(order), "consumed") = (movement.order, movement.reason.as_str()) else { continue };
            *sold.entry((order, &movement.sku)).or_default() += movement.units;
        }
        for ((order, sku), left) in sold.iter().filter(|(_, left)| **left != 0) {
            faults.push(format!("of {sku}, order {order} has {left} units that have not left the stock"));
        }
        for (place, before) in &self.before.levels {
            let (store, sku) = place;
            let after = self.after.levels.get(place).map_or((0, 0), |after| (after.available, after.held));
            let moved = moved.get(&(*store, sku)).copied().unwrap_or_default();
            let wanted = (before.available + before.held + moved - before.held, before.held);
            if after != wanted {
                faults.push(format!("of {sku}, store {store} has {after:?} available and held instead of {wanted:?}"));
            }
        }
        faults
    }
}

fn sum_of(fact: &contracts::audit::Fact, name: &str) -> i64 {
    fact.sums.get(name).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::audit::Fact;
    use kernel::{Bucket, Draw};

    fn id(seed: u64) -> Id {
        Id::new(Timestamp::from_millis(1), Bucket(1), &mut Draw::seeded(seed))
    }

    fn sku() -> Sku {
        "MILK".parse().expect("a SKU")
    }

    fn fact(order: OrderId, state: &str, sums: &[(&str, i64)]) -> Fact {
        let sums = sums.iter().map(|(name, sum)| ((*name).to_owned(), *sum)).collect();
        Fact { order, state: state.to_owned(), settled: true, sums }
    }

    /// One order of two units of milk that was acknowledged and delivered, with all that belongs to it.
    fn sound() -> Evidence {
        let (cart, order, store) = (CartId(id(1)), OrderId(id(2)), StoreId(id(3)));
        let step = |what| Step { at: Timestamp::from_millis(1), cart, what };
        let level = |available| [((store, sku()), Level { sku: sku(), available, held: 1 })].into();
        let movement = Movement { id: id(4), sku: sku(), reason: "consumed".to_owned(), units: -2, order: Some(order) };
        let known = Known {
            order: Some(fact(order, "delivered", &[("total", 500)])),
            payment: Some(fact(order, "captured", &[("captured", 500)])),
            ..Known::default()
        };
        let units = [(sku(), 2)].into();
        Evidence {
            steps: vec![step(What::Invoked), step(What::Ok { order })],
            became: [(cart, Some(Order { id: order, is_final: true, delivered: true, units }))].into(),
            shop: Shop([(order, known)].into()),
            before: Stock { levels: level(9), movements: BTreeMap::new() },
            after: Stock { levels: level(7), movements: [(movement.id, (store, movement))].into() },
        }
    }

    fn faults_after(change: impl FnOnce(&mut Evidence)) -> Vec<String> {
        let mut evidence = sound();
        change(&mut evidence);
        evidence.faults()
    }

    fn order(evidence: &mut Evidence) -> &mut Order {
        evidence.became.values_mut().flatten().next().expect("an order")
    }

    fn payment(evidence: &mut Evidence) -> &mut Fact {
        evidence.shop.0.values_mut().next().and_then(|known| known.payment.as_mut()).expect("a payment")
    }

    #[test]
    fn a_sound_history_is_passed_in_silence() {
        assert_eq!(faults_after(|_| {}), Vec::<String>::new());
        // Whoever got no answer may have an order.
        assert_eq!(faults_after(|evidence| evidence.steps[1].what = What::Unknown), Vec::<String>::new());
    }

    #[test]
    fn every_breach_is_found_once() {
        type Change = fn(&mut Evidence);
        let breaches: [(Change, &str); 8] = [
            (|evidence| evidence.steps[1].what = What::Ok { order: OrderId(id(9)) }, "was acknowledged"),
            (|evidence| evidence.steps[1].what = What::Failed { reason: "x".to_owned() }, "was refused as x"),
            (|evidence| order(evidence).is_final = false, "has not ended"),
            (|evidence| payment(evidence).sums.extend([("captured".to_owned(), 1000)]), "has cost 1000 instead of 500"),
            (|evidence| payment(evidence).state = "authorised".to_owned(), "waits"),
            (|evidence| evidence.shop.0.clear(), "is not known"),
            (|evidence| order(evidence).units.extend([(sku(), 3)]), "have not left the stock"),
            (|evidence| evidence.after.levels.values_mut().for_each(|level| level.held = 2), "instead of"),
        ];
        for (change, words) in breaches {
            let faults = faults_after(change);
            assert!(faults.len() == 1 && faults[0].contains(words), "{words}: {faults:?}");
        }
    }

    #[test]
    fn an_order_that_is_lost_or_doubled_is_found() {
        let lost = faults_after(|evidence| evidence.became.values_mut().for_each(|order| *order = None));
        assert!(lost.iter().any(|fault| fault.contains("has none")), "{lost:?}");
        let doubled = faults_after(|evidence| {
            let order = order(evidence).clone();
            evidence.became.insert(CartId(id(9)), Some(order));
        });
        assert!(doubled.iter().any(|fault| fault.contains("of two carts")), "{doubled:?}");
    }

    #[test]
    fn a_history_is_written_a_step_a_line() {
        let history = History::default();
        let quoted = Quoted { cart: CartId(id(1)), capability: "c".to_owned(), quote: String::new() };
        history.invoked(Timestamp::from_millis(1), &quoted);
        history.ended(Timestamp::from_millis(2), quoted.cart, What::Ok { order: OrderId(id(2)) });
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("history");
        history.write(&path).expect("it is written");
        let text = std::fs::read_to_string(&path).expect("it is there");
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!((lines.len(), &lines[0]["what"], &lines[1]["what"]), (2, &"invoked".into(), &"ok".into()));
        assert!(!text.contains("\"c\""), "what opens a cart stays secret");
    }
}
