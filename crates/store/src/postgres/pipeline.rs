//! One batch in one flight: all statements leave together, in order, and the answers say whether it is durable.
//! Leaves the texts to `render`, the columns to `plan` and the connections to `connection`.

use std::future::poll_fn;
use std::task::Poll;

use deadpool_postgres::ClientWrapper;
use kernel::{BoxFuture, fail_point};
use postgres_types::ToSql;
use tokio_postgres::Statement;

use super::cell::Cell;
use super::failure::{Failure, Refusal};
use super::plan::{self, Group};
use super::render;
use crate::{Batch, Committed, Error, Mechanism, Sabotage};

/// A batch's statements, prepared on one connection.
pub(super) struct Prepared {
    head: Statement,
    groups: Vec<Statement>,
    outbox: Option<Statement>,
}

/// One message of the flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Open,
    Head,
    Group(usize),
    Outbox,
    Commit,
}

/// What a step answered: the head row its number.
type Answer = Result<Option<i64>, Failure>;

/// A flight that is over: its steps, and the answers of those that were sent.
#[derive(Debug)]
pub(super) struct Flight {
    steps: Vec<Step>,
    answers: Vec<Answer>,
}

pub(super) async fn prepare(client: &ClientWrapper, batch: &Batch, groups: &[Group<'_>]) -> Result<Prepared, Failure> {
    let head = client.prepare_cached(&render::head()).await?;
    let mut prepared = Prepared { head, groups: Vec::with_capacity(groups.len()), outbox: None };
    for group in groups {
        prepared.groups.push(client.prepare_cached(&render::write(group.table, &group.shape)).await?);
    }
    if !batch.events.is_empty() {
        prepared.outbox = Some(client.prepare_cached(&render::outbox()).await?);
    }
    Ok(prepared)
}

pub(super) async fn fly(client: &ClientWrapper, batch: &Batch, groups: &[Group<'_>], prepared: &Prepared) -> Flight {
    let steps = steps(groups.len(), prepared.outbox.is_some());
    let columns = plan::events(&batch.events);
    let count = Cell::Int(i64::try_from(batch.events.len()).unwrap_or(i64::MAX));
    let (service, epoch) = (Cell::Text(batch.service), Cell::Int(batch.epoch));
    let messages = steps.iter().map(|step| -> BoxFuture<'_, Answer> {
        match *step {
            Step::Open => run(client, render::OPEN),
            Step::Commit => commit(client),
            Step::Head => number(client, &prepared.head, vec![&count, &service, &epoch]),
            Step::Group(at) => execute(client, &prepared.groups[at], arrays(&groups[at].columns)),
            Step::Outbox => {
                let statement = prepared.outbox.as_ref().expect("the step is there only with its statement");
                execute(client, statement, [vec![&service as Parameter<'_>, &count], arrays(&columns)].concat())
            }
        }
    });
    let answers = in_order(messages.collect()).await;
    Flight { steps, answers }
}

fn steps(groups: usize, outbox: bool) -> Vec<Step> {
    let mut steps: Vec<_> = (0..groups).map(Step::Group).collect();
    steps.insert(if Sabotage::off(Mechanism::HeadFirst) { groups } else { 0 }, Step::Head);
    steps.insert(0, Step::Open);
    if outbox {
        steps.push(Step::Outbox);
    }
    steps.push(Step::Commit);
    steps
}

type Parameter<'a> = &'a (dyn ToSql + Sync);

fn arrays<'a>(columns: &'a [Vec<Cell<'a>>]) -> Vec<Parameter<'a>> {
    columns.iter().map(|column| column as Parameter<'a>).collect()
}

fn run<'a>(client: &'a ClientWrapper, text: &'a str) -> BoxFuture<'a, Answer> {
    Box::pin(async move { Ok(client.batch_execute(text).await.map(|()| None)?) })
}

fn commit(client: &ClientWrapper) -> BoxFuture<'_, Answer> {
    Box::pin(async move {
        fail_point("store.postgres-before-commit");
        run(client, render::COMMIT).await
    })
}

fn execute<'a>(client: &'a ClientWrapper, statement: &'a Statement, parameters: Vec<Parameter<'a>>) -> BoxFuture<'a, Answer> {
    Box::pin(async move { Ok(client.execute(statement, &parameters).await.map(|_| None)?) })
}

fn number<'a>(client: &'a ClientWrapper, statement: &'a Statement, parameters: Vec<Parameter<'a>>) -> BoxFuture<'a, Answer> {
    Box::pin(async move { Ok(client.query_one(statement, &parameters).await.and_then(|row| row.try_get(0)).map(Some)?) })
}

/// Sends all messages, each by the first poll of its future, and gathers their answers.
///
/// A message that fails as it is sent keeps those after it, and so the COMMIT, from being sent at all: a batch with a gap
/// must not end well.
async fn in_order<'a>(mut messages: Vec<BoxFuture<'a, Answer>>) -> Vec<Answer> {
    let mut answers: Vec<Option<Answer>> = Vec::with_capacity(messages.len());
    for message in &mut messages {
        let answer = poll_fn(|context| Poll::Ready(message.as_mut().poll(context))).await;
        let failed = matches!(answer, Poll::Ready(Err(_)));
        answers.push(match answer {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        });
        if failed {
            break;
        }
    }
    fail_point("store.postgres-in-flight");
    poll_fn(|context| {
        for (message, answer) in messages.iter_mut().zip(&mut answers) {
            if answer.is_none()
                && let Poll::Ready(now) = message.as_mut().poll(context)
            {
                *answer = Some(now);
            }
        }
        if answers.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    answers.into_iter().flatten().collect()
}

impl Flight {
    /// Whether the connection is outside of any transaction and may be used again.
    pub(super) fn leaves_connection(&self) -> bool {
        let ended = self.is_complete() && matches!(self.answers.last(), Some(Ok(_)));
        ended && self.answers.iter().all(|answer| answer.as_ref().err().is_none_or(|failure| self.is_expected(failure)))
    }

    /// What became of the batch. Durable is what was answered OK from the first to the last: COMMIT alone proves nothing,
    /// it is answered without an error when it rolled back.
    pub(super) fn outcome(self, batch: &Batch, groups: &[Group<'_>]) -> Result<Committed, Error> {
        let complete = self.is_complete();
        let mut seq = None;
        let mut lost = None;
        for (step, answer) in self.steps.iter().zip(self.answers) {
            match answer {
                // Refused once is aborted for good, whatever happened to the connection later.
                Err(Failure::Refused(refusal)) => return Err(refused(*step, refusal, batch, groups)),
                Err(Failure::Lost(text)) => lost = lost.or(Some(text)),
                Ok(number) => seq = seq.or(number),
            }
        }
        match (seq, lost) {
            (Some(seq), None) if complete => Ok(Committed { seq }),
            (_, lost) if complete => Err(Error::UnknownOutcome(lost.unwrap_or_default())),
            (_, lost) => Err(Error::Unavailable(lost.unwrap_or_default())),
        }
    }

    fn is_complete(&self) -> bool {
        self.answers.len() == self.steps.len()
    }

    // 25P02 is what every statement after the failed one is told.
    fn is_expected(&self, failure: &Failure) -> bool {
        failure.leaves_connection() || matches!(failure, Failure::Refused(refusal) if refusal.state == "25P02")
    }
}

fn refused(step: Step, refusal: Refusal, batch: &Batch, groups: &[Group<'_>]) -> Error {
    match (refusal.state.as_str(), step) {
        (render::STALE_EPOCH, _) => Error::StaleEpoch { epoch: batch.epoch },
        (render::EXPECTATION, Step::Group(at)) => {
            let ordinal = refusal.detail.and_then(|detail| detail.parse::<usize>().ok());
            let key = ordinal.and_then(|ordinal| groups[at].keys.get(ordinal.checked_sub(1)?));
            Error::Expectation { table: groups[at].table.name, key: key.map(|key| key.to_vec()).unwrap_or_default() }
        }
        (_, Step::Group(at)) if refusal.is_taken() => Error::Expectation { table: groups[at].table.name, key: Vec::new() },
        (_, Step::Outbox) if refusal.is_taken() => Error::Expectation { table: "store_outbox", key: Vec::new() },
        _ => refusal.of_batch(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, Rows, Table, Value, Write};

    static NOTE: Table = Table { name: "note", key: &[Column::int("n")], columns: &[], rows: Rows::Stay };

    fn refusal(state: &str, detail: &str) -> Answer {
        Err(Failure::Refused(Refusal { state: state.to_owned(), text: state.to_owned(), detail: Some(detail.to_owned()) }))
    }

    fn lost() -> Answer {
        Err(Failure::Lost("gone".to_owned()))
    }

    // Open, head, one group of two rows, commit.
    fn judged(answers: Vec<Answer>) -> (bool, Result<Committed, Error>) {
        let writes = [7, 8].map(|n| Write::Insert { table: &NOTE, row: vec![Value::Int(n)] }).to_vec();
        let batch = Batch { service: "notes", epoch: 3, writes, events: vec![] };
        let groups = plan::groups(&batch).unwrap();
        let flight = Flight { steps: steps(1, false), answers };
        (flight.leaves_connection(), flight.outcome(&batch, &groups))
    }

    #[test]
    fn all_answers_make_a_batch_durable() {
        assert_eq!(judged(vec![Ok(None), Ok(Some(5)), Ok(None), Ok(None)]), (true, Ok(Committed { seq: 5 })));
    }

    #[test]
    fn a_refusal_is_named_and_the_connection_kept_only_after_its_end() {
        let expectation = Err(Error::Expectation { table: "note", key: vec![Value::Int(8)] });
        let answers = |last| vec![Ok(None), Ok(Some(5)), refusal("SC001", "2"), last];
        assert_eq!(judged(answers(Ok(None))), (true, expectation.clone()));
        assert_eq!(judged(answers(lost())), (false, expectation.clone()));
        assert_eq!(judged(vec![Ok(None), Ok(Some(5)), refusal("SC001", "2")]), (false, expectation));
        let stale = vec![Ok(None), refusal("SC002", ""), refusal("25P02", ""), Ok(None)];
        assert_eq!(judged(stale), (true, Err(Error::StaleEpoch { epoch: 3 })));
        let taken = vec![Ok(None), Ok(Some(5)), refusal("23505", "quoted"), Ok(None)];
        assert_eq!(judged(taken).1, Err(Error::Expectation { table: "note", key: vec![] }));
    }

    #[test]
    fn an_opening_that_fails_is_nobodys_fault() {
        let answers = vec![refusal("57014", ""), refusal("SC002", ""), refusal("SC001", "1"), Ok(None)];
        assert_eq!(judged(answers).1, Err(Error::Unavailable("57014".to_owned())));
    }

    #[test]
    fn a_lost_connection_is_unknown_once_the_commit_was_sent() {
        assert_eq!(judged(vec![Ok(None), Ok(Some(5)), Ok(None), lost()]), (false, Err(Error::UnknownOutcome("gone".to_owned()))));
        assert_eq!(judged(vec![Ok(None), lost(), lost(), lost()]).1, Err(Error::UnknownOutcome("gone".to_owned())));
        assert_eq!(judged(vec![Ok(None), lost()]), (false, Err(Error::Unavailable("gone".to_owned()))));
    }

    #[tokio::test]
    async fn a_message_that_cannot_be_sent_stops_those_after_it() {
        let ready = |answer: Answer| -> BoxFuture<'_, Answer> { Box::pin(std::future::ready(answer)) };
        let never_sent: BoxFuture<'_, Answer> = Box::pin(async { panic!("the commit must not be sent") });
        let late: BoxFuture<'_, Answer> = Box::pin(async {
            tokio::task::yield_now().await;
            Ok(Some(1))
        });
        assert_eq!(in_order(vec![late, ready(lost()), never_sent]).await, [Ok(Some(1)), lost()]);
    }
}
