//! What inventory does by itself: it gives back holds that ran out, makes the slots of one more day, and tells the orders of a
//! slot that was withdrawn, some at a time, since they may be many. Leaves what each step does to `service`.

use contracts::OrderId;
use contracts::inventory::Thing;
use engine::{Entity, Handle, Job, JobContext, Lane, Stop, TimerKind};
use kernel::{Fault, TraceContext};

use crate::config::{Config, TELL_EVERY_MS, TELLS_MAX, TOLD_AT_ONCE};
use crate::domain::hold::Ask;
use crate::service::{self, HOLD_EXPIRY, MAKE_SLOTS};
use crate::store::{ORDERS_OF_THING, TELLINGS, Telling};

/// How many slots one run looks at.
const SLOTS_AT_ONCE: i64 = 20;

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

/// Its jobs.
pub(crate) fn jobs() -> Vec<Job> {
    vec![Job::every("tell-withdrawn", TELL_EVERY_MS, |context| Box::pin(tell_withdrawn(context)))]
}

/// Tells orders whose slot was withdrawn. A slot whose orders cannot be told stops only itself.
async fn tell_withdrawn(context: JobContext) -> Result<(), Fault> {
    let handle = context.handle;
    let rows = handle.read(&TELLINGS, vec![SLOTS_AT_ONCE.into()]).await?;
    let mut told = Ok(());
    for row in &rows {
        let telling = Telling::from_row(row).map_err(|error| Fault::internal(error.to_string()))?;
        told = tell_all(&handle, telling).await.and(told);
    }
    told
}

async fn tell_all(handle: &Handle, telling: Telling) -> Result<(), Fault> {
    let mut telling = telling;
    for _ in 0..TELLS_MAX {
        let orders = orders_after(handle, &telling).await?;
        let (last, next) = (i64::try_from(orders.len()) != Ok(TOLD_AT_ONCE), orders.last().copied());
        let (step, trace) = (telling.clone(), TraceContext::start(&mut handle.runtime().draw()));
        handle.decide(Lane::Saga, &trace, move |work| service::tell(work, &step, &orders, last)).await?;
        match next.filter(|_| !last) {
            Some(order) => telling.told_to = order.0,
            None => break,
        }
    }
    Ok(())
}

/// The next orders that took a place of the slot. None can join them any more, and those of before are all committed.
async fn orders_after(handle: &Handle, telling: &Telling) -> Result<Vec<OrderId>, Fault> {
    let (store, thing) = service::supply_key(telling.store, &Thing::Slot(telling.starts_at));
    let arguments = vec![store.0.into(), thing.into(), telling.told_to.into(), TOLD_AT_ONCE.into()];
    let rows = handle.read(&ORDERS_OF_THING, arguments).await?;
    let order = |row: &store::Row| row.id(0).map(OrderId).map_err(|error| Fault::internal(error.to_string()));
    rows.iter().map(order).collect()
}
