//! What goes through the doors of a process, in numbers: for each route how many, how they were answered, how long it took.
//! A route is counted by its pattern, so that no caller can make one more series by asking for another path.
//! Leaves when a request begins and ends to `door`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::Method;
use kernel::Timestamp;
use telemetry::{Counter, Gauge, Histogram, Scale, Text};

use crate::routes::RouteInfo;

/// How a request may be answered: by the class of the status, or not at all, because whoever asked went away.
const ANSWERS: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "gone"];
const GONE: usize = ANSWERS.len() - 1;

/// What goes through the doors that share it. Copies count the same.
#[derive(Clone, Default)]
pub struct Traffic(Arc<Mutex<Vec<Arc<Meter>>>>);

/// The requests of one route.
pub(crate) struct Meter {
    service: &'static str,
    method: String,
    route: String,
    under_way: Gauge,
    answered: [Counter; ANSWERS.len()],
    shed: Counter,
    duration: Histogram,
}

/// The meters of the routes behind one door.
pub(crate) struct Meters {
    routes: HashMap<String, Vec<(Method, Arc<Meter>)>>,
    /// For whatever no route is for.
    stray: Arc<Meter>,
}

/// A request under way.
pub(crate) struct Passing<'a> {
    meter: &'a Meter,
    answer: usize,
}

impl Traffic {
    /// The meters of `routes`, those that it has already and new ones.
    pub(crate) fn meters(&self, routes: &[RouteInfo]) -> Meters {
        let mut found: HashMap<String, Vec<(Method, Arc<Meter>)>> = HashMap::new();
        for RouteInfo { service, method, path, .. } in routes {
            let meter = self.meter(service, method.as_str(), path);
            found.entry(path.clone()).or_default().push((method.clone(), meter));
        }
        Meters { routes: found, stray: self.meter("none", "any", "none") }
    }

    fn meter(&self, service: &'static str, method: &str, route: &str) -> Arc<Meter> {
        let mut meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = meters.iter().find(|meter| (&*meter.method, &*meter.route) == (method, route)) {
            return known.clone();
        }
        let meter = Arc::new(Meter {
            service,
            method: method.to_owned(),
            route: route.to_owned(),
            under_way: Gauge::default(),
            answered: Default::default(),
            shed: Counter::default(),
            duration: Histogram::new(Scale::DURATION),
        });
        meters.push(meter.clone());
        meter
    }

    /// Tells what went through, by service, method and route, of every route that was asked for at all.
    pub fn tell(&self, text: &mut Text) {
        let meters = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let asked: Vec<&Arc<Meter>> = meters.iter().filter(|meter| meter.is_used()).collect();
        let help = "Requests that were answered, by the class of the status; gone are those whose caller did not wait.";
        let family = text.counter("swiftcart_http_requests_total", help);
        for meter in &asked {
            for (status, answered) in ANSWERS.iter().zip(&meter.answered) {
                let [service, method, route] = meter.labels();
                family.sample(&[service, method, route, ("status", status)], answered.count());
            }
        }
        let help = "How long requests took, without those that prefer to wait for news.";
        let family = text.histogram("swiftcart_http_request_duration_seconds", help);
        asked.iter().for_each(|meter| _ = family.buckets(&meter.labels(), &meter.duration));
        let family = text.gauge("swiftcart_http_requests_in_flight", "Requests that are under way.");
        asked.iter().for_each(|meter| _ = family.sample(&meter.labels(), meter.under_way.value()));
        let family =
            text.counter("swiftcart_http_requests_shed_total", "Requests that were refused because too many were under way.");
        asked.iter().for_each(|meter| _ = family.sample(&meter.labels(), meter.shed.count()));
    }
}

impl Meters {
    /// The meter of what is asked for at a route's `path`; HEAD is GET.
    pub(crate) fn of(&self, path: &str, method: &Method) -> &Meter {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        let mut place = self.routes.get(path).into_iter().flatten();
        place.find(|(of, _)| of == method).map_or(&self.stray, |(_, meter)| meter)
    }
}

impl Meter {
    pub(crate) fn service(&self) -> &'static str {
        self.service
    }

    pub(crate) fn route(&self) -> &str {
        &self.route
    }

    /// A request begins.
    pub(crate) fn begin(&self) -> Passing<'_> {
        self.under_way.add(1);
        Passing { meter: self, answer: GONE }
    }

    /// A request is refused for want of room.
    pub(crate) fn shed(&self) {
        self.shed.add(1);
    }

    fn is_used(&self) -> bool {
        self.under_way.value() > 0 || self.answered.iter().any(|answered| answered.count() > 0)
    }

    fn labels(&self) -> [(&'static str, &str); 3] {
        [("service", self.service), ("method", &self.method), ("route", &self.route)]
    }
}

impl Passing<'_> {
    /// The request was answered with `status`; how long that took counts if it is told.
    pub(crate) fn answered(mut self, status: u16, took: Option<(Timestamp, Timestamp)>) {
        self.answer = usize::from(status / 100).clamp(1, GONE) - 1;
        if let Some((from, to)) = took {
            self.meter.duration.observe_between(from, to);
        }
    }
}

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        self.meter.under_way.add(-1);
        self.meter.answered[self.answer].add(1);
    }
}
