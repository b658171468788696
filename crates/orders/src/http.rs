//! The routes of orders: what reaches an address, carts, quotes and orders; what may be asked of an order stands in `moves`,
//! what the audit is told in `facts`. Parses, asks `service`, presents. Leaves rules to `domain`.

mod facts;
mod moves;
mod strict;
mod views;

use std::sync::Arc;

use contracts::orders::Contact;
use contracts::{Address, CartId, OrderId, PersonId, Point, Quantity, Sku, SlotKey, StoreId};
use engine::{Command, DEADLINE_DEFAULT_MS, Handle, KeyScope, Lane, Reply, Stop, Stored, Work};
use kernel::{Fault, Id, TraceContext};
use serde::Deserialize;
use store::Value;
use web::{
    Access, Answer, Body, Caller, Conditions, Fingerprint, IdempotencyKey, Json, Page, Path, Prefer, Query, Role, RouteInfo,
    Routes, Seal, State, Who, json,
};

use crate::config::{CART_LINES_MAX, Config, TEXT_CHARS_MAX};
use crate::domain::cart::{Cart, CartLine, reach};
use crate::domain::order::{Asker, Order, Part, State as OrderState};
use crate::domain::pricing::Quote;
use crate::service::{self, MakeCart, PlaceOrder, view_of_quote};
use crate::store::{ORDERS_OF_CUSTOMER, ORDERS_OF_STORE, STORES, StoreCopy};

use strict::{StrictAddress, StrictContact};
use views::{Audience, show_cart, view_of_order, view_of_order_row, view_of_reach};

/// How many stores are looked at to find those that reach an address.
const STORES_MAX: i64 = 1000;
/// How short a guest's idempotency key may be: it stands for who they are until they have a cart.
const GUEST_KEY_CHARS_MIN: usize = 16;

/// What the handlers work with.
#[derive(Clone)]
struct Orders {
    handle: Handle,
    config: Config,
    seal: Arc<Seal>,
}

/// The routes of orders.
#[must_use]
pub fn routes(handle: Handle, config: &Config, seal: Seal) -> Routes {
    all().with_state(Orders { handle, config: config.clone(), seal: Arc::new(seal) })
}

/// What the routes are, and for whom: for a gateway that has them served elsewhere.
#[must_use]
pub fn table() -> Vec<RouteInfo> {
    all().list()
}

