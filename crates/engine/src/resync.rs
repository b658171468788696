//! Rebuilding a copy while the shop runs: the owner says what it has again through its own log, page by page, and whoever
//! copies it hears it as ever. What is said again is decided on the row as it is, so it never overtakes a change; and a row
//! that only the copy has is said to be gone. Leaves what there is to say to the services, and who asks to the program.

use std::sync::Arc;

use contracts::Event;
use kernel::{BoxFuture, Fault, TraceContext};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::handle::{Command, Handle, Stored, fault_of};
use crate::input::{DEADLINE_DEFAULT_MS, Stop};
use crate::keys::KeyScope;
use crate::lanes::Lane;
use crate::reader::outbox_of;
use crate::service::Running;
use crate::subscription::{Subscription, outbox_cursor};
use crate::tables::Cursor;
use crate::work::Work;

/// How many rows one step says at most: a full batch of other work is not much more.
const STEP_ROWS_MAX: i64 = 100;

/// The keys after one, in order; up to so many.
type Keys = Arc<dyn Fn(Handle, Option<Value>) -> BoxFuture<'static, Result<Vec<Value>, Fault>> + Send + Sync>;
/// Says what stands under a key.
type Say = Arc<dyn Fn(&mut Work<'_>, &Value) -> Result<(), Stop> + Send + Sync>;

/// What a service can say again of the rows that others copy.
#[derive(Clone)]
pub struct Republish {
    kind: &'static str,
    keys: Keys,
    say: Say,
    gone: Option<Say>,
}

/// Which rows a service has copied, for those that their owner may take away.
#[derive(Clone)]
pub struct Copied {
    kind: &'static str,
    keys: Keys,
}

impl Republish {
    /// Rows that are told by events of type `E`: `keys` gives up to so many keys after one, in their order, and `say` says the
    /// row of a key as it is, if there is one.
    #[must_use]
    pub fn of<E: Event, K: Serialize + DeserializeOwned + 'static>(
        keys: impl Fn(Handle, Option<K>, i64) -> BoxFuture<'static, Result<Vec<K>, Fault>> + Send + Sync + 'static,
        say: impl Fn(&mut Work<'_>, &K) -> Result<(), Stop> + Send + Sync + 'static,
    ) -> Self {
        Self { kind: E::KIND, keys: erased_keys(keys), say: erased_say(say), gone: None }
    }

    /// Rows may also go: `gone` says so of a key of which there is no row, and nothing if there is one.
    #[must_use]
    pub fn or_gone<K: DeserializeOwned + 'static>(
        self,
        gone: impl Fn(&mut Work<'_>, &K) -> Result<(), Stop> + Send + Sync + 'static,
    ) -> Self {
        Self { gone: Some(erased_say(gone)), ..self }
    }

    /// The type of the events that it says.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }
}

impl Copied {
    /// The copies made of events of type `E`: `keys` gives up to so many of their keys after one, in their order.
    #[must_use]
    pub fn of<E: Event, K: Serialize + DeserializeOwned + 'static>(
        keys: impl Fn(Handle, Option<K>, i64) -> BoxFuture<'static, Result<Vec<K>, Fault>> + Send + Sync + 'static,
    ) -> Self {
        Self { kind: E::KIND, keys: erased_keys(keys) }
    }
}

/// A copy that is rebuilt: whose it is, who owns the truth, and what both know of it.
pub struct Resync<'a> {
    /// The service that has the copy.
    pub consumer: &'a Running,
    /// The service that owns what was copied.
    pub owner: &'a Running,
    /// What the owner can say again.
    pub states: &'a [Republish],
    /// What the consumer has copied.
    pub copies: &'a [Copied],
}

/// Where a resync stands between two steps.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Position {
    /// Which pass, from 0: first each kind of rows that the owner has, then those that only the copy has.
    pass: usize,
    /// The last key of the pass that was said.
    after: Option<Value>,
}

/// How far the consumer has heard its owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Progress {
    /// Up to where it has applied the owner's log.
    pub heard: i64,
    /// The last of it that concerns the consumer.
    pub last: i64,
}

/// One pass over rows.
struct Pass<'a> {
    keys: &'a Keys,
    /// Whose rows they are.
    of: &'a Handle,
    say: &'a Say,
}

