//! A shopper: with a basket and an address to a cart, a slot, a quote and an order, and then waits until it has ended.
//! Leaves which baskets there are, and how many shoppers, to `replay`.

use std::sync::Arc;

use contracts::{CartId, OrderId, Sku, SlotKey, StoreId};
use kernel::{Draw, Millis, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::baskets::Basket;
use crate::city::{City, PAGE_LIMIT, Page};
use crate::client::{Ask, Client, Reply};
use crate::error::LoadError;
use crate::figures::{Acknowledged, Ended};
use crate::history::What;
use crate::people::Session;
use crate::tokens::TokenMix;
use crate::troubles::Trouble;
use crate::world::World;

/// What may go wrong once an order is paid.
const REFUNDS: &[Trouble] = &[Trouble::RefundedInPart, Trouble::RefundedInFull];

/// How many slots a shopper tries before they give up.
const SLOTS_TRIED_MAX: usize = 12;

/// How long a shopper waits for news in one request.
const NEWS_WAIT_S: u32 = 20;

/// How long nothing may happen with an order until its shopper stops waiting and it counts as open.
const STUCK_AFTER_MS: Millis = 300_000;

/// How long somebody who got no answer looks whether there is an order all the same, and how often.
const UNANSWERED_MS: Millis = 60_000;
const LOOK_EVERY_MS: Millis = 500;

/// Why a shopper gives an order up whose payment was declined.
const GAVE_UP: &str = "gave-up";

/// Every so many baskets one shopper is signed in, if the shop knows any.
const SIGNED_IN_EVERY: usize = 8;

/// What all shoppers of a run share.
pub(crate) struct Shopping {
    pub(crate) world: Arc<World>,
    pub(crate) city: City,
    pub(crate) baskets: Vec<Basket>,
    pub(crate) regulars: Vec<Session>,
    pub(crate) seed: u64,
    pub(crate) mix: TokenMix,
    pub(crate) troubles_percent: u64,
    pub(crate) impatient_percent: u64,
}

/// What a shopper wants; everything in it follows from the seed and the basket's place in the file.
pub(crate) struct Errand<'a> {
    pub(crate) store: StoreId,
    pub(crate) address: Value,
    pub(crate) lines: Vec<Value>,
    pub(crate) payment_token: &'static str,
    /// What is to go wrong with the order.
    pub(crate) trouble: Option<Trouble>,
    /// Whether the order is sent only once.
    pub(crate) impatient: bool,
    pub(crate) name: String,
    /// Who is signed in; guests are nobody.
    pub(crate) regular: Option<&'a Session>,
}

/// What became of one attempt to order.
enum Attempt {
    /// It became an order, which has ended.
    Ended(Ended),
    /// It was refused before it became an order.
    TurnedAway(String),
    /// The slot was full or closed, before or after it became an order: another may be free.
    SlotGone { slot: SlotKey, ordered: bool },
}

/// A cart with a sealed quote for it.
pub(crate) struct Quoted {
    pub(crate) cart: CartId,
    pub(crate) capability: String,
    pub(crate) quote: String,
}

/// Something that a shopper is told instead of what they asked for, by its reason.
pub(crate) struct Told(pub(crate) String);

#[derive(Deserialize)]
struct Reach {
    stores: Vec<Reached>,
}

#[derive(Deserialize)]
struct Reached {
    store: StoreId,
}

#[derive(Deserialize)]
struct CartView {
    id: CartId,
    capability: String,
}

/// What a cart became.
#[derive(Deserialize)]
struct Became {
    order: Option<OrderId>,
}

#[derive(Deserialize)]
struct SlotView {
    starts_at: SlotKey,
    left: i64,
}

#[derive(Deserialize)]
struct QuoteView {
    quote: String,
}

/// An order as far as a shopper looks at it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct OrderView {
    pub(crate) id: OrderId,
    pub(crate) state: String,
    reason: Option<String>,
    #[serde(default)]
    payment: Value,
    total: Total,
    delivery: DeliveryView,
    refusal: Option<Vec<Short>>,
    #[serde(default)]
    pub(crate) lines: Vec<LineView>,
}