fn all() -> Routes<Orders> {
    let bearer = || Access::cart_bearer().or(Who::SignedIn);
    let picker = || Access::any_of([Who::Role(Role::Picker), Who::Role(Role::Manager)]);
    let dispatcher = || Access::any_of([Who::Role(Role::Dispatcher), Who::Role(Role::Manager)]);
    Routes::new(crate::store::SERVICE)
        .get("/v1/reach", Access::anyone(), find_reach)
        .post("/v1/carts", Access::anyone(), make_cart)
        .get("/v1/carts/{id}", bearer(), read_cart)
        .put("/v1/carts/{id}/lines", bearer(), change_lines)
        .post("/v1/carts/{id}/quotes", bearer(), quote_cart)
        .post("/v1/orders", bearer(), place_order)
        .get("/v1/orders/{id}", bearer(), read_order)
        .post("/v1/orders/{id}/cancel", bearer(), moves::cancel_order)
        .post("/v1/orders/{id}/payment", bearer(), moves::pay_order_again)
        .get("/v1/me/orders", Access::signed_in(), list_own)
        .get("/v1/stores/{store}/orders", Access::staff(), list_of_store)
        .post("/v1/orders/{id}/pick", picker(), moves::pick_order)
        .post("/v1/orders/{id}/shorts", picker(), moves::short_pick_order)
        .post("/v1/orders/{id}/ready", picker(), moves::ready_order)
        .post("/v1/orders/{id}/delivery", dispatcher(), moves::decide_delivery)
        .post("/v1/orders/{id}/refunds", Access::role(Role::Manager), moves::refund_order)
        .get("/v1/admin/audit/orders/facts", Access::admin(), facts::audit_facts)
        .get("/v1/admin/audit/orders/breaches", Access::admin(), facts::audit_breaches)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReachQuery {
    lat: f64,
    lon: f64,
}

async fn find_reach(State(orders): State<Orders>, Query(query): Query<ReachQuery>) -> Result<Answer, Fault> {
    let point = on_earth(Point { lat: query.lat, lon: query.lon }, "lat")?;
    let stores = orders.stores().await?;
    Ok(Answer::ok(json!({ "stores": reach(&stores, point).iter().map(view_of_reach).collect::<Vec<_>>() })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCart {
    #[serde(with = "StrictAddress")]
    address: Address,
    store: Option<StoreId>,
    #[serde(default)]
    lines: Vec<WantedLine>,
}

/// A line as whoever shops writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedLine {
    sku: Sku,
    quantity: Quantity,
}

async fn make_cart(
    State(orders): State<Orders>,
    caller: Caller,
    key: IdempotencyKey,
    body: Body<NewCart>,
) -> Result<Answer, Fault> {
    let wanted = body.value;
    check_address(&wanted.address)?;
    let lines = checked_lines(wanted.lines)?;
    let owner = caller.person.as_ref().map(|person| PersonId(person.id));
    if owner.is_none() && key.as_str().len() < GUEST_KEY_CHARS_MIN {
        let detail =
            format!("a guest's key for a new cart must have {GUEST_KEY_CHARS_MIN} characters or more and be random, as a UUID");
        return Err(Fault::invalid_field("Idempotency-Key", detail));
    }
    let stores = orders.stores().await?;
    let reaching = reach(&stores, wanted.address.point);
    let chosen = reaching.iter().find(|reach| wanted.store.is_none_or(|store| store == reach.store.id));
    let store = chosen.ok_or_else(service::out_of_zone)?.store.id;
    // By customer, so that their carts share a place; a guest's place comes from the key, so that a repeat finds it.
    let buckets = orders.config.buckets;
    let bucket = owner.map_or_else(|| buckets.of(key.as_str().as_bytes()), |owner| buckets.of(owner.0.as_bytes()));
    let scope = KeyScope::new(&caller, "POST /v1/carts", "", bucket, &key, body.fingerprint);
    let make = MakeCart { owner, store, address: wanted.address, lines, bucket };
    let seal = orders.seal.clone();
    let reply = orders
        .command(
            Lane::Rest,
            scope,
            caller.trace,
            body.canonical.len(),
            move |work: &mut Work<'_>| service::make_cart(work, &make),
            move |work: &mut Work<'_>, id: &str| show_cart(work, id, Some(&seal)),
        )
        .await?;
    let location = format!("/v1/carts/{}", reply.resource);
    Ok(reply.answer(Some(&location)))
}

async fn read_cart(
    State(orders): State<Orders>,
    caller: Caller,
    Path(id): Path<CartId>,
    when: Conditions,
) -> Result<Answer, Fault> {
    let (cart, version) = orders.cart_of(&caller, id).await?;
    Ok(when.answer(version, views::view_of_cart(&cart, None)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewLines {
    lines: Vec<WantedLine>,
}

async fn change_lines(
    State(orders): State<Orders>,
    caller: Caller,
    Path(id): Path<CartId>,
    key: IdempotencyKey,
    body: Body<NewLines>,
) -> Result<Answer, Fault> {
    let lines = checked_lines(body.value.lines)?;
    orders.cart_of(&caller, id).await?;
    let scope = orders.scope(&caller, id, "PUT /v1/carts/{id}/lines", id.0, &key, body.fingerprint);
    let reply = orders
        .command(
            Lane::Rest,
            scope,
            caller.trace,
            body.canonical.len(),
            move |work: &mut Work<'_>| service::change_lines(work, id, &lines),
            |work: &mut Work<'_>, id: &str| show_cart(work, id, None),
        )
        .await?;
    Ok(reply.answer(None))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuoteFor {
    slot: SlotKey,
}

/// A quote changes nothing and is stored nowhere, so it takes no `Idempotency-Key`.
async fn quote_cart(
    State(orders): State<Orders>,
    caller: Caller,
    Path(id): Path<CartId>,
    body: Body<QuoteFor>,
) -> Result<Answer, Fault> {
    orders.cart_of(&caller, id).await?;
    let (config, slot) = (orders.config.clone(), body.value.slot);
    let quote = orders.handle.decide(Lane::Rest, &caller.trace, move |work| service::make_quote(work, id, slot, &config)).await?;
    Ok(Answer::ok(view_of_quote(&quote, &orders.seal)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewOrder {
    quote: String,
    #[serde(with = "StrictContact")]
    contact: Contact,
    payment_token: String,
}

async fn place_order(
    State(orders): State<Orders>,
    caller: Caller,
    key: IdempotencyKey,
    body: Body<NewOrder>,
) -> Result<Answer, Fault> {
    let wanted = body.value;
    check_contact(&wanted.contact)?;
    check_text("/payment_token", &wanted.payment_token, 1)?;
    let quote = orders.open_quote(&wanted.quote)?;
    let cart = quote.cart;
    // A capability is bound to its cart, so it is proof enough; a person must own the cart, which is read.
    if !orders.bears(&caller, cart) {
        orders.cart_of(&caller, cart).await?;
    }
    let customer = caller.person.as_ref().map(|person| PersonId(person.id));
    let scope = orders.scope(&caller, cart, "POST /v1/orders", cart.0, &key, body.fingerprint).for_ever();
    let place = PlaceOrder { quote, contact: wanted.contact, payment_token: wanted.payment_token, customer };
    let (config, seal) = (orders.config.clone(), orders.seal.clone());
    let reply = orders
        .command(
            Lane::Order,
            scope,
            caller.trace,
            body.canonical.len(),
            move |work: &mut Work<'_>| service::place_order(work, &place, &config, &seal),
            |work: &mut Work<'_>, id: &str| show_order(work, id, Audience::Shopper),
        )
        .await?;
    let location = format!("/v1/orders/{}", reply.resource);
    Ok(reply.answer(Some(&location)))
}

async fn read_order(
    State(orders): State<Orders>,
    caller: Caller,
    Path(id): Path<OrderId>,
    when: Conditions,
    prefer: Prefer,
) -> Result<Answer, Fault> {
    let (order, version) = orders.handle.find::<Order>(&id).await?.ok_or_else(no_order)?;
    let audience = Audience::of(&orders.asker(&caller, &order)?);
    // Only whoever may see the order waits for it: others would learn from the wait that it exists.
    let (order, version) = match prefer.wait_ms.filter(|_| when.fresh(version)) {
        Some(wait_ms) => {
            let known = |_: &Order, version: i64| when.fresh(version);
            orders.handle.find_changed::<Order>(&id, known, wait_ms).await?.ok_or_else(no_order)?
        }
        None => (order, version),
    };
    Ok(when.answer(version, view_of_order(&order, audience)))
}

async fn list_own(State(orders): State<Orders>, caller: Caller, page: Page<OrderId>) -> Result<Answer, Fault> {
    let before = page.after.map_or(Id::from_bytes([0xff; 16]), |after| after.0);
    let arguments = vec![caller.person()?.id.into(), before.into(), page.rows_wanted().into()];
    let found = orders.list(&ORDERS_OF_CUSTOMER, arguments).await?;
    Ok(Answer::ok(page.list(found, |order| order.id).map(|order| view_of_order_row(&order))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StateQuery {
    state: OrderState,
}

async fn list_of_store(
    State(orders): State<Orders>,
    caller: Caller,
    Path(store): Path<StoreId>,
    Query(query): Query<StateQuery>,
    page: Page<OrderId>,
) -> Result<Answer, Fault> {
    if ![Role::Picker, Role::Manager, Role::Dispatcher].iter().any(|role| caller.may(*role, store.0)) {
        return Err(Fault::not_found("store"));
    }
    let arguments = vec![store.0.into(), query.state.as_str().into(), after(&page), page.rows_wanted().into()];
    let found = orders.list(&ORDERS_OF_STORE, arguments).await?;
    Ok(Answer::ok(page.list(found, |order| order.id).map(|order| view_of_order(&order, Audience::Staff))))
}

fn after(page: &Page<OrderId>) -> Value {
    page.after.map_or(Id::from_bytes([0; 16]), |after| after.0).into()
}

impl Orders {
    /// Runs a command under its key, as long as callers usually wait.
    async fn command<D, S>(
        &self,
        lane: Lane,
        key: KeyScope,
        trace: TraceContext,
        bytes: usize,
        decide: D,
        show: S,
    ) -> Result<Reply, Fault>
    where
        D: Fn(&mut Work<'_>) -> Result<Stored, Stop> + Send + Sync + 'static,
        S: Fn(&mut Work<'_>, &str) -> Result<Json, Stop> + Send + Sync + 'static,
    {
        let deadline_ms = DEADLINE_DEFAULT_MS;
        self.handle.command(Command { lane, key, trace, bytes, deadline_ms, decide, show }).await
    }

    async fn stores(&self) -> Result<Vec<contracts::delivery::Store>, Fault> {
        let rows = self.handle.read(&STORES, vec![STORES_MAX.into()]).await?;
        rows.iter().map(|row| entity::<StoreCopy>(row).map(|copy| copy.0)).collect()
    }

    async fn list(&self, read: &'static store::Read, arguments: Vec<Value>) -> Result<Vec<Order>, Fault> {
        self.handle.read(read, arguments).await?.iter().map(entity::<Order>).collect()
    }

    /// Whether the caller shows the capability of this cart.
    fn bears(&self, caller: &Caller, cart: CartId) -> bool {
        let opened = caller.capability.as_deref().and_then(|text| self.seal.open("cart", text));
        opened.is_some_and(|bytes| bytes == cart.0.as_bytes())
    }

    /// The scope of a key for `target`, which is `cart` or its order.
    fn scope(
        &self,
        caller: &Caller,
        cart: CartId,
        route: &'static str,
        target: Id,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
    ) -> KeyScope {
        if self.bears(caller, cart) {
            return KeyScope::of_bearer(route, target, target.bucket(), key, fingerprint);
        }
        KeyScope::new(caller, route, target, target.bucket(), key, fingerprint)
    }

    /// The cart, if it is the caller's.
    async fn cart_of(&self, caller: &Caller, id: CartId) -> Result<(Cart, i64), Fault> {
        let (cart, version) = self.handle.find::<Cart>(&id).await?.ok_or_else(|| Fault::not_found("cart"))?;
        let owns = cart.owner.is_some() && cart.owner.map(|owner| owner.0) == caller.person.as_ref().map(|person| person.id);
        if owns || self.bears(caller, id) { Ok((cart, version)) } else { Err(Fault::not_found("cart")) }
    }

    /// As what the caller may ask something of the order; whoever may nothing learns nothing of it.
    fn asker(&self, caller: &Caller, order: &Order) -> Result<Asker, Fault> {
        let person = caller.person.as_ref().map(|person| PersonId(person.id));
        let owns = self.bears(caller, order.cart) || (person.is_some() && order.customer == person);
        let roles = [(Part::Picker, Role::Picker), (Part::Dispatcher, Role::Dispatcher), (Part::Manager, Role::Manager)];
        let staff = roles.into_iter().filter(|(_, role)| caller.may(*role, order.store.0)).map(|(part, _)| part);
        let parts: Vec<Part> = owns.then_some(Part::Shopper).into_iter().chain(staff).collect();
        if parts.is_empty() { Err(no_order()) } else { Ok(Asker { parts, person }) }
    }

    fn open_quote(&self, text: &str) -> Result<Quote, Fault> {
        let quote = self.seal.open("quote", text).and_then(|payload| serde_json::from_slice(&payload).ok());
        quote.ok_or_else(|| {
            Fault::invalid_field(
                "/quote",
                "this is no quote of ours; send the text `quote` of an answer to POST /v1/carts/{id}/quotes",
            )
        })
    }
}

fn show_order(work: &mut Work<'_>, id: &str, audience: Audience) -> Result<Json, Stop> {
    let id: OrderId = id.parse().map_err(|error| Stop::Broken(format!("{id}: {error}")))?;
    Ok(view_of_order(&*work.load::<Order>(&id, "order")?, audience))
}

fn entity<E: engine::Entity>(row: &store::Row) -> Result<E, Fault> {
    E::from_row(row).map_err(|error| Fault::internal(error.to_string()))
}

fn no_order() -> Fault {
    Fault::not_found("order")
}

fn on_earth(point: Point, field: &str) -> Result<Point, Fault> {
    if point.on_earth() {
        return Ok(point);
    }
    Err(Fault::invalid_field(field, "not a place on earth: lat is from -90 to 90, lon from -180 to 180"))
}

fn check_text(field: &str, text: &str, min: usize) -> Result<(), Fault> {
    let length = text.trim().chars().count();
    if (min..=TEXT_CHARS_MAX).contains(&length) && text.chars().count() <= TEXT_CHARS_MAX && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Fault::invalid_field(field, format!("expected {min} to {TEXT_CHARS_MAX} characters on one line")))
}

fn check_address(address: &Address) -> Result<(), Fault> {
    check_text("/address/street", &address.street, 1)?;
    check_text("/address/note", &address.note, 0)?;
    on_earth(address.point, "/address/point").map(|_| ())
}

fn check_contact(contact: &Contact) -> Result<(), Fault> {
    check_text("/contact/name", &contact.name, 1)?;
    check_text("/contact/email", &contact.email, 3)?;
    check_text("/contact/phone", &contact.phone, 0)?;
    let parts: Vec<&str> = contact.email.split('@').collect();
    let sound = matches!(parts[..], [user, host] if !user.is_empty() && host.contains('.'))
        && !contact.email.contains(char::is_whitespace);
    if sound { Ok(()) } else { Err(Fault::invalid_field("/contact/email", "not an e-mail address: expected name@host.tld")) }
}

fn checked_lines(lines: Vec<WantedLine>) -> Result<Vec<CartLine>, Fault> {
    if lines.len() <= CART_LINES_MAX {
        return Ok(lines.into_iter().map(|WantedLine { sku, quantity }| CartLine { sku, quantity }).collect());
    }
    Err(Fault::invalid_field("/lines", format!("a cart holds at most {CART_LINES_MAX} lines")))
}
