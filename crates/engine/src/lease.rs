//! Which process does a service's lonely work: reading logs, firing timers, running jobs. A courtesy that saves work;
//! the compare-and-set of every batch keeps two holders harmless. An embedded shop has one process and needs none.

use kernel::{BoxFuture, Millis, Runtime, Timestamp};
use tokio::sync::watch;

use crate::handle::Handle;
use crate::input::Stop;
use crate::lanes::Lane;
use crate::service::Stopping;
use crate::tables::Lease;
use crate::work::Work;

/// How long a lease lives unless renewed; after a crash its work waits that long.
pub const LEASE_TTL_MS: Millis = 5000;
/// How often it is renewed, and asked for.
const RENEW_MS: Millis = LEASE_TTL_MS / 3;

/// What this process knows of the lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Held {
    until: Timestamp,
    epoch: i64,
}

/// Whether the lease of a service is ours.
#[derive(Clone)]
pub(crate) struct Leadership(watch::Receiver<Option<Held>>);

impl Leadership {
    /// Of a database that no other process uses: always ours.
    pub(crate) fn alone() -> Self {
        Self(watch::channel(Some(Held { until: Timestamp::from_micros(i64::MAX), epoch: 0 })).1)
    }

    /// Of a shared database: asked for, and renewed, until the service stops; then given back.
    pub(crate) fn contested(handle: Handle, stopping: Stopping) -> (Self, BoxFuture<'static, ()>) {
        let (sender, receiver) = watch::channel(None);
        (Self(receiver), Box::pin(contest(handle, stopping, sender)))
    }

    pub(crate) fn is_held(&self, runtime: &dyn Runtime) -> bool {
        self.0.borrow().is_some_and(|held| runtime.now() < held.until)
    }

    /// The how-manieth holder we are; 0 where there is no contest.
    pub(crate) fn epoch(&self) -> i64 {
        self.0.borrow().map_or(0, |held| held.epoch)
    }

    /// Waits until the lease is ours.
    pub(crate) async fn held(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(Option::is_some).await.is_err() {
            // The contest has ended: it will never be ours again.
            std::future::pending::<()>().await;
        }
    }
}

async fn contest(handle: Handle, stopping: Stopping, sender: watch::Sender<Option<Held>>) {
    let holder = format!("{:016x}", handle.runtime.draw().next_u64());
    while !stopping.begun() {
        let trace = kernel::TraceContext::start(&mut handle.runtime.draw());
        let name = holder.clone();
        let held = handle.decide(Lane::Money, &trace, move |work| acquire(work, &name, LEASE_TTL_MS)).await;
        sender.send_replace(held.unwrap_or_else(|fault| {
            tracing::warn!(service = handle.service, %fault, "lease not renewed");
            None
        }));
        let _ = stopping.or(handle.runtime.sleep(RENEW_MS)).await;
    }
    sender.send_replace(None);
    let trace = kernel::TraceContext::start(&mut handle.runtime.draw());
    // Given back so that the others need not wait; if that fails they wait.
    let _ = handle.decide(Lane::Money, &trace, move |work| give_back(work, &holder)).await;
}

/// Takes or renews the lease if it is free, ours or run out.
fn acquire(work: &mut Work<'_>, holder: &str, ttl_ms: Millis) -> Result<Option<Held>, Stop> {
    let now = work.now();
    let stored = work.find::<Lease>(&lease_key(work))?;
    let epoch = match stored.as_deref() {
        Some(lease) if lease.holder == holder => lease.epoch,
        Some(lease) if lease.until > now => return Ok(None),
        Some(lease) => lease.epoch + 1,
        None => 1,
    };
    let until = now.plus_ms(ttl_ms);
    let (service, name) = lease_key(work);
    work.save(Lease { service, name, holder: holder.to_owned(), epoch, until });
    Ok(Some(Held { until, epoch }))
}

fn give_back(work: &mut Work<'_>, holder: &str) -> Result<(), Stop> {
    if let Some(lease) = work.find::<Lease>(&lease_key(work))?.filter(|lease| lease.holder == holder) {
        let until = work.now();
        work.save(Lease { until, ..(*lease).clone() });
    }
    Ok(())
}

fn lease_key(work: &Work<'_>) -> (String, String) {
    (work.service().to_owned(), "work".to_owned())
}