/// So many units of one SKU, of what was ordered and is still wanted.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct LineView {
    pub(crate) sku: Sku,
    pub(crate) quantity: i64,
}

/// What it costs, as far as its currency matters.
#[derive(Clone, Debug, Deserialize)]
struct Total {
    currency: String,
}

#[derive(Clone, Debug, Deserialize)]
struct DeliveryView {
    pin: Option<String>,
}

/// What was short: units of a SKU, or places of a slot.
#[derive(Clone, Debug, Deserialize)]
struct Short {
    sku: Option<String>,
    slot: Option<SlotKey>,
    wanted: i64,
    left: i64,
}

impl OrderView {
    pub(crate) fn is_final(&self) -> bool {
        matches!(self.state.as_str(), "delivered" | "rejected" | "cancelled")
    }

    /// Whether it has been promised; an order on its way to an end that was not may have been before, and then was seen.
    pub(crate) fn is_promised(&self) -> bool {
        matches!(self.state.as_str(), "confirmed" | "picking" | "ready" | "out_for_delivery" | "delivered")
    }

    /// How it has ended. A rejection counts only with a true reason: what was short, and less left than was wanted.
    pub(crate) fn ended(&self, declined: bool) -> Ended {
        match self.state.as_str() {
            "delivered" => Ended::Delivered,
            "rejected" => Ended::Refused(self.shortage().to_owned()),
            _ if declined => Ended::Refused("declined".to_owned()),
            _ => Ended::Refused(self.reason.clone().unwrap_or_else(|| "no-reason".to_owned())),
        }
    }

    fn shortage(&self) -> &'static str {
        let short = self.refusal.as_deref().unwrap_or_default();
        // A closed slot is named although places are left.
        let honest = short.iter().all(|short| short.left < short.wanted || short.slot.is_some());
        match short {
            [] => "no-reason",
            _ if !honest => "untrue-reason",
            _ if short.iter().any(|short| short.sku.is_some()) => "stock",
            _ => "slot",
        }
    }

    fn slot_alone(&self) -> Option<SlotKey> {
        let short = self.refusal.as_deref().unwrap_or_default();
        if self.shortage() == "slot" { short.iter().find_map(|short| short.slot) } else { None }
    }
}

impl Shopping {
    /// Takes the basket of this index all the way.
    pub(crate) async fn serve(&self, index: usize) -> Result<(), LoadError> {
        let Some(errand) = self.errand(index).await? else {
            self.world.figures.turn_away("out-of-reach".to_owned());
            return Ok(());
        };
        let mut after = None;
        for _ in 0..SLOTS_TRIED_MAX {
            match self.attempt(&errand, after).await? {
                Attempt::Ended(how) => {
                    self.world.figures.end(how);
                    return Ok(());
                }
                Attempt::TurnedAway(reason) => {
                    self.world.figures.turn_away(reason);
                    return Ok(());
                }
                Attempt::SlotGone { slot, ordered } => {
                    after = Some(slot);
                    if ordered {
                        self.world.figures.end(Ended::Refused("slot".to_owned()));
                        self.world.figures.retry();
                    }
                }
            }
        }
        self.world.figures.turn_away("no-slot-in-time".to_owned());
        Ok(())
    }

