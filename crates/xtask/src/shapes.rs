//! The shapes that one shop may have, side by side under the same load: how fast, at what price, and what each costs while
//! nothing happens. Every shape has servers of its own, all on this machine, which the load shares: ratios say more than figures.
//! Leaves a shop to `shop`, what it takes to `usage`, how it is shown to `table`.

mod shop;
mod table;
mod usage;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::servers::home::Home;
use crate::servers::{Kind, Private};
use crate::workspace::{Workspace, cargo, read};

use shop::{Layout, Shop};
use table::{Figure, render};
use usage::Snapshot;

/// How many orders the light load has, and the load that comes before anything is measured.
const LIGHT_ORDERS: usize = 60;
const WARM_ORDERS: usize = 60;

/// How many shop at once when it is not light, and how many want to order at the same moment.
const SHOPPERS: usize = 32;
const BUYERS: usize = 500;

/// For how long it is watched what a shop takes while nothing happens, and how long it has to calm down before.
const IDLE: Duration = Duration::from_secs(10);
const CALM: Duration = Duration::from_secs(3);

struct Shape {
    name: &'static str,
    layout: Layout,
    servers: &'static [Kind],
}

const SHAPES: [Shape; 5] = [
    Shape { name: "SQLite", layout: Layout::Alike(1), servers: &[] },
    Shape { name: "PostgreSQL", layout: Layout::Alike(1), servers: &[Kind::Postgres] },
    Shape { name: "3 on PostgreSQL", layout: Layout::Alike(3), servers: &[Kind::Postgres] },
    Shape { name: "PostgreSQL+Kafka", layout: Layout::Alike(1), servers: &Kind::ALL },
    Shape { name: "roles+Kafka", layout: Layout::Roles, servers: &Kind::ALL },
];

/// Measures every shape with so many orders and prints the table.
///
/// # Errors
/// When something does not start, or an order does not end as it should.
pub fn run(orders: usize) -> Result<()> {
    let binary = build()?;
    let home = Home::make(&std::env::temp_dir(), "shapes")?;
    let examples = read(&Workspace::load()?.root.join("examples/baskets.csv"))?;
    let baskets = Baskets { examples, file: home.path.join("baskets.csv") };
    let mut measured = Vec::new();
    for shape in &SHAPES {
        eprintln!("measuring: {}", shape.name);
        let figures = measure(shape, &binary, &baskets, orders).with_context(|| format!("the shape {}", shape.name))?;
        measured.push((shape.name, figures));
    }
    println!("{}", render(&measured));
    Ok(())
}

/// The binary as it is released.
fn build() -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "--release", "-p", "swiftcart", "--message-format=json-render-diagnostics"]);
    let output = command.stderr(std::process::Stdio::inherit()).output().context("cargo did not start")?;
    ensure!(output.status.success(), "the release does not build");
    let lines = String::from_utf8_lossy(&output.stdout);
    let artifacts = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let made = artifacts.filter(|artifact| artifact["target"]["name"] == "swiftcart");
    made.filter_map(|artifact| artifact["executable"].as_str().map(PathBuf::from)).next_back().context("cargo tells no binary")
}

/// What is replayed: the baskets of the examples, again and again.
struct Baskets {
    examples: String,
    file: PathBuf,
}

impl Baskets {
    /// The file with so many of them.
    fn of(&self, count: usize) -> Result<String> {
        let lines: Vec<&str> = self.examples.lines().cycle().take(count).collect();
        fs::write(&self.file, lines.join("\n") + "\n").with_context(|| format!("cannot write {}", self.file.display()))?;
        Ok(self.file.display().to_string())
    }
}

