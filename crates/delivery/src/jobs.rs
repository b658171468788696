//! What delivery does by itself: it offers waiting deliveries to free couriers, and ends what has waited for too long.
//! Leaves who is offered what to `domain::dispatch`, and the last word on each offer and each wait to its decider.

use contracts::StoreId;
use engine::{Handle, Job, Lane, TimerKind};
use futures_util::future::try_join_all;
use kernel::{Fault, TraceContext};

use crate::config::Config;
use crate::domain::delivery::Waiting;
use crate::domain::dispatch::match_offers;
use crate::{service, store};

/// How many stores one look brings.
const STORES_MAX: i64 = 256;

/// The timers: one for each thing that a delivery waits for.
pub(crate) fn timers(config: &Config) -> Vec<TimerKind> {
    let deadlines = config.deadlines();
    let timer =
        |waiting: Waiting| TimerKind::new(waiting.timer(), move |work, subject| service::time_out(work, subject, deadlines));
    Waiting::ALL.map(timer).to_vec()
}

/// The jobs.
pub(crate) fn jobs(config: &Config) -> Vec<Job> {
    let config = config.clone();
    vec![Job::new("dispatch", config.dispatch_every_ms, move |context| {
        let config = config.clone();
        Box::pin(async move { dispatch(&context.handle, &config).await })
    })]
}

/// Offers what waits, store by store. What changes meanwhile is found by the decider, or by the next run.
async fn dispatch(handle: &Handle, config: &Config) -> Result<(), Fault> {
    let mut after = None;
    loop {
        let stores = store::stores_to_dispatch(handle, after, STORES_MAX).await?;
        for store in &stores {
            while dispatch_store(handle, config, *store).await? == config.dispatch_pairs_max {}
        }
        after = stores.last().copied();
        if (stores.len() as u64) < STORES_MAX.unsigned_abs() {
            return Ok(());
        }
    }
}

/// Makes one round of offers in a store and says how many were made.
async fn dispatch_store(handle: &Handle, config: &Config, store: StoreId) -> Result<i64, Fault> {
    let free = store::couriers_free(handle, store, config.dispatch_pairs_max).await?;
    // Twice as many, so that whoever refused one can be offered another.
    let wanted = i64::try_from(free.len() * 2).unwrap_or(i64::MAX).min(config.dispatch_pairs_max);
    let waiting = store::deliveries_waiting(handle, store, wanted).await?;
    let pairs = match_offers(&waiting, &free, handle.runtime().now(), config.reoffer_after_ms);
    let (rules, deadlines) = (config.offer_rules(), config.deadlines());
    let trace = TraceContext::start(&mut handle.runtime().draw());
    let offers = pairs.into_iter().map(|(order, courier)| {
        handle.decide(Lane::Money, &trace, move |work| service::offer(work, order, courier, rules, deadlines))
    });
    let made = try_join_all(offers).await?;
    Ok(made.iter().map(|made| i64::from(*made)).sum())
}
