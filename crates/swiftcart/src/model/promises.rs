//! What must hold of every answer, at every instant, and at the end, whatever people, network and time do; and what was seen
//! on the way. Leaves the rules inside one service to that service's own audit, and those between services to `audit`.

use std::collections::{BTreeMap, BTreeSet};

use audit::{Known, Shop, Terms, judge};
use contracts::OrderId;
use contracts::audit::{Breach, Fact};
use web::{Call, Json, Method, Reply, StatusCode, json};

use super::bank::Intent;
use super::dice::Dice;
use super::people::{Action, Again, Aim, text};
use super::world::{Cart, Placed, World};

/// The route whose refusals are kept: a wrong PIN counts.
const COUNTED: &str = "POST /v1/deliveries/{order}/deliver";

/// What is true of an order whose money went before it could be taken.
const UNPAID: [&str; 2] = ["delivered-order-captured-money", "delivered-order-is-paid"];

/// The four machines, and the table of each.
const MACHINES: [(&str, &str); 4] =
    [("order", "orders_order"), ("hold", "inventory_hold"), ("payment", "payments_payment"), ("delivery", "delivery_delivery")];

/// What walks have come across.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Seen {
    /// By machine.
    pub(super) states: BTreeMap<&'static str, BTreeSet<String>>,
    /// By route: how often it was done, and how often refused for what reason.
    pub(super) answers: BTreeMap<&'static str, BTreeMap<String, u64>>,
    /// How many requests were sent, repetitions counted.
    pub(super) requests: u64,
}

impl Seen {
    /// Looks at the states that the machines are in, and have been in.
    pub(super) fn look(&mut self, world: &World) {
        for (machine, table) in MACHINES {
            let states = self.states.entry(machine).or_default();
            states.extend(world.column(table, "state").iter().map(|state| state.replace('_', "-")));
            for document in world.documents(table) {
                let history = document["history"].as_array().into_iter().flatten();
                let entered = history.filter_map(|moment| moment["state"].as_str());
                states.extend(entered.map(|state| state.replace('_', "-")));
            }
        }
    }

    fn count(&mut self, route: &'static str, what: &str) {
        *self.answers.entry(route).or_default().entry(what.to_owned()).or_default() += 1;
    }

    /// What was seen of `other`, too.
    pub(super) fn add(&mut self, other: Self) {
        for (machine, states) in other.states {
            self.states.entry(machine).or_default().extend(states);
        }
        for (route, answers) in other.answers {
            for (what, count) in answers {
                *self.answers.entry(route).or_default().entry(what).or_default() += count;
            }
        }
        self.requests += other.requests;
    }
}

/// Where two come to something else: each place with what stands there in the one and in the other.
pub(super) fn differences(one: &Json, other: &Json) -> Vec<String> {
    let (mut places, mut ones, mut others) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
    flatten(one, "", &mut ones);
    flatten(other, "", &mut others);
    places.extend(ones.keys().chain(others.keys()));
    let told = |place: &&&String| ones.get(**place) != others.get(**place);
    places.iter().filter(told).map(|place| format!("{place}: {:?}, {:?}", ones.get(*place), others.get(*place))).collect()
}

fn flatten<'a>(json: &'a Json, place: &str, into: &mut BTreeMap<String, &'a Json>) {
    match json {
        Json::Object(members) => members.iter().for_each(|(name, json)| flatten(json, &format!("{place}/{name}"), into)),
        Json::Array(items) => items.iter().enumerate().for_each(|(index, json)| flatten(json, &format!("{place}/{index}"), into)),
        leaf => _ = into.insert(place.to_owned(), leaf),
    }
}

/// A reply without what differs from one request to the next.
fn essence(reply: &Reply) -> (StatusCode, Json) {
    let mut body: Json = reply.json().unwrap_or_default();
    if let Some(members) = body.as_object_mut() {
        members.remove("request_id");
    }
    (reply.status, body)
}

fn reason_of(reply: &Reply) -> String {
    let body: Json = reply.json().unwrap_or_default();
    let reason = text(&body["type"]).rsplit('/').next().unwrap_or_default().to_owned();
    format!("{} {reason}", reply.status.as_u16())
}

impl World {
    /// Lets somebody do `action`, once, again under its key and, if it is to be `checked`, under another one; all that must
    /// hold of the answers does. Tells whether it was done.
    pub(super) fn act(&mut self, action: &'static Action, aim: Aim, dice: &mut Dice, checked: bool, seen: &mut Seen) -> bool {
        let Some(asked) = (action.make)(self, aim, dice) else { return false };
        let key = self.fresh_key();
        let under = |key: &str| if asked.keyed { asked.call.clone().key(key) } else { asked.call.clone() };
        let before = self.model.rows_written();
        let first = self.ask(under(&key));
        seen.requests += 1;
        let done = first.status.is_success();
        assert!(done || first.status.is_client_error(), "{}: {}", action.route, words(&first));
        seen.count(action.route, &if done { "done".to_owned() } else { reason_of(&first) });
        if !done {
            check_refusal(action, &first);
            let changed = self.model.rows_written() != before;
            assert!(!changed || action.route == COUNTED, "{}: a refusal changes something: {}", action.route, words(&first));
        }
        self.learn(action.route, aim, &first);
        if asked.keyed {
            self.repeat(action, under(&key), &first);
        }
        if checked && done && action.again == Again::Nothing {
            let other = self.fresh_key();
            self.repeat_as_new(action, under(&other));
        }
        seen.requests += u64::from(asked.keyed);
        done
    }

