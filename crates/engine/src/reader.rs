//! Carries the events of one log to a service's executor, from where its cursor stands, in order, for ever.
//! Leaves what is done with them to `subscription`.

use std::sync::Arc;

use contracts::Envelope;
use kernel::{Fault, Millis, TraceContext};
use log::{Admission, LogEvent, Outbox, Wakes};
use tokio::sync::watch;

use crate::handle::{Handle, fault_of};
use crate::input::DEADLINE_DEFAULT_MS;
use crate::lanes::Lane;
use crate::lease::Leadership;
use crate::service::Stopping;
use crate::subscription::{Handling, Subscription, apply, outbox_cursor, park};
use crate::tables::Cursor;

/// How long a reader of a shared database sleeps before it looks for commits of other processes: at first and at most.
const POLL_MS: (Millis, Millis) = (5, 100);
/// How long it sleeps where only this process commits, in case a wake was missed.
const SAFETY_POLL_MS: Millis = 5000;
/// The pause after something failed.
const FAILED_PAUSE_MS: Millis = 100;

/// One service's reader of one other service's log.
pub(crate) struct Reader {
    pub(crate) handle: Handle,
    pub(crate) subscription: Arc<Subscription>,
    pub(crate) wakes: Wakes,
    pub(crate) leadership: Leadership,
    pub(crate) stopping: Stopping,
    /// Told whether everything that was there has been applied.
    pub(crate) caught_up: watch::Sender<bool>,
}

impl Reader {
    /// Reads until the service stops.
    pub(crate) async fn run(mut self) {
        while self.stopping.clone().or(self.leadership.held()).await.is_some() {
            if let Err(fault) = self.follow().await {
                tracing::warn!(service = self.handle.service, log = self.subscription.to, %fault, "reading again from the cursor");
                self.pause(FAILED_PAUSE_MS).await;
            }
            self.caught_up.send_replace(false);
        }
    }

    /// Follows the log from the cursor while the lease is ours and nothing fails.
    async fn follow(&mut self) -> Result<(), Fault> {
        let store = self.handle.store.clone();
        let source = store
            .head(self.subscription.to, &first_source(self.subscription.to, &self.handle))
            .await
            .map_err(|error| fault_of(&error))?
            .source;
        let cursor = outbox_cursor(self.handle.service, &source);
        let mut after = self.handle.find::<Cursor>(&cursor).await?.map_or(0, |(cursor, _)| cursor.seq);
        let topics: Vec<&'static str> = self.subscription.topics.keys().copied().collect();
        let outbox = Outbox::new(store, source);
        let mut committed = self.wakes.of(self.subscription.to);
        let mut idle_ms = POLL_MS.0;
        while self.leadership.is_held(&*self.handle.runtime) && !self.stopping.begun() {
            committed.mark_unchanged();
            let events = outbox.read(after, &topics).await.map_err(|error| fault_of(&error))?;
            let Some(last) = events.last().map(|event| event.seq) else {
                self.caught_up.send_replace(true);
                self.idle(&mut committed, &mut idle_ms).await;
                continue;
            };
            idle_ms = POLL_MS.0;
            self.apply(&cursor, events).await?;
            after = last;
        }
        Ok(())
    }

    /// Hands `events` to the executor and waits until all are applied, seen or parked.
    async fn apply(&self, cursor: &(String, String, String, i64), events: Vec<LogEvent>) -> Result<(), Fault> {
        let lane = if events.iter().all(|event| event.topic.starts_with("payments.")) { Lane::Money } else { Lane::Saga };
        let inputs = events.into_iter().map(|event| {
            let (cursor, event) = (cursor.clone(), Arc::new(event));
            let trace = trace_of(&event, &self.handle);
            let bytes = event.payload.len();
            let handling = self.subscription.handling(&event);
            let (parked_cursor, parked_event) = (cursor.clone(), event.clone());
            let parking =
                Box::new(move |work: &mut crate::Work<'_>, cause: &str| park(work, &parked_cursor, &parked_event, cause));
            let decide = move |work: &mut crate::Work<'_>| match &handling {
                Ok(handling) => apply(work, &cursor, &event, handling as &Handling),
                Err(error) => Err(crate::Stop::Broken(error.to_string())),
            };
            self.handle.input::<Admission>(trace, bytes, DEADLINE_DEFAULT_MS, decide, Some(parking))
        });
        for answer in self.handle.submit::<Admission>(lane, inputs.collect()).await? {
            if answer? == Admission::Gap {
                return Err(crate::subscription::gap());
            }
        }
        Ok(())
    }

    /// Waits for a commit of this process, or the time to look for one of another.
    async fn idle(&self, committed: &mut watch::Receiver<i64>, idle_ms: &mut Millis) {
        let poll_ms = if self.handle.store.shared() { *idle_ms } else { SAFETY_POLL_MS };
        *idle_ms = (*idle_ms * 2).min(POLL_MS.1);
        tokio::select! {
            _ = committed.changed() => {}
            () = self.handle.runtime.sleep(poll_ms) => {}
            () = self.stopping.wait() => {}
        }
    }

    async fn pause(&self, ms: Millis) {
        let _ = self.stopping.or(self.handle.runtime.sleep(ms)).await;
    }
}

/// The name of the first incarnation of `service`'s log, if nobody has named it yet.
pub(crate) fn first_source(service: &str, handle: &Handle) -> String {
    format!("{service}-{:08x}", handle.runtime.draw().next_u64() >> 32)
}

fn trace_of(event: &LogEvent, handle: &Handle) -> TraceContext {
    let trace = event.envelope().map(|Envelope { traceparent, .. }| traceparent);
    trace.unwrap_or_else(|_| TraceContext::start(&mut handle.runtime.draw()))
}
