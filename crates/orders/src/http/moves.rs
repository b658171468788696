//! What may be asked of an order: to cancel it, pay by another means, pick it, say what is short, decide about a failed
//! delivery, give money back. Parses, asks `service`, presents. Leaves who may ask it, and when, to `domain::order`.

use contracts::OrderId;
use engine::{Lane, Reply, Stop, Stored, Work};
use kernel::{Fault, Money};
use serde::Deserialize;
use web::{Answer, Body, Caller, Fingerprint, IdempotencyKey, Json, NoBody, Path, State};

use crate::config::CART_LINES_MAX;
use crate::domain::order::{Asker, Order, Picked, Share, Wish};
use crate::service::{self, AskRefund};

use super::strict::StrictMoney;
use super::views::{Audience, view_of_refund};
use super::{Orders, WantedLine, check_text, no_order, show_order};

/// A request to move an order, as it came.
struct Asked {
    caller: Caller,
    id: OrderId,
    route: &'static str,
    key: IdempotencyKey,
    fingerprint: Fingerprint,
    bytes: usize,
}

/// About how many bytes a move without a body holds.
const MOVE_BYTES: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CancelFor {
    reason: String,
}

pub(super) async fn cancel_order(
    State(orders): State<Orders>,
    caller: Caller,
    Path(id): Path<OrderId>,
    key: IdempotencyKey,
    body: Body<CancelFor>,
) -> Result<Answer, Fault> {
    check_text("/reason", &body.value.reason, 1)?;
    let asked = asked(caller, id, "POST /v1/orders/{id}/cancel", key, &body);
    orders.fulfil(asked, Wish::Cancel { reason: body.value.reason }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PayWith {
    payment_token: String,
}

pub(super) async fn pay_order_again(
    State(orders): State<Orders>,
    caller: Caller,
    Path(id): Path<OrderId>,
    key: IdempotencyKey,
    body: Body<PayWith>,
) -> Result<Answer, Fault> {
    check_text("/payment_token", &body.value.payment_token, 1)?;
    let asked = asked(caller, id, "POST /v1/orders/{id}/payment", key, &body);
    orders.fulfil(asked, Wish::Pay { payment_token: body.value.payment_token }).await
}

pub(super) async fn pick_order(
    State(orders): State<Orders>,
    caller: Caller,
    Path(id): Path<OrderId>,
    key: IdempotencyKey,
    body: NoBody,
) -> Result<Answer, Fault> {
    let (route, fingerprint) = ("POST /v1/orders/{id}/pick", body.fingerprint);
    orders.fulfil(Asked { caller, id, route, key, fingerprint, bytes: MOVE_BYTES }, Wish::Pick).await
}

pub(super) async fn ready_order(
    State(orders): State<Orders>,
    caller: Caller,
    Path(id): Path<OrderId>,
    key: IdempotencyKey,
    body: NoBody,
) -> Result<Answer, Fault> {
    let (route, fingerprint) = ("POST /v1/orders/{id}/ready", body.fingerprint);
    orders.fulfil(Asked { caller, id, route, key, fingerprint, bytes: MOVE_BYTES }, Wish::Ready).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shorts {
    lines: Vec<ShortLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShortLine {
    sku: contracts::Sku,
    picked: i64,
    restock: bool,
}

pub(super) async fn short_pick_order(
    State(orders): State<Orders>,
    caller: Caller,
    Path(id): Path<OrderId>,
    key: IdempotencyKey,
    body: Body<Shorts>,
) -> Result<Answer, Fault> {
    check_count(body.value.lines.len())?;
    let asked = asked(caller, id, "POST /v1/orders/{id}/shorts", key, &body);
    let picked = |line: ShortLine| Picked { sku: line.sku, picked: line.picked, restock: line.restock };
    orders.fulfil(asked, Wish::ShortPick(body.value.lines.into_iter().map(picked).collect())).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Decision {
    choice: Choice,
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Choice {
    Again,
    Return,
}

pub(super) async fn decide_delivery(
    State(orders): State<Orders>,
    caller: Caller,
    Path(id): Path<OrderId>,
    key: IdempotencyKey,
    body: Body<Decision>,
) -> Result<Answer, Fault> {
    check_text("/reason", &body.value.reason, 1)?;
    let asked = asked(caller, id, "POST /v1/orders/{id}/delivery", key, &body);
    let Decision { choice, reason } = body.value;
    let wish = match choice {
        Choice::Again => Wish::DeliverAgain { reason },
        Choice::Return => Wish::Return { reason },
    };
    orders.fulfil(asked, wish).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RefundFor {
    amount: Option<Amount>,
    lines: Option<Vec<WantedLine>>,
    all: Option<bool>,
    reason: String,
}

#[derive(Deserialize)]
struct Amount(#[serde(with = "StrictMoney")] Money);

pub(super) async fn refund_order(
    State(orders): State<Orders>,
    caller: Caller,
    Path(id): Path<OrderId>,
    key: IdempotencyKey,
    body: Body<RefundFor>,
) -> Result<Answer, Fault> {
    check_text("/reason", &body.value.reason, 1)?;
    let asked = asked(caller, id, "POST /v1/orders/{id}/refunds", key, &body);
    let refund = AskRefund { reason: body.value.reason.clone(), share: share_of(body.value)? };
    let (order, asker) = orders.find_for(&asked).await?;
    let config = orders.config.clone();
    let decide = move |work: &mut Work<'_>| service::refund(work, id, &refund, &asker, &config);
    let show = move |work: &mut Work<'_>, refund: &str| show_refund(work, id, refund);
    Ok(orders.run(asked, &order, decide, show).await?.answer(None))
}

/// What a refund is to give back: said in exactly one way.
fn share_of(wanted: RefundFor) -> Result<Share, Fault> {
    match (wanted.amount, wanted.lines, wanted.all) {
        (Some(amount), None, None) => Ok(Share::Amount(amount.0)),
        (None, Some(lines), None) => {
            check_count(lines.len())?;
            Ok(Share::Lines(lines.into_iter().map(|line| (line.sku, line.quantity.get())).collect()))
        }
        (None, None, Some(true)) => Ok(Share::All),
        (None, None, Some(false)) => Err(Fault::invalid_field("/all", "say `all: true`, or how much by `amount` or `lines`")),
        _ => Err(Fault::invalid_field("/amount", "say how much in exactly one way: `amount`, `lines` or `all: true`")),
    }
}

fn check_count(lines: usize) -> Result<(), Fault> {
    if (1..=CART_LINES_MAX).contains(&lines) {
        return Ok(());
    }
    Err(Fault::invalid_field("/lines", format!("expected 1 to {CART_LINES_MAX} lines")))
}

fn asked<T>(caller: Caller, id: OrderId, route: &'static str, key: IdempotencyKey, body: &Body<T>) -> Asked {
    Asked { caller, id, route, key, fingerprint: body.fingerprint, bytes: body.canonical.len() }
}

fn show_refund(work: &mut Work<'_>, order: OrderId, id: &str) -> Result<Json, Stop> {
    let order = work.load::<Order>(&order, "order")?;
    let refund = order.refunds.iter().find(|refund| refund.id.to_string() == id);
    refund.map(|refund| view_of_refund(refund, Audience::Staff)).ok_or_else(|| Fault::not_found("refund").into())
}

impl Orders {
    /// Does what is asked for, once, and answers with the order as it is then.
    async fn fulfil(&self, asked: Asked, wish: Wish) -> Result<Answer, Fault> {
        let (order, asker) = self.find_for(&asked).await?;
        let audience = Audience::of(&asker);
        let (id, config) = (asked.id, self.config.clone());
        let decide = move |work: &mut Work<'_>| service::ask(work, id, &wish, &asker, &config);
        let show = move |work: &mut Work<'_>, id: &str| show_order(work, id, audience);
        Ok(self.run(asked, &order, decide, show).await?.answer(None))
    }

    /// The order, and as what the caller may ask something of it.
    async fn find_for(&self, asked: &Asked) -> Result<(Order, Asker), Fault> {
        let (order, _) = self.handle.find::<Order>(&asked.id).await?.ok_or_else(no_order)?;
        let asker = self.asker(&asked.caller, &order)?;
        Ok((order, asker))
    }

    async fn run<D, S>(&self, asked: Asked, order: &Order, decide: D, show: S) -> Result<Reply, Fault>
    where
        D: Fn(&mut Work<'_>) -> Result<Stored, Stop> + Send + Sync + 'static,
        S: Fn(&mut Work<'_>, &str) -> Result<Json, Stop> + Send + Sync + 'static,
    {
        let Asked { caller, id, route, key, fingerprint, bytes } = asked;
        let scope = self.scope(&caller, order.cart, route, id.0, &key, fingerprint);
        self.command(Lane::Money, scope, caller.trace, bytes, decide, show).await
    }
}
