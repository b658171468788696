//! What is given back of an order that was delivered: asked for here, paid by payments, shown beside the order.
//! No more is ever asked for than was captured less what was given back, is on its way, or was lost to a bank.
//! Leaves who may ask to `moves`.

use std::collections::BTreeSet;

use contracts::orders::OrderRefundRequested;
use contracts::{PersonId, RefundId, Sku};
use kernel::{Fault, FieldFault, Money, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Cause, Order, Payment, Said, What};

/// How many refunds an order may have.
pub const REFUNDS_MAX: usize = 100;

/// What is to be given back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Share {
    /// So much.
    Amount(Money),
    /// So many units of these SKUs, with their tax; the delivery's fee is not among them.
    Lines(Vec<(Sku, i64)>),
    /// All that is left.
    All,
}

/// How far a refund has come.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum RefundState {
    /// Payments was asked.
    Pending,
    /// The shopper has it.
    Paid,
    /// The provider refused.
    Failed {
        /// The provider's reason.
        failure: String,
    },
}

/// Units that a refund gives back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RefundLine {
    /// Of what.
    pub sku: Sku,
    /// How many.
    pub quantity: i64,
    /// What they cost with tax.
    pub amount: Money,
}

/// A refund.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refund {
    /// Its id; the same one is paid once.
    pub id: RefundId,
    /// How much.
    pub amount: Money,
    /// For which units, if for any.
    pub lines: Vec<RefundLine>,
    /// Why, in the words of whoever asked for it.
    pub reason: String,
    /// Who asked for it.
    pub person: Option<PersonId>,
    /// When.
    pub asked_at: Timestamp,
    /// How far it has come.
    #[serde(flatten)]
    pub state: RefundState,
}

impl Refund {
    fn is_live(&self) -> bool {
        !matches!(self.state, RefundState::Failed { .. })
    }
}

impl Order {
    /// What was captured; nothing before it was delivered.
    #[must_use]
    pub fn captured(&self) -> Option<Money> {
        match self.payment {
            Payment::Captured { amount } => Some(amount),
            _ => None,
        }
    }

    /// What was given back.
    #[must_use]
    pub fn refunded(&self) -> Money {
        let paid = self.sum_of(|refund| refund.state == RefundState::Paid);
        Money::new(paid.max(self.refunded_minor), self.total.currency)
    }

    /// What was asked to be given back, and is not yet.
    #[must_use]
    pub fn refunds_pending(&self) -> Money {
        Money::new(self.sum_of(|refund| refund.state == RefundState::Pending), self.total.currency)
    }

    /// What can still be given back.
    #[must_use]
    pub fn refundable(&self) -> Money {
        let captured = self.captured().map_or(0, |amount| amount.minor);
        let lost = self.dispute.as_ref().filter(|dispute| dispute.won == Some(false)).map_or(0, |dispute| dispute.amount.minor);
        let left = captured - self.refunded().minor - self.refunds_pending().minor - lost;
        Money::new(left.max(0), self.total.currency)
    }

    fn sum_of(&self, which: impl Fn(&Refund) -> bool) -> i64 {
        self.refunds.iter().filter(|refund| which(refund)).map(|refund| refund.amount.minor).sum()
    }

    /// Asks for a refund; who may was looked at before.
    pub(super) fn refund(&mut self, id: RefundId, share: &Share, reason: &str, cause: &Cause) -> Result<Vec<Said>, Fault> {
        let left = self.refundable();
        let (amount, lines, field) = match share {
            Share::All => (left, Vec::new(), "/all"),
            Share::Amount(amount) => (self.check_amount(*amount)?, Vec::new(), "/amount/minor"),
            Share::Lines(wanted) => {
                let lines = self.refund_lines(wanted)?;
                let minor = lines.iter().map(|line| line.amount.minor).sum();
                (Money::new(minor, left.currency), lines, "/lines")
            }
        };
        if amount.minor < 1 {
            return Err(Fault::invalid_field(field, "there is nothing to give back for this"));
        }
        if amount.minor > left.minor {
            let detail = format!("{amount} is more than the {left} that can still be given back");
            let mut fault = Fault::conflict("more-than-left", detail.clone()).with("left_minor", left.minor);
            fault.fields.push(FieldFault { field: field.to_owned(), detail });
            return Err(fault);
        }
        let (person, asked_at, state) = (cause.person, cause.now, RefundState::Pending);
        self.refunds.push(Refund { id, amount, lines, reason: reason.to_owned(), person, asked_at, state });
        self.note(What::RefundAsked, Some(format!("{amount}: {reason}")), cause);
        let asked = OrderRefundRequested { order: self.id, refund: id, amount, reason: reason.to_owned() };
        Ok(vec![Said::RefundRequested(asked)])
    }

    fn check_amount(&self, amount: Money) -> Result<Money, Fault> {
        let currency = self.total.currency;
        if amount.currency == currency {
            return Ok(amount);
        }
        Err(Fault::invalid_field("/amount/currency", format!("the order was paid in {currency}")))
    }

    fn refund_lines(&self, wanted: &[(Sku, i64)]) -> Result<Vec<RefundLine>, Fault> {
        let mut named = BTreeSet::new();
        let mut lines = Vec::new();
        for (index, (sku, quantity)) in wanted.iter().enumerate() {
            let refused = |field: &str, detail: String| Err(Fault::invalid_field(format!("/lines/{index}/{field}"), detail));
            let there = self.units_now(sku);
            if there == 0 {
                return refused("sku", format!("{sku} was not delivered with this order"));
            }
            if !named.insert(sku) {
                return refused("sku", format!("{sku} is named twice; say once how many over all lines"));
            }
            let before = || self.refunds.iter().filter(|refund| refund.is_live()).flat_map(|refund| &refund.lines);
            let before = || before().filter(|line| line.sku == *sku);
            let (units, given): (i64, i64) =
                (before().map(|line| line.quantity).sum(), before().map(|line| line.amount.minor).sum());
            if *quantity > there - units {
                return refused("quantity", format!("{there} were delivered and {units} are refunded already"));
            }
            // What all of them are worth less what was given back for the others: so parts add up to the whole.
            let minor = (self.worth_of(sku, units + quantity) - given).max(0);
            lines.push(RefundLine { sku: sku.clone(), quantity: *quantity, amount: Money::new(minor, self.total.currency) });
        }
        Ok(lines)
    }

    /// A refund was paid; also one that was not asked for here, which only counts.
    pub(super) fn refund_paid(&mut self, id: RefundId, amount: Money, refunded: Money, cause: &Cause) {
        let asked = self.refunds.iter_mut().find(|refund| refund.id == id);
        let news = match asked {
            Some(refund) => std::mem::replace(&mut refund.state, RefundState::Paid) != RefundState::Paid,
            None => refunded.minor > self.refunded_minor,
        };
        self.refunded_minor = self.refunded_minor.max(refunded.minor);
        if news {
            self.note(What::RefundPaid, Some(amount.to_string()), cause);
        }
    }

    /// The provider refused a refund.
    pub(super) fn refund_failed(&mut self, id: RefundId, reason: String, cause: &Cause) {
        let asked = self.refunds.iter_mut().find(|refund| refund.id == id && refund.state == RefundState::Pending);
        let Some(refund) = asked else { return };
        refund.state = RefundState::Failed { failure: reason.clone() };
        let amount = refund.amount;
        self.note(What::RefundFailed, Some(format!("{amount}: {reason}")), cause);
    }
}
