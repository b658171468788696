//! The commands of whoever runs a shop that lives, asked of it through its API as its admin and told in words.
//! Leaves what is done to the shop, and the audit to `commands`.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use engine::TokioRuntime;
use kernel::{Millis, Runtime};
use load::Admin;
use serde_json::{Value, json};

use crate::cli::{AsAdmin, DeadLetters, Letter, Log, Resync};

/// How many items are asked for at once.
const PAGE_LIMIT: usize = 100;

/// How often it is asked how far a copy is.
const LOOK_MS: Millis = 200;

/// After how long without any progress nobody waits for a copy any more.
const STUCK_MS: Millis = 120_000;

fn admin(shop: &AsAdmin) -> anyhow::Result<Admin> {
    Ok(Admin::new(Arc::new(TokioRuntime::new()), &shop.logins, &shop.url)?)
}

/// Events that could not be handled: seen, tried again, dropped.
pub(crate) async fn dead_letters(command: DeadLetters) -> anyhow::Result<ExitCode> {
    match command {
        DeadLetters::List { service, shop } => list(&admin(&shop)?, service.as_deref()).await,
        DeadLetters::Show { letter, shop } => {
            let shown = admin(&shop)?.get(&path(&letter, "")).await?;
            println!("{}", serde_json::to_string_pretty(&shown)?);
            Ok(ExitCode::SUCCESS)
        }
        DeadLetters::Retry { letter, shop } => Ok(tell(&admin(&shop)?.post(&path(&letter, "/retry"), None).await?)),
        DeadLetters::Drop { letter, reason, shop } => {
            let body = json!({ "reason": reason });
            Ok(tell(&admin(&shop)?.post(&path(&letter, "/drop"), Some(body)).await?))
        }
    }
}

fn path(letter: &Letter, verb: &str) -> String {
    format!("/v1/admin/dead-letters/{letter}{verb}")
}

async fn list(admin: &Admin, service: Option<&str>) -> anyhow::Result<ExitCode> {
    let of = service.map(|service| format!("&service={}", load::encoded(service))).unwrap_or_default();
    let (mut after, mut count) = (String::new(), 0);
    loop {
        let page = admin.get(&format!("/v1/admin/dead-letters?limit={PAGE_LIMIT}{of}{after}")).await?;
        for letter in page["items"].as_array().into_iter().flatten() {
            println!("{}", line(letter));
            count += 1;
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    if count == 0 {
        println!("No event is parked.");
    }
    Ok(ExitCode::SUCCESS)
}

fn line(letter: &Value) -> String {
    let text = |name: &str| letter[name].as_str().unwrap_or_default().to_owned();
    let name = format!("{}/{}/{}", text("service"), text("source"), letter["seq"]);
    format!("{name}  {}  of {}  since {}: {}", text("kind"), text("key"), text("parked_at"), text("error"))
}

/// Tells what became of a key; a failure if it is still stopped.
fn tell(retried: &Value) -> ExitCode {
    let (applied, left) = (&retried["applied"], retried["left"].as_i64().unwrap_or_default());
    println!("{applied} events of {} applied, {left} still parked", retried["key"].as_str().unwrap_or_default());
    if let Some(error) = retried["failed"]["error"].as_str() {
        println!("{} fails: {error}", retried["failed"]["seq"]);
    }
    if left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How the logs travel; or a part of one is sent again.
pub(crate) async fn log(command: Log) -> anyhow::Result<ExitCode> {
    match command {
        Log::Status { shop } => {
            let status = admin(&shop)?.get("/v1/admin/log").await?;
            for item in status["items"].as_array().into_iter().flatten() {
                let name = item["service"].as_str().unwrap_or_default();
                let relayed =
                    item["relayed"].as_i64().map_or("read from the database".to_owned(), |seq| format!("in Kafka up to {seq}"));
                println!("{name:<14} {} events, kept from {} on, {relayed}", item["last"], item["first_kept"]);
            }
        }
        Log::Republish { service, from, shop } => {
            let path = format!("/v1/admin/log/{}/republish", load::encoded(&service));
            let said = admin(&shop)?.post(&path, Some(json!({ "from": from }))).await?;
            println!("{service} sends its events to Kafka again from {} on", said["from"]);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Lets the owner say all it has again, and waits until the consumer has heard all of it.
pub(crate) async fn resync(command: Resync) -> anyhow::Result<ExitCode> {
    let Resync { consumer, from, shop } = command;
    let admin = admin(&shop)?;
    let (mut after, mut steps) = (Value::Null, 0);
    let until = loop {
        let body = json!({ "consumer": consumer, "from": from, "after": after });
        let said = admin.post("/v1/admin/resync", Some(body)).await?;
        steps += 1;
        if said["next"].is_null() {
            break said["last"].as_i64().unwrap_or_default();
        }
        after = said["next"].clone();
    };
    println!("{from} has said again what {consumer} copies of it, in {steps} steps");
    let (runtime, mut heard, mut since_ms) = (TokioRuntime::new(), 0, 0);
    loop {
        let progress = admin.get(&format!("/v1/admin/resync/{consumer}/{from}")).await?;
        let now = progress["heard"].as_i64().unwrap_or_default();
        if now >= until {
            println!("{consumer} has heard all of it");
            return Ok(ExitCode::SUCCESS);
        }
        since_ms = if now > heard { 0 } else { since_ms + LOOK_MS };
        if since_ms > STUCK_MS {
            bail!("{consumer} has heard {from} up to {now} of {until} and goes on no more; see `swiftcart dead-letters list`");
        }
        heard = now;
        runtime.sleep(LOOK_MS).await;
    }
}