fn measure(shape: &Shape, binary: &Path, baskets: &Baskets, orders: usize) -> Result<Vec<Figure>> {
    let servers = Private::start(shape.servers)?;
    let server = |kind| servers.iter().find(|server| server.kind() == kind);
    let (database, kafka) = (server(Kind::Postgres), server(Kind::Kafka));
    let shop = Shop::start(binary, shape.layout, database.map(Private::address), kafka.map(Private::address))?;
    let roots = Roots { shop: shop.ids(), database: database.map(Private::keeper), kafka: kafka.map(Private::keeper) };
    let replay = |orders: usize, shoppers: usize| {
        shop.load(&["replay", &baskets.of(orders)?, "--shoppers", &shoppers.to_string(), "--figures-only"])
    };

    replay(WARM_ORDERS, SHOPPERS)?;
    sleep(CALM);
    let before = roots.cpu()?;
    sleep(IDLE);
    let idle = roots.cpu()?.since(&before).times(100.0 / IDLE.as_secs_f64());

    let light = replay(LIGHT_ORDERS, 1)?;
    let before = roots.cpu()?;
    let load = replay(orders, SHOPPERS)?;
    let cpu = roots.cpu()?.since(&before).times(1000.0 / number(&load, "/placed")?);
    let memory = roots.memory()?;
    let rush = shop.load(&["rush", "--buyers", &BUYERS.to_string(), "--units", &BUYERS.to_string()])?;
    shop.audit()?;
    drop(shop);
    servers.into_iter().try_for_each(Private::stop)?;

    let mut figures = Vec::new();
    let mut tell = |name, value| figures.push(Figure { name, value });
    tell("1 shopper: durable p50 ms", number(&light, "/durable/p50_ms")?);
    tell("  durable p99 ms", number(&light, "/durable/p99_ms")?);
    tell("  confirmed p50 ms", number(&light, "/confirming/p50_ms")?);
    tell("  confirmed p99 ms", number(&light, "/confirming/p99_ms")?);
    tell("32 shoppers: delivered orders/s", number(&load, "/orders_per_s")?);
    tell("  durable p50 ms", number(&load, "/durable/p50_ms")?);
    tell("  durable p99 ms", number(&load, "/durable/p99_ms")?);
    tell("  confirmed p50 ms", number(&load, "/confirming/p50_ms")?);
    tell("  confirmed p99 ms", number(&load, "/confirming/p99_ms")?);
    tell("500 at once: durable orders/s", rate(BUYERS, number(&rush, "/durable/max_ms")?));
    tell("  confirmed orders/s", rate(BUYERS, number(&rush, "/elapsed_s")? * 1000.0));
    tell("CPU s per 1000 orders: shop", cpu.shop);
    tell("  database", cpu.database);
    tell("  Kafka", cpu.kafka);
    tell("  (the load itself)", cpu.load);
    tell("idle CPU %: shop", idle.shop);
    tell("  database", idle.database);
    tell("  Kafka", idle.kafka);
    tell("memory MiB: shop", memory.shop);
    tell("  database", memory.database);
    tell("  Kafka", memory.kafka);
    Ok(figures)
}

/// What a shape runs as: the roots of its trees of processes.
struct Roots {
    shop: Vec<u32>,
    database: Option<u32>,
    kafka: Option<u32>,
}

/// One kind of figure for each part.
struct Parts {
    shop: f64,
    database: f64,
    kafka: f64,
    load: f64,
}

impl Roots {
    /// The processor time that each has taken until now, in seconds.
    fn cpu(&self) -> Result<Parts> {
        let snapshot = Snapshot::take()?;
        // The load has ended: its time counts as ours.
        let load = snapshot.cpu_of(std::process::id());
        Ok(self.parts(|root| snapshot.cpu_s(root), load))
    }

    /// The memory that each has now, in MiB.
    fn memory(&self) -> Result<Parts> {
        let snapshot = Snapshot::take()?;
        Ok(self.parts(|root| snapshot.memory_mib(root), 0.0))
    }

    fn parts(&self, of: impl Fn(u32) -> f64, load: f64) -> Parts {
        let of_one = |root: Option<u32>| root.map_or(0.0, &of);
        let shop = self.shop.iter().map(|root| of(*root)).sum();
        Parts { shop, database: of_one(self.database), kafka: of_one(self.kafka), load }
    }
}

impl Parts {
    fn since(self, before: &Self) -> Self {
        let (shop, database) = (self.shop - before.shop, self.database - before.database);
        Self { shop, database, kafka: self.kafka - before.kafka, load: self.load - before.load }
    }

    fn times(self, factor: f64) -> Self {
        let (shop, database) = (self.shop * factor, self.database * factor);
        Self { shop, database, kafka: self.kafka * factor, load: self.load * factor }
    }
}

fn number(figures: &Value, place: &str) -> Result<f64> {
    figures.pointer(place).and_then(Value::as_f64).with_context(|| format!("the figures lack {place}"))
}

#[allow(clippy::cast_precision_loss, reason = "a few hundred")]
fn rate(count: usize, ms: f64) -> f64 {
    count as f64 * 1000.0 / ms.max(1.0)
}
