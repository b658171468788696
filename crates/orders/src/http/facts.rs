//! What the audit is told: each order's state and sums, and what is wrong with it by rules that hold at every instant.
//! Leaves joining it with what other services say to the audit.

use contracts::OrderId;
use contracts::audit::{Breach, Fact};
use kernel::Fault;
use web::{Answer, Listing, Page, State, json};

use crate::domain::order::{Order, State as OrderState, Waits};
use crate::store::ORDERS_ALL;

use super::{Orders, after};

pub(super) async fn audit_facts(State(orders): State<Orders>, page: Page<OrderId>) -> Result<Answer, Fault> {
    let found = orders.list(&ORDERS_ALL, vec![after(&page), page.rows_wanted().into()]).await?;
    let listing: Listing<Fact> = page.list(found, |order| order.id).map(|order| fact_of(&order));
    Ok(Answer::ok(listing))
}

fn fact_of(order: &Order) -> Fact {
    let sums = [("ordered", order.ordered_total().minor), ("total", order.total.minor), ("refunded", order.refunded().minor)];
    // What waits for people is at rest, though they may be too late in the end.
    let waits = matches!(order.state.waits(), Some(Waits::ForPromise | Waits::ForReturn));
    Fact {
        order: order.id,
        state: order.state.as_str().replace('_', "-"),
        settled: !waits && order.refunds_pending().minor == 0,
        sums: sums.map(|(name, sum)| (name.to_owned(), sum)).into(),
    }
}

/// Instant rules of each order.
pub(super) async fn audit_breaches(State(orders): State<Orders>, page: Page<OrderId>) -> Result<Answer, Fault> {
    let found = orders.list(&ORDERS_ALL, vec![after(&page), page.rows_wanted().into()]).await?;
    let listing = page.list(found, |order| order.id);
    let items: Vec<Breach> = listing.items.iter().flat_map(breaches_of).collect();
    Ok(Answer::ok(json!({ "items": items, "next": listing.next })))
}

fn breaches_of(order: &Order) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut check = |rule: &str, holds: bool, detail: String| {
        if !holds {
            breaches.push(Breach { rule: rule.to_owned(), subject: order.id.to_string(), detail });
        }
    };
    let lines = order.lines_now();
    let (total, tax) = (order.total.minor, order.tax.minor);
    let sum = lines.iter().map(|line| line.total.minor).sum::<i64>() + order.fee.minor;
    check("total-equals-lines-and-fee", sum == total, format!("lines and fee are {sum}, the total is {total}"));
    let sum: i64 = lines.iter().map(|line| line.tax.minor).sum();
    check("tax-equals-lines", sum == tax, format!("the lines' tax is {sum}, the order's {tax}"));
    let ends = order.history.last().map(|moment| moment.state) == Some(order.state);
    check("history-ends-in-state", ends, format!("the state is {}", order.state.as_str()));
    let both = order.was(OrderState::Delivered) && order.was(OrderState::Cancelled);
    check("one-end", !both, "it was delivered and cancelled".to_owned());
    let captured = order.captured().map_or(0, |amount| amount.minor);
    check("captured-within-total", captured <= total, format!("captured is {captured}, the total is {total}"));
    let refunded = order.refunded().minor;
    check("refunds-within-captured", refunded <= captured, format!("refunded is {refunded}, captured is {captured}"));
    breaches
}
