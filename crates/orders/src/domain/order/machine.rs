//! What follows from what an order knows: one pure function, [`Order::advance`], and what is said on the way.
//! Leaves what people may ask for to `moves`.

use contracts::PersonId;
use contracts::inventory::{HoldCommit, HoldConsume, HoldReduce, HoldRelease, Short, Thing};
use contracts::orders::{
    OrderCancelled, OrderCancelling, OrderConfirmed, OrderDelivered, OrderDeliveryAgain, OrderPaymentAgain, OrderPaymentFailed,
    OrderReady, OrderRecalled, OrderRefundRequested, OrderRejected, OrderReserved, OrderShortPicked,
};
use kernel::{Millis, Timestamp};

use super::{Dispute, Heard, Hold, Moment, Order, Payment, State, What};

/// Who or what moves an order, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cause {
    /// As `shopper`, `manager`, `inventory`.
    pub(super) by: &'static str,
    pub(super) person: Option<PersonId>,
    pub(super) now: Timestamp,
    /// How long before the hold runs out the money must be authorised.
    pub(super) pay_margin_ms: Millis,
}

/// What an order says to others when it moves.
#[derive(Clone, PartialEq, Debug)]
pub enum Said {
    /// Authorise the money.
    Reserved(OrderReserved),
    /// Authorise it by another means of payment.
    PaymentAgain(OrderPaymentAgain),
    /// Keep the hold.
    Commit(HoldCommit),
    /// It is promised.
    Confirmed(OrderConfirmed),
    /// It could not be held.
    Rejected(OrderRejected),
    /// The money was refused.
    PaymentFailed(OrderPaymentFailed),
    /// It costs less now.
    ShortPicked(OrderShortPicked),
    /// Hold less.
    Reduce(HoldReduce),
    /// It waits for a courier.
    Ready(OrderReady),
    /// Bring the goods back, if they are not handed over yet.
    Recalled(OrderRecalled),
    /// Try once more to deliver.
    DeliveryAgain(OrderDeliveryAgain),
    /// Give back what you have for it.
    Cancelling(OrderCancelling),
    /// Give back the hold.
    Release(HoldRelease),
    /// It has ended.
    Cancelled(OrderCancelled),
    /// Take the money.
    Delivered(OrderDelivered),
    /// The goods are gone.
    Consume(HoldConsume),
    /// Give money back.
    RefundRequested(OrderRefundRequested),
}

impl Order {
    /// Takes in what was heard and moves as far as it leads. What is known already, or older, changes nothing.
    pub fn hear(&mut self, heard: Heard, now: Timestamp, pay_margin_ms: Millis) -> Vec<Said> {
        let cause = Cause { by: heard.by(), person: None, now, pay_margin_ms };
        let mut said = Vec::new();
        self.take_in(heard, &cause, &mut said);
        self.settle(&cause, said)
    }

    /// It has waited in this state as long as it may, or it is time to ask again for what it waits for.
    pub fn waited(&mut self, now: Timestamp, pay_margin_ms: Millis) -> Vec<Said> {
        let cause = Cause { by: "orders", person: None, now, pay_margin_ms };
        let said = match self.state {
            State::Placed | State::Reserved | State::Authorised | State::PaymentFailed => self.give_up("timed-out", &cause),
            State::Confirmed | State::Picking | State::Ready | State::OutForDelivery => self.give_up("late", &cause),
            State::DeliveryFailed => self.give_up("delivery-failed", &cause),
            State::Returning => vec![self.recalled()],
            State::Cancelling => self.cancelling(),
            State::Delivered | State::Rejected | State::Cancelled => Vec::new(),
        };
        self.settle(&cause, said)
    }

    /// Moves as far as what is known leads.
    pub(super) fn settle(&mut self, cause: &Cause, mut said: Vec<Said>) -> Vec<Said> {
        while self.advance(cause, &mut said) {}
        said
    }

    fn take_in(&mut self, heard: Heard, cause: &Cause, said: &mut Vec<Said>) {
        match heard {
            Heard::Hold(hold) if hold.rank() > self.hold.rank() => self.hold = hold,
            Heard::Hold(_) => {}
            Heard::SlotWithdrawn { reason } if !self.slot_withdrawn => {
                self.slot_withdrawn = true;
                self.note(What::SlotWithdrawn, Some(reason), cause);
            }
            Heard::SlotWithdrawn { .. } => {}
            // What is said of another means of payment than the present one is old.
            Heard::Attempt(attempt, _) if attempt != self.payment_attempt => {}
            Heard::Attempt(_, payment) | Heard::Payment(payment) => self.take_in_payment(payment, cause, said),
            Heard::Refunded { refund, amount, refunded } => self.refund_paid(refund, amount, refunded, cause),
            Heard::RefundFailed { refund, reason } => self.refund_failed(refund, reason, cause),
            Heard::Disputed { amount, reason } => self.take_in_dispute(Dispute { amount, reason, won: None }, cause),
            Heard::DisputeClosed { won } => self.close_dispute(won, cause),
            heard => self.take_in_delivery(heard, cause),
        }
    }

