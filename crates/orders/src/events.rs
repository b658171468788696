//! What orders does on others' events: it keeps copies, and lets orders hear what became of hold, payment and delivery.
//! Leaves what follows from it to `domain::order`.

use contracts::catalog::ListingChanged;
use contracts::delivery::{
    DeliveryArrived, DeliveryAssigned, DeliveryCreated, DeliveryDelivered, DeliveryFailed, DeliveryPickedUp, DeliveryReturned,
    DeliveryUnassigned, DeliveryWithdrawn, StoreChanged,
};
use contracts::inventory::{
    HoldCommitRefused, HoldCommitted, HoldConsumed, HoldExpired, HoldRejected, HoldReleased, HoldReserved, SlotClosed,
    SlotOffered, SlotWithdrawn,
};
use contracts::payments::{
    PaymentActionRequired, PaymentAuthorised, PaymentCaptured, PaymentDeclined, PaymentDisputeClosed, PaymentDisputed,
    PaymentExpired, PaymentRefundFailed, PaymentRefunded, PaymentVoided,
};
use contracts::{Event, OrderId};
use engine::{Copied, Subscription, TokenKeys};

use crate::config::Config;
use crate::domain::order::{Failure, Heard, Hold, Payment};
use crate::service::hear;
use crate::store::{self, ListingCopy, SlotCopy, StoreCopy};

/// The subscriptions, one to each other service that orders listens to.
pub(crate) fn subscriptions(config: &Config) -> Vec<Subscription> {
    vec![TokenKeys::copied_by(Subscription::to("identity")), catalog(), inventory(config), payments(config), delivery(config)]
}

fn catalog() -> Subscription {
    Subscription::to("catalog").copy(|work, event: &ListingChanged| {
        work.save(ListingCopy {
            store: event.store,
            sku: event.sku.clone(),
            name: event.name.clone(),
            price_minor: event.price.minor,
            tax_class: event.tax_class.clone(),
            listed: event.listed,
        });
        Ok(())
    })
}

fn inventory(config: &Config) -> Subscription {
    let subscription = Subscription::to("inventory").copy(|work, event: &SlotOffered| {
        let (starts_at, ends_at, cutoff_at) = (event.slot.starts_at, event.slot.ends_at, event.slot.cutoff_at);
        work.save(SlotCopy { store: event.store, starts_at, ends_at, cutoff_at });
        Ok(())
    });
    let subscription = subscription.copy(|work, event: &SlotClosed| {
        work.remove::<SlotCopy>(&(event.store, event.slot));
        Ok(())
    });
    let subscription =
        heard(subscription, config, |e: &HoldReserved| (e.order, Heard::Hold(Hold::Reserved { expires_at: e.expires_at })));
    let subscription =
        heard(subscription, config, |e: &HoldRejected| (e.order, Heard::Hold(Hold::Rejected { short: e.short.clone() })));
    let subscription = heard(subscription, config, |e: &HoldCommitted| (e.order, Heard::Hold(Hold::Committed)));
    let subscription = heard(subscription, config, |e: &HoldCommitRefused| (e.order, Heard::Hold(Hold::Expired)));
    let subscription = heard(subscription, config, |e: &HoldExpired| (e.order, Heard::Hold(Hold::Expired)));
    let subscription = heard(subscription, config, |e: &HoldReleased| (e.order, Heard::Hold(Hold::Released)));
    let subscription = heard(subscription, config, |e: &HoldConsumed| (e.order, Heard::Hold(Hold::Consumed)));
    heard(subscription, config, |e: &SlotWithdrawn| (e.order, Heard::SlotWithdrawn { reason: e.reason.clone() }))
}

fn payments(config: &Config) -> Subscription {
    let subscription = Subscription::to("payments").promised();
    let subscription = heard(subscription, config, |e: &PaymentActionRequired| {
        (e.order, Heard::Attempt(e.attempt, Payment::ActionRequired { url: e.url.clone(), until: e.until }))
    });
    let subscription =
        heard(subscription, config, |e: &PaymentAuthorised| (e.order, Heard::Attempt(e.attempt, Payment::Authorised)));
    let subscription = heard(subscription, config, |e: &PaymentDeclined| {
        (e.order, Heard::Attempt(e.attempt, Payment::Declined { reason: e.reason.clone() }))
    });
    let subscription =
        heard(subscription, config, |e: &PaymentCaptured| (e.order, Heard::Payment(Payment::Captured { amount: e.amount })));
    let subscription = heard(subscription, config, |e: &PaymentVoided| (e.order, Heard::Payment(Payment::Voided)));
    let subscription = heard(subscription, config, |e: &PaymentExpired| (e.order, Heard::Payment(Payment::Expired)));
    let subscription = heard(subscription, config, |e: &PaymentRefunded| {
        (e.order, Heard::Refunded { refund: e.refund, amount: e.amount, refunded: e.refunded })
    });
    let subscription = heard(subscription, config, |e: &PaymentRefundFailed| {
        (e.order, Heard::RefundFailed { refund: e.refund, reason: e.reason.clone() })
    });
    let subscription = heard(subscription, config, |e: &PaymentDisputed| {
        (e.order, Heard::Disputed { amount: e.amount, reason: e.reason.clone() })
    });
    heard(subscription, config, |e: &PaymentDisputeClosed| (e.order, Heard::DisputeClosed { won: e.won }))
}

fn delivery(config: &Config) -> Subscription {
    let subscription = Subscription::to("delivery").promised().copy(|work, event: &StoreChanged| {
        work.save(StoreCopy(event.store.clone()));
        Ok(())
    });
    let subscription = heard(subscription, config, |e: &DeliveryCreated| (e.order, Heard::Pin(e.pin.clone())));
    let subscription = heard(subscription, config, |e: &DeliveryAssigned| (e.order, Heard::Courier(e.courier_name.clone())));
    let subscription =
        heard(subscription, config, |e: &DeliveryUnassigned| (e.order, Heard::Unassigned { reason: e.reason.clone() }));
    let subscription = heard(subscription, config, |e: &DeliveryPickedUp| (e.order, Heard::PickedUp(e.attempt)));
    let subscription = heard(subscription, config, |e: &DeliveryArrived| (e.order, Heard::Arrived(e.attempt)));
    let subscription = heard(subscription, config, |e: &DeliveryDelivered| (e.order, Heard::Delivered));
    let subscription = heard(subscription, config, |e: &DeliveryFailed| {
        (e.order, Heard::Failed(e.attempt, Failure { reason: e.reason, note: e.note.clone() }))
    });
    let subscription = heard(subscription, config, |e: &DeliveryReturned| (e.order, Heard::Returned));
    heard(subscription, config, |e: &DeliveryWithdrawn| (e.order, Heard::Withdrawn))
}

/// Lets the order that an event is about hear it.
fn heard<E: Event>(subscription: Subscription, config: &Config, what: fn(&E) -> (OrderId, Heard)) -> Subscription {
    let config = config.clone();
    subscription.work(move |work, event: &E| {
        let (order, heard) = what(event);
        hear(work, order, heard, &config)
    })
}

/// What it has copied of rows that their owners may take away.
pub(crate) fn copies() -> Vec<Copied> {
    let listings = |handle, after, limit| Box::pin(async move { store::listing_keys(&handle, after, limit).await }) as _;
    let slots = |handle, after, limit| Box::pin(async move { store::slot_keys(&handle, after, limit).await }) as _;
    vec![Copied::of::<ListingChanged, _>(listings), Copied::of::<SlotOffered, _>(slots)]
}
