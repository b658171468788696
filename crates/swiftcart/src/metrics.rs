//! `/metrics`, asked when it is read: what goes through the doors, what every service has before it, what the audit has found.
//! Leaves counting to those who are counted, and the text form to `telemetry`.

use std::pin::pin;
use std::sync::Arc;

use audit::{Glance, RULES, Status};
use engine::{Gauges, Running};
use futures_util::future::{Either, join_all, select};
use kernel::{Fault, Millis, Runtime, Timestamp};
use store::{Store, Usage};
use telemetry::{Text, seconds};
use web::{Access, Answer, Routes, State, Traffic};

/// How long ago the watch may have looked at something and still count as watching; it looks at something many times a minute.
const WATCHING_WITHIN_MS: Millis = 120_000;

/// How long the database may take: a scraper waits ten seconds, and while the database is away the rest matters most.
const DATABASE_MS_MAX: Millis = 3000;

/// What is measured.
#[derive(Clone)]
pub(crate) struct Measured {
    pub(crate) running: Vec<Arc<Running>>,
    /// What goes through the doors.
    pub(crate) traffic: Traffic,
    /// The database of the services here, if there are any.
    pub(crate) database: Option<Store>,
    /// What the audit has seen, if it watches.
    pub(crate) audit: Option<Glance>,
    pub(crate) runtime: Arc<dyn Runtime>,
}

/// The route, for `access`.
pub(crate) fn routes(access: Access, measured: Measured) -> Routes {
    Routes::new("swiftcart").get("/metrics", access, read).with_state(measured)
}

async fn read(State(measured): State<Measured>) -> Result<Answer, Fault> {
    let mut text = Text::default();
    measured.traffic.tell(&mut text);
    if let Some(database) = &measured.database {
        tell_database(&mut text, database.usage());
    }
    let asked = measured.running.iter().map(|running| known(running, &*measured.runtime));
    for (running, known) in measured.running.iter().zip(join_all(asked).await) {
        running.tell(&mut text);
        tell_service(&mut text, running.handle.service(), known);
    }
    if let Some(audit) = &measured.audit {
        tell_audit(&mut text, &audit.status(), measured.runtime.now());
    }
    Ok(Answer::bytes(Text::MEDIA_TYPE, text.to_string()))
}

/// What a service's database knows, unless it does not answer: then the rest is told, and that.
async fn known(running: &Running, runtime: &dyn Runtime) -> Option<(i64, Gauges)> {
    let asked = pin!(async { Some((running.events_said().await.ok()?, running.gauges().await.ok()?)) });
    match select(asked, runtime.sleep(DATABASE_MS_MAX)).await {
        Either::Left((known, _)) => known,
        Either::Right(_) => None,
    }
}

fn tell_service(text: &mut Text, name: &'static str, known: Option<(i64, Gauges)>) {
    let of = ("service", name);
    let help = "Whether a service reaches its database; what only that knows is not told otherwise.";
    text.gauge("swiftcart_service_ready", help).sample(&[of], u8::from(known.is_some()));
    let Some((events, gauges)) = known else { return };
    text.gauge("swiftcart_events_said", "The number of the last event that a service said.").sample(&[of], events);
    let help = "By how many numbers a service is behind a log; so many events at most are unheard.";
    let family = text.gauge("swiftcart_events_unheard", help);
    gauges.unheard.iter().for_each(|(log, unheard)| _ = family.sample(&[of, ("log", log)], unheard));
    let help = "Events that lie aside because a service could not handle them.";
    text.gauge("swiftcart_events_parked", help).sample(&[of], gauges.parked);
    let family = text.gauge("swiftcart_timers_set", "Timers that are set, by their kind.");
    gauges.timers.iter().for_each(|(kind, count)| _ = family.sample(&[of, ("kind", kind)], count));
    let help = "Timers that fell due five seconds ago or longer and have not fired.";
    text.gauge("swiftcart_timers_overdue", help).sample(&[of], gauges.timers_overdue);
    for (name, help, ms) in gauges.ages {
        text.gauge(name, help).sample(&[of], seconds(ms));
    }
}

