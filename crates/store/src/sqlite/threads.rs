//! Threads around connections: a bounded queue of jobs for them, and their orderly end.
//! Leaves what a job is to the writer and the readers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::Error;

/// Something to be done with a connection; it answers by itself.
pub(super) type Call = Box<dyn FnOnce(&mut Connection) + Send>;

/// Where the threads take their jobs from: each job goes to one of them.
pub(super) struct Jobs<J> {
    queue: Arc<Mutex<Receiver<J>>>,
    waiting: Arc<AtomicUsize>,
}

impl<J> Jobs<J> {
    /// The next job, or `None` when there will be none any more.
    pub(super) fn next(&self) -> Option<J> {
        let job = self.queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
        job.inspect(|_| _ = self.waiting.fetch_sub(1, Ordering::Relaxed))
    }

    /// The next job if one waits already.
    pub(super) fn waiting(&self) -> Option<J> {
        let job = self.queue.lock().unwrap_or_else(PoisonError::into_inner).try_recv().ok();
        job.inspect(|_| _ = self.waiting.fetch_sub(1, Ordering::Relaxed))
    }
}

/// Some threads with one queue. When dropped, it lets them finish what waits and end.
pub(super) struct Threads<J> {
    queue: Option<SyncSender<J>>,
    waiting: Arc<AtomicUsize>,
    handles: Vec<JoinHandle<()>>,
}

impl<J: Send + 'static> Threads<J> {
    /// One thread for each of `connections`, each of which runs `work` once.
    pub(super) fn start<W>(
        name: &str,
        queue_max: usize,
        connections: impl IntoIterator<Item = Connection>,
        work: W,
    ) -> Result<Self, Error>
    where
        W: Fn(Connection, &Jobs<J>) + Send + Sync + 'static,
    {
        let (queue, jobs) = sync_channel(queue_max);
        let (jobs, work) = (Arc::new(Mutex::new(jobs)), Arc::new(work));
        let mut threads = Self { queue: Some(queue), waiting: Arc::default(), handles: Vec::new() };
        for connection in connections {
            let (jobs, work) = (Jobs { queue: Arc::clone(&jobs), waiting: Arc::clone(&threads.waiting) }, Arc::clone(&work));
            threads.handles.push(spawn(name, move || work(connection, &jobs))?);
        }
        Ok(threads)
    }

    /// Puts a job into the queue, or refuses it at once if the queue is full.
    pub(super) fn send(&self, job: J) -> Result<(), Error> {
        let queue = self.queue.as_ref().expect("the queue is there until it is dropped");
        // Before it is sent, so that whoever takes it at once finds it counted.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        queue.try_send(job).map_err(|refused| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            match refused {
                TrySendError::Full(_) => Error::Unavailable("too much waits for the database".to_owned()),
                TrySendError::Disconnected(_) => Error::Unavailable("the thread of the database has ended".to_owned()),
            }
        })
    }

    /// How many jobs wait in the queue.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Lets one of the threads do `work` and hands back what came of it.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(Call) -> J,
        work: impl FnOnce(&mut Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        self.send(job(Box::new(move |connection| {
            // Who no longer waits for the answer does not need it.
            let _ = answer.send(work(connection));
        })))?;
        answered.await.unwrap_or_else(|_| Err(Error::Unavailable("the thread of the database has ended".to_owned())))
    }
}

impl<J> Drop for Threads<J> {
    fn drop(&mut self) {
        self.queue = None;
        for handle in self.handles.drain(..) {
            if handle.join().is_err() {
                tracing::error!("a thread of the database has panicked");
            }
        }
    }
}

// SQLite blocks, so its connections live on threads of their own, and not on those of the executor's runtime.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|error| Error::Unavailable(format!("no thread for the database: {error}")))
}
