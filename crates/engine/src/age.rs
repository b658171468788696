//! How old the oldest thing is that waits for something in a service, asked when somebody looks: what a service tells of itself
//! besides what the engine knows. Leaves what waits to the service.

use std::sync::Arc;

use kernel::{BoxFuture, Fault, Millis};

use crate::handle::Handle;

type Ask = Arc<dyn Fn(Handle) -> BoxFuture<'static, Result<Millis, Fault>> + Send + Sync>;

/// The age of the oldest of something; 0 if there is none.
#[derive(Clone)]
pub struct Age {
    /// The name of the metric; it ends with `_seconds`.
    pub name: &'static str,
    /// What is as old.
    pub help: &'static str,
    pub(crate) ask: Ask,
}

impl Age {
    /// The age that `ask` finds by a cheap read, in milliseconds, told in seconds as `name`.
    #[must_use]
    pub fn new(
        name: &'static str,
        help: &'static str,
        ask: impl Fn(Handle) -> BoxFuture<'static, Result<Millis, Fault>> + Send + Sync + 'static,
    ) -> Self {
        Self { name, help, ask: Arc::new(ask) }
    }
}
