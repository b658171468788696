//! The worker that asks the provider: takes up due tasks, calls with a bound on number and time, brings each answer back
//! as an input. It may be run twice, on two processes, or die half-way: the provider's key is the task's.
//! Leaves what an answer means to `service`, and providers to its parts.

pub(crate) mod provider;
pub(crate) mod sandbox;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::{Handle, Job, JobContext, Lane, Work};
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use kernel::{Fault, Millis, TraceContext};

use crate::config::Config;
use crate::domain::outcome::Outcome;
use crate::domain::payment::{AskRules, How, Operation, Question};
use crate::service::{self, Backoff, TaskKey};
use crate::store::{TASKS_DUE, task_key};
use provider::Provider;

/// What is declined that was never sent in time.
const TOO_LATE: &str = "too-late";

/// The jobs of payments.
pub(crate) fn jobs(config: &Config, provider: Arc<dyn Provider>) -> Vec<Job> {
    let worker = Worker {
        provider,
        under_way: UnderWay::default(),
        calls_max: config.calls_max,
        call_timeout_ms: config.call_timeout_ms,
        rules: AskRules { look_after_tries: config.look_after_tries, resend_within_ms: config.resend_within_ms },
        backoff: Backoff { first_ms: config.retry_first_ms, longest_ms: config.retry_longest_ms },
    };
    let run = move |context: JobContext| -> kernel::BoxFuture<'static, Result<(), Fault>> {
        let worker = worker.clone();
        Box::pin(async move { worker.run(&context).await })
    };
    vec![Job::new("ask-provider", config.worker_every_ms, run)]
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
        let questions = handle.decide(Lane::Money, &trace, take_up).await?;
        for question in questions {
            let Some(taken) = taken.iter().find(|taken| taken.concerns(&question)).cloned() else { continue };
            let (worker, handle) = (self.clone(), handle.clone());
            let call = async move { worker.call(&handle, question, lease_epoch, &taken).await };
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

    async fn call(&self, handle: &Handle, question: Question, lease_epoch: i64, taken: &Taken) {
        let outcome = self.ask(handle, &question).await;
        taken.answered();
        report(&question, &outcome);
        let (trace, backoff) = (question.trace.clone(), self.backoff);
        let answer = move |work: &mut Work<'_>| service::answer(work, &question, lease_epoch, &outcome, backoff);
        if let Err(fault) = handle.decide(Lane::Money, &trace, answer).await {
            tracing::warn!(%fault, "an answer of the provider was not kept; it will be asked again");
        }
    }

    /// Puts a question; no answer in time, or a defect of the provider's code, is not knowing.
    async fn ask(&self, handle: &Handle, question: &Question) -> Outcome {
        let put = Box::pin(AssertUnwindSafe(self.put(question)).catch_unwind());
        match select(put, handle.runtime().sleep(self.call_timeout_ms)).await {
            Either::Left((outcome, _)) => outcome.unwrap_or_else(|_| Outcome::unknown("the provider's code panicked")),
            Either::Right(_) => Outcome::unknown("no answer within the time"),
        }
    }

    async fn put(&self, question: &Question) -> Outcome {
        match question.how {
            How::TooLate => Outcome::declined(TOO_LATE),
            How::Send => self.send(question).await,
            How::LookOnly => self.provider.find(&question.key).await,
            How::LookFirst => match self.provider.find(&question.key).await {
                Outcome::Unknown { .. } => self.send(question).await,
                known => known,
            },
        }
    }

    async fn send(&self, question: &Question) -> Outcome {
        let Question { order, key, amount, token, intent, .. } = question;
        match question.operation {
            Operation::Authorise => self.provider.authorise(key, *order, *amount, token).await,
            Operation::Capture => self.provider.capture(key, intent, *amount).await,
            Operation::Void => self.provider.void(key, intent).await,
        }
    }
}

/// Says what somebody should look at: a card that is declined is everyday life, money that stays where it should not is not.
fn report(question: &Question, outcome: &Outcome) {
    let (order, operation) = (question.order, question.operation.as_str());
    match outcome {
        Outcome::Declined { reason } if question.operation != Operation::Authorise => {
            tracing::error!(order.id = %order, operation, reason, "the provider refuses");
        }
        Outcome::Unknown { cause } => {
            tracing::warn!(order.id = %order, operation, cause, "the provider's answer is not known; it will be asked again");
        }
        Outcome::Done { .. } | Outcome::Declined { .. } => {}
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
    fn concerns(&self, question: &Question) -> bool {
        self.key.0 == question.order && self.key.1 == question.operation.as_str()
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
