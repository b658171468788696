//! The routes of the program itself: whether it lives, whether it is ready, and what its services still have before them.
//! Leaves everything about the shop to the services, events that were parked to `dead_letters`, and copies to `resync`.

mod dead_letters;
mod resync;

use std::sync::Arc;

use audit::Glance;
use engine::Running;
use kernel::Fault;
use web::{Access, Answer, Routes, State, json};

use crate::tables::Copying;

#[derive(Clone)]
struct Program {
    running: Vec<Arc<Running>>,
    copying: Arc<Copying>,
    audit: Option<Glance>,
}

impl Program {
    /// The service `name`.
    fn service(&self, name: &str) -> Result<&Running, Fault> {
        let found = self.running.iter().find(|running| running.handle.service() == name);
        found.map(|running| &**running).ok_or_else(|| Fault::not_found("service"))
    }

    /// The names of all services.
    fn services(&self) -> Vec<&'static str> {
        self.running.iter().map(|running| running.handle.service()).collect()
    }
}

/// The routes.
pub(crate) fn routes(running: Vec<Arc<Running>>, audit: Option<Glance>) -> Routes {
    Routes::new("swiftcart")
        .get("/livez", Access::anyone(), live)
        .get("/readyz", Access::anyone(), ready)
        .get("/v1/admin/audit/pending", Access::admin(), pending)
        .get("/v1/admin/audit/watch", Access::admin(), watch)
        .merge(dead_letters::routes())
        .merge(resync::routes())
        .with_state(Program { running, copying: Arc::new(Copying::new()), audit })
}

/// The process answers.
async fn live() -> Result<Answer, Fault> {
    Ok(Answer::ok(json!({ "live": true })))
}

/// Every service reaches its database; otherwise 503 with the reason. A subscription that has stopped is told and takes
/// nobody out of service: it stops its own work only.
async fn ready(State(program): State<Program>) -> Result<Answer, Fault> {
    for running in &program.running {
        running.events_said().await?;
    }
    let stopped: Vec<_> = program.running.iter().flat_map(|running| running.stopped()).collect();
    Ok(Answer::ok(json!({ "ready": true, "stopped": stopped })))
}

async fn pending(State(program): State<Program>) -> Result<Answer, Fault> {
    let mut items = Vec::new();
    for running in &program.running {
        items.push(running.pending().await?);
    }
    engine::compare(&mut items);
    Ok(Answer::ok(json!({ "items": items })))
}

/// What the audit of this process has seen: the breaches that stand, each since when, and how far it has looked.
async fn watch(State(program): State<Program>) -> Result<Answer, Fault> {
    let audit = program.audit.ok_or_else(|| Fault::not_found("watch"))?;
    Ok(Answer::ok(audit.status()))
}
