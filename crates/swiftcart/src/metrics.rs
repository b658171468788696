//! `/metrics` in Prometheus' text form: what the audit has found, and what every service has before it, asked when it is read.
//! Leaves counting to those who are counted.

use std::fmt::{Display, Write};
use std::sync::Arc;

use audit::{Glance, RULES, Status};
use engine::{Gauges, Running};
use kernel::{Fault, Millis, Runtime};
use web::{Access, Answer, Routes, State};

/// The media type of the text form.
const TEXT_FORM: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How long ago the watch may have looked at something and still count as watching; it looks at something many times a minute.
const WATCHING_WITHIN_MS: Millis = 120_000;

/// What is measured.
#[derive(Clone)]
pub(crate) struct Measured {
    pub(crate) running: Vec<Arc<Running>>,
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
    let mut services = Vec::new();
    for running in &measured.running {
        services.push(Service::of(running).await?);
    }
    tell_services(&mut text, &services);
    if let Some(audit) = &measured.audit {
        tell_audit(&mut text, &audit.status(), measured.runtime.now());
    }
    Ok(Answer::bytes(TEXT_FORM, text.0))
}

/// One service in numbers.
struct Service {
    name: &'static str,
    events: i64,
    pending: engine::Pending,
    gauges: Gauges,
}

impl Service {
    async fn of(running: &Running) -> Result<Self, Fault> {
        let (events, pending, gauges) = (running.events_said().await?, running.pending().await?, running.gauges().await?);
        Ok(Self { name: running.handle.service(), events, pending, gauges })
    }
}

fn tell_services(text: &mut Text, services: &[Service]) {
    text.family("swiftcart_events_said", "gauge", "The number of the last event that a service said.");
    for service in services {
        text.sample("swiftcart_events_said", &[("service", service.name)], service.events);
    }
    let help = "By how many numbers a service is behind a log; so many events at most are unheard.";
    text.family("swiftcart_events_unheard", "gauge", help);
    for service in services {
        for (log, unheard) in &service.gauges.unheard {
            text.sample("swiftcart_events_unheard", &[("service", service.name), ("log", log)], unheard);
        }
    }
    text.family("swiftcart_events_parked", "gauge", "Events that lie aside because a service could not handle them.");
    for service in services {
        text.sample("swiftcart_events_parked", &[("service", service.name)], service.pending.parked);
    }
    text.family("swiftcart_timers_set", "gauge", "Timers that are set, by their kind.");
    for service in services {
        for (kind, count) in &service.pending.timers {
            text.sample("swiftcart_timers_set", &[("service", service.name), ("kind", kind)], count);
        }
    }
    text.family("swiftcart_timers_overdue", "gauge", "Timers that fell due five seconds ago or longer and have not fired.");
    for service in services {
        text.sample("swiftcart_timers_overdue", &[("service", service.name)], service.gauges.timers_overdue);
    }
    text.family("swiftcart_inputs_waiting", "gauge", "Inputs that wait in this process for a service's executor, by lane.");
    for service in services {
        for (lane, count) in &service.gauges.waiting {
            text.sample("swiftcart_inputs_waiting", &[("service", service.name), ("lane", lane)], count);
        }
    }
}

/// What the audit has seen. Of several processes one watches: what another has seen before is not told as if it were so still.
fn tell_audit(text: &mut Text, status: &Status, now: kernel::Timestamp) {
    let is_watching = status.looked_at.is_some_and(|at| now.since_ms(at) <= WATCHING_WITHIN_MS);
    let help = "Whether this process is the one that audits; of several on one database it is one.";
    text.family("swiftcart_audit_watching", "gauge", help);
    text.sample("swiftcart_audit_watching", &[], u8::from(is_watching));
    let counters = [
        ("swiftcart_audit_breaches_found_total", "Breaches that were found, those that have ended too.", status.found),
        ("swiftcart_audit_pages_total", "Pages that the audit has read.", status.pages),
        ("swiftcart_audit_pages_failed_total", "Pages that the audit could not read.", status.pages_failed),
        ("swiftcart_audit_orders_total", "Orders that were looked at, each as often as it was.", status.orders),
        ("swiftcart_audit_sweeps_total", "How often everything was looked through.", status.sweeps),
    ];
    for (name, help, value) in counters {
        text.family(name, "counter", help);
        text.sample(name, &[], value);
    }
    if !is_watching {
        return;
    }
    text.family("swiftcart_audit_breaches", "gauge", "Breaches that stand, seen twice, by rule.");
    let stand = status.by_rule();
    let known = RULES.iter().map(|rule| rule.name);
    let unknown = stand.keys().copied().filter(|name| audit::rule(name).is_none());
    for rule in known.chain(unknown) {
        text.sample("swiftcart_audit_breaches", &[("rule", rule)], stand.get(rule).copied().unwrap_or(0));
    }
    text.family("swiftcart_audit_suspicions", "gauge", "What was seen broken once and is to be looked at again.");
    text.sample("swiftcart_audit_suspicions", &[], status.suspicions);
    let Some(sweep) = status.sweep else { return };
    let gauges = [
        ("swiftcart_audit_sweep_age_seconds", "How long ago the last sweep ended.", seconds(now.since_ms(sweep.ended_at))),
        ("swiftcart_audit_sweep_duration_seconds", "How long the last sweep took.", seconds(sweep.took_ms)),
        ("swiftcart_audit_sweep_orders", "How many orders the last sweep met.", sweep.orders.to_string()),
    ];
    for (name, help, value) in gauges {
        text.family(name, "gauge", help);
        text.sample(name, &[], value);
    }
}

fn seconds(ms: Millis) -> String {
    let ms = ms.max(0);
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// The text form: families of samples, each with its help and its type before it.
#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {}", help.replace('\\', "\\\\").replace('\n', "\\n")));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.line(format_args!("{name}{labels} {value}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // A string takes whatever is written to it.
        let _ = writeln!(self.0, "{line}");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use audit::Sweep;
    use kernel::Timestamp;

    use super::*;

    #[test]
    fn samples_have_the_form_of_the_text() {
        let mut text = Text::default();
        text.family("a", "gauge", "What a \\ is.");
        text.sample("a", &[("b", "say \"c\"\n"), ("d", "\\")], 1);
        text.sample("a", &[], 2);
        assert_eq!(text.0, "# HELP a What a \\\\ is.\n# TYPE a gauge\na{b=\"say \\\"c\\\"\\n\",d=\"\\\\\"} 1\na 2\n");
    }

    #[test]
    fn every_rule_is_told_while_the_audit_watches_and_none_when_another_process_does() {
        let now = Timestamp::from_millis(1_764_000_000_000);
        let sweep = Sweep { ended_at: now.plus_ms(-1500), took_ms: 20, orders: 7 };
        let status = Status { looked_at: Some(now), sweep: Some(sweep), ..Status::default() };
        let mut text = Text::default();
        tell_audit(&mut text, &status, now);
        for rule in RULES {
            assert!(text.0.contains(&format!("swiftcart_audit_breaches{{rule=\"{}\"}} 0\n", rule.name)), "{}", text.0);
        }
        assert!(text.0.contains("swiftcart_audit_sweep_age_seconds 1.500\n"), "{}", text.0);
        let mut text = Text::default();
        tell_audit(&mut text, &status, now.plus_ms(WATCHING_WITHIN_MS + 1));
        assert!(text.0.contains("swiftcart_audit_watching 0\n") && !text.0.contains("rule="), "{}", text.0);
    }
}
