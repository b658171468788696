//! What inventory does when time has passed: it gives back holds that ran out, and makes the slots of one more day.
//! It has no jobs, for nothing it does calls the outside.

use engine::{Job, Stop, TimerKind};

use crate::config::Config;
use crate::domain::hold::Ask;
use crate::service::{self, HOLD_EXPIRY, MAKE_SLOTS};

/// Its timers.
pub(crate) fn timers(config: &Config) -> Vec<TimerKind> {
    let slots_max = config.slots_max;
    let not_an_id = |subject: &str| Stop::Broken(format!("`{subject}` is no id"));
    vec![
        TimerKind::new(HOLD_EXPIRY, move |work, subject| {
            service::move_on(work, subject.parse().map_err(|_| not_an_id(subject))?, None, Ask::Expire)
        }),
        TimerKind::new(MAKE_SLOTS, move |work, subject| {
            service::make_slots(work, subject.parse().map_err(|_| not_an_id(subject))?, slots_max)
        }),
    ]
}

/// Its jobs: none.
pub(crate) fn jobs() -> Vec<Job> {
    Vec::new()
}
