//! Rebuilding a copy while the shop runs: the owner says what it has again through its own log, page by page, and whoever
//! copies it hears it as ever. What is said again is decided on the row as it is, so it never overtakes a change; and a row
//! that only the copy has is said to be gone. Leaves what there is to say to the services, and who asks to the program.

use std::sync::Arc;

use contracts::Event;
use kernel::{BoxFuture, Fault, TraceContext};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::handle::{Command, Handle, Stored};
use crate::input::{DEADLINE_DEFAULT_MS, Stop};
use crate::keys::KeyScope;
use crate::lanes::Lane;
use crate::subscription::Subscription;
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

/// One pass over rows of a kind, a step at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pass {
    /// The type of the events that tell the rows.
    pub kind: &'static str,
    /// Whether it is over the rows that the copy has, to find those that the owner has no more.
    pub gone: bool,
}

/// Where a resync stands between two steps.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Position {
    /// Which pass, from 0.
    pub pass: usize,
    /// The last key of the pass that was said.
    pub after: Option<Value>,
}

/// The passes of a resync: first over each kind of rows that the owner has and the subscriber copies, then over those that only
/// the copy has. None if the subscriber copies nothing that can be said again.
#[must_use]
pub fn passes(subscription: &Subscription, states: &[Republish], copies: &[Copied]) -> Vec<Pass> {
    let copied = || states.iter().filter(|state| subscription.copies(state.kind));
    let may_go = |state: &&Republish| state.gone.is_some() && copies.iter().any(|copies| copies.kind == state.kind);
    let owned = copied().map(|state| Pass { kind: state.kind, gone: false });
    owned.chain(copied().filter(may_go).map(|state| Pass { kind: state.kind, gone: true })).collect()
}

impl Republish {
    /// Lets `owner` say the rows after `after`, once under `key`, and tells behind which to go on; `None` at the end.
    ///
    /// # Errors
    /// `invalid-field` if nothing can stand after `after`; what a command may meet.
    pub async fn say(
        &self,
        owner: &Handle,
        after: Option<Value>,
        key: KeyScope,
        trace: TraceContext,
    ) -> Result<Option<Value>, Fault> {
        let keys = (self.keys)(owner.clone(), after).await?;
        let next = next_of(&keys);
        say(owner, self.say.clone(), keys, next, key, trace).await
    }

    /// Lets `owner` say of each of `keys`, which a copy has, that there is no such row if there is none; once under `key`.
    ///
    /// # Errors
    /// What a command may meet.
    pub async fn say_gone(&self, owner: &Handle, keys: Vec<Value>, key: KeyScope, trace: TraceContext) -> Result<(), Fault> {
        let Some(gone) = self.gone.clone() else { return Ok(()) };
        say(owner, gone, keys, None, key, trace).await.map(drop)
    }
}

impl Copied {
    /// The type of the events that it is made of.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The keys that `consumer` has copied after `after`, and behind which to go on; `None` at the end.
    ///
    /// # Errors
    /// `invalid-field` if nothing can stand after `after`; `unavailable`.
    pub async fn keys(&self, consumer: &Handle, after: Option<Value>) -> Result<(Vec<Value>, Option<Value>), Fault> {
        let keys = (self.keys)(consumer.clone(), after).await?;
        let next = next_of(&keys);
        Ok((keys, next))
    }
}

/// The last of `keys`, if there may be more behind it.
fn next_of(keys: &[Value]) -> Option<Value> {
    let full = i64::try_from(keys.len()) == Ok(STEP_ROWS_MAX);
    keys.last().filter(|_| full).cloned()
}

/// Says what stands under each of `keys`, once, and gives `next` again whenever that is repeated.
async fn say(
    owner: &Handle,
    say: Say,
    keys: Vec<Value>,
    next: Option<Value>,
    key: KeyScope,
    trace: TraceContext,
) -> Result<Option<Value>, Fault> {
    let resource = serde_json::to_string(&next).map_err(|error| Fault::internal(error.to_string()))?;
    let decide = move |work: &mut Work<'_>| {
        let said: Result<Vec<()>, Stop> = each(&keys, |key| say(work, key));
        said.map(|_| Stored { status: 200, resource: resource.clone() })
    };
    let show = |_: &mut Work<'_>, _: &str| Ok(Value::Null);
    let (lane, bytes, deadline_ms) = (Lane::Rest, 1024, DEADLINE_DEFAULT_MS);
    let reply = owner.command(Command { lane, key, trace, bytes, deadline_ms, decide, show }).await?;
    serde_json::from_str(&reply.resource).map_err(|error| Fault::internal(error.to_string()))
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
