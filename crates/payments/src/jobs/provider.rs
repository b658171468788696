//! The port to whoever moves the money.
//! Leaves what is asked, and what follows from the answer, to payments; how a provider is reached to its adapter.

use contracts::OrderId;
use kernel::{BoxFuture, Fault, Money, Timestamp, TraceContext};

use crate::domain::outcome::{Outcome, Truth};

/// A payment provider. A key names one question for ever: whoever sends it again with the same parameters gets what became
/// of it the first time. What is not known for certain is [`Outcome::Unknown`] or [`Silence`], never a guess.
pub trait Provider: Send + Sync + 'static {
    /// Holds what the charge says: one intent for each key.
    fn authorise<'a>(&'a self, ask: Ask<'a>, charge: &'a Charge) -> BoxFuture<'a, Outcome>;
    /// Takes `amount` of what `intent` holds and lets the rest go. An intent is captured once.
    fn capture<'a>(&'a self, ask: Ask<'a>, intent: &'a str, amount: Money) -> BoxFuture<'a, Outcome>;
    /// Lets go what `intent` holds, or waits to hold; done too if it is let go already.
    fn void<'a>(&'a self, ask: Ask<'a>, intent: &'a str) -> BoxFuture<'a, Outcome>;
    /// Gives back `amount` of what was taken of `intent`.
    fn refund<'a>(&'a self, ask: Ask<'a>, intent: &'a str, amount: Money) -> BoxFuture<'a, Outcome>;
    /// What became of the question under the key of `ask`; nothing if no question of that key ever took effect.
    fn find<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Result<Option<Outcome>, Silence>>;
    /// What the provider has of `intent`, if it knows it.
    fn truth<'a>(&'a self, intent: &'a str) -> BoxFuture<'a, Result<Option<Truth>, Silence>>;
    /// The intents that changed after `after`, in the order of their last changes, at most `limit` of them.
    fn changes<'a>(&'a self, after: i64, limit: usize) -> BoxFuture<'a, Result<Vec<Truth>, Silence>>;
    /// What a webhook says, once it is certain that the provider sent it not long ago.
    ///
    /// # Errors
    /// Unauthenticated, if its signature is not right or too old; invalid, if it is right and the body says nothing.
    fn verify(&self, signature: &str, body: &[u8], now: Timestamp) -> Result<Nudge, Fault>;
}

/// How something is asked.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ask<'a> {
    /// What names the question.
    pub key: &'a str,
    /// The request that it goes back to, which the provider is told of.
    pub trace: &'a TraceContext,
}

/// What is to be held.
#[derive(Clone, PartialEq, Debug)]
pub struct Charge {
    /// For which order.
    pub order: OrderId,
    /// How much.
    pub amount: Money,
    /// The provider's token for the shopper's means of payment.
    pub token: String,
    /// Until when it is wanted.
    pub pay_by: Timestamp,
}

/// There was no answer to a question that changes nothing; what happened instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Silence(pub String);

/// A webhook: something about an intent has changed. It says not what: whoever hears it asks for the truth.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Nudge {
    /// Its own name, the same however often it is sent.
    pub id: String,
    /// Of which order the intent is, if it is one of ours.
    pub order: Option<OrderId>,
}
