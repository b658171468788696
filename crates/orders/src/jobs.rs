//! What orders does when time has passed: it gives up orders that wait too long, brings back what nobody
//! decides about, and asks again for what is not given back. It has no jobs: nothing it does calls the outside.
//! Tells how far it is behind with its promises. Leaves holds' expiry to inventory, whose clock alone decides it.

use engine::{Age, Job, TimerKind};

use crate::config::Config;
use crate::service::{WAITING, waited};
use crate::store::undecided_since;

/// Its timers.
pub(crate) fn timers(config: &Config) -> Vec<TimerKind> {
    let config = config.clone();
    vec![TimerKind::new(WAITING, move |work, subject| waited(work, subject, &config))]
}

/// How far the promises are behind: the age of the oldest order that waits for stock or money. A log hides overload as lag,
/// and this is where a shopper would feel it.
pub(crate) fn ages() -> Vec<Age> {
    let help = "How old the oldest order is that is neither promised nor ended; 0 if there is none.";
    vec![Age::new("swiftcart_order_undecided_age_seconds", help, |handle| {
        Box::pin(async move {
            let since = undecided_since(&handle).await?;
            Ok(since.map_or(0, |since| handle.runtime().now().since_ms(since)))
        })
    })]
}

/// Its jobs: none.
pub(crate) fn jobs() -> Vec<Job> {
    Vec::new()
}
