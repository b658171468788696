//! The people of the shop: their logins as the shop wrote them, and their sessions, which sign in again when a token is old.
//! Leaves what they do to `shopper`, `picker` and `courier`.

use std::path::Path;
use std::sync::Arc;

use contracts::StoreId;
use kernel::{Millis, Runtime};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::Mutex;

use crate::city::{PAGE_LIMIT, Page};
use crate::client::{Ask, Client, Reply};
use crate::error::LoadError;

/// Everybody's login, as a shop writes them to `logins.json`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Logins {
    pub(crate) admin: Login,
    #[serde(default)]
    pub(crate) staff: Vec<Login>,
    #[serde(default)]
    pub(crate) couriers: Vec<Login>,
    #[serde(default)]
    pub(crate) shoppers: Vec<Login>,
}

/// One login.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Login {
    pub(crate) email: String,
    pub(crate) password: String,
    #[serde(default)]
    pub(crate) roles: Vec<Grant>,
}

/// One role of a person, in one store or in all.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(crate) struct Grant {
    pub(crate) role: String,
    pub(crate) store: Option<StoreId>,
}

impl Logins {
    pub(crate) fn read(path: &Path) -> Result<Self, LoadError> {
        let text = std::fs::read_to_string(path).map_err(|source| LoadError::File { path: path.to_owned(), source })?;
        serde_json::from_str(&text).map_err(|source| LoadError::Logins { path: path.to_owned(), source })
    }

    /// Who picks where.
    pub(crate) fn pickers(&self) -> impl Iterator<Item = (StoreId, &Login)> {
        self.staff_as("picker")
    }

    /// Who manages which store.
    pub(crate) fn managers(&self) -> impl Iterator<Item = (StoreId, &Login)> {
        self.staff_as("manager")
    }

    fn staff_as(&self, role: &'static str) -> impl Iterator<Item = (StoreId, &Login)> {
        let stores = move |login: &Login| {
            let grants = login.roles.iter().filter(|grant| grant.role == role);
            grants.filter_map(|grant| grant.store).collect::<Vec<_>>()
        };
        self.staff.iter().flat_map(move |login| stores(login).into_iter().map(move |store| (store, login)))
    }
}

/// Somebody signed in, or about to be.
pub(crate) struct Session {
    client: Arc<Client>,
    login: Login,
    token: Mutex<Option<String>>,
}

#[derive(Deserialize)]
struct SignedIn {
    token: String,
}

impl Session {
    pub(crate) fn new(client: Arc<Client>, login: &Login) -> Self {
        Self { client, login: login.clone(), token: Mutex::new(None) }
    }

    /// A token, of the last sign-in if there is one.
    pub(crate) async fn token(&self) -> Result<String, LoadError> {
        // Held while signing in, so that many requests of one person make one sign-in.
        let mut token = self.token.lock().await;
        if let Some(token) = &*token {
            return Ok(token.clone());
        }
        let body = json!({ "email": self.login.email, "password": self.login.password });
        let signed_in: SignedIn = self.client.send(&Ask::post("/v1/sign-in").body(body)).await?.expect()?;
        Ok(token.insert(signed_in.token).clone())
    }

    /// A token made now.
    pub(crate) async fn fresh_token(&self) -> Result<String, LoadError> {
        *self.token.lock().await = None;
        self.token().await
    }

    /// Sends `ask` as this person; if the token has run out, once more with a new one, under the same key.
    pub(crate) async fn send(&self, ask: &Ask) -> Result<Reply, LoadError> {
        let token = self.token().await?;
        let reply = self.client.send(&ask.clone().bearer(&token)).await?;
        if reply.status != 401 {
            return Ok(reply);
        }
        self.forget(&token).await;
        self.client.send(&ask.clone().bearer(&self.token().await?)).await
    }

    /// Every item of a list.
    pub(crate) async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, LoadError> {
        let mut items = Vec::new();
        let mut after = String::new();
        loop {
            let page: Page<T> = self.send(&Ask::get(format!("{path}?limit={PAGE_LIMIT}{after}"))).await?.expect()?;
            items.extend(page.items);
            let Some(next) = page.next else { return Ok(items) };
            after = format!("&after={next}");
        }
    }

