//! The routes of notifications: messages for admins, one's own for the signed-in, and breaches for the audit.
//! Leaves what is in a message to `domain`.

use std::sync::Arc;

use contracts::audit::Breach;
use contracts::{OrderId, PersonId};
use engine::Handle;
use kernel::{Fault, Id, Timestamp};
use serde::{Deserialize, Serialize};
use store::Value;
use web::{Access, Answer, Caller, Page, Path, Query, RouteInfo, Routes, State, json};

use crate::config::Config;
use crate::domain::letter::Template;
use crate::domain::message::{self, Message};
use crate::store::{MESSAGES, MESSAGES_OF_CUSTOMER, MESSAGES_OF_ORDER, MESSAGES_QUEUED, SERVICE, messages};

/// How many breaches are named at most.
const BREACHES_MAX: i64 = 100;

/// The routes over a running service.
#[must_use]
pub fn routes(handle: Handle, config: &Config) -> Routes {
    all().with_state(Notifications { handle, config: Arc::new(config.clone()) })
}

/// What the routes are, and for whom: for a gateway that has them served elsewhere.
#[must_use]
pub fn table() -> Vec<RouteInfo> {
    all().list()
}

fn all() -> Routes<Notifications> {
    Routes::new(SERVICE)
        .get("/v1/admin/messages", Access::admin(), list_messages)
        .get("/v1/admin/messages/{id}", Access::admin(), read_message)
        .get("/v1/me/messages", Access::signed_in(), list_my_messages)
        .get("/v1/admin/audit/notifications/breaches", Access::admin(), list_breaches)
}

/// What the handlers work with.
#[derive(Clone)]
struct Notifications {
    handle: Handle,
    config: Arc<Config>,
}

/// The key of a list of messages: when it was made, and which it is.
type MessageKey = (Timestamp, Id);

/// A message as its recipient sees it.
#[derive(Serialize)]
struct MessageView {
    id: Id,
    order: OrderId,
    template: Template,
    recipient: String,
    subject: String,
    text: String,
    state: message::State,
    made_at: Timestamp,
    sent_at: Option<Timestamp>,
}

impl MessageView {
    fn of(message: Message) -> Self {
        let Message { id, order, template, recipient, subject, text, state, made_at, sent_at, .. } = message;
        Self { id, order, template, recipient, subject, text, state, made_at, sent_at }
    }
}

/// A message as admins see it.
#[derive(Serialize)]
struct AdminView {
    #[serde(flatten)]
    message: MessageView,
    tries: i64,
    mailer: Option<String>,
    cause: Option<String>,
}

impl AdminView {
    fn of(message: Message) -> Self {
        let (tries, mailer, cause) = (message.tries, message.mailer.clone(), message.cause.clone());
        Self { message: MessageView::of(message), tries, mailer, cause }
    }
}

#[derive(Deserialize)]
struct Filter {
    #[serde(default)]
    order: Option<OrderId>,
}

/// All messages or those of one order, newest first.
async fn list_messages(
    State(notifications): State<Notifications>,
    Query(filter): Query<Filter>,
    page: Page<MessageKey>,
) -> Result<Answer, Fault> {
    let handle = &notifications.handle;
    let rows = match filter.order {
        Some(order) => handle.read(&MESSAGES_OF_ORDER, arguments(Some(order.0), &page)).await?,
        None => handle.read(&MESSAGES, arguments(None, &page)).await?,
    };
    Ok(Answer::ok(page.list(messages(&rows)?, message_key).map(AdminView::of)))
}

/// One message.
async fn read_message(State(notifications): State<Notifications>, Path(id): Path<Id>) -> Result<Answer, Fault> {
    let (message, _) = notifications.handle.find::<Message>(&id).await?.ok_or_else(|| Fault::not_found("message"))?;
    Ok(Answer::ok(AdminView::of(message)))
}

/// The messages about the caller's own orders, newest first.
async fn list_my_messages(
    State(notifications): State<Notifications>,
    caller: Caller,
    page: Page<MessageKey>,
) -> Result<Answer, Fault> {
    let me = PersonId(caller.person()?.id);
    let rows = notifications.handle.read(&MESSAGES_OF_CUSTOMER, arguments(Some(me.0), &page)).await?;
    Ok(Answer::ok(page.list(messages(&rows)?, message_key).map(MessageView::of)))
}

/// Messages that have waited too long to be sent: `messages-are-sent-or-given-up`.
async fn list_breaches(State(notifications): State<Notifications>) -> Result<Answer, Fault> {
    let before = notifications.handle.runtime().now().plus_ms(-notifications.config.queued_max_ms);
    let rows = notifications.handle.read(&MESSAGES_QUEUED, vec![before.into(), BREACHES_MAX.into()]).await?;
    let breaches: Vec<Breach> = messages(&rows)?.iter().map(waits_too_long).collect();
    Ok(Answer::ok(json!({ "items": breaches })))
}

fn waits_too_long(message: &Message) -> Breach {
    let detail = format!("queued since {}, tried {} times; by now it should be sent or given up", message.made_at, message.tries);
    Breach { rule: "messages-are-sent-or-given-up".to_owned(), subject: message.id.to_string(), detail }
}

/// The arguments of a list, newest first: whose, the end of the page before, and how many.
fn arguments(whose: Option<Id>, page: &Page<MessageKey>) -> Vec<Value> {
    let newest = (Timestamp::from_micros(i64::MAX), Id::from_bytes([u8::MAX; 16]));
    let (made_at, id) = page.after.unwrap_or(newest);
    whose.map(Value::from).into_iter().chain([made_at.into(), id.into(), page.rows_wanted().into()]).collect()
}

fn message_key(message: &Message) -> MessageKey {
    (message.made_at, message.id)
}
