//! Which slots a store's template and hours make, in the store's own time zone, through the days on which clocks change.
//! Leaves what becomes of slots that are there already to `timetable`.
//!
//! A slot's ends are times of the clock on the wall. The instant of such a time is the first at which that clock shows it or
//! a later one: a time that is skipped in spring falls on the jump itself, one that comes twice in autumn on its first coming.
//! So the slots of a day follow each other without a gap, one over a skipped hour is shorter or not there, and one over a
//! repeated hour is longer.

use contracts::delivery::{Hours, SlotTemplate, Store};
use contracts::{Slot, SlotKey, StoreId};
use jiff::ToSpan;
use jiff::civil::{Date, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use kernel::Timestamp;
use serde::{Deserialize, Serialize};

/// For how many days slots are made at most: as long as an authorisation surely lives.
const DAYS_AHEAD_MAX: i64 = 5;
const DAY_MINUTES: i64 = 24 * 60;

/// What inventory keeps of a store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct StoreCopy {
    /// Its id; its bucket is where its supply lives.
    pub(crate) id: StoreId,
    /// An IANA time zone.
    pub(crate) time_zone: String,
    /// When it is open.
    pub(crate) hours: Hours,
    /// Its slots.
    pub(crate) template: SlotTemplate,
}

impl From<&Store> for StoreCopy {
    fn from(store: &Store) -> Self {
        Self { id: store.id, time_zone: store.time_zone.clone(), hours: store.hours.clone(), template: store.slots.clone() }
    }
}

/// A store's time zone is not known to this program; the text names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct UnknownZone(pub(crate) String);

/// The slots that `store` should have from `now` on and that can still be ordered, in their order, the first `slots_max`.
pub(crate) fn wanted(store: &StoreCopy, now: Timestamp, slots_max: usize) -> Result<Vec<Slot>, UnknownZone> {
    let zone = zone_of(store)?;
    let days = usize::try_from(store.template.days_ahead.clamp(0, DAYS_AHEAD_MAX)).unwrap_or_default();
    let dates = std::iter::successors(today(&zone, now), |date| date.tomorrow().ok()).take(days);
    let slots = dates.flat_map(|date| slots_of_day(&zone, store, date));
    Ok(slots.filter(|slot| slot.cutoff_at > now).take(slots_max).collect())
}

/// The next time that a day begins in `store`, after `now`.
pub(crate) fn next_midnight(store: &StoreCopy, now: Timestamp) -> Result<Option<Timestamp>, UnknownZone> {
    let zone = zone_of(store)?;
    let dates = std::iter::successors(today(&zone, now), |date| date.tomorrow().ok()).skip(1).take(3);
    // Clocks put back over midnight show the old day again, after the new one's beginning.
    Ok(dates.filter_map(|date| instant(&zone, date, 0)).find(|midnight| *midnight > now))
}

fn zone_of(store: &StoreCopy) -> Result<TimeZone, UnknownZone> {
    TimeZone::get(&store.time_zone).map_err(|_| UnknownZone(store.time_zone.clone()))
}

fn today(zone: &TimeZone, now: Timestamp) -> Option<Date> {
    Some(zone.to_datetime(jiff::Timestamp::from_microsecond(now.as_micros()).ok()?).date())
}

fn slots_of_day(zone: &TimeZone, store: &StoreCopy, date: Date) -> Vec<Slot> {
    let SlotTemplate { length_minutes: length, cutoff_minutes, .. } = store.template;
    if !(1..=DAY_MINUTES).contains(&length) {
        return Vec::new();
    }
    let open = open_spans(&store.hours, date);
    let covers = |from: i64, to: i64| open.iter().any(|(opens, closes)| *opens <= from && to <= *closes);
    let slot = |from: i64| {
        let to = from + length;
        let (starts_at, ends_at) = (instant(zone, date, from)?, instant(zone, date, to)?);
        let cutoff_at = ends_at.plus_ms(-cutoff_minutes.max(0).saturating_mul(60_000));
        (covers(from, to) && starts_at < ends_at).then_some(Slot { starts_at: SlotKey(starts_at), ends_at, cutoff_at })
    };
    (0..DAY_MINUTES / length).filter_map(|index| slot(index * length)).collect()
}