    async fn errand(&self, index: usize) -> Result<Option<Errand<'_>>, LoadError> {
        let mut draw = draw_of(self.seed, index);
        let address = self.city.address(&mut draw)?;
        let usual = self.mix.draw(&mut draw);
        let Some(store) = nearest(&self.world.client, &address).await? else { return Ok(None) };
        let lines = self.city.lines(store, &self.baskets[index], &mut draw);
        let signed_in = index.is_multiple_of(SIGNED_IN_EVERY) && !self.regulars.is_empty();
        let regular = signed_in.then(|| &self.regulars[index / SIGNED_IN_EVERY % self.regulars.len()]);
        // Drawn last, so that a run without troubles makes the same orders.
        let trouble = Trouble::draw(&mut draw, self.troubles_percent);
        let payment_token = trouble.map_or(usual, |trouble| trouble.token().unwrap_or("tok_ok"));
        let impatient = draw.below(100) < self.impatient_percent;
        let name = format!("Shopper {}", index + 1);
        Ok(Some(Errand { store, address, lines, payment_token, trouble, impatient, name, regular }))
    }

    async fn attempt(&self, errand: &Errand<'_>, after: Option<SlotKey>) -> Result<Attempt, LoadError> {
        let client = &self.world.client;
        let Some(slot) = free_slot(client, errand.store, after).await? else {
            return Ok(Attempt::TurnedAway("no-slot".to_owned()));
        };
        let quoted = match quote(client, errand, slot).await? {
            Ok(quoted) => quoted,
            Err(Told(reason)) => return Ok(told_before(reason, slot)),
        };
        let sent = self.world.runtime().now();
        self.world.history.invoked(sent, &quoted);
        let placed = place(client, errand, &quoted).await;
        self.world.history.ended(self.world.runtime().now(), quoted.cart, what_of(&placed));
        let order = match placed {
            Ok(Ok(order)) => order,
            Ok(Err(Told(reason))) => return Ok(told_before(reason, slot)),
            Err(LoadError::Unanswered { .. }) => match self.look_later(&quoted).await? {
                Some(order) => order,
                None => return Ok(Attempt::TurnedAway("unanswered".to_owned())),
            },
            Err(error) => return Err(error),
        };
        let acknowledged = Acknowledged { order: order.id, cart: quoted.cart, capability: quoted.capability.clone() };
        self.world.figures.acknowledge(acknowledged, sent, self.world.runtime().now());
        if let Some(trouble) = errand.trouble {
            self.world.plans.plan(order.id, trouble);
        }
        let (order, declined) = self.follow(order, errand.store, &quoted.capability, sent).await?;
        if order.slot_alone().is_some() {
            return Ok(Attempt::SlotGone { slot, ordered: true });
        }
        Ok(Attempt::Ended(order.ended(declined)))
    }

    /// The order that a cart became whose shopper got no answer, if it becomes one.
    async fn look_later(&self, quoted: &Quoted) -> Result<Option<OrderView>, LoadError> {
        let (client, runtime) = (&self.world.client, self.world.runtime());
        let until = runtime.now().plus_ms(UNANSWERED_MS);
        while runtime.now() < until {
            let ask = Ask::get(format!("/v1/carts/{}", quoted.cart)).capability(&quoted.capability);
            let cart: Became = client.send(&ask).await?.expect()?;
            if let Some(order) = cart.order {
                let ask = Ask::get(format!("/v1/orders/{order}")).capability(&quoted.capability);
                return client.send(&ask).await?.expect().map(Some);
            }
            runtime.sleep(LOOK_EVERY_MS).await;
        }
        Ok(None)
    }

    /// Follows an order to its end, and gives it up when its payment is declined, which is told too.
    async fn follow(
        &self,
        mut order: OrderView,
        store: StoreId,
        capability: &str,
        sent: Timestamp,
    ) -> Result<(OrderView, bool), LoadError> {
        let client = &self.world.client;
        let (mut known, mut confirmed, mut declined) = (None, false, false);
        let mut changed = sent;
        loop {
            if !confirmed && order.is_promised() {
                confirmed = true;
                self.world.figures.confirm(sent, self.world.runtime().now());
            }
            if let Some(pin) = &order.delivery.pin {
                self.world.pins.tell(order.id, pin);
            }
            let troubled = self.meet_trouble(&order, store, capability).await?;
            if order.is_final() && !self.waits_for_refund(&order) {
                return Ok((order, declined));
            }
            if order.state == "payment_failed" && !declined && !troubled {
                declined = true;
                cancel(client, order.id, capability, GAVE_UP).await?;
            }
            let ask = Ask::get(format!("/v1/orders/{}", order.id)).capability(capability).news(known.clone(), NEWS_WAIT_S);
            let reply = client.send(&ask).await?;
            let now = self.world.runtime().now();
            if !reply.is_unchanged() {
                (order, changed) = (reply.expect()?, now);
                known = reply.etag;
            } else if now.since_ms(changed) > STUCK_AFTER_MS {
                let OrderView { id: order, state, .. } = order;
                return Err(LoadError::Stuck { order, state, after_ms: STUCK_AFTER_MS });
            }
        }
    }
}

