//! The HTTP door of delivery: stores, the work of couriers, deliveries for staff, and what the audit asks.
//! Leaves deciding to `service`, and tokens, keys and conditions to `web`.

mod audit;
mod courier;
mod deliveries;
mod stores;

use std::sync::Arc;

use contracts::delivery::FailureReason;
use contracts::{OrderId, PersonId};
use engine::{DEADLINE_DEFAULT_MS, Handle, KeyScope, Lane, Reply, Stop, Stored, Work};
use kernel::Fault;
use serde::Deserialize;
use web::{Answer, Caller, Fingerprint, IdempotencyKey, Json, RouteInfo, Routes};

use crate::config::Config;
use crate::store::SERVICE;

/// What every handler works with.
#[derive(Clone)]
struct App {
    handle: Handle,
    config: Arc<Config>,
}

/// How long a reason or a note may be.
const NOTE_CHARS_MAX: usize = 200;

/// Why somebody takes a delivery from its courier, in their words.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    reason: String,
}

impl Reason {
    fn checked(self) -> Result<String, Fault> {
        match checked_line("/reason", &self.reason)?.is_empty() {
            true => Err(Fault::invalid_field("/reason", format!("expected 1 to {NOTE_CHARS_MAX} characters in one line"))),
            false => Ok(self.reason),
        }
    }
}

/// Why a delivery failed, and what is to be added.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Failed {
    reason: FailureReason,
    #[serde(default)]
    note: String,
}

impl Failed {
    /// The reason, which must be one of `known`, and the note.
    fn checked(self, known: &[FailureReason]) -> Result<(FailureReason, String), Fault> {
        if !known.contains(&self.reason) {
            let words: Vec<&str> = known.iter().map(|reason| reason.as_str()).collect();
            return Err(Fault::invalid_field("/reason", format!("expected one of {}", words.join(", "))));
        }
        checked_line("/note", &self.note)?;
        Ok((self.reason, self.note))
    }
}

/// The text without the space around it, which may be empty.
fn checked_line<'a>(field: &str, text: &'a str) -> Result<&'a str, Fault> {
    if text.chars().count() > NOTE_CHARS_MAX || text.chars().any(char::is_control) {
        return Err(Fault::invalid_field(field, format!("expected at most {NOTE_CHARS_MAX} characters in one line")));
    }
    Ok(text.trim())
}

/// The routes of the service behind `handle`.
#[must_use]
pub fn routes(handle: Handle, config: &Config) -> Routes {
    all().with_state(App { handle, config: Arc::new(config.clone()) })
}

/// What the routes are, and for whom: for a gateway that has them served elsewhere.
#[must_use]
pub fn table() -> Vec<RouteInfo> {
    all().list()
}

fn all() -> Routes<App> {
    let none = Routes::<App>::new(SERVICE);
    none.merge(stores::routes()).merge(courier::routes()).merge(deliveries::routes()).merge(audit::routes())
}

/// A write as it came in: who sends it, under which key, and about how large it is.
struct Sent {
    lane: Lane,
    caller: Caller,
    key: KeyScope,
    bytes: usize,
}

impl App {
    /// Runs a command once under its key.
    async fn command(
        &self,
        sent: Sent,
        decide: impl Fn(&mut Work<'_>) -> Result<Stored, Stop> + Send + Sync + 'static,
        show: impl Fn(&mut Work<'_>, &str) -> Result<Json, Stop> + Send + Sync + 'static,
    ) -> Result<Reply, Fault> {
        let Sent { lane, caller, key, bytes } = sent;
        let deadline_ms = DEADLINE_DEFAULT_MS;
        self.handle.command(engine::Command { lane, key, trace: caller.trace, bytes, deadline_ms, decide, show }).await
    }
}

/// A move of a delivery, which needs no more than the key it is sent under.
fn sent_for(order: OrderId, route: &'static str, caller: Caller, key: &IdempotencyKey, fingerprint: Fingerprint) -> Sent {
    let key = KeyScope::new(&caller, route, order, order.bucket(), key, fingerprint);
    Sent { lane: Lane::Money, caller, key, bytes: 256 }
}

/// The person who calls; the route's access has seen to it that there is one.
fn person_of(caller: &Caller) -> Result<PersonId, Fault> {
    caller.person().map(|person| PersonId(person.id))
}

/// The reply with the entity tag of the version that its view states.
fn tagged(reply: Reply, location: Option<&str>) -> Answer {
    let version = reply.view.get("version").and_then(Json::as_i64);
    let answer = reply.answer(location);
    match version {
        Some(version) => answer.etag(version),
        None => answer,
    }
}

/// The id in a stored resource.
fn parsed<T: std::str::FromStr>(resource: &str) -> Result<T, Stop> {
    resource.parse().map_err(|_| Stop::Broken(format!("{resource} is no id of the kind that its key stored")))
}

/// A view as JSON, where a command is shown.
fn shown(view: &impl serde::Serialize) -> Json {
    web::json!(view)
}
