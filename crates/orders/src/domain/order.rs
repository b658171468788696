//! How an order lives. It keeps what it has heard of hold, payment and delivery, and one pure function, [`Order::advance`],
//! decides what follows; so facts of different services may arrive in any order and any number of times.
//! Leaves who may ask for a move to `service`.

use contracts::inventory::{HoldCommit, HoldConsume, HoldRelease, Short, Thing};
use contracts::orders::{
    Contact, Line, OrderCancelled, OrderCancelling, OrderConfirmed, OrderDelivered, OrderPaymentFailed, OrderReady,
    OrderRejected, OrderReserved,
};
use contracts::{Address, CartId, OrderId, PersonId, Slot, StoreId};
use kernel::{Fault, Millis, Money, Timestamp};
use serde::{Deserialize, Serialize};

/// Where an order is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Taken; stock and slot are being held.
    Placed,
    /// Held; the money is being authorised.
    Reserved,
    /// The money is there; the hold is being committed.
    Authorised,
    /// Promised.
    Confirmed,
    /// Being picked.
    Picking,
    /// Waits for its courier.
    Ready,
    /// On its way.
    OutForDelivery,
    /// Handed over.
    Delivered,
    /// Stock or slot were short.
    Rejected,
    /// The money was refused; the hold still lives.
    PaymentFailed,
    /// Ending: what is held and authorised is given back.
    Cancelling,
    /// Ended, and everything was given back.
    Cancelled,
}

impl State {
    /// The state in its text form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Reserved => "reserved",
            Self::Authorised => "authorised",
            Self::Confirmed => "confirmed",
            Self::Picking => "picking",
            Self::Ready => "ready",
            Self::OutForDelivery => "out_for_delivery",
            Self::Delivered => "delivered",
            Self::Rejected => "rejected",
            Self::PaymentFailed => "payment_failed",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing follows.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Rejected | Self::Cancelled)
    }

    /// Whether the order waits for other services rather than for people, and so has a timer.
    #[must_use]
    pub fn is_timed(self) -> bool {
        matches!(self, Self::Placed | Self::Reserved | Self::Authorised | Self::PaymentFailed)
    }
}

/// What inventory has said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Hold {
    /// Nothing yet.
    Requested,
    /// Held until then.
    Reserved {
        /// When it runs out.
        expires_at: Timestamp,
    },
    /// Nothing is held: this was short.
    Rejected {
        /// What was short.
        short: Vec<Short>,
    },
    /// Held for good.
    Committed,
    /// Over: it ran out, or its commit came too late.
    Expired,
    /// Over: given back as asked.
    Released,
    /// Over: handed over.
    Consumed,
}

impl Hold {
    fn is_over(&self) -> bool {
        matches!(self, Self::Rejected { .. } | Self::Expired | Self::Released | Self::Consumed)
    }

    /// How far it has come; what was heard never goes back.
    fn rank(&self) -> u8 {
        match self {
            Self::Requested => 0,
            Self::Reserved { .. } => 1,
            Self::Committed => 2,
            Self::Rejected { .. } | Self::Expired | Self::Released | Self::Consumed => 3,
        }
    }
}

/// What payments has said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Payment {
    /// Nothing yet.
    Created,
    /// The money is held for us.
    Authorised,
    /// The money was refused.
    Declined {
        /// The provider's reason.
        reason: String,
    },
    /// The money is ours.
    Captured {
        /// How much.
        amount: Money,
    },
    /// Nothing is held and nothing was taken.
    Voided,
}

impl Payment {
    fn rank(&self) -> u8 {
        match self {
            Self::Created => 0,
            Self::Authorised | Self::Declined { .. } => 1,
            Self::Captured { .. } | Self::Voided => 2,
        }
    }
}

/// What delivery has said.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Delivery {
    /// What the shopper tells the courier.
    pub pin: Option<String>,
    /// Who brings it.
    pub courier: Option<String>,
    /// Whether the courier has the goods.
    pub picked_up: bool,
    /// Whether the courier is at the door.
    pub arrived: bool,
    /// Whether the goods were handed over.
    pub delivered: bool,
    /// Whether there is nothing to deliver any more.
    pub withdrawn: bool,
}

/// One step of the history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Moment {
    /// The state entered.
    pub state: State,
    /// When.
    pub at: Timestamp,
    /// Who or what moved it, as `shopper`, `picker`, `inventory`.
    pub by: String,
}

