//! The end of a run: every order that was acknowledged is asked for once more, and the whole shop is audited at rest.
//! Leaves the rules of the audit to `audit`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use audit::Report;
use contracts::{CartId, OrderId};
use futures_util::StreamExt;
use futures_util::stream::iter;
use kernel::{Millis, Runtime};
use serde::{Deserialize, Serialize};

use crate::client::{Ask, Client};
use crate::error::LoadError;
use crate::figures::Acknowledged;
use crate::people::Session;
use crate::shopper::OrderView;

/// How many orders are asked for beside each other.
const ASKED_MAX: usize = 32;

/// How often it is looked whether the shop has come to rest.
const LOOK_EVERY_MS: Millis = 500;
/// How long a breach must stay in a shop at rest before it counts.
const UNSOUND_MS: Millis = 5000;

#[derive(Deserialize)]
struct CartView {
    order: Option<OrderId>,
}

/// What is wrong with the orders that were acknowledged: each must exist, have ended, and be the one order of its cart.
pub(crate) async fn verify(client: &Client, acknowledged: &[Acknowledged]) -> Result<Vec<String>, LoadError> {
    let mut faults = twice(acknowledged);
    let asked = iter(acknowledged).map(|order| look(client, order)).buffer_unordered(ASKED_MAX);
    let found: Vec<Result<Option<String>, LoadError>> = asked.collect().await;
    for fault in found {
        faults.extend(fault?);
    }
    Ok(faults)
}

/// Orders that were acknowledged for two intentions, and carts that got two orders.
fn twice(acknowledged: &[Acknowledged]) -> Vec<String> {
    let (mut seen, mut carts) = (BTreeSet::<OrderId>::new(), BTreeMap::<CartId, OrderId>::new());
    let mut faults = Vec::new();
    for Acknowledged { order, cart, .. } in acknowledged {
        if !seen.insert(*order) {
            faults.push(format!("order {order} was acknowledged for two intentions"));
        }
        if let Some(other) = carts.insert(*cart, *order).filter(|other| other != order) {
            faults.push(format!("cart {cart} got two orders: {other} and {order}"));
        }
    }
    faults
}

async fn look(client: &Client, wanted: &Acknowledged) -> Result<Option<String>, LoadError> {
    let Acknowledged { order, cart, capability } = wanted;
    let reply = client.send(&Ask::get(format!("/v1/orders/{order}")).capability(capability)).await?;
    if reply.status == 404 {
        return Ok(Some(format!("order {order} was acknowledged and is lost")));
    }
    let view: OrderView = reply.expect()?;
    if !view.is_final() {
        return Ok(Some(format!("order {order} is still {}", view.state)));
    }
    let ask = Ask::get(format!("/v1/carts/{cart}")).capability(capability);
    let view: CartView = client.send(&ask).await?.expect()?;
    let is_its = view.order == Some(*order);
    Ok((!is_its).then(|| format!("cart {cart} names {:?} as its order, not {order}", view.order)))
}

/// Waits until the shop has come to rest, at most `within_ms`, and audits it as it then is.
pub(crate) async fn audit_at_rest(
    runtime: &Arc<dyn Runtime>,
    admin: &Session,
    url: &str,
    within_ms: Millis,
) -> Result<Report, LoadError> {
    let options = audit::Options { url: url.to_owned(), token: admin.fresh_token().await?, quiescent: true };
    let until = runtime.now().plus_ms(within_ms);
    let mut unsound_since = None;
    loop {
        while !audit::in_flight(runtime.clone(), &options).await?.is_empty() && runtime.now() < until {
            runtime.sleep(LOOK_EVERY_MS).await;
        }
        let report = audit::run(runtime.clone(), options.clone()).await?;
        // A worker may be about to ask the provider for what it has just heard: a breach counts if it stays.
        let unsound_ms = if report.is_clean() { 0 } else { runtime.now().since_ms(*unsound_since.get_or_insert(runtime.now())) };
        let is_seen = report.is_clean() || unsound_ms >= UNSOUND_MS;
        if (report.in_flight.is_empty() && is_seen) || runtime.now() >= until {
            return Ok(report);
        }
        runtime.sleep(LOOK_EVERY_MS).await;
    }
}

/// What all services say of every order, in a shop that is at rest.
pub(crate) async fn facts(runtime: &Arc<dyn Runtime>, admin: &Session, url: &str) -> Result<audit::Shop, LoadError> {
    let options = audit::Options { url: url.to_owned(), token: admin.fresh_token().await?, quiescent: true };
    Ok(audit::shop(runtime.clone(), &options).await?)
}

/// Writes the figures as JSON.
pub(crate) fn write_json(path: &Path, figures: &impl Serialize) -> Result<(), LoadError> {
    let text = serde_json::to_string_pretty(figures)
        .map_err(|source| LoadError::Unreadable { what: "the figures".to_owned(), source })?;
    std::fs::write(path, text + "\n").map_err(|source| LoadError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{Bucket, Draw, Id, Timestamp};

    fn id(seed: u64) -> Id {
        Id::new(Timestamp::from_millis(1), Bucket(1), &mut Draw::seeded(seed))
    }

    fn acknowledged(order: u64, cart: u64) -> Acknowledged {
        Acknowledged { order: OrderId(id(order)), cart: CartId(id(cart)), capability: String::new() }
    }

    #[test]
    fn a_doubled_order_and_a_cart_with_two_orders_are_found() {
        assert!(twice(&[acknowledged(1, 11), acknowledged(2, 12)]).is_empty());
        assert_eq!(twice(&[acknowledged(1, 11), acknowledged(1, 11)]).len(), 1);
        assert_eq!(twice(&[acknowledged(1, 11), acknowledged(2, 11)]).len(), 1);
        assert_eq!(twice(&[acknowledged(1, 11), acknowledged(1, 12)]).len(), 1);
    }
}
