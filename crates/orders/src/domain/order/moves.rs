//! What people may ask of an order: who, in which state, and why not. One table, [`Order::objection`], decides it and tells
//! what would be legal instead; so whatever is refused says so.
//! Leaves what follows by itself to `machine`.

use contracts::orders::{OrderDeliveryAgain, OrderPaymentAgain, OrderReady};
use contracts::{PersonId, RefundId};
use kernel::{Fault, Millis, Timestamp};

use super::lines::Picked;
use super::refunds::{REFUNDS_MAX, Share};
use super::{Cause, Hold, Order, Payment, Said, State, What};

/// How many means of payment may be tried for an order.
pub const PAYMENT_ATTEMPTS_MAX: i64 = 10;

/// As what somebody asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Whoever ordered.
    Shopper,
    /// Picks and packs for the store.
    Picker,
    /// Looks after the store's couriers.
    Dispatcher,
    /// Runs the store.
    Manager,
}

impl Part {
    /// Its word in the history.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shopper => "shopper",
            Self::Picker => "picker",
            Self::Dispatcher => "dispatcher",
            Self::Manager => "manager",
        }
    }
}

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asker {
    /// As what they may.
    pub parts: Vec<Part>,
    /// Who they are, if they are known.
    pub person: Option<PersonId>,
}

/// A kind of move, named as the path under the order by which it is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Move {
    /// Give the order up.
    Cancel,
    /// Pay by another means.
    Payment,
    /// Begin to pick.
    Pick,
    /// Say what could not be picked.
    Shorts,
    /// Have picked everything.
    Ready,
    /// Decide what comes after a failed delivery.
    Delivery,
    /// Give money back.
    Refunds,
}

impl Move {
    /// Every kind, for tests and tables that enumerate them.
    pub const ALL: [Self; 7] =
        [Self::Cancel, Self::Payment, Self::Pick, Self::Shorts, Self::Ready, Self::Delivery, Self::Refunds];

    /// The last part of its path.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Payment => "payment",
            Self::Pick => "pick",
            Self::Shorts => "shorts",
            Self::Ready => "ready",
            Self::Delivery => "delivery",
            Self::Refunds => "refunds",
        }
    }
}

/// What somebody asks for.
#[derive(Clone, PartialEq, Debug)]
pub enum Wish {
    /// Give the order up.
    Cancel {
        /// Why.
        reason: String,
    },
    /// Pay by another means.
    Pay {
        /// The provider's token for it.
        payment_token: String,
    },
    /// Begin to pick.
    Pick,
    /// Say what could not be picked.
    ShortPick(Vec<Picked>),
    /// Have picked everything.
    Ready,
    /// Try once more to deliver.
    DeliverAgain {
        /// Why.
        reason: String,
    },
    /// Bring the goods back.
    Return {
        /// Why.
        reason: String,
    },
    /// Give money back.
    Refund {
        /// The refund's id.
        id: RefundId,
        /// How much.
        share: Share,
        /// Why.
        reason: String,
    },
}

impl Wish {
    fn kind(&self) -> Move {
        match self {
            Self::Cancel { .. } => Move::Cancel,
            Self::Pay { .. } => Move::Payment,
            Self::Pick => Move::Pick,
            Self::ShortPick(_) => Move::Shorts,
            Self::Ready => Move::Ready,
            Self::DeliverAgain { .. } | Self::Return { .. } => Move::Delivery,
            Self::Refund { .. } => Move::Refunds,
        }
    }
}

/// Why a move is refused: a word for machines and the rest of a sentence for people.
type Objection = (&'static str, &'static str);

/// No state allows it to whoever asks.
const NOT_YOURS: &str = "forbidden";