/// The first instant at which the clock on the wall shows `minute` of `date` or a later time.
fn instant(zone: &TimeZone, date: Date, minute: i64) -> Option<Timestamp> {
    let local = date.at(0, 0, 0, 0).checked_add(minute.minutes()).ok()?;
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let found = match ambiguous.offset() {
        // Read with the offset after the jump, a skipped time lies shortly before the jump.
        AmbiguousOffset::Gap { after, .. } => zone.following(after.to_timestamp(local).ok()?).next()?.timestamp(),
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => ambiguous.earlier().ok()?,
    };
    Some(Timestamp::from_micros(found.as_microsecond()))
}

/// When the store is open on `date`, in minutes of the clock on the wall: in order, without touching each other.
fn open_spans(hours: &Hours, date: Date) -> Vec<(i64, i64)> {
    let days = match hours {
        Hours::Always(true) => return vec![(0, DAY_MINUTES)],
        Hours::Always(false) => return Vec::new(),
        Hours::Weekly(days) => days,
    };
    let spans_of = |date: Date| {
        let spans = days.get(word_of(date.weekday())).into_iter().flatten();
        spans.filter_map(|(opens, closes)| Some((minute_of(opens)?, minute_of(closes)?)))
    };
    let own = spans_of(date).map(|(opens, closes)| if closes <= opens { (opens, DAY_MINUTES) } else { (opens, closes) });
    // A span that ends before it begins runs on into the next day.
    let yesterday = date.yesterday().ok();
    let left_over = yesterday.into_iter().flat_map(spans_of).filter(|(opens, closes)| closes <= opens);
    let mut spans: Vec<(i64, i64)> = own.chain(left_over.map(|(_, closes)| (0, closes))).collect();
    spans.sort_unstable();
    spans.into_iter().fold(Vec::new(), |mut merged: Vec<(i64, i64)>, span| {
        match merged.last_mut().filter(|last| span.0 <= last.1) {
            Some(last) => last.1 = last.1.max(span.1),
            None => merged.push(span),
        }
        merged
    })
}

/// The minute of the day that a text as `07:30` names, up to `24:00`.
fn minute_of(text: &str) -> Option<i64> {
    let (hour, minute) = text.split_once(':')?;
    let plain = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = |text: &str| if plain(text) { text.parse::<i64>().ok() } else { None };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let of_day = hour * 60 + minute;
    (minute < 60 && of_day <= DAY_MINUTES).then_some(of_day)
}

