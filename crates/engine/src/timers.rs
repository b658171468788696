//! Fires what fell due: each timer is a row, firing it is an ordinary input that takes the row away in the same batch,
//! so it fires once however often it is tried. Leaves what a timer means to its service.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use kernel::{Fault, Millis, Timestamp, TraceContext};
use store::Row;
use tokio::sync::{Notify, watch};

use crate::entity::Entity;
use crate::handle::{Handle, fault_of};
use crate::input::{DEADLINE_DEFAULT_MS, Stop};
use crate::lanes::Lane;
use crate::lease::Leadership;
use crate::service::Stopping;
use crate::tables::{TIMER_NEXT, TIMERS_DUE, Timer};
use crate::work::Work;

/// How many timers one look brings.
const DUE_MAX: i64 = 512;
/// The longest sleep: timers that other processes set are seen by then.
const LOOK_MS: Millis = 1000;
/// When a timer whose handler is broken is tried again.
const BROKEN_AGAIN_MS: Millis = 60_000;

type Fire = Arc<dyn Fn(&mut Work<'_>, &str) -> Result<(), Stop> + Send + Sync>;

/// A kind of timer and what happens when one of a subject fires.
#[derive(Clone)]
pub struct TimerKind {
    pub(crate) kind: &'static str,
    pub(crate) fire: Fire,
}

impl TimerKind {
    /// Timers of `kind` do `fire` with their subject.
    #[must_use]
    pub fn new(kind: &'static str, fire: impl Fn(&mut Work<'_>, &str) -> Result<(), Stop> + Send + Sync + 'static) -> Self {
        Self { kind, fire: Arc::new(fire) }
    }
}

/// Tells the loop that a timer was set which is due earlier than what it sleeps for.
#[derive(Clone, Default)]
pub(crate) struct TimerWake(Arc<(AtomicI64, Notify)>);

impl TimerWake {
    pub(crate) fn earlier(&self, due: Timestamp) {
        if due.as_micros() < self.0.0.load(Ordering::Acquire) {
            self.0.1.notify_one();
        }
    }

    async fn sleep_until(&self, due: Timestamp, handle: &Handle) {
        self.0.0.store(due.as_micros(), Ordering::Release);
        let ms = due.since_ms(handle.runtime.now()).clamp(0, LOOK_MS) + 1;
        tokio::select! {
            () = self.0.1.notified() => {}
            () = handle.runtime.sleep(ms) => {}
        }
    }
}

/// The loop of one service.
pub(crate) struct Timers {
    pub(crate) handle: Handle,
    pub(crate) kinds: Vec<TimerKind>,
    pub(crate) wake: TimerWake,
    pub(crate) leadership: Leadership,
    pub(crate) stopping: Stopping,
    /// Whether each log has been read up to where it stood: only then is it known what is really due.
    pub(crate) caught_up: Vec<watch::Receiver<bool>>,
}

impl Timers {
    pub(crate) async fn run(mut self) {
        while self.stopping.clone().or(self.ready()).await.is_some() {
            let due = match self.fire_due().await {
                Ok(due) => due,
                Err(fault) => {
                    tracing::warn!(service = self.handle.service, %fault, "timers not fired");
                    self.handle.runtime.now().plus_ms(LOOK_MS)
                }
            };
            let _ = self.stopping.or(self.wake.sleep_until(due, &self.handle)).await;
        }
    }

    async fn ready(&mut self) {
        self.leadership.held().await;
        for caught_up in &mut self.caught_up {
            if caught_up.wait_for(|caught_up| *caught_up).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Fires all that is due and says when to look again.
    async fn fire_due(&self) -> Result<Timestamp, Fault> {
        loop {
            let now = self.handle.runtime.now();
            let due = self.handle.read(&TIMERS_DUE, vec![self.handle.service.into(), now.into(), DUE_MAX.into()]).await?;
            if due.is_empty() {
                break;
            }
            let inputs: Result<Vec<_>, Fault> = due.iter().map(|row| self.input(row)).collect();
            for fired in self.handle.submit::<()>(Lane::Money, inputs?).await? {
                fired?;
            }
        }
        let next = self.handle.read(&TIMER_NEXT, vec![self.handle.service.into()]).await?;
        let look = self.handle.runtime.now().plus_ms(LOOK_MS);
        match next.first() {
            Some(row) => row.time(0).map_err(|error| fault_of(&error)).map(|due| due.min(look)),
            None => Ok(look),
        }
    }

    fn input(
        &self,
        row: &Row,
    ) -> Result<(crate::input::Input, tokio::sync::oneshot::Receiver<Result<crate::input::Answer, Fault>>), Fault> {
        let text = |index| row.text(index).map(str::to_owned).map_err(|error| fault_of(&error));
        let (kind, subject) = (text(0)?, text(1)?);
        let fire = self.kinds.iter().find(|timer| timer.kind == kind).map(|timer| timer.fire.clone());
        let key = (self.handle.service.to_owned(), kind.clone(), subject.clone());
        let parked_key = key.clone();
        let decide = move |work: &mut Work<'_>| {
            let Some(timer) = work.find::<Timer>(&key)?.filter(|timer| timer.due_at <= work.now()) else {
                return Ok(());
            };
            work.remove::<Timer>(&timer.key());
            match &fire {
                Some(fire) => fire(work, &subject),
                None => Err(Stop::Broken(format!("nobody knows timers of kind {kind}"))),
            }
        };
        let later = Box::new(move |work: &mut Work<'_>, cause: &str| {
            tracing::error!(service = work.service(), kind = parked_key.1, subject = parked_key.2, cause, "timer put off");
            if let Some(timer) = work.find::<Timer>(&parked_key)? {
                let due_at = work.now().plus_ms(BROKEN_AGAIN_MS);
                work.save(Timer { due_at, ..(*timer).clone() });
            }
            Ok(Box::new(()) as crate::input::Answer)
        });
        let trace = TraceContext::start(&mut self.handle.runtime.draw());
        Ok(self.handle.input::<()>(trace, 128, DEADLINE_DEFAULT_MS, decide, Some(later)))
    }
}