    /// A repetition under the same key answers the same and changes nothing.
    fn repeat(&mut self, action: &Action, call: Call, first: &Reply) {
        let before = self.model.rows_written();
        let again = self.ask(call);
        assert_eq!(essence(&again), essence(first), "{}: another answer under the same key", action.route);
        assert_eq!(self.model.rows_written(), before, "{}: done twice under one key", action.route);
        if first.status.is_success() {
            assert_eq!(again.header("idempotency-replayed"), Some("true"), "{}: not told as a repetition", action.route);
        }
    }

    /// A repetition under a new key is refused, or does nothing more.
    fn repeat_as_new(&mut self, action: &Action, call: Call) {
        let (before, said) = (self.everything(), self.net.said);
        let again = self.ask(call);
        let after = self.everything();
        for (table, rows) in &before {
            assert_eq!(&after[table], rows, "{}: more is done under a new key: {}", action.route, words(&again));
        }
        assert_eq!(self.net.said, said, "{}: more is said under a new key: {}", action.route, words(&again));
    }

    /// Keeps what a shopper would keep of an answer.
    fn learn(&mut self, route: &str, aim: Aim, reply: &Reply) {
        let body: Json = reply.json().unwrap_or_default();
        if text(&body["type"]).ends_with("quote-dead") {
            self.carts[aim.cart].quote = None;
        }
        if !reply.status.is_success() {
            return;
        }
        let id = text(&body["id"]).to_owned();
        match route {
            "POST /v1/carts" => {
                let capability = text(&body["capability"]).to_owned();
                self.carts.push(Cart { id, capability, quote: None, ordered: false });
            }
            "PUT /v1/carts/{id}/lines" => self.carts[aim.cart].quote = None,
            "POST /v1/carts/{id}/quotes" => self.carts[aim.cart].quote = Some(text(&body["quote"]).to_owned()),
            "POST /v1/orders" => {
                let cart = &mut self.carts[aim.cart];
                cart.ordered = true;
                self.orders.push(Placed { id, capability: cart.capability.clone() });
            }
            _ => {}
        }
    }

    /// What the services say of each order.
    pub(super) fn facts(&mut self) -> Shop {
        let mut shop = Shop::default();
        for (service, path) in self.audited("facts") {
            for fact in self.list(&path) {
                let mut fact: Fact = serde_json::from_value(fact).expect("a fact");
                fact.state = fact.state.replace('_', "-");
                let known: &mut Known = shop.0.entry(fact.order).or_default();
                let place = match service {
                    "orders" => &mut known.order,
                    "inventory" => &mut known.hold,
                    "payments" => &mut known.payment,
                    "delivery" => &mut known.delivery,
                    other => panic!("{other} tells facts that nobody joins"),
                };
                *place = Some(fact);
            }
        }
        shop
    }

    /// Whether every order has ended and nobody will do anything more.
    pub(super) fn rests(&mut self) -> bool {
        let shop = self.facts();
        let mut facts = shop.0.values().flat_map(|known| [&known.order, &known.hold, &known.payment, &known.delivery]).flatten();
        facts.all(|fact| fact.settled) && shop.in_flight().is_empty() && self.timers().is_empty()
    }

    fn audited(&self, what: &str) -> Vec<(&'static str, String)> {
        let asked = self.routes.iter().filter(|route| route.method == Method::GET && route.path.starts_with("/v1/admin/audit/"));
        asked.filter(|route| route.path.ends_with(what)).map(|route| (route.service, route.path.clone())).collect()
    }

    /// What holds at every instant does.
    pub(super) fn check_instant(&mut self) {
        if std::mem::replace(&mut self.checked, self.model.rows_written()) == self.model.rows_written() {
            return;
        }
        let mut breaches: Vec<Json> = Vec::new();
        for (_, path) in self.audited("/breaches") {
            breaches.extend(self.list(&path));
        }
        assert!(breaches.is_empty(), "{breaches:#?}");
        self.check_books();
    }

    /// Nobody pays more than once, nor more than the order cost.
    fn check_books(&self) {
        let mut by_order: BTreeMap<OrderId, (usize, i64)> = BTreeMap::new();
        for intent in self.bank.intents() {
            let (live, captured) = by_order.entry(intent.order).or_default();
            *live += usize::from(intent.held() > 0 || intent.captured() > 0);
            *captured += intent.captured();
        }
        for (order, (live, captured)) in by_order {
            let total = self.order(&order.to_string())["total"]["minor"].as_i64();
            assert!(live <= 1, "{order} is charged {live} times: {:#?}", self.bank.intents());
            assert!(Some(captured) <= total, "{order} pays {captured} of {total:?}: {:#?}", self.bank.intents());
        }
    }

