//! A store as its manager describes it, what such a description must keep to, and the store that comes of it.
//! Leaves what prices, fees and slots follow from it to the services that copy it.

use std::collections::BTreeMap;

use contracts::delivery::{Fee, Hours, SlotTemplate, Store};
use contracts::{Point, StoreId};
use kernel::{Currency, Fault};
use serde::{Deserialize, Serialize};

/// How long a store's name and street may be, in characters.
pub(crate) const TEXT_CHARS_MAX: usize = 200;
/// How many spans of opening a day may have.
pub(crate) const SPANS_MAX: usize = 6;
/// How many points a zone's ring has at least, the last being the first again.
pub(crate) const ZONE_POINTS_MIN: usize = 4;
/// How many it may have.
pub(crate) const ZONE_POINTS_MAX: usize = 200;
/// The most that a fee or a limit of it may be.
pub(crate) const FEE_MINOR_MAX: i64 = 100_000_000;
/// How many places a slot may have.
pub(crate) const PLACES_MAX: i64 = 10_000;
/// How many classes of tax a store may have.
pub(crate) const TAX_CLASSES_MAX: usize = 20;
/// How long the name of one may be.
pub(crate) const TAX_CLASS_CHARS_MAX: usize = 64;
/// The highest rate of tax.
pub(crate) const TAX_BASIS_POINTS_MAX: i64 = 5000;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY_MINUTES: i64 = 24 * 60;

/// A store with the version that its entity tag names.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct StoreRecord {
    pub(crate) version: i64,
    pub(crate) store: Store,
}

impl StoreRecord {
    /// A new store of that id, open for orders.
    pub(crate) fn opened(id: StoreId, plan: &StorePlan) -> Self {
        Self { version: 1, store: plan.store(id, false) }
    }

    /// The store as described now; a pause goes on.
    pub(crate) fn change(&mut self, plan: &StorePlan) {
        self.store = plan.store(self.store.id, self.store.paused);
        self.version += 1;
    }

    /// Takes no orders for now, or takes them again; says whether that is news.
    pub(crate) fn pause(&mut self, paused: bool) -> bool {
        let news = self.store.paused != paused;
        if news {
            self.store.paused = paused;
            self.version += 1;
        }
        news
    }
}

/// A store as its manager describes it.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StorePlan {
    name: String,
    street: String,
    lat: f64,
    lon: f64,
    time_zone: String,
    currency: Currency,
    hours: Hours,
    zone: Vec<(f64, f64)>,
    fee: Fee,
    slots: SlotTemplate,
    tax_basis_points: BTreeMap<String, i64>,
}

impl StorePlan {
    /// The same, its time zone written as IANA writes it, or the first field that is wrong.
    pub(crate) fn checked(mut self) -> Result<Self, Fault> {
        check_text("/name", &self.name)?;
        check_text("/street", &self.street)?;
        check_range("/lat", self.lat, 90.0)?;
        check_range("/lon", self.lon, 180.0)?;
        self.time_zone = time_zone_of(&self.time_zone)?;
        check_hours(&self.hours)?;
        check_zone(&self.zone)?;
        check_fee(&self.fee)?;
        check_slots(&self.slots)?;
        check_taxes(&self.tax_basis_points)?;
        Ok(self)
    }

    fn store(&self, id: StoreId, paused: bool) -> Store {
        let plan = self.clone();
        Store {
            id,
            name: plan.name,
            street: plan.street,
            point: Point { lat: plan.lat, lon: plan.lon },
            time_zone: plan.time_zone,
            currency: plan.currency,
            hours: plan.hours,
            zone: plan.zone,
            fee: plan.fee,
            slots: plan.slots,
            tax_basis_points: plan.tax_basis_points,
            paused,
        }
    }
}

fn check_text(field: &str, text: &str) -> Result<(), Fault> {
    let sound =
        (1..=TEXT_CHARS_MAX).contains(&text.chars().count()) && !text.trim().is_empty() && !text.chars().any(char::is_control);
    require(sound, field, || format!("expected 1 to {TEXT_CHARS_MAX} characters in one line"))
}

fn check_range(field: &str, degrees: f64, most: f64) -> Result<(), Fault> {
    require((-most..=most).contains(&degrees), field, || format!("expected degrees from -{most} to {most}"))
}

fn time_zone_of(name: &str) -> Result<String, Fault> {
    let zone = jiff::tz::TimeZone::get(name).ok();
    let canonical = zone.as_ref().and_then(jiff::tz::TimeZone::iana_name).filter(|name| *name != "Etc/Unknown");
    canonical
        .map(str::to_owned)
        .ok_or_else(|| Fault::invalid_field("/time_zone", "expected an IANA time zone, as America/New_York"))
}