impl Order {
    /// Does what is asked for, if whoever asks may ask for it now. Being given up already, it is not given up again.
    ///
    /// # Errors
    /// A refusal with the present `state` and all moves that would be `legal` for whoever asks; or a field that is wrong.
    pub fn ask(&mut self, wish: &Wish, asker: &Asker, now: Timestamp, pay_margin_ms: Millis) -> Result<Vec<Said>, Fault> {
        let by = self.admitted(wish.kind(), asker, now, pay_margin_ms)?.as_str();
        let cause = Cause { by, person: asker.person, now, pay_margin_ms };
        let said = match wish {
            Wish::Cancel { .. } if self.state.is_ending() => Vec::new(),
            Wish::Cancel { reason } | Wish::Return { reason } => self.give_up(reason, &cause),
            Wish::Pay { payment_token } => self.pay_again(payment_token, &cause)?,
            Wish::Pick => {
                self.enter(State::Picking, None, &cause);
                Vec::new()
            }
            Wish::ShortPick(picks) => self.short_pick(picks, &cause)?,
            Wish::Ready => {
                self.enter(State::Ready, None, &cause);
                vec![Said::Ready(OrderReady { order: self.id, store: self.store })]
            }
            Wish::DeliverAgain { reason } => self.deliver_again(reason, &cause),
            Wish::Refund { id, share, reason } => self.refund(*id, share, reason, &cause)?,
        };
        Ok(self.settle(&cause, said))
    }

