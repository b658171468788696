//! The routes of the program itself: whether it lives, whether it is ready, and what its services still have before them.
//! Leaves everything about the shop to the services.

use std::sync::Arc;

use audit::Glance;
use engine::Running;
use kernel::Fault;
use web::{Access, Answer, Routes, State, json};

#[derive(Clone)]
struct Program {
    running: Vec<Arc<Running>>,
    audit: Option<Glance>,
}

/// The routes.
pub(crate) fn routes(running: Vec<Arc<Running>>, audit: Option<Glance>) -> Routes {
    Routes::new("swiftcart")
        .get("/livez", Access::anyone(), live)
        .get("/readyz", Access::anyone(), ready)
        .get("/v1/admin/audit/pending", Access::admin(), pending)
        .get("/v1/admin/audit/watch", Access::admin(), watch)
        .with_state(Program { running, audit })
}

/// The process answers.
async fn live() -> Result<Answer, Fault> {
    Ok(Answer::ok(json!({ "live": true })))
}

/// Every service reaches its database; otherwise 503 with the reason.
async fn ready(State(program): State<Program>) -> Result<Answer, Fault> {
    for running in &program.running {
        running.events_said().await?;
    }
    Ok(Answer::ok(json!({ "ready": true })))
}

async fn pending(State(program): State<Program>) -> Result<Answer, Fault> {
    let mut items = Vec::new();
    for running in &program.running {
        items.push(running.pending().await?);
    }
    Ok(Answer::ok(json!({ "items": items })))
}

/// What the audit of this process has seen: the breaches that stand, each since when, and how far it has looked.
async fn watch(State(program): State<Program>) -> Result<Answer, Fault> {
    let audit = program.audit.ok_or_else(|| Fault::not_found("watch"))?;
    Ok(Answer::ok(audit.status()))
}
