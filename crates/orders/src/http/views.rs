//! How carts and orders look to those who may see them.
//! Leaves who that is to `http`.

use contracts::CartId;
use contracts::inventory::Thing;
use engine::{Stop, Work};
use web::{Json, Seal, json};

use crate::domain::cart::{Cart, Reach};
use crate::domain::order::{Asker, Hold, LineNow, Moment, Order, Part, Payment, Refund, RefundState};

/// As whom somebody sees an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Audience {
    /// The one who ordered: with the PIN.
    Shopper,
    /// The people of the store: without it, and with who did what.
    Staff,
}

impl Audience {
    /// As whom somebody who may ask something of an order sees it.
    pub(super) fn of(asker: &Asker) -> Self {
        if asker.parts.contains(&Part::Shopper) { Self::Shopper } else { Self::Staff }
    }
}

/// A store that reaches an address.
pub(super) fn view_of_reach(reach: &Reach<'_>) -> Json {
    json!({
        "store": reach.store.id,
        "name": reach.store.name,
        "street": reach.store.street,
        "point": reach.store.point,
        "metres": reach.metres.round(),
        "time_zone": reach.store.time_zone,
        "currency": reach.store.currency,
        "fee": reach.store.fee,
        "paused": reach.store.paused,
        "slots": format!("/v1/stores/{}/slots", reach.store.id),
    })
}

/// A cart; with its capability only for the one who made it, when it is made.
pub(super) fn view_of_cart(cart: &Cart, seal: Option<&Seal>) -> Json {
    let mut view = json!({
        "id": cart.id,
        "store": cart.store,
        "address": cart.address,
        "lines": cart.lines,
        "order": cart.ordered,
        "made_at": cart.made_at,
    });
    if let Some(seal) = seal {
        view["capability"] = seal.seal("cart", cart.id.0.as_bytes()).into();
    }
    view
}

/// The cart of this id as it is now.
pub(super) fn show_cart(work: &mut Work<'_>, id: &str, seal: Option<&Seal>) -> Result<Json, Stop> {
    let id: CartId = id.parse().map_err(|error| Stop::Broken(format!("{id}: {error}")))?;
    Ok(view_of_cart(&*work.load::<Cart>(&id, "cart")?, seal))
}

/// A line of a list of one's own orders.
pub(super) fn view_of_order_row(order: &Order) -> Json {
    json!({ "id": order.id, "state": order.state, "store": order.store, "total": order.total, "slot": order.slot, "placed_at": order.placed_at })
}

/// A whole order.
pub(super) fn view_of_order(order: &Order, audience: Audience) -> Json {
    let for_shopper = audience == Audience::Shopper;
    json!({
        "id": order.id,
        "state": order.state,
        "store": order.store,
        "contact": order.contact,
        "address": order.address,
        "slot": order.slot,
        "lines": order.lines_now().iter().map(view_of_line).collect::<Vec<_>>(),
        "fee": order.fee,
        "tax": order.tax,
        "total": order.total,
        "hold": view_of_hold(&order.hold),
        "payment": view_of_payment(order, audience),
        "refunded": order.refunded(),
        "refunds": order.refunds.iter().map(|refund| view_of_refund(refund, audience)).collect::<Vec<_>>(),
        "dispute": order.dispute,
        "delivery": {
            "courier": order.delivery.courier,
            "pin": if for_shopper { order.delivery.pin.as_deref() } else { None },
            "attempt": order.delivery.attempt,
            "picked_up": order.delivery.picked_up,
            "arrived": order.delivery.arrived,
            "failed": order.delivery.failed.as_ref().map(|failure| failure.reason),
            "failure_note": order.delivery.failed.as_ref().filter(|_| !for_shopper).map(|failure| &failure.note),
            "returned": order.delivery.returned,
            "delivered": order.delivery.delivered,
        },
        "refusal": view_of_refusal(order),
        "reason": order.reason,
        "history": order.history.iter().map(|moment| view_of_moment(moment, audience)).collect::<Vec<_>>(),
        "placed_at": order.placed_at,
    })
}

/// A line as it is now; with what was ordered where it is short.
fn view_of_line(line: &LineNow<'_>) -> Json {
    let mut view = json!({
        "sku": line.sold.sku,
        "name": line.sold.name,
        "quantity": line.quantity,
        "unit_price": line.sold.unit_price,
        "tax": line.tax,
        "total": line.total,
    });
    if line.quantity < line.sold.quantity.get() {
        view["ordered"] = line.sold.quantity.get().into();
    }
    view
}

/// A refund; who asked for it is for the people of the store.
pub(super) fn view_of_refund(refund: &Refund, audience: Audience) -> Json {
    let (state, failure) = match &refund.state {
        RefundState::Pending => ("pending", None),
        RefundState::Paid => ("paid", None),
        RefundState::Failed { failure } => ("failed", Some(failure)),
    };
    json!({
        "id": refund.id,
        "state": state,
        "failure": failure,
        "amount": refund.amount,
        "lines": refund.lines,
        "reason": refund.reason,
        "person": refund.person.filter(|_| audience == Audience::Staff),
        "asked_at": refund.asked_at,
    })
}

/// A step of the history; who it was is for the people of the store.
fn view_of_moment(moment: &Moment, audience: Audience) -> Json {
    let person = moment.person.filter(|_| audience == Audience::Staff);
    json!(Moment { person, ..moment.clone() })
}

fn view_of_hold(hold: &Hold) -> Json {
    match hold {
        Hold::Requested => json!({ "state": "requested" }),
        Hold::Reserved { expires_at } => json!({ "state": "reserved", "expires_at": expires_at }),
        Hold::Rejected { .. } => json!({ "state": "rejected" }),
        Hold::Committed => json!({ "state": "committed" }),
        Hold::Expired => json!({ "state": "expired" }),
        Hold::Released => json!({ "state": "released" }),
        Hold::Consumed => json!({ "state": "consumed" }),
    }
}

/// What became of the money; where the shopper is to do something is theirs alone to see.
fn view_of_payment(order: &Order, audience: Audience) -> Json {
    let mut view = match &order.payment {
        Payment::Created => json!({ "state": "created" }),
        Payment::ActionRequired { url, until } => {
            let url = (audience == Audience::Shopper).then_some(url);
            json!({ "state": "action-required", "url": url, "until": until })
        }
        Payment::Authorised => json!({ "state": "authorised" }),
        Payment::Declined { reason } => json!({ "state": "declined", "reason": reason }),
        Payment::Expired => json!({ "state": "expired" }),
        Payment::Captured { amount } => json!({ "state": "captured", "captured": amount }),
        Payment::Voided => json!({ "state": "voided" }),
    };
    view["attempt"] = order.payment_attempt.into();
    view
}

/// What was short: each line concerned with what was wanted over all lines and what was left; or the slot.
fn view_of_refusal(order: &Order) -> Json {
    let Hold::Rejected { short } = &order.hold else { return Json::Null };
    let items = short.iter().map(|short| match &short.thing {
        Thing::Sku(sku) => {
            let lines: Vec<usize> = (0..order.lines.len()).filter(|index| order.lines[*index].sku == *sku).collect();
            json!({ "lines": lines, "sku": sku, "wanted": short.wanted, "left": short.left })
        }
        Thing::Slot(slot) => json!({ "slot": slot, "wanted": short.wanted, "left": short.left }),
    });
    items.collect()
}
