//! The thread that writes: it takes all batches that wait, of all services, and commits them under one fsync.
//! Leaves what a commit does to `group`, and checkpoints to `checkpoint`.

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::sqlite::checkpoint::Checkpoints;
use crate::sqlite::group;
use crate::sqlite::threads::{Call, Jobs};
use crate::{Batch, Committed, Error};

/// Batches under one fsync at the most: beyond it the first of them would wait too long for the last.
const GROUP_BATCHES_MAX: usize = 64;

/// What the writer is asked for.
pub(super) enum Job {
    /// A batch to be committed.
    Commit(Commit),
    /// Something else that writes: migrations, a new head row.
    Call(Call),
}

/// A batch and who waits for it.
pub(super) struct Commit {
    pub(super) batch: Batch,
    pub(super) answer: oneshot::Sender<Result<Committed, Error>>,
}

/// Does what is asked for until nobody can ask any more.
pub(super) fn run(mut connection: Connection, jobs: &Jobs<Job>, checkpoints: &Checkpoints) {
    let mut held = None;
    while let Some(job) = held.take().or_else(|| jobs.next()) {
        match job {
            Job::Call(call) => call(&mut connection),
            Job::Commit(first) => held = commit_waiting(&connection, first, jobs),
        }
        checkpoints.after_commit(&connection);
    }
}

/// Commits `first` and whatever batches wait behind it; hands back a job of another sort that it met.
fn commit_waiting(connection: &Connection, first: Commit, jobs: &Jobs<Job>) -> Option<Job> {
    let (mut batches, mut answers, mut met) = (vec![first.batch], vec![first.answer], None);
    while batches.len() < GROUP_BATCHES_MAX {
        match jobs.waiting() {
            Some(Job::Commit(commit)) => {
                batches.push(commit.batch);
                answers.push(commit.answer);
            }
            other => {
                met = other;
                break;
            }
        }
    }
    for (answer, outcome) in answers.into_iter().zip(group::commit(connection, &batches)) {
        // Who no longer waits for the answer does not need it.
        let _ = answer.send(outcome);
    }
    met
}