    /// What holds when everything was heard and nothing can happen at this moment does: the rules of rest, of those who rest.
    pub(super) fn check_quiet(&mut self) {
        self.check_instant();
        let shop = self.facts();
        self.assert_judged(&shop, false);
    }

    fn assert_judged(&self, shop: &Shop, quiescent: bool) {
        let mut breaches = judge(shop, Terms { now: self.model.now(), quiescent });
        // A provider that lets the money go while the goods are at the door costs the shop that money: the audit is to say so.
        let intents = self.bank.intents();
        let lost =
            |breach: &Breach| intents.iter().any(|intent| intent.has_expired() && intent.order.to_string() == breach.subject);
        breaches.retain(|breach| !(UNPAID.contains(&breach.rule.as_str()) && lost(breach)));
        assert!(breaches.is_empty(), "{breaches:#?}");
    }

    /// What holds at the very end does: every order has ended, and everything is where it belongs.
    pub(super) fn check_end(&mut self) {
        self.check_quiet();
        let shop = self.facts();
        self.assert_judged(&shop, true);
        for (_, path) in self.audited("/reconcile") {
            assert_eq!(self.list(&path), Vec::<Json>::new(), "our books and the provider's");
        }
        let open: Vec<_> =
            shop.in_flight().into_iter().map(|open| (self.order(&open.subject), self.delivery(&open.subject))).collect();
        assert!(open.is_empty(), "without an end: {open:#?}");
        assert_eq!(self.timers(), [], "timers of nobody");
        for intent in self.bank.intents() {
            assert_eq!(intent.held(), 0, "an authorisation is left open: {intent:?}");
        }
        for (order, known) in &shop.0 {
            let intents: Vec<_> = self.bank.intents().into_iter().filter(|intent| intent.order == *order).collect();
            let booked = |name| known.payment.as_ref().and_then(|fact| fact.sums.get(name).copied()).unwrap_or_default();
            let (captured, refunded) = (sum(&intents, Intent::captured), sum(&intents, Intent::refunded));
            let ours = (booked("captured"), booked("refunded"));
            assert_eq!(ours, (captured, refunded), "{order}: our books and the provider's: {intents:#?}");
        }
    }

    /// Everything that the services have come to, without what differs between histories that are the same: ids and PINs.
    pub(super) fn joined(&mut self) -> Json {
        let shop = self.facts();
        let orders: Vec<Json> = (0..self.orders.len()).map(|index| self.joined_order(&shop, index)).collect();
        let table = self.model.tables().find(|table| table.name == "inventory_supply").expect("supply");
        let column = |row: &store::Row, name: &str| row.0[table.index_of(name).expect("a column")].clone();
        let rows = self.model.rows(table);
        let ours = rows.iter().filter(|row| row.0[0] == self.store.0.into());
        let words = |row: &store::Row| format!("{:?}", ["thing", "available", "held"].map(|name| column(row, name)));
        let supply: Vec<String> = ours.map(words).collect();
        json!({ "orders": orders, "supply": supply })
    }

    fn joined_order(&self, shop: &Shop, index: usize) -> Json {
        let known = shop.0.get(&self.order_id(index)).cloned().unwrap_or_default();
        let facts = [known.order, known.hold, known.payment, known.delivery];
        let facts: Vec<Json> = facts
            .iter()
            .map(|fact| fact.as_ref().map_or(Json::Null, |fact| json!([fact.state, fact.settled, fact.sums])))
            .collect();
        let order = self.order(&self.orders[index].id);
        let without = |name: &str, drawn: &str| {
            let mut part = order[name].clone();
            if let Some(members) = part.as_object_mut() {
                members.remove(drawn);
            }
            part
        };
        let (delivery, payment) = (without("delivery", "pin"), without("payment", "url"));
        json!({ "facts": facts, "reason": order["reason"], "hold": order["hold"], "payment": payment, "delivery": delivery })
    }
}

fn check_refusal(action: &Action, reply: &Reply) {
    let body: Json = reply.json().unwrap_or_default();
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{}: {}", action.route, words(reply));
    let reason = text(&body["type"]).rsplit('/').next().unwrap_or_default();
    if reason == "illegal-move" || body["state"].is_string() {
        let legal = body["legal"].as_array().unwrap_or_else(|| panic!("{}: what would be legal? {body}", action.route));
        assert!(body["state"].is_string(), "{}: in which state? {body}", action.route);
        let asked = action.route.rsplit('/').next().unwrap_or_default();
        let contradicts = reason == "illegal-move" && legal.iter().any(|step| step == asked);
        assert!(!contradicts, "{} is refused and told to be legal: {body}", action.route);
    }
}

fn sum(intents: &[Intent], of: fn(&Intent) -> i64) -> i64 {
    intents.iter().map(of).sum()
}

fn words(reply: &Reply) -> String {
    format!("{} {}", reply.status, String::from_utf8_lossy(&reply.body))
}
