//! The worker that asks the provider: takes up due tasks, calls with a bound on number and time, brings each answer back
//! as an input. It may be run twice, on two processes, or die half-way: the provider's key is the task's.
//! Leaves what an answer means to `service`, going through the provider's books to its part `sweep`, and providers to
//! `provider` and its adapters.

pub(crate) mod provider;
pub(crate) mod sandbox;
pub(crate) mod sweep;

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::{Handle, Job, JobContext, Lane, TimerKind, Work};
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use kernel::{BoxFuture, Fault, Millis, TraceContext, fail_point};
use store::{Mechanism, Sabotage};
use tracing::Instrument;

use crate::config::Config;
use crate::domain::outcome::Outcome;
use crate::domain::payment::{AskRules, How, Operation, Probe, Question};
use crate::service::{self, Backoff, Errand, Learned, Look, TaskKey};
use crate::store::{TASKS_DUE, task_key};
use provider::{Ask, Charge, Provider, Silence};
use sweep::Sweep;

/// What is declined that was never sent in time.
const TOO_LATE: &str = "too-late";

/// What is declined that the provider never heard of, so long after it was sent that it cannot be on its way any more.
const NEVER_ARRIVED: &str = "never-arrived";

/// The timers of payments.
pub(crate) fn timers() -> Vec<TimerKind> {
    vec![TimerKind::new(service::ACTION_UNTIL, service::time_out)]
}

/// The jobs of payments.
pub(crate) fn jobs(config: &Config, provider: Arc<dyn Provider>) -> Vec<Job> {
    let worker = Worker {
        provider: provider.clone(),
        under_way: UnderWay::default(),
        calls_max: config.calls_max,
        call_timeout_ms: config.call_timeout_ms,
        rules: AskRules { look_after_tries: config.look_after_tries, resend_within_ms: config.resend_within_ms },
        backoff: Backoff { first_ms: config.retry_first_ms, longest_ms: config.retry_longest_ms },
    };
    let ask = move |context: JobContext| -> BoxFuture<'static, Result<(), Fault>> {
        let worker = worker.clone();
        Box::pin(async move { worker.run(&context).await })
    };
    let sweep = Sweep::new(config, provider);
    let go_through = move |context: JobContext| -> BoxFuture<'static, Result<(), Fault>> {
        let sweep = sweep.clone();
        Box::pin(async move { sweep.run(&context.handle).await })
    };
    let kept_ms = config.webhook_kept_ms;
    let forget = move |context: JobContext| -> BoxFuture<'static, Result<(), Fault>> {
        Box::pin(async move { sweep::forget_webhooks(&context.handle, kept_ms).await })
    };
    vec![
        Job::new("ask-provider", config.worker_every_ms, ask),
        Job::every("reconcile", config.reconcile_every_ms, go_through),
        Job::every("forget-webhooks", config.webhook_sweep_ms, forget),
    ]
}

impl Question {
    fn ask(&self) -> Ask<'_> {
        Ask { key: &self.key, trace: &self.trace }
    }
}

#[derive(Clone)]
struct Worker {
    provider: Arc<dyn Provider>,
    under_way: UnderWay,
    calls_max: usize,
    call_timeout_ms: Millis,
    rules: AskRules,
    backoff: Backoff,
}

impl Worker {
    /// Takes up as many due tasks as there is room for and lets their calls run on: a slow one keeps nobody waiting.
    async fn run(&self, context: &JobContext) -> Result<(), Fault> {
        let (handle, lease_epoch) = (&context.handle, context.lease_epoch);
        let taken = self.due(handle).await?;
        if taken.is_empty() {
            return Ok(());
        }
        let keys: Vec<TaskKey> = taken.iter().map(|taken| taken.key.clone()).collect();
        let rules = self.rules;
        let trace = TraceContext::start(&mut handle.runtime().draw());
        let take_up = move |work: &mut Work<'_>| service::take_up(work, &keys, lease_epoch, rules);
        let errands = handle.decide(Lane::Money, &trace, take_up).await?;
        // It is durable that they may have been sent; none is yet.
        fail_point("payments.taken-up");
        for errand in errands {
            let Some(taken) = taken.iter().find(|taken| taken.concerns(&errand)).cloned() else { continue };
            let (worker, handle) = (self.clone(), handle.clone());
            let span = handle.span(errand.trace());
            let call = async move { worker.call(&handle, errand, lease_epoch, &taken).await }.instrument(span);
            context.handle.runtime().spawn("provider-call", Box::pin(call));
        }
        Ok(())
    }

