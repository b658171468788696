//! What everybody in a run shares: the way to the shop, the figures, the PINs that shoppers say at their doors, what is to go
//! wrong, the end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use contracts::OrderId;
use futures_util::future::{Either, select};
use kernel::{BoxFuture, Runtime};
use tokio::sync::{mpsc, watch};

use crate::client::Client;
use crate::error::LoadError;
use crate::figures::Figures;
use crate::history::History;
use crate::troubles::{Managers, Plans};

/// What everybody shares.
pub(crate) struct World {
    pub(crate) client: Arc<Client>,
    pub(crate) figures: Figures,
    pub(crate) history: History,
    pub(crate) pins: Pins,
    pub(crate) plans: Plans,
    pub(crate) managers: Managers,
    pub(crate) closing: Closing,
}

impl World {
    pub(crate) fn new(client: Arc<Client>, managers: Managers) -> Self {
        let (figures, history) = (Figures::default(), History::default());
        let (pins, plans, closing) = (Pins::default(), Plans::default(), Closing::default());
        Self { client, figures, history, pins, plans, managers, closing }
    }

    pub(crate) fn runtime(&self) -> &Arc<dyn Runtime> {
        self.client.runtime()
    }
}

/// What shoppers tell couriers at the door.
#[derive(Default)]
pub(crate) struct Pins(Mutex<HashMap<OrderId, String>>);

impl Pins {
    pub(crate) fn tell(&self, order: OrderId, pin: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(order).or_insert_with(|| pin.to_owned());
    }

    pub(crate) fn ask(&self, order: OrderId) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&order).cloned()
    }
}

/// The end of the working day of pickers and couriers.
pub(crate) struct Closing(watch::Sender<bool>);

impl Default for Closing {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Closing {
    pub(crate) fn close(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.0.borrow()
    }

    /// What `work` comes to, or `None` if the day ends before; only for work that may be left at any point.
    pub(crate) async fn or<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut closed = self.0.subscribe();
        let ended = Box::pin(closed.wait_for(|closed| *closed));
        match select(Box::pin(work), ended).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }
}

/// Runs `tasks` beside each other on the runtime and waits for what all of them come to.
pub(crate) async fn together<T: Send + 'static>(
    runtime: &dyn Runtime,
    name: &'static str,
    tasks: Vec<BoxFuture<'static, T>>,
) -> Result<Vec<T>, LoadError> {
    start(runtime, name, tasks).all().await
}

/// Tasks that were started and will be waited for.
pub(crate) struct Started<T> {
    name: &'static str,
    count: usize,
    results: mpsc::Receiver<T>,
}

/// Starts `tasks`.
pub(crate) fn start<T: Send + 'static>(
    runtime: &dyn Runtime,
    name: &'static str,
    tasks: Vec<BoxFuture<'static, T>>,
) -> Started<T> {
    let count = tasks.len();
    let (send, results) = mpsc::channel(count.max(1));
    for task in tasks {
        let send = send.clone();
        runtime.spawn(
            name,
            Box::pin(async move {
                // Nobody receives only if the whole run was dropped.
                let _ = send.send(task.await).await;
            }),
        );
    }
    Started { name, count, results }
}

impl<T> Started<T> {
    /// What all of them came to, in the order in which they ended.
    pub(crate) async fn all(mut self) -> Result<Vec<T>, LoadError> {
        let mut results = Vec::with_capacity(self.count);
        while let Some(result) = self.results.recv().await {
            results.push(result);
        }
        if results.len() == self.count { Ok(results) } else { Err(LoadError::Lost(self.name)) }
    }
}
