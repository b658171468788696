//! The port to whoever moves the money.
//! Leaves what is asked, and what follows from the answer, to payments; how a provider is reached to its adapter.

use contracts::OrderId;
use kernel::{BoxFuture, Money};

use crate::domain::outcome::Outcome;

/// A payment provider. A key names one question for ever: whoever sends it again with the same parameters gets what became
/// of it the first time. What is not known for certain is [`Outcome::Unknown`], never a guess.
pub trait Provider: Send + Sync + 'static {
    /// Holds `amount` for `order` by the means of payment behind `token`: one intent for each key.
    fn authorise<'a>(&'a self, key: &'a str, order: OrderId, amount: Money, token: &'a str) -> BoxFuture<'a, Outcome>;
    /// Takes `amount` of what `intent` holds and lets the rest go. An intent is captured once.
    fn capture<'a>(&'a self, key: &'a str, intent: &'a str, amount: Money) -> BoxFuture<'a, Outcome>;
    /// Lets go what `intent` holds; done too if it is let go already.
    fn void<'a>(&'a self, key: &'a str, intent: &'a str) -> BoxFuture<'a, Outcome>;
    /// What became of the question under `key`; unknown if the provider has not heard of it.
    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Outcome>;
}