/// An order.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Order {
    /// Its id; the key of its hold, payment and delivery.
    pub id: OrderId,
    /// The cart it came from.
    pub cart: CartId,
    /// Who ordered, if signed in.
    pub customer: Option<PersonId>,
    /// The store that delivers.
    pub store: StoreId,
    /// How to reach the shopper.
    pub contact: Contact,
    /// Where.
    pub address: Address,
    /// When.
    pub slot: Slot,
    /// What.
    pub lines: Vec<Line>,
    /// What delivery costs.
    pub fee: Money,
    /// The tax in the total.
    pub tax: Money,
    /// All of it.
    pub total: Money,
    /// The provider's token for the shopper's means of payment.
    pub payment_token: String,
    /// Where it is.
    pub state: State,
    /// What inventory has said.
    pub hold: Hold,
    /// What payments has said.
    pub payment: Payment,
    /// What delivery has said.
    pub delivery: Delivery,
    /// Why it ends, as `gave-up`, once it does.
    pub reason: Option<String>,
    /// Where it has been.
    pub history: Vec<Moment>,
    /// When it was taken.
    pub placed_at: Timestamp,
}

/// What an order says to others when it moves.
#[derive(Clone, PartialEq, Debug)]
pub enum Said {
    /// Authorise the money.
    Reserved(OrderReserved),
    /// Keep the hold.
    Commit(HoldCommit),
    /// It is promised.
    Confirmed(OrderConfirmed),
    /// It could not be held.
    Rejected(OrderRejected),
    /// The money was refused.
    PaymentFailed(OrderPaymentFailed),
    /// Give back what you have for it.
    Cancelling(OrderCancelling),
    /// Give back the hold.
    Release(HoldRelease),
    /// It has ended.
    Cancelled(OrderCancelled),
    /// It waits for a courier.
    Ready(OrderReady),
    /// Take the money.
    Delivered(OrderDelivered),
    /// The goods are gone.
    Consume(HoldConsume),
}

/// What an order hears from others.
#[derive(Clone, PartialEq, Debug)]
pub enum Heard {
    /// From inventory.
    Hold(Hold),
    /// From payments.
    Payment(Payment),
    /// From delivery: its PIN.
    Pin(String),
    /// From delivery: who brings it.
    Courier(String),
    /// From delivery: the courier has the goods.
    PickedUp,
    /// From delivery: the courier is at the door.
    Arrived,
    /// From delivery: handed over.
    Delivered,
    /// From delivery: nothing to deliver any more.
    Withdrawn,
}

impl Heard {
    fn by(&self) -> &'static str {
        match self {
            Self::Hold(_) => "inventory",
            Self::Payment(_) => "payments",
            _ => "delivery",
        }
    }
}

impl Order {
    /// Takes in what was heard and moves as far as it leads. What is known already, or older, changes nothing.
    pub fn hear(&mut self, heard: Heard, now: Timestamp, pay_margin_ms: Millis) -> Vec<Said> {
        let by = heard.by();
        match heard {
            Heard::Hold(hold) if hold.rank() > self.hold.rank() => self.hold = hold,
            Heard::Payment(payment) if payment.rank() > self.payment.rank() => self.payment = payment,
            Heard::Hold(_) | Heard::Payment(_) => {}
            Heard::Pin(pin) => self.delivery.pin = Some(pin),
            Heard::Courier(name) => self.delivery.courier = Some(name),
            Heard::PickedUp => self.delivery.picked_up = true,
            Heard::Arrived => self.delivery.arrived = true,
            Heard::Delivered => self.delivery.delivered = true,
            Heard::Withdrawn => self.delivery.withdrawn = true,
        }
        let mut said = Vec::new();
        while self.advance(by, now, pay_margin_ms, &mut said) {}
        said
    }

