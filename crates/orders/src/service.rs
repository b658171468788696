//! What can be done: one short decider per use case. It loads, lets the domain decide, saves and says.
//! Leaves who may ask for it to `http`, and the rules to `domain`.

use std::sync::Arc;

use contracts::inventory::{HoldRequest, Wanted};
use contracts::orders::{Contact, OrderPlaced};
use contracts::{Address, CartId, OrderId, PersonId, Slot, SlotKey, StoreId};
use engine::{Handle, Lane, Stop, Stored, Work};
use kernel::{Bucket, Fault, TraceContext};
use web::Seal;

use crate::config::Config;
use crate::domain::cart::{Cart, CartLine};
use crate::domain::order::{Delivery, Heard, Hold, Moment, Order, Payment, Said, State};
use crate::domain::pricing::{Quote, price_lines, quote};
use crate::store::{ListingCopy, Secret, SlotCopy, StoreCopy};

/// The timer of an order that waits for other services.
pub(crate) const WAITING: &str = "order-waiting";

const SEAL: &str = "seal";

/// A new cart for `address`, in `bucket`, served by `store`.
#[derive(Clone, Debug)]
pub(crate) struct MakeCart {
    pub(crate) owner: Option<PersonId>,
    pub(crate) store: StoreId,
    pub(crate) address: Address,
    pub(crate) lines: Vec<CartLine>,
    pub(crate) bucket: Bucket,
}

/// Makes a cart.
pub(crate) fn make_cart(work: &mut Work<'_>, make: &MakeCart) -> Result<Stored, Stop> {
    let store = work.load::<StoreCopy>(&make.store, "store")?;
    if !store.0.reaches(make.address.point) {
        return Err(out_of_zone().into());
    }
    let id = CartId(work.new_id(make.bucket));
    let made_at = work.now();
    let (address, lines) = (make.address.clone(), make.lines.clone());
    work.create(Cart { id, owner: make.owner, store: make.store, address, lines, ordered: None, made_at })?;
    Ok(Stored { status: 201, resource: id.to_string() })
}

/// Gives a cart other lines.
pub(crate) fn change_lines(work: &mut Work<'_>, cart: CartId, lines: &[CartLine]) -> Result<Stored, Stop> {
    let changed = work.load::<Cart>(&cart, "cart")?.with_lines(lines.to_vec())?;
    work.save(changed);
    Ok(Stored { status: 200, resource: cart.to_string() })
}

/// What `cart` costs in the slot that begins at `starts_at`, as a quote that binds from now on.
pub(crate) fn make_quote(work: &mut Work<'_>, cart: CartId, starts_at: SlotKey, config: &Config) -> Result<Quote, Stop> {
    let cart = work.load::<Cart>(&cart, "cart")?;
    cart.open()?;
    if cart.lines.is_empty() {
        return Err(Fault::conflict("cart-empty", "the cart is empty; put something into it first").into());
    }
    let listings: Vec<_> = cart.lines.iter().map(|line| (cart.store, line.sku.clone())).collect();
    for listing in &listings {
        work.want::<ListingCopy>(listing);
    }
    work.want::<SlotCopy>(&(cart.store, starts_at));
    let store = work.load::<StoreCopy>(&cart.store, "store")?;
    let slot = work.find::<SlotCopy>(&(cart.store, starts_at))?;
    let offers: Vec<_> =
        work.find_all::<ListingCopy>(&listings)?.into_iter().map(|listing| listing.map(|listing| listing.offer())).collect();
    if store.0.paused {
        return Err(paused().into());
    }
    if !store.0.reaches(cart.address.point) {
        return Err(no_longer_reached().into());
    }
    let now = work.now();
    let slot = slot.filter(|slot| slot.cutoff_at > now).ok_or_else(slot_closed)?;
    let slot = Slot { starts_at: slot.starts_at, ends_at: slot.ends_at, cutoff_at: slot.cutoff_at };
    let lines = price_lines(&store.0, &cart.lines, &offers)?;
    let expires_at = now.plus_ms(config.quote_ttl_ms).min(slot.cutoff_at);
    Ok(quote(cart.id, &store.0, cart.address.point, slot, lines, expires_at)?)
}

/// An order as asked for: under a quote that we signed, by somebody who may.
#[derive(Clone, Debug)]
pub(crate) struct PlaceOrder {
    pub(crate) quote: Quote,
    pub(crate) contact: Contact,
    pub(crate) payment_token: String,
    pub(crate) customer: Option<PersonId>,
}

