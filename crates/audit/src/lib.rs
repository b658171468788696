//! Whether the living shop keeps its promises: reads what each service says of each order, joins it, judges it by the
//! invariants of the product, and reports what it found broken twice.
//! Leaves the rules inside one service to that service, whose own breaches it only passes on.

mod facts;
mod pending;
mod reader;
mod report;
mod rules;

use std::collections::BTreeSet;
use std::sync::Arc;

use contracts::audit::Breach;
use kernel::{Millis, Runtime, Timestamp};

pub use facts::{Known, Shop};
pub use pending::{InFlight, Pending, ServicePending};
pub use reader::AuditError;
pub use report::Report;
pub use rules::judge;

use reader::Reader;

/// How long a suspicion rests before it is looked at again.
const PAUSE_MS: Millis = 1000;

/// How long the services may take to hear what had been said before the first look.
const CATCH_UP_WITHIN_MS: Millis = 30_000;

/// How often the services are asked whether they have heard it.
const CATCH_UP_EVERY_MS: Millis = 250;

/// What to audit, as whom and how strictly.
#[derive(Clone)]
pub struct Options {
    /// Where the shop answers, as `http://127.0.0.1:8080`.
    pub url: String,
    /// An admin's bearer token.
    pub token: String,
    /// Takes every order as settled, and demands that nothing is in flight.
    pub quiescent: bool,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("url", &self.url).field("quiescent", &self.quiescent).finish_non_exhaustive()
    }
}

/// Audits the shop. Services are read one after the other while they work, so a breach counts only if it is seen twice, and
/// the second look waits until every service has heard what had been said before the first.
///
/// # Errors
/// If the shop cannot be read: it does not answer, refuses the token, or answers what is no audit.
pub async fn run(runtime: Arc<dyn Runtime>, options: Options) -> Result<Report, AuditError> {
    let reader = Reader::new(runtime.clone(), &options)?;
    let first = Look::take(&reader, options.quiescent).await?;
    if first.breaches.is_empty() {
        return first.report(&reader, &options, |_| false).await;
    }
    let marks = pending::read(&reader).await?;
    runtime.sleep(PAUSE_MS).await;
    catch_up(&*runtime, &reader, &marks).await?;
    let suspects: BTreeSet<(String, String)> = first.breaches.iter().map(name_of).collect();
    let second = Look::take(&reader, options.quiescent).await?;
    second.report(&reader, &options, |breach| suspects.contains(&name_of(breach))).await
}

/// What keeps the shop from being quiescent, without reading any order.
///
/// # Errors
/// As [`run`].
pub async fn in_flight(runtime: Arc<dyn Runtime>, options: &Options) -> Result<Vec<InFlight>, AuditError> {
    Ok(pending::read(&Reader::new(runtime, options)?).await?.in_flight())
}

/// One reading of everything.
struct Look {
    shop: Shop,
    breaches: Vec<Breach>,
}

impl Look {
    async fn take(reader: &Reader, quiescent: bool) -> Result<Self, AuditError> {
        let shop = facts::read(reader).await?;
        let mut breaches = judge(&shop, quiescent);
        for path in facts::BREACHES {
            breaches.extend(reader.list::<Breach>(path).await?);
        }
        Ok(Self { shop, breaches })
    }

    async fn report(self, reader: &Reader, options: &Options, keep: impl Fn(&Breach) -> bool) -> Result<Report, AuditError> {
        let mut in_flight = self.shop.in_flight();
        if options.quiescent {
            in_flight.extend(pending::read(reader).await?.in_flight());
        }
        let breaches = self.breaches.into_iter().filter(keep).collect();
        Ok(Report { orders: self.shop.orders(), quiescent: options.quiescent, breaches, in_flight })
    }
}

fn name_of(breach: &Breach) -> (String, String) {
    (breach.rule.clone(), breach.subject.clone())
}

/// Waits until every subscription has passed where its source stood at `marks`. Who does not get there within the time is
/// judged all the same: what it has not heard for so long is not consumed.
async fn catch_up(runtime: &dyn Runtime, reader: &Reader, marks: &Pending) -> Result<(), AuditError> {
    let until: Timestamp = runtime.now().plus_ms(CATCH_UP_WITHIN_MS);
    while runtime.now() < until && !pending::read(reader).await?.has_passed(marks) {
        runtime.sleep(CATCH_UP_EVERY_MS).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use testkit::{Asked, HANG_UP, TestRuntime, serve};

    use super::*;

    const ORDER: &str = "0190d3c2-0000-7000-8000-000000000001";

    /// A shop of one cancelled order, whose money `payment` tells by the number of the look.
    async fn audit(payment: fn(usize) -> &'static str, quiescent: bool) -> Report {
        let looks = AtomicUsize::new(0);
        let fact = |state: &str| format!(r#"{{"items":[{{"order":"{ORDER}","state":"{state}","settled":true}}],"next":null}}"#);
        let url = serve(move |asked: &Asked| {
            assert_eq!(asked.header("authorization"), "bearer t");
            let body = match asked.path.as_str() {
                "/v1/admin/audit/payments/facts" => fact(payment(looks.fetch_add(1, Ordering::Relaxed))),
                "/v1/admin/audit/orders/facts" => r#"{"items":[],"next":"more"}"#.to_owned(),
                "/v1/admin/audit/orders/facts?limit=100&after=more" => fact("cancelled"),
                "/v1/admin/audit/pending" => {
                    r#"{"items":[{"service":"orders","timers":{"make-slots":3},"parked":0,"behind":[]}]}"#.to_owned()
                }
                _ => r#"{"items":[]}"#.to_owned(),
            };
            (200, body)
        });
        let options = Options { url: url.await, token: "t".to_owned(), quiescent };
        run(Arc::new(TestRuntime::hurried()), options).await.expect("an audit")
    }

    #[tokio::test]
    async fn a_breach_that_stays_is_reported() {
        let report = audit(|_| "authorised", true).await;
        assert_eq!(report.breaches.len(), 1, "{report}");
        assert_eq!(
            (report.breaches[0].rule.as_str(), report.breaches[0].subject.as_str()),
            ("cancelled-order-charges-nothing", ORDER)
        );
        assert!(!report.is_clean() && report.in_flight.is_empty());
    }

    #[tokio::test]
    async fn a_breach_that_was_only_seen_once_is_none() {
        let report = audit(|look| if look == 0 { "authorised" } else { "voided" }, false).await;
        assert!(report.is_clean() && report.orders == 1, "{report}");
    }

    #[tokio::test]
    async fn a_read_is_repeated_while_the_shop_is_being_restarted() {
        let asked = AtomicUsize::new(0);
        let url = serve(move |_: &Asked| match asked.fetch_add(1, Ordering::Relaxed) {
            0 => (HANG_UP, String::new()),
            1 => (503, "busy".to_owned()),
            _ => (200, r#"{"items":[]}"#.to_owned()),
        });
        let options = Options { url: url.await, token: "t".to_owned(), quiescent: true };
        let report = run(Arc::new(TestRuntime::hurried()), options).await.expect("an audit");
        assert!(report.is_clean() && report.orders == 0, "{report}");
    }

    #[tokio::test]
    async fn a_shop_that_refuses_is_named() {
        let url = serve(|_: &Asked| (403, "no".to_owned())).await;
        let options = Options { url, token: "t".to_owned(), quiescent: false };
        let refused = run(Arc::new(TestRuntime::hurried()), options).await;
        assert!(matches!(refused, Err(AuditError::Refused { status: 403, .. })), "{refused:?}");
    }
}