    /// Due tasks that are not under way, as many as there is room for; from now on they are.
    async fn due(&self, handle: &Handle) -> Result<Vec<Arc<Taken>>, Fault> {
        // Those under way are due too and may come first.
        let limit = i64::try_from(self.calls_max + self.under_way.count()).unwrap_or(i64::MAX);
        let rows = handle.read(&TASKS_DUE, vec![handle.runtime().now().into(), limit.into()]).await?;
        let keys: Result<Vec<TaskKey>, store::Error> = rows.iter().map(task_key).collect();
        let keys = keys.map_err(|error| Fault::internal(error.to_string()))?;
        Ok(self.under_way.take(keys, self.calls_max))
    }

    async fn call(&self, handle: &Handle, errand: Errand, lease_epoch: i64, taken: &Taken) {
        let kept = match errand {
            Errand::Ask(question) => self.ask(handle, question, lease_epoch, taken).await,
            Errand::Look(look) => self.look(handle, look, lease_epoch, taken).await,
        };
        match kept {
            Ok(()) => fail_point("payments.recorded"),
            Err(fault) => tracing::warn!(%fault, "an answer of the provider was not kept; it will be asked again"),
        }
    }

    /// Puts a question and keeps the answer; none in time is not knowing.
    async fn ask(&self, handle: &Handle, question: Question, lease_epoch: i64, taken: &Taken) -> Result<(), Fault> {
        let put = within(handle, self.call_timeout_ms, self.put(handle, &question)).await;
        let outcome = put.unwrap_or_else(|Silence(cause)| Outcome::Unknown { cause });
        taken.answered();
        // The provider may have done it, and nothing of that is durable here.
        fail_point("payments.answered");
        report(&question, &outcome);
        let (trace, backoff) = (question.trace.clone(), self.backoff);
        let answer = move |work: &mut Work<'_>| service::answer(work, &question, lease_epoch, &outcome, backoff);
        handle.decide(Lane::Money, &trace, answer).await
    }

    async fn put(&self, handle: &Handle, question: &Question) -> Result<Outcome, Silence> {
        match question.how {
            How::TooLate => Ok(Outcome::declined(TOO_LATE)),
            How::Send => Ok(self.send(handle, question).await),
            How::LookOnly => Ok(self.provider.find(question.ask()).await?.unwrap_or_else(|| Outcome::declined(NEVER_ARRIVED))),
            How::LookFirst => match self.provider.find(question.ask()).await? {
                Some(outcome) => Ok(outcome),
                None => Ok(self.send(handle, question).await),
            },
        }
    }

    async fn send(&self, handle: &Handle, question: &Question) -> Outcome {
        let Question { order, key, amount, token, pay_by, intent, trace, .. } = question;
        // For the test of the tests: a key of its own for every try is a demand of its own for every try.
        let unfenced = || format!("{key}:{}", handle.runtime().draw().next_u64());
        let key = &if Sabotage::off(Mechanism::Attempt) { unfenced() } else { key.clone() };
        let ask = Ask { key, trace };
        match question.operation {
            Operation::Authorise => {
                let charge = Charge { order: *order, amount: *amount, token: token.clone(), pay_by: *pay_by };
                self.provider.authorise(ask, &charge).await
            }
            Operation::Capture => self.provider.capture(ask, intent, *amount).await,
            Operation::Void => self.provider.void(ask, intent).await,
            Operation::Refund => self.provider.refund(ask, intent, *amount).await,
        }
    }