impl Shopping {
    /// Lets happen what is to go wrong with an order that stands so, where shopper or store do it; says whether anything did.
    async fn meet_trouble(&self, order: &OrderView, store: StoreId, capability: &str) -> Result<bool, LoadError> {
        let (client, managers, id) = (&self.world.client, &self.world.managers, order.id);
        let waits_for_bank = order.payment["state"] == "action-required";
        let here: &[Trouble] = match order.state.as_str() {
            "placed" => &[Trouble::CancelledAtOnce],
            "reserved" if waits_for_bank => &[Trouble::ActionApproved, Trouble::ActionRefused],
            "payment_failed" => &[Trouble::OtherCard],
            "confirmed" => &[Trouble::CancelledConfirmed],
            "ready" | "out_for_delivery" => &[Trouble::Recalled],
            "delivery_failed" => &[Trouble::TriedAgain, Trouble::Returned],
            "delivered" if order.payment["state"] == "captured" => REFUNDS,
            _ => return Ok(false),
        };
        let Some(trouble) = self.world.plans.meets(id, here) else { return Ok(false) };
        self.world.figures.trouble(trouble.as_str());
        match trouble {
            Trouble::CancelledAtOnce | Trouble::CancelledConfirmed => cancel(client, id, capability, "changed-mind").await?,
            Trouble::OtherCard => pay_again(client, id, capability).await?,
            Trouble::ActionApproved => act(client, &order.payment, "approve").await?,
            Trouble::ActionRefused => {
                self.world.plans.plan(id, Trouble::OtherCard);
                act(client, &order.payment, "refuse").await?;
            }
            Trouble::Recalled => drop(managers.cancel(client, store, id).await?),
            Trouble::TriedAgain => self.decide(store, id, "again").await?,
            Trouble::Returned => self.decide(store, id, "return").await?,
            Trouble::RefundedInPart => {
                self.refund(store, id, json!({ "amount": { "minor": 1, "currency": order.total.currency } })).await?;
            }
            Trouble::RefundedInFull => self.refund(store, id, json!({ "all": true })).await?,
            _ => {}
        }
        Ok(true)
    }

    /// Whether the order is still to be refunded, which is possible once its money was taken.
    fn waits_for_refund(&self, order: &OrderView) -> bool {
        order.state == "delivered" && self.world.plans.is_any(order.id, REFUNDS)
    }

    async fn decide(&self, store: StoreId, order: OrderId, choice: &str) -> Result<(), LoadError> {
        let body = json!({ "choice": choice, "reason": "nobody opened" });
        self.world.managers.post(&self.world.client, store, format!("/v1/orders/{order}/delivery"), body).await.map(drop)
    }

    async fn refund(&self, store: StoreId, order: OrderId, mut what: Value) -> Result<(), LoadError> {
        what["reason"] = "sour milk".into();
        let done = self.world.managers.post(&self.world.client, store, format!("/v1/orders/{order}/refunds"), what).await?;
        if done { Ok(()) } else { Err(LoadError::Options(format!("order {order} was delivered and cannot be refunded"))) }
    }
}

/// Offers another card. That the hold is over by now is no error: the order itself will tell.
async fn pay_again(client: &Client, order: OrderId, capability: &str) -> Result<(), LoadError> {
    let ask = Ask::post(format!("/v1/orders/{order}/payment")).key(client.new_key()).capability(capability);
    let reply = client.send(&ask.body(json!({ "payment_token": "tok_ok" }))).await?;
    if reply.is_success() || reply.status == 409 { Ok(()) } else { Err(reply.refused()) }
}

