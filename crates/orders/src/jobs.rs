//! What orders does when time has passed: it gives up orders that wait too long. It has no jobs: nothing it does calls the outside.
//! Leaves holds' expiry to inventory, whose clock alone decides it.

use engine::{Job, TimerKind};

use crate::config::Config;
use crate::service::{WAITING, waited_too_long};

/// Its timers.
pub(crate) fn timers(config: &Config) -> Vec<TimerKind> {
    let config = config.clone();
    vec![TimerKind::new(WAITING, move |work, subject| waited_too_long(work, subject, &config))]
}

/// Its jobs: none.
pub(crate) fn jobs() -> Vec<Job> {
    Vec::new()
}