    /// One move that follows from what is known, if any does.
    fn advance(&mut self, by: &str, now: Timestamp, pay_margin_ms: Millis, said: &mut Vec<Said>) -> bool {
        let (order, store) = (self.id, self.store);
        match (self.state, &self.hold, &self.payment) {
            (State::Placed, Hold::Rejected { short }, _) => {
                said.push(Said::Rejected(OrderRejected { order, detail: short_in_words(short) }));
                self.enter(State::Rejected, by, now);
            }
            (State::Placed, Hold::Reserved { expires_at }, _) => {
                let pay_by = expires_at.plus_ms(-pay_margin_ms);
                let payment_token = self.payment_token.clone();
                said.push(Said::Reserved(OrderReserved { order, store, amount: self.total, payment_token, pay_by }));
                self.enter(State::Reserved, by, now);
            }
            (State::Placed | State::Reserved | State::PaymentFailed | State::Authorised, Hold::Expired | Hold::Released, _) => {
                said.extend(self.end("hold-expired", by, now));
            }
            (State::Reserved, _, Payment::Authorised) => {
                said.push(Said::Commit(HoldCommit { order, store }));
                self.enter(State::Authorised, by, now);
            }
            (State::Reserved, _, Payment::Declined { reason }) => {
                said.push(Said::PaymentFailed(OrderPaymentFailed { order, detail: reason.clone() }));
                self.enter(State::PaymentFailed, by, now);
            }
            (State::Authorised, Hold::Committed, Payment::Authorised) => {
                let (contact, address, slot) = (self.contact.clone(), self.address.clone(), self.slot);
                said.push(Said::Confirmed(OrderConfirmed { order, store, contact, address, slot }));
                self.enter(State::Confirmed, by, now);
            }
            (State::Ready, ..) if self.delivery.picked_up || self.delivery.delivered => {
                self.enter(State::OutForDelivery, by, now);
            }
            (State::OutForDelivery, ..) if self.delivery.delivered => {
                said.push(Said::Delivered(OrderDelivered { order, amount: self.total }));
                said.push(Said::Consume(HoldConsume { order, store }));
                self.enter(State::Delivered, by, now);
            }
            (State::Cancelling, hold, Payment::Voided)
                if hold.is_over() && (self.delivery.withdrawn || !self.was(State::Confirmed)) =>
            {
                let reason = self.reason.clone().unwrap_or_default();
                said.push(Said::Cancelled(OrderCancelled { order, reason }));
                self.enter(State::Cancelled, by, now);
            }
            _ => return false,
        }
        true
    }

    /// Gives the order up on somebody's wish.
    ///
    /// # Errors
    /// `too-late` once it is being picked, `order-ended` once it has ended.
    pub fn cancel(&mut self, reason: &str, by: &str, now: Timestamp, pay_margin_ms: Millis) -> Result<Vec<Said>, Fault> {
        match self.state {
            State::Cancelling => Ok(Vec::new()),
            State::Placed | State::Reserved | State::PaymentFailed | State::Authorised | State::Confirmed => {
                let mut said = self.end(reason, by, now);
                while self.advance(by, now, pay_margin_ms, &mut said) {}
                Ok(said)
            }
            State::Picking | State::Ready | State::OutForDelivery => {
                Err(self.illegal("too-late", "it is being prepared or on its way already; ask the store"))
            }
            State::Delivered | State::Rejected | State::Cancelled => Err(self.illegal("order-ended", "it has ended already")),
        }
    }

    /// Begins to pick.
    ///
    /// # Errors
    /// `illegal-move` unless it is confirmed.
    pub fn pick(&mut self, by: &str, now: Timestamp) -> Result<Vec<Said>, Fault> {
        if self.state != State::Confirmed {
            return Err(self.illegal("illegal-move", "only a confirmed order can be picked"));
        }
        self.enter(State::Picking, by, now);
        Ok(Vec::new())
    }

    /// Has picked everything.
    ///
    /// # Errors
    /// `illegal-move` unless it is being picked.
    pub fn ready(&mut self, by: &str, now: Timestamp) -> Result<Vec<Said>, Fault> {
        if self.state != State::Picking {
            return Err(self.illegal("illegal-move", "only an order that is being picked can be ready"));
        }
        self.enter(State::Ready, by, now);
        Ok(vec![Said::Ready(OrderReady { order: self.id, store: self.store })])
    }

    fn end(&mut self, reason: &str, by: &str, now: Timestamp) -> Vec<Said> {
        self.reason = Some(reason.to_owned());
        let mut said = vec![Said::Cancelling(OrderCancelling { order: self.id, reason: reason.to_owned() })];
        if !self.hold.is_over() {
            said.push(Said::Release(HoldRelease { order: self.id, store: self.store }));
        }
        self.enter(State::Cancelling, by, now);
        said
    }

    fn enter(&mut self, state: State, by: &str, now: Timestamp) {
        self.state = state;
        self.history.push(Moment { state, at: now, by: by.to_owned() });
    }

    fn was(&self, state: State) -> bool {
        self.history.iter().any(|moment| moment.state == state)
    }

    fn illegal(&self, reason: &str, detail: &str) -> Fault {
        Fault::conflict(reason, format!("the order is {}: {detail}", self.state.as_str())).with("state", self.state.as_str())
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

#[cfg(test)]
mod tests;
