//! The routes that rebuild a service's copy of what another owns, a step at a time, while the shop runs.
//! Leaves what a step says to `engine`, and which services copy what to `tables`.

use engine::{KeyScope, Position, Resync};
use kernel::{Bucket, Fault};
use serde::Deserialize;
use web::{Access, Answer, Body, Caller, IdempotencyKey, Path, Routes, State, json};

use super::Program;

const STEP: &str = "/v1/admin/resync";

pub(super) fn routes() -> Routes<Program> {
    Routes::new("swiftcart").post(STEP, Access::admin(), step).get(
        "/v1/admin/resync/{consumer}/{from}",
        Access::admin(),
        progress,
    )
}

/// Which copy is rebuilt, and where to go on: at the beginning, or at the `next` of the answer before.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    consumer: String,
    from: String,
    #[serde(default)]
    after: Option<Position>,
}

/// Lets the owner say the next rows. Whoever asks goes on until `next` is null, and then waits until `heard` has reached what
/// `last` is by then.
async fn step(State(program): State<Program>, caller: Caller, key: IdempotencyKey, body: Body<Wanted>) -> Result<Answer, Fault> {
    let Wanted { consumer, from, after } = body.value;
    let resync = program.resync(&consumer, &from).ok_or_else(|| impossible(&program, &consumer, &from))?;
    let key = KeyScope::new(&caller, STEP, format!("{consumer}/{from}"), Bucket(0), &key, body.fingerprint);
    let next = resync.step(after, key, caller.trace.clone()).await?;
    let progress = resync.progress().await?;
    Ok(Answer::ok(json!({ "next": next, "heard": progress.heard, "last": progress.last })))
}

async fn progress(State(program): State<Program>, Path((consumer, from)): Path<(String, String)>) -> Result<Answer, Fault> {
    let resync = program.resync(&consumer, &from).ok_or_else(|| Fault::not_found("copy"))?;
    Ok(Answer::ok(resync.progress().await?))
}

fn impossible(program: &Program, consumer: &str, from: &str) -> Fault {
    let mut legal = Vec::new();
    for consumer in program.services() {
        for from in program.services() {
            legal.extend(program.resync(consumer, from).map(|_| format!("{consumer} from {from}")));
        }
    }
    let detail = format!("`{consumer}` keeps no copy of what `{from}` owns; there are: {}", legal.join(", "));
    Fault::invalid_field("/from", detail).with("legal", legal)
}

impl Program {
    /// The copy that `consumer` keeps of what `from` owns, if there is one.
    fn resync(&self, consumer: &str, from: &str) -> Option<Resync<'_>> {
        let (consumer, owner) = (self.service(consumer).ok()?, self.service(from).ok()?);
        let states = self.copying.states_of(owner.handle.service());
        let copies = self.copying.copies_of(consumer.handle.service());
        Some(Resync { consumer, owner, states, copies }).filter(Resync::is_possible)
    }
}