    /// Asks for the truth of every attempt and keeps what was learned, also if not all of it was.
    async fn look(&self, handle: &Handle, look: Look, lease_epoch: i64, taken: &Taken) -> Result<(), Fault> {
        let Look { order, round, probes, trace } = look;
        let (mut learned, mut silent) = (Vec::new(), false);
        for probe in &probes {
            match within(handle, self.call_timeout_ms, self.probe(probe, &trace)).await {
                Ok(found) => learned.push(found),
                Err(Silence(cause)) => {
                    tracing::warn!(order.id = %order, cause, "the provider does not tell the truth; it will be asked again");
                    silent = true;
                }
            }
        }
        taken.answered();
        fail_point("payments.looked");
        let backoff = self.backoff;
        let keep = move |work: &mut Work<'_>| service::looked(work, (order, round), lease_epoch, &learned, silent, backoff);
        handle.decide(Lane::Money, &trace, keep).await
    }

    /// What the provider has of an attempt: by the name of the money, or by what became of our question.
    async fn probe(&self, probe: &Probe, trace: &TraceContext) -> Result<Learned, Silence> {
        let intent = match &probe.intent {
            Some(intent) => Some(intent.clone()),
            None => {
                self.provider.find(Ask { key: &probe.key, trace }).await?.and_then(|outcome| outcome.intent().map(str::to_owned))
            }
        };
        let truth = match &intent {
            Some(intent) => self.provider.truth(intent).await?,
            None => None,
        };
        Ok(Learned { attempt: probe.attempt, truth })
    }
}

/// What `asked` comes to; no answer in time, or a defect of the provider's code, is silence.
pub(crate) async fn within<T>(
    handle: &Handle,
    ms: Millis,
    asked: impl Future<Output = Result<T, Silence>> + Send,
) -> Result<T, Silence> {
    let asked = Box::pin(AssertUnwindSafe(asked).catch_unwind());
    match select(asked, handle.runtime().sleep(ms)).await {
        Either::Left((answer, _)) => answer.unwrap_or_else(|_| Err(Silence("the provider's code panicked".to_owned()))),
        Either::Right(_) => Err(Silence("no answer within the time".to_owned())),
    }
}

/// Says what somebody should look at: a card that is declined is everyday life, money that stays where it should not is not.
fn report(question: &Question, outcome: &Outcome) {
    let (order, operation) = (question.order, question.operation.as_str());
    match outcome {
        Outcome::Declined { reason } if question.operation != Operation::Authorise => {
            tracing::warn!(order.id = %order, operation, reason, "the provider refuses");
        }
        Outcome::Unknown { cause } => {
            tracing::warn!(order.id = %order, operation, cause, "the provider's answer is not known; it will be asked again");
        }
        Outcome::Done { .. } | Outcome::ActionRequired { .. } | Outcome::Declined { .. } => {}
    }
}

/// Tasks that this process has under way.
#[derive(Clone, Default)]
struct UnderWay(Arc<Mutex<BTreeMap<TaskKey, Phase>>>);

/// How far a task under way is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The provider is asked.
    Asking,
    /// It has answered, which is still to be committed: that takes no room from other calls.
    Answered,
}

impl UnderWay {
    /// Those of `keys` that are not under way, as many as there is room for under `calls_max`.
    fn take(&self, keys: Vec<TaskKey>, calls_max: usize) -> Vec<Arc<Taken>> {
        let mut under_way = self.lock();
        let asking = under_way.values().filter(|phase| **phase == Phase::Asking).count();
        let room = calls_max.saturating_sub(asking);
        let free: Vec<TaskKey> = keys.into_iter().filter(|key| !under_way.contains_key(key)).take(room).collect();
        under_way.extend(free.iter().map(|key| (key.clone(), Phase::Asking)));
        free.into_iter().map(|key| Arc::new(Taken { key, under_way: self.clone() })).collect()
    }

    fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TaskKey, Phase>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task under way; it is free again when this goes, even by a panic.
struct Taken {
    key: TaskKey,
    under_way: UnderWay,
}

impl Taken {
    fn concerns(&self, errand: &Errand) -> bool {
        self.key == errand.task()
    }

    fn answered(&self) {
        self.under_way.lock().insert(self.key.clone(), Phase::Answered);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.under_way.lock().remove(&self.key);
    }
}
