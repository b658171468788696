//! What orders does when time has passed: it gives up orders that wait too long, brings back what nobody
//! decides about, and asks again for what is not given back. It has no jobs: nothing it does calls the outside.
//! Leaves holds' expiry to inventory, whose clock alone decides it.

use engine::{Job, TimerKind};

use crate::config::Config;
use crate::service::{WAITING, waited};

/// Its timers.
pub(crate) fn timers(config: &Config) -> Vec<TimerKind> {
    let config = config.clone();
    vec![TimerKind::new(WAITING, move |work, subject| waited(work, subject, &config))]
}

/// Its jobs: none.
pub(crate) fn jobs() -> Vec<Job> {
    Vec::new()
}