fn check_hours(hours: &Hours) -> Result<(), Fault> {
    match hours {
        Hours::Always(always) => require(*always, "/hours/always", || {
            "expected true; for a store that closes say `weekly`, and to stop orders for now pause the store".to_owned()
        }),
        Hours::Weekly(days) => {
            for (day, spans) in days {
                check_day(day, spans)?;
            }
            let opens = days.values().any(|spans| !spans.is_empty());
            require(opens, "/hours/weekly", || {
                "expected at least one day with a span, as \"mon\": [[\"07:00\", \"23:00\"]]".to_owned()
            })
        }
    }
}

fn check_day(day: &str, spans: &[(String, String)]) -> Result<(), Fault> {
    let field = format!("/hours/weekly/{day}");
    require(DAYS.contains(&day), &field, || format!("expected days of {}", DAYS.join(", ")))?;
    require(spans.len() <= SPANS_MAX, &field, || format!("expected at most {SPANS_MAX} spans a day"))?;
    let mut closed_at = 0;
    for (index, (opens, closes)) in spans.iter().enumerate() {
        let minutes = |end: usize, text: &str| {
            let detail = "expected a time of day from 00:00 to 24:00, as 07:00";
            minutes_of(text).ok_or_else(|| Fault::invalid_field(format!("{field}/{index}/{end}"), detail))
        };
        let (from, to) = (minutes(0, opens)?, minutes(1, closes)?);
        require(closed_at <= from && from < to, &format!("{field}/{index}"), || {
            "expected spans that end after they begin, in the order of the day, without overlap".to_owned()
        })?;
        closed_at = to;
    }
    Ok(())
}

/// Minutes since midnight of `HH:MM`, up to `24:00`, at which a day may end.
fn minutes_of(text: &str) -> Option<i64> {
    let digits = |part: &str| (part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit())).then(|| part.parse().ok())?;
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (i64, i64) = (digits(hours)?, digits(minutes)?);
    (minutes < 60).then_some(hours * 60 + minutes).filter(|minute| *minute <= DAY_MINUTES)
}

fn check_zone(zone: &[(f64, f64)]) -> Result<(), Fault> {
    require((ZONE_POINTS_MIN..=ZONE_POINTS_MAX).contains(&zone.len()), "/zone", || {
        format!("expected a ring of {ZONE_POINTS_MIN} to {ZONE_POINTS_MAX} points")
    })?;
    for (index, (lon, lat)) in zone.iter().enumerate() {
        let on_earth = Point { lat: *lat, lon: *lon }.on_earth();
        require(on_earth, &format!("/zone/{index}"), || "expected [lon, lat] in degrees on earth".to_owned())?;
    }
    require(zone.first() == zone.last(), "/zone", || "expected a closed ring: its last point is its first again".to_owned())?;
    let twice = zone.windows(2).position(|edge| edge[0] == edge[1]);
    require(twice.is_none(), "/zone", || "expected no point twice in a row".to_owned())?;
    require(!crosses_itself(zone), "/zone", || "expected a ring whose edges neither cross nor touch each other".to_owned())
}

/// Whether two edges of a closed ring have a point in common beyond the corner of neighbours.
fn crosses_itself(ring: &[(f64, f64)]) -> bool {
    let edges = ring.len() - 1;
    let edge = |index: usize| (ring[index], ring[index + 1]);
    (0..edges).any(|first| {
        (first + 1..edges).any(|second| {
            let (a, b) = (edge(first), edge(second));
            if second == first + 1 {
                turns_back(a.0, a.1, b.1)
            } else if first == 0 && second == edges - 1 {
                turns_back(b.0, b.1, a.1)
            } else {
                touch(a, b)
            }
        })
    })
}

type Corner = (f64, f64);

/// Twice the area of the triangle, positive if it turns left.
fn turn(a: Corner, b: Corner, c: Corner) -> f64 {
    (b.0 - a.0) * (c.1 - a.1) - (b.1 - a.1) * (c.0 - a.0)
}

/// Whether the way from `a` over `b` to `c` goes back along itself.
fn turns_back(a: Corner, b: Corner, c: Corner) -> bool {
    let ahead = (b.0 - a.0) * (c.0 - b.0) + (b.1 - a.1) * (c.1 - b.1);
    turn(a, b, c) == 0.0 && ahead < 0.0
}

