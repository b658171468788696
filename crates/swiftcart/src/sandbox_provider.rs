//! The command `sandbox-provider`: the payment provider as a process of its own, beside the shop that pays through it.
//! Leaves the provider to its crate.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use engine::TokioRuntime;
use kernel::Runtime;
use sandbox::{Faults, Given, Secrets, Webhooks};
use store::Store;
use tokio::net::TcpListener;
use web::{Door, Keyring, Limits, Peer, ServeLimits};

use crate::cli::{Place, SandboxProvider};
use crate::commands::{HEAD_MS_MAX, asked_to_stop};
use crate::data_dir::DataDir;
use crate::logs::tell_by;
use crate::settings::Settings;
use crate::tables;

/// How much longer than the longest silence a request may take, so that the provider and not its door ends it.
const DEADLINE_BEYOND_MS: i64 = 10_000;

/// Serves the provider until it is told to stop.
pub(crate) async fn serve(arguments: SandboxProvider) -> anyhow::Result<ExitCode> {
    let place = Place { data: Some(arguments.data.clone()), database: Some(String::new()), config: arguments.config.clone() };
    let mut settings = Settings::of_place(&place)?;
    tell_by(&settings.server.log, settings.server.log_format)?;
    let webhooks = webhooks(&arguments.webhook_url)?;
    let listener = TcpListener::bind(arguments.listen).await;
    let listener = listener.with_context(|| format!("{} cannot be listened on", arguments.listen))?;
    let url = format!("http://{}", listener.local_addr()?);
    if settings.sandbox.public_url.is_empty() {
        settings.sandbox.public_url.clone_from(&url);
    }

    let data = DataDir::take(&arguments.data)?;
    let store = Store::sqlite(&data.database()).context("the books cannot be opened")?;
    let service = sandbox::service(&settings.sandbox, webhooks);
    let migrations = tables::migrations(std::slice::from_ref(&service));
    store.migrate(&migrations).await.context("the books cannot be brought up to date")?;
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::new());
    let shared = engine::Settings::alone(store, runtime.clone());
    let running = engine::start(service, &shared).await?;

    if let Some(share_percent) = arguments.faults_percent {
        let faults = Faults { share_percent, seed: arguments.faults_seed, ..Faults::default() };
        sandbox::play_faults(&running.handle, &faults).await?;
    }
    let known_outside = arguments.key.is_some() && arguments.webhook_secret.is_some();
    let given = Given { key: arguments.key, webhook_secret: arguments.webhook_secret };
    let secrets = sandbox::ensure_secrets(&running.handle, given).await?;
    if !known_outside {
        let path = write_settings(&arguments.data, &url, &secrets)?;
        println!("A shop pays through this provider with: swiftcart --config {}", path.display());
    }
    println!("The sandbox provider is open at {url}");

    let limits = Limits {
        requests_max: settings.server.requests_max,
        deadline_ms: settings.sandbox.silence_ms.max(settings.sandbox.slow_ms) + DEADLINE_BEYOND_MS,
        ..Limits::default()
    };
    let routes = sandbox::routes(running.handle.clone(), &settings.sandbox, &secrets.key);
    let router = Door::new(runtime.clone(), Keyring::new(), limits).open(routes);
    let limits = ServeLimits {
        connections_max: settings.server.connections_max,
        head_ms_max: HEAD_MS_MAX,
        drain_ms_max: settings.server.drain_ms,
    };
    web::serve(listener, router, runtime, limits, asked_to_stop()).await;
    running.shut_down().await;
    Ok(ExitCode::SUCCESS)
}

/// Whom the provider tells of changes, from their address.
fn webhooks(url: &str) -> anyhow::Result<Webhooks> {
    let host_at = url.find("://").map_or(0, |scheme| scheme + 3);
    let path_at = url[host_at..].find('/').map(|path| host_at + path);
    let (base, path) = path_at.map_or((url, tables::WEBHOOKS), |path| url.split_at(path));
    let peer = Peer::remote(base).context("--webhook-url")?;
    Ok(Webhooks { peer, path: path.to_owned() })
}

/// Writes the settings of a shop that pays through the provider, readable by the owner alone: whole, or not at all.
fn write_settings(data: &Path, url: &str, secrets: &Secrets) -> anyhow::Result<PathBuf> {
    let (path, part) = (data.join("provider.toml"), data.join("provider.toml.part"));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let cause = || format!("the settings of the shop cannot be written to {}", path.display());
    let mut file = options.open(&part).with_context(cause)?;
    let Secrets { key, webhook_secret } = secrets;
    let text = format!(
        "# How a shop pays through the sandbox provider of this directory. These are secrets.\n\
         [payments.provider]\nurl = \"{url}\"\nkey = {}\nwebhook_secret = {}\n",
        quoted(key),
        quoted(webhook_secret)
    );
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(cause)?;
    std::fs::rename(&part, &path).with_context(cause)?;
    Ok(path)
}

/// `text` as a string of TOML.
fn quoted(text: &str) -> toml::Value {
    toml::Value::String(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_webhooks_is_parted_into_host_and_path() {
        for (url, host, path) in [
            ("http://127.0.0.1:8080/v1/webhooks/sandbox", "http://127.0.0.1:8080", "/v1/webhooks/sandbox"),
            ("http://shop.example", "http://shop.example", "/v1/webhooks/sandbox"),
            ("http://shop.example/a/hook", "http://shop.example", "/a/hook"),
        ] {
            let webhooks = webhooks(url).unwrap();
            assert_eq!((format!("{:?}", webhooks.peer), webhooks.path.as_str()), (format!("Peer::remote({host})"), path));
        }
        for wrong in ["", "shop/hook", "https://shop.example/hook", "http:///hook"] {
            assert!(webhooks(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_settings_of_the_shop_are_for_the_owner_alone_and_can_be_read() {
        let directory = tempfile::tempdir().unwrap();
        let secrets = Secrets { key: "a \"quoted\" \\key".to_owned(), webhook_secret: "s".repeat(16) };
        for _ in 0..2 {
            let path = write_settings(directory.path(), "http://127.0.0.1:4242", &secrets).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
            let table: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
            assert_eq!(table["payments"]["provider"]["key"].as_str(), Some(secrets.key.as_str()));
        }
    }
}
