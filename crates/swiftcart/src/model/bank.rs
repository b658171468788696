//! Who moves the money: its own books, and answers that follow from the token of the card, so that the same history has the
//! same answers. Some questions are lost, some answers; asked again under their key they come to what they came to. What
//! shoppers and their banks do there, the test does.
//! Leaves when an answer arrives to the test.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use contracts::OrderId;
use kernel::{BoxFuture, Fault, FaultKind, Money, Timestamp};
use payments::{Ask, Charge, Dispute, Nudge, Outcome, Provider, Silence, Standing, Truth};
use serde::Deserialize;

/// Cards by what happens to questions about them.
pub(super) const CARDS: [&str; 5] = ["tok_ok", "tok_declined", "tok_answers_lost", "tok_questions_lost", "tok_action"];
/// What a webhook that is really ours is signed with.
pub(super) const SIGNATURE: &str = "signed";

/// The books.
#[derive(Default)]
pub(super) struct Bank(Mutex<Books>);

#[derive(Default)]
struct Books {
    /// How often each question was asked.
    asked: BTreeMap<String, u32>,
    /// What those came to that took effect.
    outcomes: BTreeMap<String, Outcome>,
    intents: Vec<Intent>,
    changes: i64,
}

/// The money of one authorisation.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Intent {
    pub(super) order: OrderId,
    card: String,
    truth: Truth,
}

impl Intent {
    /// What is held and not taken.
    pub(super) fn held(&self) -> i64 {
        if self.truth.standing == Standing::Authorised { self.truth.amount.minor } else { 0 }
    }

    /// What was taken.
    pub(super) fn captured(&self) -> i64 {
        self.truth.captured_minor
    }

    /// What of that was given back.
    pub(super) fn refunded(&self) -> i64 {
        self.truth.refunded_minor
    }

    /// Whether it was held and let go because nobody took it in time.
    pub(super) fn has_expired(&self) -> bool {
        self.truth.standing == Standing::Expired
    }

    /// What shopper, or bank, may do next.
    fn acts(&self) -> &'static [Act] {
        match (self.truth.standing, self.truth.dispute) {
            (Standing::RequiresAction, _) => &[Act::Pass, Act::Fail],
            (Standing::Authorised, _) => &[Act::Expire],
            (Standing::Captured, None) => &[Act::Dispute],
            (Standing::Captured, Some(Dispute::Open)) => &[Act::Win, Act::Lose],
            _ => &[],
        }
    }
}

/// What happens at the bank without us.
#[derive(Clone, Copy)]
enum Act {
    Pass,
    Fail,
    Expire,
    Dispute,
    Win,
    Lose,
}

/// A webhook as it is sent.
#[derive(Deserialize)]
struct Hook {
    id: String,
    order: Option<OrderId>,
}

impl Books {
    fn change(&mut self, index: usize, change: impl FnOnce(&mut Truth)) {
        self.changes += 1;
        let truth = &mut self.intents[index].truth;
        truth.changed = self.changes;
        change(truth);
    }

    fn index_of(&self, intent: &str) -> Option<usize> {
        self.intents.iter().position(|found| found.truth.intent == intent)
    }
}

impl Bank {
    /// Every authorisation that was asked for and not refused at once, in the order in which they were.
    pub(super) fn intents(&self) -> Vec<Intent> {
        self.lock().intents.clone()
    }

    /// Lets shopper or bank do something with the money of `order`; tells whether there was anything to do.
    pub(super) fn act(&self, order: OrderId, how: usize) -> bool {
        let mut books = self.lock();
        let open = |intent: &Intent| intent.order == order && !intent.acts().is_empty();
        let Some(index) = books.intents.iter().position(open) else { return false };
        let acts = books.intents[index].acts();
        let act = acts[how % acts.len()];
        books.change(index, |truth| match act {
            Act::Pass => truth.standing = Standing::Authorised,
            Act::Fail => truth.standing = Standing::Declined,
            Act::Expire => truth.standing = Standing::Expired,
            Act::Dispute => truth.dispute = Some(Dispute::Open),
            Act::Win => truth.dispute = Some(Dispute::Won),
            Act::Lose => truth.dispute = Some(Dispute::Lost),
        });
        true
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `act` once under `key`, loses what its card loses, and answers.
    fn answer(&self, key: &str, card: &str, act: impl FnOnce(&mut Books) -> Outcome) -> BoxFuture<'static, Outcome> {
        let mut books = self.lock();
        let asked = books.asked.entry(key.to_owned()).or_default();
        *asked += 1;
        let first = *asked == 1;
        if first && card == "tok_questions_lost" {
            return Box::pin(async { Outcome::unknown("the question was lost") });
        }
        let outcome = books.outcomes.get(key).cloned().unwrap_or_else(|| act(&mut books));
        books.outcomes.insert(key.to_owned(), outcome.clone());
        let answer = if first && card == "tok_answers_lost" { Outcome::unknown("the answer was lost") } else { outcome };
        Box::pin(async move { answer })
    }

