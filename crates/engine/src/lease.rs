//! Which process does a service's lonely work: reading logs, firing timers, running jobs. A courtesy that saves work;
//! the compare-and-set of every batch keeps two holders harmless. An embedded shop has one process and needs no lease.
//! Leaves that work to its loops, which it also tells when to stop.

use std::sync::Arc;

use kernel::{BoxFuture, Millis, Runtime, Timestamp, TraceContext, fail_point};
use tokio::sync::watch;

use crate::handle::Handle;
use crate::input::Stop;
use crate::lanes::Lane;
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

/// Whether a service's lonely work is ours: the lease is, and the service is not to stop.
#[derive(Clone)]
pub(crate) struct Leadership {
    held: watch::Receiver<Option<Held>>,
    stop: watch::Receiver<bool>,
    runtime: Arc<dyn Runtime>,
}

impl Leadership {
    /// Of a database that no other process uses: ours until the service stops.
    pub(crate) fn alone(runtime: Arc<dyn Runtime>, stop: watch::Receiver<bool>) -> Self {
        let held = Held { until: Timestamp::from_micros(i64::MAX), epoch: 0 };
        Self { held: watch::channel(Some(held)).1, stop, runtime }
    }

    /// Of a shared database: the lease `name` is asked for, and renewed, until the service stops; then given back.
    pub(crate) fn contested(handle: Handle, name: &'static str, stop: watch::Receiver<bool>) -> (Self, BoxFuture<'static, ()>) {
        let (sender, held) = watch::channel(None);
        let leadership = Self { held, stop, runtime: handle.runtime.clone() };
        (leadership.clone(), Box::pin(contest(handle, name, leadership, sender)))
    }

    pub(crate) fn is_held(&self) -> bool {
        !self.stopping() && self.held.borrow().is_some_and(|held| self.runtime.now() < held.until)
    }

    /// Waits until the work is ours, and tells the how-manieth holder we are; 0 where there is no lease. `None` if it will
    /// not be any more.
    pub(crate) async fn held(&self) -> Option<i64> {
        let mut held = self.held.clone();
        while !self.stopping() {
            let last = *held.borrow_and_update();
            if let Some(held) = last.filter(|held| self.runtime.now() < held.until) {
                return Some(held.epoch);
            }
            tokio::select! {
                biased;
                () = self.stop() => {}
                ended = held.changed() => ended.ok()?,
            }
        }
        None
    }

    /// Waits `ms`, or less if the service is to stop.
    pub(crate) async fn pause(&self, ms: Millis) {
        tokio::select! {
            biased;
            () = self.stop() => {}
            () = self.runtime.sleep(ms) => {}
        }
    }

    /// Ends when the service is to stop.
    pub(crate) async fn stop(&self) {
        // Whoever may stop it has gone: that is a stop too.
        let _ = self.stop.clone().wait_for(|stop| *stop).await;
    }

    fn stopping(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }
}

async fn contest(handle: Handle, lease: &'static str, leadership: Leadership, sender: watch::Sender<Option<Held>>) {
    let holder = format!("{:016x}", handle.runtime.draw().next_u64());
    while !leadership.stopping() {
        let (trace, holder) = (TraceContext::start(&mut handle.runtime.draw()), holder.clone());
        fail_point("engine.lease-before-ask");
        let held = handle.decide(Lane::Money, &trace, move |work| acquire(work, lease, &holder)).await;
        if matches!(held, Ok(Some(_))) {
            fail_point("engine.lease-held");
        }
        sender.send_replace(held.unwrap_or_else(|fault| {
            tracing::warn!(service = handle.service, %fault, "lease not renewed");
            None
        }));
        leadership.pause(RENEW_MS).await;
    }
    sender.send_replace(None);
    let trace = TraceContext::start(&mut handle.runtime.draw());
    // Given back so that the others need not wait; if that fails they wait.
    let _ = handle.decide(Lane::Money, &trace, move |work| give_back(work, lease, &holder)).await;
}

/// Takes or renews the lease if it is free, ours or run out.
fn acquire(work: &mut Work<'_>, name: &str, holder: &str) -> Result<Option<Held>, Stop> {
    let now = work.now();
    let stored = work.find::<Lease>(&lease_key(work, name))?;
    let epoch = match stored.as_deref() {
        Some(lease) if lease.holder == holder => lease.epoch,
        Some(lease) if lease.until > now => return Ok(None),
        Some(lease) => lease.epoch + 1,
        None => 1,
    };
    let until = now.plus_ms(LEASE_TTL_MS);
    let (service, name) = lease_key(work, name);
    work.save(Lease { service, name, holder: holder.to_owned(), epoch, until });
    Ok(Some(Held { until, epoch }))
}

fn give_back(work: &mut Work<'_>, name: &str, holder: &str) -> Result<(), Stop> {
    if let Some(lease) = work.find::<Lease>(&lease_key(work, name))?.filter(|lease| lease.holder == holder) {
        let until = work.now();
        work.save(Lease { until, ..(*lease).clone() });
    }
    Ok(())
}

fn lease_key(work: &Work<'_>, name: &str) -> (String, String) {
    (work.service().to_owned(), name.to_owned())
}
