//! What each service says of each order, joined by order: of all orders, or of the next few.
//! Leaves what must fit together to `judge`.

use std::collections::BTreeMap;

use contracts::OrderId;
use contracts::audit::Fact;
use kernel::{Id, Timestamp};
use web::cursor_of;

use crate::pending::InFlight;
use crate::reader::{AuditError, Page, Reader};

/// The place of one service's fact in what is known of an order.
type Place = fn(&mut Known) -> &mut Option<Fact>;

/// Where each service tells its facts, and their place in what is known. Orders come last, so that whatever another service
/// knows has its order by then.
const FACTS: [(&str, Place); 4] = [
    ("/v1/admin/audit/inventory/facts", |known| &mut known.hold),
    ("/v1/admin/audit/payments/facts", |known| &mut known.payment),
    ("/v1/admin/audit/delivery/facts", |known| &mut known.delivery),
    ("/v1/admin/audit/orders/facts", |known| &mut known.order),
];

/// Where services name the breaches they find in their own tables.
pub(crate) const BREACHES: [&str; 5] = [
    "/v1/admin/audit/orders/breaches",
    "/v1/admin/audit/inventory/breaches",
    "/v1/admin/audit/payments/breaches",
    "/v1/admin/audit/delivery/breaches",
    "/v1/admin/audit/notifications/breaches",
];

/// Where payments names what differs from the provider's books.
pub(crate) const RECONCILE: &str = "/v1/admin/audit/payments/reconcile";

/// What is known of one order, by service.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Known {
    /// From orders.
    pub order: Option<Fact>,
    /// From inventory.
    pub hold: Option<Fact>,
    /// From payments.
    pub payment: Option<Fact>,
    /// From delivery.
    pub delivery: Option<Fact>,
}

/// What is known of every order.
pub type Facts = BTreeMap<OrderId, Known>;

/// The whole shop as its services tell it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Shop(pub Facts);

impl Known {
    /// The state of the order itself, if orders knows it.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.order.as_ref().map(|fact| fact.state.as_str())
    }
}

impl Shop {
    /// How many orders there are.
    #[must_use]
    pub fn orders(&self) -> usize {
        self.0.values().filter(|known| known.order.is_some()).count()
    }

    /// The orders that have not ended.
    #[must_use]
    pub fn in_flight(&self) -> Vec<InFlight> {
        let open = self.0.iter().filter_map(|(id, known)| Some((id, known.state().filter(|state| !is_final(state))?)));
        open.map(|(id, state)| InFlight { subject: id.to_string(), what: format!("the order is {state}") }).collect()
    }
}

/// The next orders behind `after`, whole: what all services say of each, and where to go on. Each service is asked for a page of
/// its own, and only as far as all of these pages reach is known what everybody says.
pub(crate) async fn next(reader: &Reader, after: Option<&str>) -> Result<(Shop, Option<String>), AuditError> {
    let mut facts = Facts::new();
    let mut reached: Option<OrderId> = None;
    for (path, place) in FACTS {
        let page: Page<Fact> = reader.page(path, after).await?;
        if page.next.is_some() {
            let last = page.items.iter().map(|fact| fact.order).max();
            reached = [reached, last].into_iter().flatten().min();
        }
        keep(&mut facts, place, page.items);
    }
    if let Some(reached) = reached {
        facts.retain(|order, _| *order <= reached);
    }
    Ok((Shop(facts), reached.and_then(|order| cursor_of(&order))))
}

/// Where the orders begin that were placed at `at` or later.
pub(crate) fn placed_from(at: Timestamp) -> Option<String> {
    cursor_of(&Id::first_of(at))
}

fn keep(facts: &mut Facts, place: Place, said: Vec<Fact>) {
    for fact in said {
        let known = place(facts.entry(fact.order).or_default());
        *known = Some(uniform(fact));
    }
}

fn is_final(state: &str) -> bool {
    matches!(state, "delivered" | "rejected" | "cancelled")
}

/// Reads all facts.
pub(crate) async fn read(reader: &Reader) -> Result<Shop, AuditError> {
    let mut facts = Facts::new();
    for (path, place) in FACTS {
        keep(&mut facts, place, reader.list::<Fact>(path).await?);
    }
    Ok(Shop(facts))
}

/// States of views are in snake_case, those of facts in kebab-case: here there is one form.
fn uniform(mut fact: Fact) -> Fact {
    fact.state = fact.state.replace('_', "-");
    fact
}
