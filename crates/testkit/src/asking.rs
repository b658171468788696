//! Who asks the services on a stage: tokens of anybody, calls with fresh idempotency keys, lists from the first page to the last.
//! Leaves what runs there to `stage`, and reading the replies to `replies`.

use contracts::StoreId;
use kernel::{Buckets, Id, Runtime};
use web::{Call, Grant, Json, Method, Person, Reply, Role, TOKEN_TTL_MS, json};

use crate::{Stage, body, items, ok, some_id};

impl Stage {
    /// An id that nobody else has, in any bucket.
    #[must_use]
    pub fn new_id(&self) -> Id {
        let mut draw = self.clock.draw();
        Id::new(self.now(), Buckets::DEFAULT.any(&mut draw), &mut draw)
    }

    /// An idempotency key that was never used.
    #[must_use]
    pub fn fresh_key(&self) -> String {
        self.new_id().to_string()
    }

    /// A token of the person `id`, who has these roles, each in one store or in all.
    ///
    /// # Panics
    /// If the key signs nothing.
    #[must_use]
    pub fn sign(&self, id: Id, grants: &[(Role, Option<StoreId>)]) -> String {
        let grants = grants.iter().map(|(role, store)| Grant { role: *role, store: store.map(|store| store.0) }).collect();
        let person = Person { id, name: "Ada".to_owned(), grants };
        self.key.sign(&person, self.now(), TOKEN_TTL_MS).expect("a sound key signs")
    }

    /// A token of somebody with `role`, in one store or in all.
    #[must_use]
    pub fn token(&self, role: Role, store: Option<StoreId>) -> String {
        self.sign(some_id(7), &[(role, store)])
    }

    /// A token of an admin.
    #[must_use]
    pub fn admin(&self) -> String {
        self.token(Role::Admin, None)
    }

    /// Sends any request.
    ///
    /// # Panics
    /// If it cannot be sent.
    pub async fn send(&self, call: Call) -> Reply {
        call.send(self.router()).await.expect("a call reaches the router")
    }

    /// Reads `path` as anyone.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Call::get(path)).await
    }

    /// Reads `path` with a token.
    pub async fn get_as(&self, path: &str, token: &str) -> Reply {
        self.send(Call::get(path).bearer(token)).await
    }

    /// Puts `value` to `path` with a token, under a fresh key.
    pub async fn put(&self, path: &str, token: &str, value: &Json) -> Reply {
        self.send(Call::new(Method::PUT, path).bearer(token).key(&self.fresh_key()).json(value)).await
    }

    /// What an admin reads at `path`.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn read(&self, path: &str) -> Json {
        ok(&self.get_as(path, &self.admin()).await)
    }

    /// All items of the list `path`, read in pages of `limit` with a token or as anyone.
    ///
    /// # Panics
    /// If a page is refused or holds more than that.
    pub async fn list(&self, path: &str, limit: usize, token: Option<&str>) -> Vec<Json> {
        let (mut all, mut after) = (Vec::new(), String::new());
        let joint = if path.contains('?') { '&' } else { '?' };
        loop {
            let call = Call::get(&format!("{path}{joint}limit={limit}{after}"));
            let reply = self.send(token.into_iter().fold(call, Call::bearer)).await;
            let page = items(&reply);
            assert!(page.len() <= limit, "{} items on a page of {limit}", page.len());
            all.extend(page);
            let Some(next) = body(&reply)["next"].as_str().map(|next| format!("&after={next}")) else { return all };
            after = next;
        }
    }

    /// Nothing is wrong in the tables of `service`, by its own audit.
    ///
    /// # Panics
    /// If something is.
    pub async fn assert_sound(&self, service: &str) {
        let breaches = self.read(&format!("/v1/admin/audit/{service}/breaches")).await;
        assert_eq!(breaches["items"], json!([]));
    }
}