    /// The moves that whoever asks could make now.
    #[must_use]
    pub fn legal(&self, asker: &Asker, now: Timestamp, pay_margin_ms: Millis) -> Vec<&'static str> {
        let may = |step: Move| asker.parts.iter().any(|part| self.objection(*part, step, now, pay_margin_ms).is_none());
        // What is ending is not cancelled again, though asking for it is granted.
        let idle = |step: Move| step == Move::Cancel && self.state.is_ending();
        Move::ALL.into_iter().filter(|step| may(*step) && !idle(*step)).map(Move::as_str).collect()
    }

    /// As what whoever asks makes the move.
    fn admitted(&self, step: Move, asker: &Asker, now: Timestamp, pay_margin_ms: Millis) -> Result<Part, Fault> {
        let mut refusal = (NOT_YOURS, "this is not for you to ask");
        for part in &asker.parts {
            match self.objection(*part, step, now, pay_margin_ms) {
                None => return Ok(*part),
                Some(objection) if refusal.0 == NOT_YOURS => refusal = objection,
                Some(_) => {}
            }
        }
        let (reason, detail) = refusal;
        let detail = format!("the order is {}: {detail}", self.state.as_str());
        let fault = if reason == NOT_YOURS { Fault::forbidden(detail) } else { Fault::conflict(reason, detail) };
        Err(fault.with("state", self.state.as_str()).with("legal", self.legal(asker, now, pay_margin_ms)))
    }

    /// What speaks against `part` making this kind of move now.
    fn objection(&self, part: Part, step: Move, now: Timestamp, pay_margin_ms: Millis) -> Option<Objection> {
        match step {
            Move::Cancel => self.objection_to_cancel(part),
            Move::Payment if part != Part::Shopper => Some((NOT_YOURS, "only whoever ordered can pay by another means")),
            Move::Payment => self.objection_to_payment(now, pay_margin_ms),
            Move::Pick | Move::Shorts | Move::Ready if !matches!(part, Part::Picker | Part::Manager) => {
                Some((NOT_YOURS, "picking is for pickers and managers of the store"))
            }
            Move::Pick => self.unless(State::Confirmed, "only a confirmed order can be picked"),
            Move::Shorts => self.unless(State::Picking, "only of an order that is being picked can something be short"),
            Move::Ready => self.unless(State::Picking, "only an order that is being picked can be ready"),
            Move::Delivery if !matches!(part, Part::Dispatcher | Part::Manager) => {
                Some((NOT_YOURS, "this is for dispatchers and managers of the store to decide"))
            }
            Move::Delivery => self.unless(State::DeliveryFailed, "only after a delivery has failed is this to be decided"),
            Move::Refunds if part != Part::Manager => Some((NOT_YOURS, "only a manager of the store can give money back")),
            Move::Refunds => self.objection_to_refund(),
        }
    }

    fn unless(&self, state: State, detail: &'static str) -> Option<Objection> {
        (self.state != state).then_some(("illegal-move", detail))
    }

    fn objection_to_cancel(&self, part: Part) -> Option<Objection> {
        match (self.state, part) {
            (_, Part::Picker) => Some((NOT_YOURS, "a picker cannot cancel an order; ask a manager")),
            (State::Returning | State::Cancelling, _) => None,
            (State::Delivered, _) => Some(("order-ended", "it was handed over; a manager can give money back")),
            (State::Rejected | State::Cancelled, _) => Some(("order-ended", "it has ended already")),
            (State::OutForDelivery | State::DeliveryFailed, Part::Dispatcher) | (_, Part::Manager) => None,
            (_, Part::Dispatcher) => {
                Some(("illegal-move", "a dispatcher calls back what is on its way; before that ask a manager"))
            }
            (State::Picking | State::Ready | State::OutForDelivery | State::DeliveryFailed, Part::Shopper) => {
                Some(("too-late", "it is being prepared or on its way already; ask the store"))
            }
            (_, Part::Shopper) => None,
        }
    }

    fn objection_to_payment(&self, now: Timestamp, pay_margin_ms: Millis) -> Option<Objection> {
        if self.state != State::PaymentFailed {
            return Some(("illegal-move", "another means of payment is taken only after one was refused"));
        }
        if !matches!(self.payment, Payment::Declined { .. }) {
            return Some(("payment-under-way", "the last means of payment is still being tried; wait for what comes of it"));
        }
        if self.pay_by(pay_margin_ms).is_none_or(|pay_by| now >= pay_by) {
            return Some(("too-late", "the goods are held no longer than until now; order again"));
        }
        if self.payment_attempt >= PAYMENT_ATTEMPTS_MAX {
            return Some(("too-many-attempts", "no further means of payment is tried for this order; order again"));
        }
        None
    }

    fn objection_to_refund(&self) -> Option<Objection> {
        if self.state != State::Delivered {
            return Some(("illegal-move", "only of an order that was handed over is money given back; cancel it instead"));
        }
        if self.captured().is_none() {
            return Some(("not-captured", "the money has not been taken yet; try again once it is"));
        }
        if self.dispute.as_ref().is_some_and(|dispute| dispute.won.is_none()) {
            return Some(("disputed", "the shopper's bank disputes the payment; wait until that is decided"));
        }
        if self.refundable().minor == 0 {
            return Some(("nothing-left", "all of it was given back or is on its way"));
        }
        if self.refunds.len() >= REFUNDS_MAX {
            return Some(("too-many-refunds", "an order has no more refunds than that"));
        }
        None
    }

    /// Until when the money must be authorised, while the hold can run out.
    fn pay_by(&self, pay_margin_ms: Millis) -> Option<Timestamp> {
        match self.hold {
            Hold::Reserved { expires_at } => Some(expires_at.plus_ms(-pay_margin_ms)),
            _ => None,
        }
    }

    fn pay_again(&mut self, payment_token: &str, cause: &Cause) -> Result<Vec<Said>, Fault> {
        let pay_by = self.pay_by(cause.pay_margin_ms).ok_or_else(|| Fault::internal("paid for what is not held"))?;
        self.payment_attempt += 1;
        self.payment = Payment::Created;
        payment_token.clone_into(&mut self.payment_token);
        self.note(What::PaymentAgain, None, cause);
        Ok(vec![Said::PaymentAgain(OrderPaymentAgain {
            order: self.id,
            attempt: self.payment_attempt,
            amount: self.total,
            payment_token: payment_token.to_owned(),
            pay_by,
        })])
    }

    fn deliver_again(&mut self, reason: &str, cause: &Cause) -> Vec<Said> {
        self.delivery.again();
        self.enter(State::Ready, Some(reason.to_owned()), cause);
        vec![Said::DeliveryAgain(OrderDeliveryAgain { order: self.id, attempt: self.delivery.attempt })]
    }
}