impl Resync<'_> {
    /// Whether the consumer copies anything that the owner can say again.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        !self.passes().is_empty()
    }

    /// Lets the owner say the next rows, once under `key`, and tells where to go on; `None` at the end.
    ///
    /// # Errors
    /// `invalid-field` if the position is none of this resync; what a command may meet.
    pub async fn step(&self, at: Option<Position>, key: KeyScope, trace: TraceContext) -> Result<Option<Position>, Fault> {
        let at = at.unwrap_or(Position { pass: 0, after: None });
        let passes = self.passes();
        let pass = passes.get(at.pass).ok_or_else(|| Fault::invalid_field("/after", "give the `next` of the answer before"))?;
        let keys = (pass.keys)(pass.of.clone(), at.after).await?;
        let full = i64::try_from(keys.len()) == Ok(STEP_ROWS_MAX);
        let next = match keys.last() {
            Some(last) if full => Some(Position { pass: at.pass, after: Some(last.clone()) }),
            _ => (at.pass + 1 < passes.len()).then_some(Position { pass: at.pass + 1, after: None }),
        };
        let resource = serde_json::to_string(&next).map_err(|error| Fault::internal(error.to_string()))?;
        let say = pass.say.clone();
        let decide = move |work: &mut Work<'_>| {
            let said: Result<Vec<()>, Stop> = each(&keys, |key| say(work, key));
            said.map(|_| Stored { status: 200, resource: resource.clone() })
        };
        let show = |_: &mut Work<'_>, _: &str| Ok(Value::Null);
        let (lane, bytes, deadline_ms) = (Lane::Rest, 1024, DEADLINE_DEFAULT_MS);
        let reply = self.owner.handle.command(Command { lane, key, trace, bytes, deadline_ms, decide, show }).await?;
        serde_json::from_str(&reply.resource).map_err(|error| Fault::internal(error.to_string()))
    }

    /// How far the consumer has heard its owner.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn progress(&self) -> Result<Progress, Fault> {
        let (consumer, owner) = (&self.consumer.handle, self.owner.handle.service);
        let outbox = outbox_of(owner, consumer).await?;
        let topics: Vec<&'static str> = self.subscription().map(|to| to.topics.keys().copied().collect()).unwrap_or_default();
        let last = outbox.last(&topics).await.map_err(fault_of)?;
        let cursor = consumer.find::<Cursor>(&outbox_cursor(consumer.service, outbox.source())).await?;
        Ok(Progress { heard: cursor.map_or(0, |(cursor, _)| cursor.seq), last })
    }

    fn subscription(&self) -> Option<&Subscription> {
        let to_owner = |subscription: &&Arc<Subscription>| subscription.to == self.owner.handle.service;
        self.consumer.subscriptions.iter().find(to_owner).map(|subscription| &**subscription)
    }

    fn passes(&self) -> Vec<Pass<'_>> {
        let Some(subscription) = self.subscription() else { return Vec::new() };
        let copied: Vec<&Republish> = self.states.iter().filter(|state| subscription.copies(state.kind)).collect();
        let said = copied.iter().map(|state| Pass { keys: &state.keys, of: &self.owner.handle, say: &state.say });
        let gone = copied.iter().filter_map(|state| {
            let copies = self.copies.iter().find(|copies| copies.kind == state.kind)?;
            Some(Pass { keys: &copies.keys, of: &self.consumer.handle, say: state.gone.as_ref()? })
        });
        said.chain(gone).collect()
    }
}

/// Runs `say` for each key, also for those after one whose row is not loaded yet, so that all rows come in one round.
fn each(keys: &[Value], mut say: impl FnMut(&Value) -> Result<(), Stop>) -> Result<Vec<()>, Stop> {
    let said: Vec<Result<(), Stop>> = keys.iter().map(&mut say).collect();
    said.into_iter().collect()
}

fn erased_keys<K: Serialize + DeserializeOwned + 'static>(
    keys: impl Fn(Handle, Option<K>, i64) -> BoxFuture<'static, Result<Vec<K>, Fault>> + Send + Sync + 'static,
) -> Keys {
    Arc::new(move |handle, after| {
        let after = after.map(serde_json::from_value).transpose();
        let after = after.map_err(|_| Fault::invalid_field("/after", "give the `next` of the answer before"));
        let found = after.map(|after| keys(handle, after, STEP_ROWS_MAX));
        Box::pin(async move {
            let found = found?.await?;
            let values = found.iter().map(serde_json::to_value).collect::<Result<_, _>>();
            values.map_err(|error| Fault::internal(error.to_string()))
        })
    })
}

fn erased_say<K: DeserializeOwned>(say: impl Fn(&mut Work<'_>, &K) -> Result<(), Stop> + Send + Sync + 'static) -> Say {
    Arc::new(move |work, key| {
        let key: K = serde_json::from_value(key.clone()).map_err(|error| Stop::Broken(error.to_string()))?;
        say(work, &key)
    })
}