    /// Changes an intent under `key`, if `allowed`.
    fn change(
        &self,
        key: &str,
        intent: &str,
        change: impl FnOnce(&mut Truth) -> Result<(), &'static str>,
    ) -> BoxFuture<'static, Outcome> {
        let index = self.lock().index_of(intent);
        let card = index.map(|index| self.lock().intents[index].card.clone()).unwrap_or_default();
        self.answer(key, &card, |books| {
            let Some(index) = index else { return Outcome::declined("no-such-intent") };
            let mut changed = books.intents[index].truth.clone();
            match change(&mut changed) {
                Err(reason) => Outcome::declined(reason),
                Ok(()) if changed == books.intents[index].truth => Outcome::Done { intent: intent.to_owned() },
                Ok(()) => {
                    books.change(index, |truth| *truth = Truth { changed: truth.changed, ..changed });
                    Outcome::Done { intent: intent.to_owned() }
                }
            }
        })
    }
}

fn told<T: Send + 'static>(told: T) -> BoxFuture<'static, Result<T, Silence>> {
    Box::pin(async move { Ok(told) })
}

impl Provider for Bank {
    fn authorise<'a>(&'a self, ask: Ask<'a>, charge: &'a Charge) -> BoxFuture<'a, Outcome> {
        let Charge { order, amount, token, .. } = charge;
        self.answer(ask.key, token, |books| {
            if token == "tok_declined" {
                return Outcome::declined("card-declined");
            }
            let (intent, acts) = (format!("pi_{}", ask.key), token == "tok_action");
            let url = acts.then(|| format!("https://bank.example/{intent}"));
            let truth = Truth {
                intent: intent.clone(),
                reference: order.to_string(),
                standing: if acts { Standing::RequiresAction } else { Standing::Authorised },
                amount: *amount,
                captured_minor: 0,
                refunded_minor: 0,
                url: url.clone(),
                dispute: None,
                changed: 0,
            };
            books.intents.push(Intent { order: *order, card: token.clone(), truth });
            books.change(books.intents.len() - 1, |_| {});
            match url {
                Some(url) => Outcome::ActionRequired { intent, url },
                None => Outcome::Done { intent },
            }
        })
    }

    fn capture<'a>(&'a self, ask: Ask<'a>, intent: &'a str, amount: Money) -> BoxFuture<'a, Outcome> {
        self.change(ask.key, intent, |truth| {
            if truth.standing != Standing::Authorised || truth.amount.minor < amount.minor {
                return Err("not-held");
            }
            (truth.standing, truth.captured_minor) = (Standing::Captured, amount.minor);
            Ok(())
        })
    }

    fn void<'a>(&'a self, ask: Ask<'a>, intent: &'a str) -> BoxFuture<'a, Outcome> {
        self.change(ask.key, intent, |truth| match truth.standing {
            Standing::Captured => Err("captured"),
            Standing::RequiresAction | Standing::Authorised => {
                truth.standing = Standing::Voided;
                Ok(())
            }
            Standing::Declined | Standing::Voided | Standing::Expired => Ok(()),
        })
    }

    fn refund<'a>(&'a self, ask: Ask<'a>, intent: &'a str, amount: Money) -> BoxFuture<'a, Outcome> {
        self.change(ask.key, intent, |truth| {
            let refunded = truth.refunded_minor + amount.minor;
            if refunded > truth.captured_minor || truth.dispute == Some(Dispute::Lost) {
                return Err("not-captured");
            }
            truth.refunded_minor = refunded;
            Ok(())
        })
    }

    fn find<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Result<Option<Outcome>, Silence>> {
        told(self.lock().outcomes.get(ask.key).cloned())
    }

    fn truth<'a>(&'a self, intent: &'a str) -> BoxFuture<'a, Result<Option<Truth>, Silence>> {
        let books = self.lock();
        told(books.index_of(intent).map(|index| books.intents[index].truth.clone()))
    }

    fn changes<'a>(&'a self, after: i64, limit: usize) -> BoxFuture<'a, Result<Vec<Truth>, Silence>> {
        let mut changed: Vec<Truth> = self.lock().intents.iter().map(|intent| intent.truth.clone()).collect();
        changed.retain(|truth| truth.changed > after);
        changed.sort_by_key(|truth| truth.changed);
        changed.truncate(limit);
        told(changed)
    }

    fn verify(&self, signature: &str, body: &[u8], _: Timestamp) -> Result<Nudge, Fault> {
        if signature != SIGNATURE {
            return Err(Fault::new(FaultKind::Unauthenticated, "signature-invalid", "this was not signed by the provider"));
        }
        let Hook { id, order } = serde_json::from_slice(body).map_err(|error| Fault::invalid_field("", error.to_string()))?;
        Ok(Nudge { id, order })
    }
}
