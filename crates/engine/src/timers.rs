//! Fires what fell due: each timer is a row, firing it is an ordinary input that takes the row away in the same batch,
//! so it fires once however often it is tried. Leaves what a timer means to its service.

use std::sync::Arc;

use kernel::{Fault, Millis, TraceContext, fail_point};
use store::{Error, Mechanism, Row, Sabotage};
use tokio::sync::watch;

use crate::entity::Entity;
use crate::handle::{Handle, fault_of};
use crate::input::{Awaited, DEADLINE_DEFAULT_MS, Input, Stop};
use crate::lanes::Lane;
use crate::lease::Leadership;
use crate::runtime::guarded;
use crate::tables::{TIMERS_NEXT, Timer};
use crate::work::Work;

/// How many timers one look brings.
const NEXT_MAX: i64 = 256;
/// The longest sleep: timers that were set meanwhile, here or by another process, are seen by then.
const LOOK_MS: Millis = 250;
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

/// The loop of one service.
pub(crate) struct Timers {
    pub(crate) handle: Handle,
    pub(crate) kinds: Vec<TimerKind>,
    pub(crate) leadership: Leadership,
    /// Whether each log has been read up to where it stood: only then is it known what is really due.
    pub(crate) caught_up: Vec<watch::Receiver<bool>>,
}

impl Timers {
    pub(crate) async fn run(mut self) {
        while self.ready().await {
            let pause_ms = guarded(self.fire_due()).await.unwrap_or_else(|fault| {
                tracing::warn!(service = self.handle.service, %fault, "timers not fired");
                LOOK_MS
            });
            self.leadership.pause(pause_ms).await;
        }
    }

    /// Waits until it is known what is really due; not if the service stops first.
    async fn ready(&mut self) -> bool {
        let mut ready = self.leadership.held().await.is_some();
        for caught_up in &mut self.caught_up {
            // A reader ends only with the service.
            ready &= caught_up.wait_for(|caught_up| *caught_up).await.is_ok();
        }
        ready
    }

    /// Fires what is due and tells for how long nothing else will be.
    async fn fire_due(&self) -> Result<Millis, Fault> {
        let (service, now) = (self.handle.service, self.handle.runtime.now());
        let next = self.handle.read(&TIMERS_NEXT, vec![service.into(), NEXT_MAX.into()]).await?;
        let due_in_ms = |row: &Row| Ok(row.time(2)?.since_ms(now));
        let (mut due, mut pause_ms) = (Vec::new(), LOOK_MS);
        for row in &next {
            match due_in_ms(row).map_err(fault_of)? {
                ms if ms <= 0 => due.push(self.input(row).map_err(fault_of)?),
                ms => pause_ms = pause_ms.min(ms),
            }
        }
        if due.is_empty() {
            return Ok(pause_ms);
        }
        fail_point("engine.timers-due");
        let all_fired = self.handle.submit(Lane::Money, due).await?;
        fail_point("engine.timers-fired");
        if Sabotage::off(Mechanism::TimerOnce) {
            self.forget(&next).await?;
        }
        for fired in all_fired {
            if let Some(put_off) = fired? {
                tracing::error!(service, put_off, "a timer was put off");
            }
        }
        Ok(0)
    }

    /// The firing of a timer; what is to be noted if it was put off.
    fn input(&self, row: &Row) -> Result<(Input, Awaited<Fired>), Error> {
        Ok(firing(&self.handle, &self.kinds, (row.text(0)?.to_owned(), row.text(1)?.to_owned())))
    }

    /// For the test of the tests: timers that fired go in a batch of their own, too late.
    async fn forget(&self, fired: &[Row]) -> Result<(), Fault> {
        let key = |row: &Row| Ok((self.handle.service.to_owned(), row.text(0)?.to_owned(), row.text(1)?.to_owned()));
        let keys = fired.iter().map(key).collect::<Result<Vec<_>, Error>>().map_err(fault_of)?;
        let forget = move |work: &mut Work<'_>| {
            let now = work.now();
            for timer in work.find_all::<Timer>(&keys)?.into_iter().flatten().filter(|timer| timer.due_at <= now) {
                work.remove::<Timer>(&timer.key());
            }
            Ok(())
        };
        self.handle.decide(Lane::Money, &TraceContext::start(&mut self.handle.runtime.draw()), forget).await
    }
}

/// What is to be noted of a timer that was put off.
pub(crate) type Fired = Option<String>;

/// The firing of the timer of this kind and subject, if it is still set and due.
pub(crate) fn firing(handle: &Handle, kinds: &[TimerKind], (kind, subject): (String, String)) -> (Input, Awaited<Fired>) {
    let fire = kinds.iter().find(|timer| timer.kind == kind).map(|timer| timer.fire.clone());
    let key = (handle.service.to_owned(), kind, subject);
    let decide = move |work: &mut Work<'_>, broken: Option<&str>| {
        if let (true, Some(fire)) = (Sabotage::off(Mechanism::TimerOnce), &fire) {
            return fire(work, &key.2).map(|()| None);
        }
        let Some(timer) = work.find::<Timer>(&key)?.filter(|timer| timer.due_at <= work.now()) else {
            return Ok(None);
        };
        let (_, kind, subject) = &key;
        if let Some(cause) = broken {
            work.save(Timer { due_at: work.now().plus_ms(BROKEN_AGAIN_MS), ..(*timer).clone() });
            return Ok(Some(format!("{kind} of {subject}: {cause}")));
        }
        work.remove::<Timer>(&timer.key());
        let fire = fire.as_ref().ok_or_else(|| Stop::Broken(format!("nobody knows timers of kind {kind}")))?;
        fire(work, subject).map(|()| None)
    };
    let trace = TraceContext::start(&mut handle.runtime.draw());
    handle.input(trace, 128, DEADLINE_DEFAULT_MS, true, decide)
}