    async fn forget(&self, old: &str) {
        let mut token = self.token.lock().await;
        // Another request may have signed in meanwhile.
        if token.as_deref() == Some(old) {
            *token = None;
        }
    }
}

/// How long a lone sign-in is tried.
const SIGN_IN_WITHIN_MS: Millis = 60_000;

/// A fresh admin's token of the shop whose logins these are.
///
/// # Errors
/// If the logins cannot be read or the shop does not accept them.
pub async fn admin_token(runtime: Arc<dyn Runtime>, logins: &Path, url: &str) -> Result<String, LoadError> {
    let client = Client::new(runtime, &[url.to_owned()], SIGN_IN_WITHIN_MS)?;
    Session::new(Arc::new(client), &Logins::read(logins)?.admin).token().await
}

/// The admin of a shop, who asks it for one thing after the other.
pub struct Admin(Session);

impl Admin {
    /// The admin of the shop at `url` whose logins these are; signs in with the first request.
    ///
    /// # Errors
    /// If the logins cannot be read.
    pub fn new(runtime: Arc<dyn Runtime>, logins: &Path, url: &str) -> Result<Self, LoadError> {
        let client = Client::new(runtime, &[url.to_owned()], SIGN_IN_WITHIN_MS)?;
        Ok(Self(Session::new(Arc::new(client), &Logins::read(logins)?.admin)))
    }

    /// What the shop shows at `path`.
    ///
    /// # Errors
    /// If it refuses, or never answers.
    pub async fn get(&self, path: &str) -> Result<serde_json::Value, LoadError> {
        self.0.send(&Ask::get(path)).await?.expect()
    }

    /// What the shop answers to `body`, or to nothing, at `path`; a request without an answer is repeated under its key.
    ///
    /// # Errors
    /// As [`Admin::get`].
    pub async fn post(&self, path: &str, body: Option<serde_json::Value>) -> Result<serde_json::Value, LoadError> {
        let ask = Ask::post(path).key(self.0.client.new_key());
        let ask = body.into_iter().fold(ask, Ask::body);
        self.0.send(&ask).await?.expect()
    }
}

#[cfg(test)]
mod tests {
    use testkit::{Asked, TestRuntime, serve};

    use super::*;

    #[tokio::test]
    async fn an_old_token_is_replaced_and_the_request_repeated_under_its_key() {
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let writes = seen.clone();
        let sign_ins = std::sync::atomic::AtomicUsize::new(0);
        let url = serve(move |asked: &Asked| {
            if asked.path == "/v1/sign-in" {
                let number = sign_ins.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                return (200, format!(r#"{{"token":"t{number}"}}"#));
            }
            let token = asked.header("authorization").to_owned();
            let status = if token == "bearer t0" { 401 } else { 200 };
            writes.lock().expect("writes").push((token, asked.header("idempotency-key").to_owned()));
            (status, "{}".to_owned())
        });
        let client = Client::new(Arc::new(TestRuntime::hurried()), &[url.await], 60_000).expect("a client");
        let login = Login { email: "p@b.example".to_owned(), password: "p".to_owned(), roles: Vec::new() };
        let session = Session::new(Arc::new(client), &login);
        let reply = session.send(&Ask::post("/v1/orders/o/pick").key("k".to_owned())).await.expect("an answer");
        assert_eq!(reply.status, 200);
        let expected = ["bearer t0", "bearer t1"].map(|token| (token.to_owned(), "k".to_owned()));
        assert_eq!(*seen.lock().expect("writes"), expected);
    }

    #[test]
    fn pickers_are_found_where_they_pick() {
        let store = "0190d3c2-0000-7000-8000-000000000001";
        let text = json!({
            "admin": { "name": "A", "email": "a@b.example", "password": "p", "roles": [{ "role": "admin" }] },
            "staff": [
                { "name": "M", "email": "m@b.example", "password": "p", "roles": [{ "role": "manager", "store": store }] },
                { "name": "P", "email": "p@b.example", "password": "p", "roles": [{ "role": "picker", "store": store }] },
            ],
            "couriers": [], "shoppers": [],
        });
        let logins: Logins = serde_json::from_value(text).expect("logins");
        let pickers: Vec<(String, &str)> =
            logins.pickers().map(|(store, login)| (store.to_string(), login.email.as_str())).collect();
        assert_eq!(pickers, vec![(store.to_owned(), "p@b.example")]);
    }
}