/// Whether two edges have a point in common.
fn touch((a, b): (Corner, Corner), (c, d): (Corner, Corner)) -> bool {
    let within = |a: Corner, b: Corner, p: Corner| {
        (a.0.min(b.0)..=a.0.max(b.0)).contains(&p.0) && (a.1.min(b.1)..=a.1.max(b.1)).contains(&p.1)
    };
    let (to_c, to_d, to_a, to_b) = (turn(a, b, c), turn(a, b, d), turn(c, d, a), turn(c, d, b));
    let apart = |one: f64, other: f64| (one > 0.0 && other < 0.0) || (one < 0.0 && other > 0.0);
    (apart(to_c, to_d) && apart(to_a, to_b))
        || (to_c == 0.0 && within(a, b, c))
        || (to_d == 0.0 && within(a, b, d))
        || (to_a == 0.0 && within(c, d, a))
        || (to_b == 0.0 && within(c, d, b))
}

fn check_fee(fee: &Fee) -> Result<(), Fault> {
    let amounts = [
        ("/fee/base_minor", fee.base_minor),
        ("/fee/per_km_minor", fee.per_km_minor),
        ("/fee/free_from_minor", fee.free_from_minor),
        ("/fee/order_minimum_minor", fee.order_minimum_minor),
    ];
    amounts.into_iter().try_for_each(|(field, minor)| check_number(field, minor, 0, FEE_MINOR_MAX))
}

fn check_slots(slots: &SlotTemplate) -> Result<(), Fault> {
    let length = slots.length_minutes;
    let fits = (15..=240).contains(&length) && DAY_MINUTES % length == 0;
    require(fits, "/slots/length_minutes", || {
        format!("expected 15 to 240 minutes of which a day of {DAY_MINUTES} is a multiple, as 60")
    })?;
    check_number("/slots/places", slots.places, 1, PLACES_MAX)?;
    check_number("/slots/cutoff_minutes", slots.cutoff_minutes, 0, length - 1)?;
    check_number("/slots/days_ahead", slots.days_ahead, 1, 5)
}

fn check_taxes(taxes: &BTreeMap<String, i64>) -> Result<(), Fault> {
    require((1..=TAX_CLASSES_MAX).contains(&taxes.len()), "/tax_basis_points", || {
        format!("expected 1 to {TAX_CLASSES_MAX} classes of tax")
    })?;
    for (class, basis_points) in taxes {
        let plain = class.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        require(plain && (1..=TAX_CLASS_CHARS_MAX).contains(&class.len()), "/tax_basis_points", || {
            format!("expected classes of 1 to {TAX_CLASS_CHARS_MAX} of a-z, 0-9 and '-', as grocery")
        })?;
        check_number(&format!("/tax_basis_points/{class}"), *basis_points, 0, TAX_BASIS_POINTS_MAX)?;
    }
    Ok(())
}

fn check_number(field: &str, number: i64, least: i64, most: i64) -> Result<(), Fault> {
    require((least..=most).contains(&number), field, || format!("expected a whole number from {least} to {most}"))
}

