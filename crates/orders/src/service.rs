//! What can be done: one short decider per use case. It loads, lets the domain decide, saves and says.
//! Leaves who may ask for it to `http`, and the rules to `domain`.

use std::collections::BTreeMap;
use std::sync::Arc;

use contracts::inventory::{HoldRequest, Wanted};
use contracts::orders::{Contact, OrderPlaced};
use contracts::{Address, CartId, OrderId, PersonId, RefundId, Slot, SlotKey, StoreId};
use engine::{Handle, Lane, Stop, Stored, Work};
use kernel::{Bucket, Fault, TraceContext};
use web::Seal;

use crate::config::Config;
use crate::domain::cart::{Cart, CartLine};
use crate::domain::order::{Asker, Delivery, Heard, Hold, Moment, Order, Payment, Said, Share, State, Wish};
use crate::domain::pricing::{Quote, price_lines, quote};
use crate::store::{ListingCopy, Secret, SlotCopy, StoreCopy};

/// The timer of an order that waits, for whatever it is.
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
    let slot = slot.filter(|slot| slot.cutoff_at > now).ok_or_else(|| slot_closed(cart.store))?;
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

/// Takes an order. A living quote binds prices and fees; assortment, slot and pause are looked at again.
pub(crate) fn place_order(work: &mut Work<'_>, place: &PlaceOrder, config: &Config, seal: &Arc<Seal>) -> Result<Stored, Stop> {
    let quote = &place.quote;
    let listings: Vec<_> = quote.lines.iter().map(|line| (quote.store, line.sku.clone())).collect();
    for listing in &listings {
        work.want::<ListingCopy>(listing);
    }
    let slot = (quote.store, quote.slot.starts_at);
    work.want::<SlotCopy>(&slot);
    work.want::<StoreCopy>(&quote.store);
    let cart = work.load::<Cart>(&quote.cart, "cart")?;
    cart.open()?;
    let now = work.now();
    if quote.expires_at <= now || !quote.matches(&cart.lines) || quote.store != cart.store {
        return Err(quote_dead(work, quote, config, seal)?.into());
    }
    // A slot that the staff took away is there no more, though the quote was for it.
    if quote.slot.cutoff_at <= now || work.find::<SlotCopy>(&slot)?.is_none() {
        return Err(slot_closed(quote.store).into());
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
    set_timer(work, &order, config)?;
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
        // Also where their token has run out and the cart's capability spoke for them.
        customer: place.customer.or(cart.owner),
        store: quote.store,
        contact: place.contact.clone(),
        address: cart.address.clone(),
        slot: quote.slot,
        slot_withdrawn: false,
        lines: quote.lines.clone(),
        picked: BTreeMap::new(),
        fee: quote.fee,
        tax: quote.tax,
        total: quote.total,
        payment_token: place.payment_token.clone(),
        payment_attempt: 1,
        state: State::Placed,
        hold: Hold::Requested,
        payment: Payment::Created,
        delivery: Delivery::default(),
        refunds: Vec::new(),
        refunded_minor: 0,
        dispute: None,
        reason: None,
        history: vec![Moment {
            state: State::Placed,
            at: placed_at,
            by: by.to_owned(),
            what: None,
            person: place.customer,
            reason: None,
        }],
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

/// Somebody asks something of an order: to cancel it, to pick it, to pay by another means; what may be asked stands in
/// [`Wish`], and who may ask it in the domain.
pub(crate) fn ask(work: &mut Work<'_>, id: OrderId, wish: &Wish, asker: &Asker, config: &Config) -> Result<Stored, Stop> {
    let before = work.load::<Order>(&id, "order")?;
    let mut order = (*before).clone();
    let said = order.ask(wish, asker, work.now(), config.pay_margin_ms)?;
    keep(work, &before, order, said, config)?;
    Ok(Stored { status: 200, resource: id.to_string() })
}

/// A refund as asked for.
#[derive(Clone, Debug)]
pub(crate) struct AskRefund {
    pub(crate) share: Share,
    pub(crate) reason: String,
}

/// Somebody asks to give money back. What is made is the refund.
pub(crate) fn refund(
    work: &mut Work<'_>,
    order: OrderId,
    refund: &AskRefund,
    asker: &Asker,
    config: &Config,
) -> Result<Stored, Stop> {
    let id = RefundId(work.new_id(order.bucket()));
    let wish = Wish::Refund { id, share: refund.share.clone(), reason: refund.reason.clone() };
    ask(work, order, &wish, asker, config)?;
    Ok(Stored { status: 201, resource: id.to_string() })
}

/// An order hears something. Of an order that is not here nothing is known, and nothing is done.
pub(crate) fn hear(work: &mut Work<'_>, id: OrderId, heard: Heard, config: &Config) -> Result<(), Stop> {
    let Some(before) = work.find::<Order>(&id)? else { return Ok(()) };
    let mut order = (*before).clone();
    let said = order.hear(heard, work.now(), config.pay_margin_ms);
    keep(work, &before, order, said, config)
}

/// An order has waited as long as it may in its state: it goes on by itself, or asks again.
pub(crate) fn waited(work: &mut Work<'_>, subject: &str, config: &Config) -> Result<(), Stop> {
    let id: OrderId = subject.parse().map_err(|error| Stop::Broken(format!("{subject}: {error}")))?;
    let Some(before) = work.find::<Order>(&id)? else { return Ok(()) };
    let mut order = (*before).clone();
    let said = order.waited(work.now(), config.pay_margin_ms);
    // The timer that fired is gone, and an order that only asks again needs it as before.
    set_timer(work, &order, config)?;
    keep(work, &before, order, said, config)
}

/// Stores and says what an order has become, and when it will have waited long enough there.
fn keep(work: &mut Work<'_>, before: &Order, order: Order, said: Vec<Said>, config: &Config) -> Result<(), Stop> {
    say(work, said)?;
    let due_at = |order: &Order, work: &Work<'_>| order.due_at(work.now(), config.patience());
    if order.state != before.state && due_at(&order, work) != due_at(before, work) {
        set_timer(work, &order, config)?;
    }
    if order != *before {
        work.save(order);
    }
    Ok(())
}

/// Sets the one timer of an order to what its state says; takes it away in its ends.
fn set_timer(work: &mut Work<'_>, order: &Order, config: &Config) -> Result<(), Stop> {
    let subject = order.id.to_string();
    match order.due_at(work.now(), config.patience()) {
        Some(due_at) => work.set_timer(WAITING, &subject, order.id.bucket(), due_at),
        None => work.clear_timer(WAITING, &subject),
    }
}

fn say(work: &mut Work<'_>, said: Vec<Said>) -> Result<(), Stop> {
    said.into_iter().try_for_each(|said| match said {
        Said::Reserved(event) => work.emit(&event),
        Said::PaymentAgain(event) => work.emit(&event),
        Said::Commit(command) => work.emit(&command),
        Said::Confirmed(event) => work.emit(&event),
        Said::Rejected(event) => work.emit(&event),
        Said::PaymentFailed(event) => work.emit(&event),
        Said::ShortPicked(event) => work.emit(&event),
        Said::Reduce(command) => work.emit(&command),
        Said::Ready(event) => work.emit(&event),
        Said::Recalled(event) => work.emit(&event),
        Said::DeliveryAgain(event) => work.emit(&event),
        Said::Cancelling(event) => work.emit(&event),
        Said::Release(command) => work.emit(&command),
        Said::Cancelled(event) => work.emit(&event),
        Said::Delivered(event) => work.emit(&event),
        Said::Consume(command) => work.emit(&command),
        Said::RefundRequested(event) => work.emit(&event),
    })
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

fn slot_closed(store: StoreId) -> Fault {
    let detail = "this slot cannot be ordered any more; choose one that the store offers now";
    Fault::conflict("slot-closed", detail).with("slots", format!("/v1/stores/{store}/slots"))
}