    fn take_in_payment(&mut self, payment: Payment, cause: &Cause, said: &mut Vec<Said>) {
        if payment.rank() <= self.payment.rank() {
            return;
        }
        match &payment {
            Payment::ActionRequired { .. } => self.note(What::ActionRequired, None, cause),
            // The first refusal is a move; a further one moves nothing, and is told all the same.
            Payment::Declined { reason } if self.state == State::PaymentFailed => {
                self.note(What::Declined, Some(reason.clone()), cause);
                said.push(Said::PaymentFailed(OrderPaymentFailed { order: self.id, detail: reason.clone() }));
            }
            Payment::Expired if self.state == State::Delivered => self.note(What::PaymentExpired, None, cause),
            _ => {}
        }
        self.payment = payment;
    }

    fn take_in_dispute(&mut self, news: Dispute, cause: &Cause) {
        let known = self.dispute.as_ref().is_some_and(|known| known.amount == news.amount && known.reason == news.reason);
        if !known {
            self.note(What::Disputed, Some(news.reason.clone()), cause);
            self.dispute = Some(news);
        }
    }

    fn close_dispute(&mut self, won: bool, cause: &Cause) {
        let Some(dispute) = self.dispute.as_mut().filter(|dispute| dispute.won.is_none()) else { return };
        dispute.won = Some(won);
        let how = if won { "won" } else { "lost" };
        self.note(What::DisputeClosed, Some(how.to_owned()), cause);
    }

    fn take_in_delivery(&mut self, heard: Heard, cause: &Cause) {
        let (attempt, delivery) = (self.delivery.attempt, &mut self.delivery);
        match heard {
            Heard::Pin(pin) => delivery.pin = Some(pin),
            Heard::Courier(name) => delivery.courier = Some(name),
            Heard::Unassigned { reason } if delivery.courier.take().is_some() => {
                self.note(What::CourierUnassigned, Some(reason), cause);
            }
            Heard::PickedUp(of) if of == attempt => delivery.picked_up = true,
            Heard::Arrived(of) if of == attempt => delivery.arrived = true,
            Heard::Failed(of, failure) if of == attempt => delivery.failed = Some(failure),
            Heard::Returned if !delivery.returned => {
                delivery.returned = true;
                self.note(What::GoodsBack, None, cause);
            }
            Heard::Delivered => delivery.delivered = true,
            Heard::Withdrawn => delivery.withdrawn = true,
            // Of another try than the present one, or known.
            _ => {}
        }
    }