fn require(holds: bool, field: &str, detail: impl FnOnce() -> String) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(Fault::invalid_field(field, detail())) }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn plan() -> StorePlan {
        StorePlan {
            name: "SwiftCart Krog Street".into(),
            street: "99 Krog St NE".into(),
            lat: 33.757,
            lon: -84.364,
            time_zone: "America/New_York".into(),
            currency: "USD".parse().unwrap(),
            hours: Hours::Always(true),
            zone: vec![(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0), (0.0, 0.0)],
            fee: Fee { base_minor: 299, per_km_minor: 60, free_from_minor: 3500, order_minimum_minor: 200 },
            slots: SlotTemplate { length_minutes: 60, places: 120, cutoff_minutes: 15, days_ahead: 4 },
            tax_basis_points: BTreeMap::from([("grocery".to_owned(), 490)]),
        }
    }

    fn weekly(days: &[(&str, &[(&str, &str)])]) -> Hours {
        let spans = |spans: &[(&str, &str)]| spans.iter().map(|(from, to)| ((*from).into(), (*to).into())).collect();
        Hours::Weekly(days.iter().map(|(day, list)| ((*day).to_owned(), spans(list))).collect())
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut StorePlan), at_fault: Option<&str>) {
        let mut plan = plan();
        change(&mut plan);
        let field = plan.checked().err().map(|fault| fault.fields[0].field.clone());
        assert_eq!(field.as_deref(), at_fault);
    }

    #[test]
    fn a_sound_plan_passes_and_each_fault_is_named() {
        check(|_| {}, None);
        check(|plan| plan.name = " ".into(), Some("/name"));
        check(|plan| plan.street = "x".repeat(201), Some("/street"));
        check(|plan| plan.lat = 90.1, Some("/lat"));
        check(|plan| plan.lon = f64::NAN, Some("/lon"));
        check(|plan| plan.time_zone = "America/Atlanta".into(), Some("/time_zone"));
        check(|plan| plan.hours = Hours::Always(false), Some("/hours/always"));
        check(|plan| plan.hours = weekly(&[("mon", &[("07:00", "12:00"), ("12:00", "24:00")])]), None);
        check(|plan| plan.hours = weekly(&[]), Some("/hours/weekly"));
        check(|plan| plan.hours = weekly(&[("monday", &[])]), Some("/hours/weekly/monday"));
        check(|plan| plan.hours = weekly(&[("mon", &[("7:00", "23:00")])]), Some("/hours/weekly/mon/0/0"));
        check(|plan| plan.hours = weekly(&[("mon", &[("07:00", "24:01")])]), Some("/hours/weekly/mon/0/1"));
        check(|plan| plan.hours = weekly(&[("mon", &[("07:00", "12:00"), ("11:00", "23:00")])]), Some("/hours/weekly/mon/1"));
        check(|plan| plan.fee.base_minor = -1, Some("/fee/base_minor"));
        check(|plan| plan.slots.length_minutes = 50, Some("/slots/length_minutes"));
        check(|plan| plan.slots.places = 0, Some("/slots/places"));
        check(|plan| plan.slots.cutoff_minutes = 60, Some("/slots/cutoff_minutes"));
        check(|plan| plan.slots.days_ahead = 6, Some("/slots/days_ahead"));
        check(|plan| plan.tax_basis_points.clear(), Some("/tax_basis_points"));
        check(|plan| plan.tax_basis_points = BTreeMap::from([("vat".into(), 5001)]), Some("/tax_basis_points/vat"));
    }

    #[test]
    fn zones_are_simple_closed_rings() {
        let zones: [(&[(f64, f64)], bool); 9] = [
            (&[(0.0, 0.0), (4.0, 0.0), (0.0, 4.0), (0.0, 0.0)], true),
            (&[(0.0, 0.0), (4.0, 0.0), (2.0, 1.0), (4.0, 4.0), (0.0, 0.0)], true),
            (&[(0.0, 0.0), (2.0, 0.0), (4.0, 0.0), (0.0, 4.0), (0.0, 0.0)], true),
            (&[(0.0, 0.0), (4.0, 0.0), (0.0, 0.0)], false),
            (&[(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0)], false),
            (&[(0.0, 0.0), (4.0, 4.0), (4.0, 0.0), (0.0, 4.0), (0.0, 0.0)], false),
            (&[(0.0, 0.0), (4.0, 0.0), (2.0, 0.0), (0.0, 0.0)], false),
            (&[(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (2.0, 0.0), (0.0, 4.0), (0.0, 0.0)], false),
            (&[(0.0, 0.0), (4.0, 0.0), (4.0, 0.0), (0.0, 4.0), (0.0, 0.0)], false),
        ];
        for (zone, sound) in zones {
            assert_eq!(check_zone(zone).is_ok(), sound, "{zone:?}");
        }
        assert!(check_zone(&[(0.0, 91.0), (4.0, 0.0), (0.0, 4.0), (0.0, 91.0)]).is_err());
    }

    #[test]
    fn a_change_keeps_the_pause_and_every_change_has_its_version() {
        let mut record = StoreRecord::opened(StoreId(crate::domain::delivery::tests::id(1)), &plan());
        assert!(record.pause(true));
        assert!(!record.pause(true));
        record.change(&StorePlan { name: "Krog".into(), ..plan() });
        assert_eq!((record.version, record.store.paused, record.store.name.as_str()), (3, true, "Krog"));
    }

    #[test]
    fn a_time_zone_is_written_as_iana_writes_it() {
        assert_eq!(time_zone_of("america/new_york").unwrap(), "America/New_York");
    }

    proptest! {
        #[test]
        fn a_star_around_a_middle_never_crosses_itself(radii in prop::collection::vec(0.1f64..10.0, 3..60)) {
            let corner = |(index, radius): (usize, &f64)| {
                let angle = std::f64::consts::TAU * index as f64 / radii.len() as f64;
                (radius * angle.cos(), radius * angle.sin())
            };
            let mut ring: Vec<_> = radii.iter().enumerate().map(corner).collect();
            ring.push(ring[0]);
            prop_assert!(check_zone(&ring).is_ok());
        }
    }
}
