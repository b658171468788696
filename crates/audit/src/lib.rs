//! Whether the living shop keeps its promises: reads what each service says of each order, joins it, judges it by the
//! invariants of the product, and reports what it found broken twice; once ([`run`]), or again and again ([`Watch`]).
//! Leaves the rules inside one service to that service, whose own breaches it only passes on.
//!
//! Reading order: `rules` (what must be so), `judge` (between services), `facts`, `pending`, then `watch`.

mod config;
mod facts;
mod judge;
mod pending;
mod reader;
mod report;
mod rules;
mod status;
mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;

use contracts::audit::Breach;
use kernel::{Millis, Runtime, Timestamp};
use web::Peer;

pub use config::Config;
pub use facts::{Known, Shop};
pub use judge::{Terms, judge};
pub use pending::{InFlight, Pending, ServicePending};
pub use reader::{AuditError, Token};
pub use report::Report;
pub use rules::{By, Holds, RULES, Rule, rule};
pub use status::{Glance, Open, Status, Sweep};
pub use watch::Watch;

use reader::Reader;

/// How long a suspicion rests at least before it is looked at again.
const PAUSE_MS: Millis = 250;

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
/// the second look waits until every service has heard what had been said before the first. Who has not heard it by
/// then is a breach too, and is judged all the same.
///
/// # Errors
/// If the shop cannot be read: it does not answer, refuses the token, or answers what is no audit.
pub async fn run(runtime: Arc<dyn Runtime>, options: Options) -> Result<Report, AuditError> {
    let reader = reader(runtime.clone(), &options)?;
    let first = Look::take(&reader, &*runtime, options.quiescent).await?;
    if first.breaches.is_empty() && first.pending.behind().next().is_none() {
        return Ok(first.report(&options, |_| false));
    }
    runtime.sleep(PAUSE_MS).await;
    let unheard = catch_up(&*runtime, &reader, &first.pending).await?;
    let suspects: BTreeSet<(String, String)> = first.breaches.iter().map(name_of).collect();
    let last = if suspects.is_empty() { first } else { Look::take(&reader, &*runtime, options.quiescent).await? };
    let mut report = last.report(&options, |breach| suspects.contains(&name_of(breach)));
    report.breaches.extend(unheard);
    Ok(report)
}

/// What all services say of every order, as they say it.
///
/// # Errors
/// As [`run`].
pub async fn shop(runtime: Arc<dyn Runtime>, options: &Options) -> Result<Shop, AuditError> {
    facts::read(&reader(runtime, options)?).await
}

/// What keeps the shop from being quiescent, without reading any order.
///
/// # Errors
/// As [`run`].
pub async fn in_flight(runtime: Arc<dyn Runtime>, options: &Options) -> Result<Vec<InFlight>, AuditError> {
    Ok(pending::read(&reader(runtime, options)?).await?.in_flight())
}

fn reader(runtime: Arc<dyn Runtime>, options: &Options) -> Result<Reader, AuditError> {
    let peer = Peer::remote(&options.url).map_err(|error| AuditError::Address(error.to_string()))?;
    let token = options.token.clone();
    Ok(Reader::patient(runtime, peer, Arc::new(move || Ok(token.clone()))))
}

/// One reading of everything.
struct Look {
    shop: Shop,
    breaches: Vec<Breach>,
    /// Read last, so that it also tells how far the services had spoken by then.
    pending: Pending,
}

impl Look {
    async fn take(reader: &Reader, runtime: &dyn Runtime, quiescent: bool) -> Result<Self, AuditError> {
        let shop = facts::read(reader).await?;
        let mut breaches = judge(&shop, Terms { now: runtime.now(), quiescent });
        for path in facts::BREACHES.into_iter().chain([facts::RECONCILE]) {
            breaches.extend(reader.list::<Breach>(path).await?);
        }
        let pending = pending::read(reader).await?;
        breaches.extend(pending.breaches());
        Ok(Self { shop, breaches, pending })
    }

    fn report(self, options: &Options, keep: impl Fn(&Breach) -> bool) -> Report {
        let mut in_flight = self.shop.in_flight();
        if options.quiescent {
            in_flight.extend(self.pending.in_flight());
        }
        let breaches = self.breaches.into_iter().filter(keep).collect();
        Report { orders: self.shop.orders(), quiescent: options.quiescent, breaches, in_flight }
    }
}

fn name_of(breach: &Breach) -> (String, String) {
    (breach.rule.clone(), breach.subject.clone())
}

/// Waits until every subscription has passed where its source stood at `marks`, and tells which have not within the time.
async fn catch_up(runtime: &dyn Runtime, reader: &Reader, marks: &Pending) -> Result<Vec<Breach>, AuditError> {
    let until: Timestamp = runtime.now().plus_ms(CATCH_UP_WITHIN_MS);
    loop {
        let unheard = pending::read(reader).await?.unheard(marks);
        if unheard.is_empty() || runtime.now() >= until {
            return Ok(unheard);
        }
        runtime.sleep(CATCH_UP_EVERY_MS).await;
    }
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
