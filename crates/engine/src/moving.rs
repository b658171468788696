//! The way by which a service hears others, in its own database: a service that has once listened to Kafka never reads an
//! outbox again, so that no effect happens twice while old processes still run or a setting is put back.
//! Leaves both ways of reading to `reader` and `consumer`.

use kernel::{Fault, TraceContext};

use crate::handle::{Handle, fault_of};
use crate::input::Stop;
use crate::lanes::Lane;
use crate::subscription::{ALL_SOURCES, ALL_TOPICS, before_kafka, outbox_cursor};
use crate::tables::{CURSORS, Cursor};
use crate::work::Work;

/// Whether the service has moved to Kafka.
///
/// # Errors
/// `unavailable`.
pub(crate) async fn has_moved(handle: &Handle) -> Result<bool, Fault> {
    Ok(handle.find::<Cursor>(&before_kafka(handle.service, ALL_SOURCES)).await?.is_some())
}

/// Moves the service to Kafka, unless it has moved: its cursors there begin where it stands in each outbox, and those end.
///
/// # Errors
/// `unavailable`.
pub(crate) async fn to_kafka(handle: &Handle) -> Result<(), Fault> {
    loop {
        let sources = outboxes_read(handle).await?;
        let done = sources.is_empty() && has_moved(handle).await?;
        if done {
            return Ok(());
        }
        let trace = TraceContext::start(&mut handle.runtime.draw());
        // Once it has moved no outbox is begun, but until then one may have been.
        handle.decide(Lane::Saga, &trace, move |work| leave(work, &sources)).await?;
    }
}

/// The sources whose outbox the service still reads.
async fn outboxes_read(handle: &Handle) -> Result<Vec<String>, Fault> {
    let rows = handle.read(&CURSORS, vec![handle.service.into()]).await?;
    let mut sources = Vec::new();
    for row in &rows {
        let (source, topic, seq) =
            (row.text(0).map_err(fault_of)?, row.text(1).map_err(fault_of)?, row.int(3).map_err(fault_of)?);
        if topic == ALL_TOPICS && seq < i64::MAX {
            sources.push(source.to_owned());
        }
    }
    Ok(sources)
}

fn leave(work: &mut Work<'_>, sources: &[String]) -> Result<(), Stop> {
    let name = work.service();
    let keys: Vec<_> = sources.iter().map(|source| outbox_cursor(name, source)).collect();
    for cursor in work.find_all::<Cursor>(&keys)?.into_iter().flatten() {
        work.save(begun(&cursor.source, name, cursor.seq));
        work.save(Cursor { seq: i64::MAX, ..(*cursor).clone() });
    }
    work.save(begun(ALL_SOURCES, name, 0));
    Ok(())
}

fn begun(source: &str, service: &str, seq: i64) -> Cursor {
    let (service, source, topic, partition) = before_kafka(service, source);
    Cursor { service, source, topic, partition, seq, next_offset: 0 }
}