fn word_of(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "mon",
        Weekday::Tuesday => "tue",
        Weekday::Wednesday => "wed",
        Weekday::Thursday => "thu",
        Weekday::Friday => "fri",
        Weekday::Saturday => "sat",
        Weekday::Sunday => "sun",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use kernel::{Bucket, Draw, Id};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Zones with jumps of an hour, half an hour and two, at midnight, at two and around the date line.
    const ZONES: [&str; 10] = [
        "America/New_York",
        "Europe/Berlin",
        "Australia/Lord_Howe",
        "America/Sao_Paulo",
        "America/Havana",
        "Antarctica/Troll",
        "Pacific/Apia",
        "Asia/Beirut",
        "America/St_Johns",
        "Asia/Kathmandu",
    ];

    pub(crate) fn store(zone: &str, length_minutes: i64, hours: Hours) -> StoreCopy {
        let id = StoreId(Id::new(Timestamp::from_millis(1), Bucket(5), &mut Draw::seeded(9)));
        let template = SlotTemplate { length_minutes, places: 10, cutoff_minutes: 15, days_ahead: 3 };
        StoreCopy { id, time_zone: zone.to_owned(), hours, template }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn weekly(days: &[(&str, &[(&str, &str)])]) -> Hours {
        let spans = |spans: &[(&str, &str)]| spans.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        Hours::Weekly(days.iter().map(|(day, list)| ((*day).to_owned(), spans(list))).collect())
    }

    /// The starts on one day as the wall shows them, with their lengths in minutes.
    fn wall(store: &StoreCopy, date: &str) -> Vec<(String, i64)> {
        let zone = zone_of(store).unwrap();
        let date: Date = date.parse().unwrap();
        let show = |slot: &Slot| {
            let local = zone.to_datetime(jiff::Timestamp::from_microsecond(slot.starts_at.0.as_micros()).unwrap());
            (local.strftime("%H:%M").to_string(), slot.ends_at.since_ms(slot.starts_at.0) / 60_000)
        };
        slots_of_day(&zone, store, date).iter().map(show).collect()
    }

    fn names(slots: &[(String, i64)]) -> String {
        slots.iter().map(|(start, minutes)| format!("{start}+{minutes}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn slots_lie_within_the_hours() {
        let hours = weekly(&[("mon", &[("07:10", "09:00"), ("09:00", "11:59")]), ("tue", &[])]);
        let store = store("America/New_York", 60, hours);
        assert_eq!(names(&wall(&store, "2026-11-23")), "08:00+60 09:00+60 10:00+60");
        assert_eq!(names(&wall(&store, "2026-11-24")), "");
        assert_eq!(names(&wall(&store, "2026-11-25")), "");
    }

    #[test]
    fn a_span_may_run_past_midnight() {
        let store = store("America/New_York", 120, weekly(&[("fri", &[("20:00", "02:00")])]));
        assert_eq!(names(&wall(&store, "2026-11-27")), "20:00+120 22:00+120");
        assert_eq!(names(&wall(&store, "2026-11-28")), "00:00+120");
    }

    #[test]
    fn hours_that_are_none_open_nothing() {
        for wrong in [("7:00", "09:00"), ("07:60", "09:00"), ("07:00", "24:01"), ("", ""), ("+7:00", "09:00")] {
            let store = store("America/New_York", 60, weekly(&[("mon", &[wrong])]));
            assert_eq!(names(&wall(&store, "2026-11-23")), "", "{wrong:?}");
        }
        let store = store("America/New_York", 720, weekly(&[("mon", &[("00:00", "24:00")])]));
        assert_eq!(names(&wall(&store, "2026-11-23")), "00:00+720 12:00+720");
    }

    #[test]
    fn the_days_on_which_clocks_change() {
        let open = || Hours::Always(true);
        let spring = wall(&store("America/New_York", 60, open()), "2026-03-08");
        assert_eq!(spring.len(), 23);
        assert_eq!(names(&spring[..3]), "00:00+60 01:00+60 03:00+60");
        let autumn = wall(&store("America/New_York", 60, open()), "2026-11-01");
        assert_eq!(autumn.len(), 24);
        assert_eq!(names(&autumn[..3]), "00:00+60 01:00+120 02:00+60");
        assert_eq!(names(&wall(&store("America/New_York", 90, open()), "2026-03-08")[..3]), "00:00+90 01:30+30 03:00+90");
        assert_eq!(names(&wall(&store("America/New_York", 150, open()), "2026-03-08")[..2]), "00:00+120 03:00+120");
        assert_eq!(names(&wall(&store("America/Havana", 30, open()), "2026-03-08")[..2]), "01:00+30 01:30+30");
        assert_eq!(names(&wall(&store("Pacific/Apia", 30, open()), "2011-12-30")), "");
    }

    #[test]
    fn only_slots_that_can_be_ordered_are_wanted() {
        let store = store("America/New_York", 60, Hours::Always(true));
        let slots = wanted(&store, at("2026-11-24T12:44:59-05:00"), 1000).unwrap();
        assert_eq!(slots[0].starts_at.0, at("2026-11-24T12:00:00-05:00"));
        assert_eq!(slots[0].cutoff_at, at("2026-11-24T12:45:00-05:00"));
        assert_eq!(slots.len(), 12 + 2 * 24);
        assert_eq!(slots.last().unwrap().ends_at, at("2026-11-27T00:00:00-05:00"));
        let later = wanted(&store, at("2026-11-24T12:45:00-05:00"), 2).unwrap();
        assert_eq!(later[0].starts_at.0, at("2026-11-24T13:00:00-05:00"));
        assert_eq!(later.len(), 2);
    }

    #[test]
    fn templates_that_make_no_sense_make_no_slots() {
        let now = at("2026-11-24T12:00:00Z");
        for length in [i64::MIN, 0, 1441, i64::MAX] {
            assert_eq!(wanted(&store("Europe/Berlin", length, Hours::Always(true)), now, 1000), Ok(Vec::new()));
        }
        assert_eq!(wanted(&store("Europe/Berlin", 60, Hours::Always(false)), now, 1000), Ok(Vec::new()));
        assert_eq!(wanted(&store("Mars/Base", 60, Hours::Always(true)), now, 9), Err(UnknownZone("Mars/Base".to_owned())));
        let mut odd = store("Europe/Berlin", 60, Hours::Always(true));
        odd.template = SlotTemplate { cutoff_minutes: i64::MAX, days_ahead: i64::MAX, ..odd.template };
        assert_eq!(wanted(&odd, now, 1000), Ok(Vec::new()));
    }

    #[test]
    fn midnight_is_the_stores_own() {
        let store = |zone| store(zone, 60, Hours::Always(true));
        let next = |zone, now| next_midnight(&store(zone), at(now)).unwrap().unwrap();
        assert_eq!(next("America/New_York", "2026-11-24T23:59:59-05:00"), at("2026-11-25T00:00:00-05:00"));
        assert_eq!(next("America/New_York", "2026-11-25T00:00:00-05:00"), at("2026-11-26T00:00:00-05:00"));
        assert_eq!(next("America/Havana", "2026-03-07T12:00:00-05:00"), at("2026-03-08T01:00:00-04:00"));
    }

    /// A day from 2012 on: any, or within two days of one on which the clocks of `zone` change.
    fn day(zone: &str, any: i64, near: Option<usize>) -> Date {
        let first: Date = "2012-01-01".parse().unwrap();
        let tz = TimeZone::get(zone).unwrap();
        let from = tz.to_timestamp(first.at(0, 0, 0, 0)).unwrap();
        let jumps: Vec<Date> = tz.following(from).take(40).map(|jump| tz.to_datetime(jump.timestamp()).date()).collect();
        match near.filter(|_| !jumps.is_empty()) {
            Some(near) => jumps[near % jumps.len()].checked_add((any % 5 - 2).days()).unwrap(),
            None => first.checked_add(any.days()).unwrap(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn each_slot_exists_once_and_none_overlaps(
            zone in 0..ZONES.len(),
            length in 1i64..400,
            any in 0i64..(20 * 366),
            near in prop::option::of(0usize..40),
            minute in 0i64..(24 * 60),
            days_ahead in 1i64..6,
        ) {
            let mut store = store(ZONES[zone], length, Hours::Always(true));
            store.template.days_ahead = days_ahead;
            let now = instant(&zone_of(&store).unwrap(), day(ZONES[zone], any, near), minute).unwrap();
            let slots = wanted(&store, now, usize::MAX).unwrap();
            for slot in &slots {
                prop_assert!(slot.starts_at.0 < slot.ends_at);
                prop_assert!(slot.cutoff_at > now);
            }
            for pair in slots.windows(2) {
                prop_assert!(pair[0].ends_at <= pair[1].starts_at.0);
            }
            // A day later the same slots are wanted, and no other at the same time: what was made stays what it was.
            let tomorrow = wanted(&store, now.plus_ms(24 * 3_600_000), usize::MAX).unwrap();
            let known: BTreeMap<SlotKey, Slot> = slots.iter().map(|slot| (slot.starts_at, *slot)).collect();
            let last = slots.last().map(|slot| slot.ends_at);
            for slot in tomorrow.iter().filter(|slot| last.is_some_and(|last| slot.starts_at.0 < last)) {
                prop_assert_eq!(known.get(&slot.starts_at), Some(slot));
            }
        }

        #[test]
        fn the_clock_on_the_wall_names_the_slot(
            zone in 0..ZONES.len(),
            length in prop::sample::select(vec![15i64, 30, 45, 60, 90, 120, 180, 240]),
            any in 0i64..(20 * 366),
            near in prop::option::of(0usize..40),
        ) {
            let store = store(ZONES[zone], length, Hours::Always(true));
            let tz = zone_of(&store).unwrap();
            let date = day(ZONES[zone], any, near);
            let slots = slots_of_day(&tz, &store, date);
            let mut before = None;
            let (from, to) = (instant(&tz, date, 0).unwrap(), instant(&tz, date, DAY_MINUTES).unwrap());
            let mut now = from;
            while now < to {
                let local = tz.to_datetime(jiff::Timestamp::from_microsecond(now.as_micros()).unwrap());
                let holding: Vec<&Slot> = slots.iter().filter(|slot| slot.starts_at.0 <= now && now < slot.ends_at).collect();
                prop_assert_eq!(holding.len(), 1, "{} in {}", local, ZONES[zone]);
                // While an hour comes for the second time, the slot of its end goes on.
                let first_time = before.is_none_or(|before| local > before);
                if first_time {
                    let minute = (i64::from(local.hour()) * 60 + i64::from(local.minute())) / length * length;
                    prop_assert_eq!(Some(holding[0].starts_at.0), instant(&tz, local.date(), minute));
                    before = Some(local);
                }
                now = now.plus_ms(5 * 60_000);
            }
        }
    }
}
