//! What each command does, from its arguments to its exit code. Leaves the work to the crates that own it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use engine::{Handle, TokioRuntime};
use kernel::Runtime;
use store::Store;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use web::ServeLimits;

use crate::cli::{Arguments, Audit, Command, Load, Place, Replay, Rush, Serve, Topics};
use crate::compose::{self, Shop};
use crate::logins::Logins;
use crate::logs::tell_by;
use crate::sample::Site;
use crate::settings::Settings;
use crate::tables::{self, Parts};
use crate::{operate, promote, sample, sandbox_provider};

/// How long a connection may take to send the head of its next request.
pub(crate) const HEAD_MS_MAX: i64 = 30_000;

/// How often it is tried to make the sample shop while not all services answer.
const SAMPLE_AGAIN_MS: i64 = 500;

/// How many may read the metrics at once.
const METRICS_CONNECTIONS_MAX: usize = 16;

/// Does what the arguments say.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    #[cfg(feature = "fail-points")]
    crate::fail_points::install()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match arguments.command {
            None => serve(&arguments.serve).await,
            Some(Command::Serve(serve_with)) => serve(&serve_with).await,
            Some(Command::Migrate(place)) => migrate(&place).await,
            Some(Command::Promote(promote_with)) => promote::promote(promote_with).await,
            Some(Command::Audit(audit_with)) => audit(audit_with).await,
            Some(Command::DeadLetters(command)) => operate::dead_letters(command).await,
            Some(Command::Resync(resync_with)) => operate::resync(resync_with).await,
            Some(Command::Topics(Topics::Ensure(place))) => ensure_topics(&place).await,
            Some(Command::Log(command)) => operate::log(command).await,
            Some(Command::Load(Load::Replay(replay_with))) => replay(replay_with).await,
            Some(Command::Load(Load::Rush(rush_with))) => rush(rush_with).await,
            Some(Command::SandboxProvider(provide_with)) => sandbox_provider::serve(provide_with).await,
        }
    })
}

async fn serve(arguments: &Serve) -> anyhow::Result<ExitCode> {
    let settings = Settings::of_serve(arguments)?;
    tell_by(&settings.server.log, settings.server.log_format)?;
    let listener = TcpListener::bind(settings.server.listen).await;
    let listener = listener.with_context(|| format!("{} cannot be listened on", settings.server.listen))?;
    let shop = compose::start(&settings).await?;
    furnish(&shop, arguments.no_sample, &settings.server.data).await?;
    if !settings.server.metrics_listen.is_empty() {
        show_metrics(&settings.server.metrics_listen, &shop).await?;
    }
    println!("SwiftCart is open at http://{}", listener.local_addr()?);
    let limits = ServeLimits {
        connections_max: settings.server.connections_max,
        head_ms_max: HEAD_MS_MAX,
        drain_ms_max: settings.server.drain_ms,
    };
    // The embedded database is this process's alone, so nobody takes over, and there is nobody to tell.
    let announce_ms =
        if settings.server.database.is_empty() && shop.roles.have_services() { 0 } else { settings.server.announce_ms };
    let (runtime, life) = (shop.runtime.clone(), shop.life.clone());
    let leave = async move {
        asked_to_stop().await;
        life.drain();
        runtime.sleep(announce_ms).await;
    };
    web::serve(listener, shop.router.clone(), shop.runtime.clone(), limits, leave).await;
    shop.shut_down().await;
    Ok(ExitCode::SUCCESS)
}

/// Makes what an empty shop begins with: one admin, or the sample shop. Where it has several processes, identity makes the admin,
/// and the gateway the rest once the others answer.
async fn furnish(shop: &Shop, no_sample: bool, data: &Path) -> anyhow::Result<()> {
    match &shop.identity {
        Some(identity) if no_sample => first_admin(identity).await?,
        Some(identity) => sample::ensure_admin(identity, &shop.seal).await?,
        None => {}
    }
    if no_sample || !shop.roles.have_gateway() {
        return Ok(());
    }
    let sample = Sample { site: shop.site(), path: data.join("logins.json") };
    if shop.roles.are_all() {
        return sample.make().await;
    }
    shop.runtime.spawn("sample", Box::pin(sample.make_when_all_answer(shop.ended())));
    Ok(())
}

/// Shows the metrics at `address` to anyone for as long as the shop lives.
async fn show_metrics(address: &str, shop: &Shop) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("{address} cannot be listened on"))?;
    println!("Metrics are shown at http://{}/metrics", listener.local_addr()?);
    let (router, runtime, ended) = (shop.metrics.clone(), shop.runtime.clone(), shop.ended());
    let limits = ServeLimits { connections_max: METRICS_CONNECTIONS_MAX, head_ms_max: HEAD_MS_MAX, drain_ms_max: 0 };
    let serving = async move {
        web::serve(listener, router, runtime, limits, ended).await;
    };
    shop.runtime.spawn("metrics", Box::pin(serving));
    Ok(())
}

/// The sample shop in the making.
struct Sample {
    site: Site,
    /// Where its logins are written.
    path: PathBuf,
}