/// What this process uses of its database. Of the two engines each is short of something else.
fn tell_database(text: &mut Text, usage: Usage) {
    let mut tell = |name, help, value: Option<i64>| {
        let family = text.gauge(name, help);
        value.iter().for_each(|value| _ = family.sample(&[], value));
    };
    let many = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let (pool, file) = match usage {
        Usage::Pool { max, open, in_use, waiting } => (Some([max, open, in_use, waiting].map(many)), None),
        Usage::File { jobs_waiting, log_pages } => (None, Some([many(jobs_waiting), log_pages])),
    };
    let connections = [
        ("swiftcart_database_connections_max", "How many connections to PostgreSQL this process may open."),
        ("swiftcart_database_connections_open", "How many connections to PostgreSQL are open."),
        ("swiftcart_database_connections_in_use", "How many connections to PostgreSQL somebody has at this moment."),
        ("swiftcart_database_connections_awaited", "How many wait for a connection to PostgreSQL."),
    ];
    for (at, (name, help)) in connections.into_iter().enumerate() {
        tell(name, help, pool.map(|pool| pool[at]));
    }
    let embedded = [
        ("swiftcart_database_jobs_waiting", "Reads and batches that wait for a thread of the embedded database."),
        ("swiftcart_database_log_pages", "How long the embedded database's write-ahead log is, in pages of 4 KiB."),
    ];
    for (at, (name, help)) in embedded.into_iter().enumerate() {
        tell(name, help, file.map(|file| file[at]));
    }
}

/// What the audit has seen. Of several processes one watches: what another has seen before is not told as if it were so still.
fn tell_audit(text: &mut Text, status: &Status, now: Timestamp) {
    let is_watching = status.looked_at.is_some_and(|at| now.since_ms(at) <= WATCHING_WITHIN_MS);
    let help = "Whether this process is the one that audits; of several on one database it is one.";
    text.gauge("swiftcart_audit_watching", help).sample(&[], u8::from(is_watching));
    let counters = [
        ("swiftcart_audit_breaches_found_total", "Breaches that were found, those that have ended too.", status.found),
        ("swiftcart_audit_pages_total", "Pages that the audit has read.", status.pages),
        ("swiftcart_audit_pages_failed_total", "Pages that the audit could not read.", status.pages_failed),
        ("swiftcart_audit_orders_total", "Orders that were looked at, each as often as it was.", status.orders),
        ("swiftcart_audit_sweeps_total", "How often everything was looked through.", status.sweeps),
    ];
    for (name, help, value) in counters {
        text.counter(name, help).sample(&[], value);
    }
    let breaches = text.gauge("swiftcart_audit_breaches", "Breaches that stand, seen twice, by rule.");
    if is_watching {
        let stand = status.by_rule();
        let known = RULES.iter().map(|rule| rule.name);
        let unknown = stand.keys().copied().filter(|name| audit::rule(name).is_none());
        for rule in known.chain(unknown) {
            breaches.sample(&[("rule", rule)], stand.get(rule).copied().unwrap_or(0));
        }
    }
    let suspicions = text.gauge("swiftcart_audit_suspicions", "What was seen broken once and is to be looked at again.");
    if is_watching {
        suspicions.sample(&[], status.suspicions);
    }
    let sweep = status.sweep.filter(|_| is_watching);
    let age_ms = sweep.map(|sweep| now.since_ms(sweep.ended_at));
    let family = text.gauge("swiftcart_audit_sweep_age_seconds", "How long ago the last sweep ended.");
    age_ms.iter().for_each(|ms| _ = family.sample(&[], seconds(*ms)));
    let family = text.gauge("swiftcart_audit_sweep_duration_seconds", "How long the last sweep took.");
    sweep.iter().for_each(|sweep| _ = family.sample(&[], seconds(sweep.took_ms)));
    let family = text.gauge("swiftcart_audit_sweep_orders", "How many orders the last sweep met.");
    sweep.iter().for_each(|sweep| _ = family.sample(&[], sweep.orders));
}

#[cfg(test)]
mod tests {
    use audit::Sweep;

    use super::*;

    #[test]
    fn every_rule_is_told_while_the_audit_watches_and_none_when_another_process_does() {
        let now = Timestamp::from_millis(1_764_000_000_000);
        let sweep = Sweep { ended_at: now.plus_ms(-1500), took_ms: 20, orders: 7 };
        let status = Status { looked_at: Some(now), sweep: Some(sweep), ..Status::default() };
        let mut text = Text::default();
        tell_audit(&mut text, &status, now);
        let told = text.to_string();
        for rule in RULES {
            assert!(told.contains(&format!("swiftcart_audit_breaches{{rule=\"{}\"}} 0\n", rule.name)), "{}", told);
        }
        assert!(told.contains("swiftcart_audit_sweep_age_seconds 1.500\n"), "{}", told);
        let mut text = Text::default();
        tell_audit(&mut text, &status, now.plus_ms(WATCHING_WITHIN_MS + 1));
        let told = text.to_string();
        assert!(told.contains("swiftcart_audit_watching 0\n") && !told.contains("rule="), "{}", told);
    }
}
