//! Carries the events of one log to a service's executor, from where its cursor stands, in order, for ever.
//! Leaves what is done with them to `subscription`.

use std::sync::Arc;

use kernel::{Fault, Millis, fail_point};
use log::{Admission, LogEvent, Outbox, READ_EVENTS_MAX, Wakes};
use tokio::sync::watch;

use crate::handle::{Handle, fault_of};
use crate::lease::Leadership;
use crate::runtime::guarded;
use crate::subscription::{Subscription, Taken, outbox_cursor};
use crate::tables::Cursor;

/// How long a reader sleeps at most, in case a wake was missed.
const SAFETY_POLL_MS: Millis = 5000;
/// The pause after something failed: at first and at most.
const FAILED_PAUSE_MS: (Millis, Millis) = (20, 2000);

/// One service's reader of one other service's log.
pub(crate) struct Reader {
    pub(crate) handle: Handle,
    pub(crate) subscription: Arc<Subscription>,
    pub(crate) wakes: Wakes,
    pub(crate) leadership: Leadership,
    /// Told whether everything that was there has been applied.
    pub(crate) caught_up: watch::Sender<bool>,
}

impl Reader {
    /// Reads until the service stops.
    pub(crate) async fn run(self) {
        let mut pause_ms = FAILED_PAUSE_MS.0;
        while self.leadership.held().await.is_some() {
            let followed = guarded(self.follow(&mut pause_ms)).await;
            if let Some(why) = self.subscription.breaker.stopped() {
                self.stand_still(&why).await;
            } else if let Err(fault) = followed {
                tracing::warn!(service = self.handle.service, log = self.subscription.to, %fault, "reading again from the cursor");
                self.leadership.pause(pause_ms).await;
                pause_ms = (pause_ms * 2).min(FAILED_PAUSE_MS.1);
            }
            self.caught_up.send_replace(false);
            if !self.leadership.is_held() {
                self.subscription.lag(Taken::Work).leave();
            }
        }
    }

    /// Applies nothing more, and lets no timer of the service fire on half of what it should know, until somebody who has
    /// looked at it lets it go on.
    async fn stand_still(&self, why: &str) {
        self.caught_up.send_replace(false);
        tracing::error!(service = self.handle.service, log = self.subscription.to, why, "a subscription has stopped");
        tokio::select! {
            biased;
            () = self.leadership.stop() => {}
            () = self.subscription.breaker.resumed() => {}
        }
    }

    /// Follows the log from the cursor while the lease is ours and nothing fails.
    async fn follow(&self, pause_ms: &mut Millis) -> Result<(), Fault> {
        let (handle, to) = (&self.handle, self.subscription.to);
        let outbox = outbox_of(to, handle).await?;
        let topics: Vec<&'static str> = self.subscription.topics.keys().copied().collect();
        let cursor = outbox_cursor(handle.service, outbox.source());
        let mut applied = handle.find::<Cursor>(&cursor).await?.map_or(0, |(cursor, _)| cursor.seq);
        let removed = outbox.removed(&topics).await.map_err(fault_of)?;
        if removed > applied {
            let missed = format!("events after {applied} and up to {removed} were removed unheard: its copies must be made anew");
            return Err(Fault::internal(missed));
        }
        // How far the log was looked through: farther than what was applied, if what comes next is nothing for us.
        let mut looked = applied;
        let mut committed = self.wakes.of(to);
        while self.leadership.is_held() {
            committed.mark_unchanged();
            let end = outbox.end().await.map_err(fault_of)?;
            if end <= looked {
                self.caught_up.send_replace(true);
                self.subscription.lag(Taken::Work).stands(None);
                self.idle(&mut committed).await;
                continue;
            }
            let mut events = outbox.read(looked, &topics).await.map_err(fault_of)?;
            // Between what was applied and what was looked through is nothing for us, unless clean-up was there meanwhile.
            if let Some(first) = events.first_mut().filter(|first| first.prev == looked) {
                first.prev = applied;
            }
            let last = events.last().map_or(end, |event| event.seq);
            looked = if events.len() < READ_EVENTS_MAX { last.max(end) } else { last };
            if events.is_empty() {
                continue;
            }
            applied = last;
            self.subscription.lag(Taken::Work).stands(events.first().and_then(LogEvent::said_at));
            fail_point("engine.reader-before-apply");
            let admitted = handle.apply_in_order(&cursor, &self.subscription, events).await?;
            fail_point("engine.reader-after-apply");
            if admitted.contains(&Admission::Gap) {
                return Err(Fault::internal("an event before this one is missing"));
            }
            *pause_ms = FAILED_PAUSE_MS.0;
        }
        Ok(())
    }

    /// Waits for the log to grow.
    async fn idle(&self, committed: &mut watch::Receiver<i64>) {
        tokio::select! {
            biased;
            _ = committed.changed() => {}
            () = self.leadership.pause(SAFETY_POLL_MS) => {}
        }
    }
}

/// The outbox of `service`, whose log is named now if nobody has named it yet.
pub(crate) async fn outbox_of(service: &'static str, handle: &Handle) -> Result<Outbox, Fault> {
    let head = handle.store.head(service, &first_source(service, handle)).await.map_err(fault_of)?;
    Ok(Outbox::new(handle.store.clone(), head.source))
}

/// The name of the first incarnation of `service`'s log, if nobody has named it yet.
pub(crate) fn first_source(service: &str, handle: &Handle) -> String {
    format!("{service}-{:08x}", handle.runtime.draw().next_u64() >> 32)
}
