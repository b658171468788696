//! Pages of a list by the key of the last item seen, so that a list that grows neither repeats nor skips.
//! Leaves the order and the key of each list to the service.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernel::Fault;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::incoming::{Extract, Incoming};

/// How many items a page has if the caller does not say.
pub const PAGE_LIMIT_DEFAULT: usize = 20;

/// How many items a page may have.
pub const PAGE_LIMIT_MAX: usize = 100;

/// Which page of a list is asked for, by `?after=…&limit=…`; `K` is the values of the list's key, as `(Timestamp, Id)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page<K> {
    /// The key of the last item of the page before; `None` for the first page.
    pub after: Option<K>,
    /// How many items at most.
    pub limit: usize,
}

impl<K> Page<K> {
    /// How many rows to read: one more than are shown, to know whether there is a next page.
    #[must_use]
    pub fn rows_wanted(&self) -> i64 {
        i64::try_from(self.limit).unwrap_or(i64::MAX).saturating_add(1)
    }

    /// The page of `rows`, which are up to [`Page::rows_wanted`]; `key` gives the key of a row.
    pub fn list<T>(&self, mut rows: Vec<T>, key: impl Fn(&T) -> K) -> Listing<T>
    where
        K: Serialize,
    {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next = if more { rows.last().and_then(|row| cursor_of(&key(row))) } else { None };
        Listing { items: rows, next }
    }
}

impl<S: Sync, K: DeserializeOwned + Send> Extract<S> for Page<K> {
    async fn extract(incoming: &mut Incoming, _: &S) -> Result<Self, Fault> {
        let after = incoming.take_query("after")?.map(|text| key_of(&text).ok_or_else(after_invalid)).transpose()?;
        let limit = incoming.take_query("limit")?.map_or(Ok(PAGE_LIMIT_DEFAULT), |text| limit_of(&text))?;
        Ok(Self { after, limit })
    }
}

fn cursor_of(key: &impl Serialize) -> Option<String> {
    Some(URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).ok()?))
}

fn key_of<K: DeserializeOwned>(cursor: &str) -> Option<K> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
}

fn after_invalid() -> Fault {
    Fault::invalid_field("after", "`after` must be the `next` of the page before, unchanged; leave it out for the first page")
}

fn limit_of(text: &str) -> Result<usize, Fault> {
    let limit = text.parse().ok().filter(|limit| (1..=PAGE_LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| Fault::invalid_field("limit", format!("`limit` must be a whole number from 1 to {PAGE_LIMIT_MAX}")))
}

/// One page of a list as it is answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Listing<T> {
    /// The items in the list's order.
    pub items: Vec<T>,
    /// What to send as `after` for the next page; `None` on the last one.
    pub next: Option<String>,
}

impl<T> Listing<T> {
    /// The page of `items` that ends at `key`, behind which there may be more: for lists that are not read row by row.
    pub fn up_to(items: Vec<T>, key: &impl Serialize) -> Self {
        Self { items, next: cursor_of(key) }
    }

    /// The same page with each item shown as `view` says.
    pub fn map<V>(self, view: impl FnMut(T) -> V) -> Listing<V> {
        Listing { items: self.items.into_iter().map(view).collect(), next: self.next }
    }
}