    /// One move that follows from what is known, if any does.
    fn advance(&mut self, cause: &Cause, said: &mut Vec<Said>) -> bool {
        use State::{
            Authorised, Cancelled, Cancelling, Confirmed, Delivered, DeliveryFailed, OutForDelivery, PaymentFailed, Picking,
            Placed, Ready, Rejected, Reserved, Returning,
        };
        let (order, store) = (self.id, self.store);
        match (self.state, &self.hold, &self.payment) {
            (Placed, Hold::Rejected { short }, _) => {
                let detail = short_in_words(short);
                said.push(Said::Rejected(OrderRejected { order, detail: detail.clone() }));
                self.enter(Rejected, Some(detail), cause);
            }
            (Placed | Reserved | PaymentFailed | Authorised, Hold::Expired | Hold::Released, _) => {
                said.extend(self.give_up("hold-expired", cause));
            }
            (Placed | Reserved | PaymentFailed | Authorised | Confirmed, ..) if self.slot_withdrawn => {
                said.extend(self.give_up("slot-withdrawn", cause));
            }
            (Placed, Hold::Reserved { expires_at }, _) => {
                let pay_by = expires_at.plus_ms(-cause.pay_margin_ms);
                let payment_token = self.payment_token.clone();
                said.push(Said::Reserved(OrderReserved { order, store, amount: self.total, payment_token, pay_by }));
                self.enter(Reserved, None, cause);
            }
            // Payments gave back by itself what it was not asked for in time.
            (Reserved | PaymentFailed | Authorised, _, Payment::Voided) => {
                said.extend(self.give_up("payment-timed-out", cause));
            }
            (Reserved | PaymentFailed, _, Payment::Authorised) => {
                said.push(Said::Commit(HoldCommit { order, store }));
                self.enter(Authorised, None, cause);
            }
            (Reserved, _, Payment::Declined { reason }) => {
                let detail = reason.clone();
                said.push(Said::PaymentFailed(OrderPaymentFailed { order, detail: detail.clone() }));
                self.enter(PaymentFailed, Some(detail), cause);
            }
            (Authorised, Hold::Committed, Payment::Authorised) => {
                let (contact, address, slot) = (self.contact.clone(), self.address.clone(), self.slot);
                said.push(Said::Confirmed(OrderConfirmed { order, store, contact, address, slot }));
                self.enter(Confirmed, None, cause);
            }
            (Ready, ..) if self.delivery.is_out() => self.enter(OutForDelivery, None, cause),
            // What was handed over is handed over, whatever was decided meanwhile.
            (OutForDelivery | DeliveryFailed | Returning, ..) if self.delivery.delivered => {
                if self.state == Returning {
                    let reason = self.reason.take();
                    self.note(What::RecallTooLate, reason, cause);
                }
                said.push(Said::Delivered(OrderDelivered { order, amount: self.total }));
                said.push(Said::Consume(HoldConsume { order, store }));
                self.enter(Delivered, None, cause);
            }
            (Returning, ..) if self.delivery.withdrawn => {
                let reason = self.reason.clone();
                self.enter(Cancelling, reason, cause);
                said.extend(self.cancelling());
            }
            // Nobody asked delivery for it, so nothing will ever be delivered.
            (Confirmed | Picking | Ready | OutForDelivery | DeliveryFailed, ..) if self.delivery.withdrawn => {
                said.extend(self.give_up("delivery-withdrawn", cause));
            }
            (Ready | OutForDelivery, ..) if self.delivery.failed.is_some() => {
                let why = self.delivery.failed.as_ref().map(|failure| failure.reason.as_str().to_owned());
                self.enter(DeliveryFailed, why, cause);
            }
            (_, _, Payment::Expired) if !self.state.is_final() && !self.state.is_ending() && self.state != Placed => {
                said.extend(self.give_up("payment-expired", cause));
            }
            (Confirmed | Picking | Ready | OutForDelivery | DeliveryFailed, _, Payment::Voided) => {
                said.extend(self.give_up("payment-voided", cause));
            }
            (Cancelling, hold, payment) if hold.is_over() && payment.is_back() && self.nothing_to_deliver() => {
                let reason = self.reason.clone().unwrap_or_default();
                said.push(Said::Cancelled(OrderCancelled { order, reason: reason.clone() }));
                self.enter(Cancelled, Some(reason), cause);
            }
            _ => return false,
        }
        true
    }

    /// Ends the order, by the way that its state asks for: while the goods may be with a courier they are called back first,
    /// and only once they are back is anything given back.
    pub(super) fn give_up(&mut self, reason: &str, cause: &Cause) -> Vec<Said> {
        self.reason = Some(reason.to_owned());
        if matches!(self.state, State::Ready | State::OutForDelivery | State::DeliveryFailed) {
            self.enter(State::Returning, self.reason.clone(), cause);
            return vec![self.recalled()];
        }
        self.enter(State::Cancelling, self.reason.clone(), cause);
        self.cancelling()
    }

    fn recalled(&self) -> Said {
        Said::Recalled(OrderRecalled { order: self.id, reason: self.reason.clone().unwrap_or_default() })
    }

    /// What must be said, and may be said again, to those who have something for an order that ends.
    fn cancelling(&self) -> Vec<Said> {
        let reason = self.reason.clone().unwrap_or_default();
        let mut said = vec![Said::Cancelling(OrderCancelling { order: self.id, reason })];
        if !self.hold.is_over() {
            said.push(Said::Release(HoldRelease { order: self.id, store: self.store }));
        }
        said
    }

    fn nothing_to_deliver(&self) -> bool {
        self.delivery.withdrawn || !self.was(State::Confirmed)
    }

    pub(super) fn enter(&mut self, state: State, reason: Option<String>, cause: &Cause) {
        self.state = state;
        self.remember(None, reason, cause);
    }

    /// Something that the history shows though the state stays.
    pub(super) fn note(&mut self, what: What, reason: Option<String>, cause: &Cause) {
        self.remember(Some(what), reason, cause);
    }

    fn remember(&mut self, what: Option<What>, reason: Option<String>, cause: &Cause) {
        let by = cause.by.to_owned();
        self.history.push(Moment { state: self.state, at: cause.now, by, what, person: cause.person, reason });
    }
}

/// What was short, for people: "OAT-MILK: 3 wanted, 1 left".
fn short_in_words(short: &[Short]) -> String {
    let words = short.iter().map(|short| match &short.thing {
        Thing::Sku(sku) => format!("{sku}: {} wanted, {} left", short.wanted, short.left),
        Thing::Slot(slot) => format!("the slot at {slot} is full or closed"),
    });
    words.collect::<Vec<_>>().join("; ")
}