/// Answers the bank on the page that the shopper was sent to.
async fn act(client: &Client, payment: &Value, answer: &str) -> Result<(), LoadError> {
    let url = payment["url"].as_str().unwrap_or_default();
    let reply = client.send(&Ask::post(url).form(format!("answer={answer}"))).await?;
    if reply.status < 500 { Ok(()) } else { Err(reply.refused()) }
}

/// Where chance begins for one basket: the same for the same seed and place, whoever takes it and when.
fn draw_of(seed: u64, index: usize) -> Draw {
    let place = u64::try_from(index).unwrap_or(u64::MAX);
    Draw::seeded(seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31))
}

fn told_before(reason: String, slot: SlotKey) -> Attempt {
    if reason == "slot-closed" { Attempt::SlotGone { slot, ordered: false } } else { Attempt::TurnedAway(reason) }
}

/// The store that the shop puts first for an address.
async fn nearest(client: &Client, address: &Value) -> Result<Option<StoreId>, LoadError> {
    let (lat, lon) = (&address["point"]["lat"], &address["point"]["lon"]);
    let reach: Reach = client.send(&Ask::get(format!("/v1/reach?lat={lat}&lon={lon}"))).await?.expect()?;
    Ok(reach.stores.first().map(|reached| reached.store))
}

/// The first slot of a store with places left, after the one that was tried last.
pub(crate) async fn free_slot(client: &Client, store: StoreId, after: Option<SlotKey>) -> Result<Option<SlotKey>, LoadError> {
    let mut path = format!("/v1/stores/{store}/slots?limit={PAGE_LIMIT}");
    loop {
        let page: Page<SlotView> = client.send(&Ask::get(&path)).await?.expect()?;
        let free = |slot: &&SlotView| slot.left > 0 && after.is_none_or(|after| slot.starts_at > after);
        if let Some(slot) = page.items.iter().find(free) {
            return Ok(Some(slot.starts_at));
        }
        let Some(next) = page.next else { return Ok(None) };
        path = format!("/v1/stores/{store}/slots?limit={PAGE_LIMIT}&after={next}");
    }
}

/// Makes a cart and has it quoted.
pub(crate) async fn quote(client: &Client, errand: &Errand<'_>, slot: SlotKey) -> Result<Result<Quoted, Told>, LoadError> {
    let body = json!({ "address": errand.address, "store": errand.store, "lines": errand.lines });
    let reply = send_as(client, errand, Ask::post("/v1/carts").key(client.new_key()).body(body)).await?;
    let cart: CartView = match answered(&reply)? {
        Ok(()) => reply.view()?,
        Err(told) => return Ok(Err(told)),
    };
    let ask = Ask::post(format!("/v1/carts/{}/quotes", cart.id)).capability(&cart.capability);
    let reply = client.send(&ask.body(json!({ "slot": slot }))).await?;
    let quote: QuoteView = match answered(&reply)? {
        Ok(()) => reply.view()?,
        Err(told) => return Ok(Err(told)),
    };
    Ok(Ok(Quoted { cart: cart.id, capability: cart.capability, quote: quote.quote }))
}

/// Orders under a quote, and once more under the fresh one if it has died.
pub(crate) async fn place(client: &Client, errand: &Errand<'_>, quoted: &Quoted) -> Result<Result<OrderView, Told>, LoadError> {
    let mut reply = place_once(client, errand, quoted, &quoted.quote).await?;
    if reply.status == 409
        && let Some(fresh) = reply.problem().members["quote"]["quote"].as_str()
    {
        reply = place_once(client, errand, quoted, fresh).await?;
    }
    match answered(&reply)? {
        Ok(()) => Ok(Ok(reply.view()?)),
        Err(told) => Ok(Err(told)),
    }
}