/// Takes an order. A living quote binds prices and fees; assortment and pause are looked at again.
pub(crate) fn place_order(work: &mut Work<'_>, place: &PlaceOrder, config: &Config, seal: &Arc<Seal>) -> Result<Stored, Stop> {
    let quote = &place.quote;
    let listings: Vec<_> = quote.lines.iter().map(|line| (quote.store, line.sku.clone())).collect();
    for listing in &listings {
        work.want::<ListingCopy>(listing);
    }
    work.want::<StoreCopy>(&quote.store);
    let cart = work.load::<Cart>(&quote.cart, "cart")?;
    cart.open()?;
    let now = work.now();
    if quote.expires_at <= now || !quote.matches(&cart.lines) || quote.store != cart.store {
        return Err(quote_dead(work, quote, config, seal)?.into());
    }
    if quote.slot.cutoff_at <= now {
        return Err(slot_closed().into());
    }
    if work.load::<StoreCopy>(&quote.store, "store")?.0.paused {
        return Err(paused().into());
    }
    let listed = work.find_all::<ListingCopy>(&listings)?;
    if let Some(index) = listed.iter().position(|listing| !listing.as_ref().is_some_and(|listing| listing.listed)) {
        let detail = format!("{} is not sold by this store any more; take it out", quote.lines[index].sku);
        let mut fault = Fault::conflict("not-sold", detail.clone());
        fault.fields.push(kernel::FieldFault { field: format!("/lines/{index}"), detail });
        return Err(fault.into());
    }
    let order = new_order(work, place, &cart);
    let id = order.id;
    work.save(Cart { ordered: Some(id), ..(*cart).clone() });
    say_placed(work, &order)?;
    work.set_timer(WAITING, &id.to_string(), id.bucket(), now.plus_ms(config.decide_within_ms))?;
    work.create(order)?;
    Ok(Stored { status: 201, resource: id.to_string() })
}

fn new_order(work: &mut Work<'_>, place: &PlaceOrder, cart: &Cart) -> Order {
    let quote = &place.quote;
    let placed_at = work.now();
    let by = if place.customer.is_some() { "customer" } else { "guest" };
    Order {
        id: OrderId(work.new_id(cart.id.bucket())),
        cart: cart.id,
        customer: place.customer,
        store: quote.store,
        contact: place.contact.clone(),
        address: cart.address.clone(),
        slot: quote.slot,
        lines: quote.lines.clone(),
        fee: quote.fee,
        tax: quote.tax,
        total: quote.total,
        payment_token: place.payment_token.clone(),
        state: State::Placed,
        hold: Hold::Requested,
        payment: Payment::Created,
        delivery: Delivery::default(),
        reason: None,
        history: vec![Moment { state: State::Placed, at: placed_at, by: by.to_owned() }],
        placed_at,
    }
}

fn say_placed(work: &mut Work<'_>, order: &Order) -> Result<(), Stop> {
    work.emit(&OrderPlaced {
        order: order.id,
        cart: order.cart,
        store: order.store,
        customer: order.customer,
        contact: order.contact.clone(),
        lines: order.lines.clone(),
        slot: order.slot,
        total: order.total,
        placed_at: order.placed_at,
    })?;
    let lines = order.lines.iter().map(|line| Wanted { sku: line.sku.clone(), quantity: line.quantity }).collect();
    work.emit(&HoldRequest { order: order.id, store: order.store, lines, slot: order.slot.starts_at })
}

/// A quote that is dead gets a fresh one with the refusal, where one can be made.
fn quote_dead(work: &mut Work<'_>, quote: &Quote, config: &Config, seal: &Arc<Seal>) -> Result<Fault, Stop> {
    let detail = "the quote has run out or is not for what the cart holds now; look at the fresh one and order with that";
    let fault = Fault::conflict("quote-dead", detail);
    match make_quote(work, quote.cart, quote.slot.starts_at, config) {
        Ok(fresh) => Ok(fault.with("quote", view_of_quote(&fresh, seal)?)),
        Err(Stop::Refused(why)) => Ok(fault.with("no_fresh_quote", why.detail)),
        Err(stop) => Err(stop),
    }
}

/// A quote as clients see it: all of it in the open, and the sealed text to order with.
pub(crate) fn view_of_quote(quote: &Quote, seal: &Seal) -> Result<serde_json::Value, Fault> {
    let payload = serde_json::to_vec(quote).map_err(|error| Fault::internal(error.to_string()))?;
    let mut view = serde_json::to_value(quote).map_err(|error| Fault::internal(error.to_string()))?;
    view["quote"] = seal.seal("quote", &payload).into();
    Ok(view)
}

