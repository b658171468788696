//! The routes of the program itself: whether it lives, whether it is ready, and what its services still have before them.
//! Leaves everything about the shop to the services.

use std::sync::Arc;

use engine::Running;
use kernel::Fault;
use web::{Access, Answer, Routes, State, json};

#[derive(Clone)]
struct Program {
    running: Vec<Arc<Running>>,
}

/// The routes.
pub(crate) fn routes(running: Vec<Arc<Running>>) -> Routes {
    Routes::new("swiftcart")
        .get("/livez", Access::anyone(), live)
        .get("/readyz", Access::anyone(), ready)
        .get("/v1/admin/audit/pending", Access::admin(), pending)
        .with_state(Program { running })
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