async fn place_once(client: &Client, errand: &Errand<'_>, quoted: &Quoted, quote: &str) -> Result<Reply, LoadError> {
    let contact = json!({ "name": errand.name, "email": "shopper@load.swiftcart.example", "phone": "" });
    let body = json!({ "quote": quote, "contact": contact, "payment_token": errand.payment_token });
    let ask = Ask::post("/v1/orders").key(client.new_key()).body(body).capability(&quoted.capability);
    if errand.impatient && errand.regular.is_none() {
        return client.send_once(&ask).await;
    }
    send_as(client, errand, ask).await
}

/// Gives an order up. That it is too late, or has ended, is no error: the order itself will tell.
pub(crate) async fn cancel(client: &Client, order: OrderId, capability: &str, reason: &str) -> Result<(), LoadError> {
    let ask = Ask::post(format!("/v1/orders/{order}/cancel")).key(client.new_key()).capability(capability);
    let reply = client.send(&ask.body(json!({ "reason": reason }))).await?;
    if reply.is_success() || reply.status == 409 { Ok(()) } else { Err(reply.refused()) }
}

/// Regulars send their token along, guests nothing but what the request holds.
async fn send_as(client: &Client, errand: &Errand<'_>, ask: Ask) -> Result<Reply, LoadError> {
    match errand.regular {
        Some(session) => session.send(&ask).await,
        None => client.send(&ask).await,
    }
}

/// What a shopper knows of an order that was sent.
fn what_of(placed: &Result<Result<OrderView, Told>, LoadError>) -> What {
    match placed {
        Ok(Ok(order)) => What::Ok { order: order.id },
        Ok(Err(Told(reason))) => What::Failed { reason: reason.clone() },
        Err(_) => What::Unknown,
    }
}

/// A success, or a refusal that a shopper can be told: it does not fit how things stand. Any other is a defect.
fn answered(reply: &Reply) -> Result<Result<(), Told>, LoadError> {
    match reply.status {
        200..=299 => Ok(Ok(())),
        409 | 422 => Ok(Err(Told(reply.problem().reason))),
        _ => Err(reply.refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(state: &str, refusal: &Value) -> OrderView {
        let view = json!({
            "id": "0190d3c2-0000-7000-8000-000000000001", "state": state, "reason": "timed-out", "total": { "minor": 1, "currency": "USD" },
            "delivery": { "pin": null }, "refusal": refusal,
        });
        serde_json::from_value(view).expect("an order")
    }

    fn refused(reason: &str) -> Ended {
        Ended::Refused(reason.to_owned())
    }

    #[test]
    fn orders_end_for_the_reason_they_state() {
        let slot = json!({ "slot": "2026-01-05T10:00:00Z", "wanted": 1, "left": 0 });
        let stock = json!({ "lines": [0], "sku": "MILK", "wanted": 3, "left": 2 });
        let untrue = json!({ "lines": [0], "sku": "MILK", "wanted": 3, "left": 3 });
        let cases = [
            (order("delivered", &Value::Null), false, Ended::Delivered),
            (order("rejected", &json!([stock, slot])), false, refused("stock")),
            (order("rejected", &json!([slot])), false, refused("slot")),
            (order("rejected", &json!([untrue])), false, refused("untrue-reason")),
            (order("rejected", &Value::Null), false, refused("no-reason")),
            (order("cancelled", &Value::Null), true, refused("declined")),
            (order("cancelled", &Value::Null), false, refused("timed-out")),
        ];
        for (order, declined, expected) in cases {
            assert_eq!(order.ended(declined), expected, "{order:?}");
        }
        assert!(order("rejected", &json!([slot])).slot_alone().is_some());
        assert!(order("rejected", &json!([stock, slot])).slot_alone().is_none());
    }

    #[test]
    fn each_basket_has_its_own_chance_that_repeats() {
        let first = |seed, index| draw_of(seed, index).next_u64();
        assert_eq!(first(1, 5), first(1, 5));
        assert_ne!(first(1, 5), first(1, 6));
        assert_ne!(first(1, 5), first(2, 5));
    }
}