/// Gives an order up.
pub(crate) fn cancel_order(work: &mut Work<'_>, order: OrderId, reason: &str, by: &str, config: &Config) -> Result<Stored, Stop> {
    move_order(work, order, |order, work| order.cancel(reason, by, work.now(), config.pay_margin_ms))
}

/// Begins to pick an order.
pub(crate) fn pick_order(work: &mut Work<'_>, order: OrderId) -> Result<Stored, Stop> {
    move_order(work, order, |order, work| order.pick("picker", work.now()))
}

/// An order is picked.
pub(crate) fn ready_order(work: &mut Work<'_>, order: OrderId) -> Result<Stored, Stop> {
    move_order(work, order, |order, work| order.ready("picker", work.now()))
}

fn move_order(
    work: &mut Work<'_>,
    id: OrderId,
    step: impl Fn(&mut Order, &Work<'_>) -> Result<Vec<Said>, Fault>,
) -> Result<Stored, Stop> {
    let mut order = (*work.load::<Order>(&id, "order")?).clone();
    let said = step(&mut order, work)?;
    finish(work, order, said)?;
    Ok(Stored { status: 200, resource: id.to_string() })
}

/// An order hears something. Of an order that is not here nothing is known, and nothing is done.
pub(crate) fn hear(work: &mut Work<'_>, id: OrderId, heard: Heard, config: &Config) -> Result<(), Stop> {
    let Some(order) = work.find::<Order>(&id)? else { return Ok(()) };
    let mut order = (*order).clone();
    let said = order.hear(heard, work.now(), config.pay_margin_ms);
    finish(work, order, said)
}

/// An order has waited too long for stock or money.
pub(crate) fn waited_too_long(work: &mut Work<'_>, subject: &str, config: &Config) -> Result<(), Stop> {
    let id: OrderId = subject.parse().map_err(|error| Stop::Broken(format!("{subject}: {error}")))?;
    let Some(order) = work.find::<Order>(&id)?.filter(|order| order.state.is_timed()) else { return Ok(()) };
    let mut order = (*order).clone();
    let said = order.cancel("timed-out", "orders", work.now(), config.pay_margin_ms)?;
    finish(work, order, said)
}

fn finish(work: &mut Work<'_>, order: Order, said: Vec<Said>) -> Result<(), Stop> {
    for said in said {
        match said {
            Said::Reserved(event) => work.emit(&event),
            Said::Commit(command) => work.emit(&command),
            Said::Confirmed(event) => work.emit(&event),
            Said::Rejected(event) => work.emit(&event),
            Said::PaymentFailed(event) => work.emit(&event),
            Said::Cancelling(event) => work.emit(&event),
            Said::Release(command) => work.emit(&command),
            Said::Cancelled(event) => work.emit(&event),
            Said::Ready(event) => work.emit(&event),
            Said::Delivered(event) => work.emit(&event),
            Said::Consume(command) => work.emit(&command),
        }?;
    }
    if !order.state.is_timed() {
        work.clear_timer(WAITING, &order.id.to_string())?;
    }
    work.save(order);
    Ok(())
}

/// The key that seals capabilities and quotes: made once, kept in this service's database.
///
/// # Errors
/// `unavailable` if the database does not answer.
pub async fn ensure_seal(handle: &Handle) -> Result<Seal, Fault> {
    let fresh = Seal::generate()?;
    let trace = TraceContext::start(&mut handle.runtime().draw());
    let bytes = handle
        .decide(Lane::Rest, &trace, move |work| {
            if let Some(secret) = work.find::<Secret>(&(SEAL.to_owned(),))? {
                return Ok(secret.bytes.clone());
            }
            let bytes = fresh.as_bytes().to_vec();
            work.save(Secret { name: SEAL.to_owned(), bytes: bytes.clone() });
            Ok(bytes)
        })
        .await?;
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| Fault::internal("the stored seal is not of 32 bytes"))?;
    Ok(Seal::from_bytes(bytes))
}

/// No store reaches the address.
pub(crate) fn out_of_zone() -> Fault {
    let mut fault = Fault::invalid_field("/address/point", "no store delivers to this address; try another one");
    "out-of-zone".clone_into(&mut fault.reason);
    fault
}

fn no_longer_reached() -> Fault {
    Fault::conflict("out-of-zone", "the store does not deliver to this address any more; make a new cart for it")
}

fn paused() -> Fault {
    Fault::conflict("store-paused", "the store takes no orders at this moment; please try again later")
}

fn slot_closed() -> Fault {
    Fault::conflict("slot-closed", "this slot cannot be ordered any more; choose one that the store offers now")
}