impl Sample {
    /// Makes it, prints its logins and writes them to the data directory.
    async fn make(&self) -> anyhow::Result<()> {
        let path = &self.path;
        if path.exists() && sample::is_whole(&self.site).await? {
            println!("The sample shop in Atlanta, as it was left. Everybody's login is in {}.", path.display());
            return Ok(());
        }
        let Some(logins) = sample::make(&self.site).await? else { return Ok(()) };
        path.parent().map(std::fs::create_dir_all).transpose()?;
        logins.write(path)?;
        print_logins(&logins, path);
        Ok(())
    }

    /// Makes it as soon as the services answer, unless the shop ends before.
    async fn make_when_all_answer(self, ended: impl Future<Output = ()> + Send) {
        let make = async {
            while let Err(error) = self.make().await {
                tracing::info!(%error, "the sample shop is not made yet");
                self.site.runtime.sleep(SAMPLE_AGAIN_MS).await;
            }
        };
        tokio::select! {
            () = make => {}
            () = ended => {}
        }
    }
}

fn print_logins(logins: &Logins, path: &Path) {
    println!("The sample shop in Atlanta. Everybody's login is in {}; some of them:", path.display());
    let some = [Some(&logins.admin), logins.staff.first(), logins.couriers.first(), logins.shoppers.first()];
    for login in some.into_iter().flatten() {
        let roles: Vec<&str> = login.roles.iter().map(|role| role.role.as_str()).collect();
        println!("  {:<10} {:<48} {}", roles.join(","), login.email, login.password);
    }
}

/// Makes the one admin of an empty shop and prints its login, once.
async fn first_admin(identity: &Handle) -> anyhow::Result<()> {
    let (email, password) = ("admin@swiftcart.example", crate::logins::random_password()?);
    if identity::ensure_admin(identity, "Admin", email, identity::Secret::new(&*password)).await? {
        println!("The shop is empty. Its one login, told only now: {email} {password}");
    }
    Ok(())
}

/// Ends when the process is told to stop, by a terminal or a supervisor.
pub(crate) async fn asked_to_stop() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

async fn migrate(place: &Place) -> anyhow::Result<ExitCode> {
    let settings = Settings::of_place(place)?;
    tell_by(&settings.server.log, settings.server.log_format)?;
    anyhow::ensure!(
        !settings.server.database.is_empty(),
        "migrate needs --database URL; the embedded database is brought up to date by `serve`"
    );
    let store = Store::postgres(&settings.server.database, 2).await?;
    let services = tables::services(&settings, &Parts::default());
    let applied = store.migrate(&tables::migrations(&services)).await?;
    for migration in &applied {
        println!("applied {} {} of {}", migration.number, migration.name, migration.service);
    }
    println!("the database is up to date ({} migrations applied)", applied.len());
    Ok(ExitCode::SUCCESS)
}

/// Makes the topics that the shop needs and Kafka lacks.
async fn ensure_topics(place: &Place) -> anyhow::Result<ExitCode> {
    let settings = Settings::of_place(place)?;
    tell_by(&settings.server.log, settings.server.log_format)?;
    let made = compose::kafka_of(&settings)?.ensure(&log::every_topic()).await?;
    for topic in &made {
        println!("made {}{topic}", settings.kafka.prefix);
    }
    println!("Kafka has every topic ({} made), with {} partitions each", made.len(), settings.server.buckets);
    Ok(ExitCode::SUCCESS)
}

/// Asks a living shop about every invariant.
async fn audit(arguments: Audit) -> anyhow::Result<ExitCode> {
    if arguments.rules {
        print_rules(arguments.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::new());
    let token = load::admin_token(runtime.clone(), &arguments.logins, &arguments.url).await?;
    let report = audit::run(runtime, audit::Options { url: arguments.url, token, quiescent: arguments.quiescent }).await?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    Ok(exit_code(report.is_clean()))
}

fn print_rules(as_json: bool) -> anyhow::Result<()> {
    if as_json {
        println!("{}", serde_json::to_string_pretty(audit::RULES)?);
        return Ok(());
    }
    for rule in audit::RULES {
        println!("{:<32} {:<14} {:<8} {}", rule.name, rule.by.to_string(), rule.holds.to_string(), rule.says);
    }
    Ok(())
}

async fn replay(arguments: Replay) -> anyhow::Result<ExitCode> {
    let Replay { file, target, shoppers, limit, scarce, troubles, impatient, history, figures_only, give_up_after_s } = arguments;
    let mut options = load::Replay::new(file, target.logins, target.urls);
    (options.shoppers, options.limit, options.scarce, options.seed, options.json) =
        (shoppers, limit, scarce, target.seed, target.json);
    (options.troubles_percent, options.impatient_percent, options.history) = (troubles, impatient, history);
    options.give_up_after_ms = give_up_after_s * 1000;
    if figures_only {
        (options.mix, options.unaudited) = (load::TokenMix::SMOOTH, true);
    }
    let summary = load::replay(Arc::new(TokioRuntime::new()), options).await?;
    println!("{summary}");
    Ok(exit_code(summary.is_clean()))
}

async fn rush(arguments: Rush) -> anyhow::Result<ExitCode> {
    let Rush { target, buyers, units, slot } = arguments;
    let mut options = load::Rush::new(target.logins, target.urls);
    (options.buyers, options.units, options.slot, options.seed, options.json) = (buyers, units, slot, target.seed, target.json);
    let summary = load::rush(Arc::new(TokioRuntime::new()), options).await?;
    println!("{summary}");
    Ok(exit_code(summary.is_clean()))
}

fn exit_code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
