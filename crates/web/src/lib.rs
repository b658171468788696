//! The HTTP door of every service: routes that state their access, callers, bodies, pages, conditions, answers and problems.
//! Leaves every rule of business to the services, and where a service runs to the composition; knows no database.
//!
//! Reading order: [`Routes`], [`Access`], [`Caller`], [`Answer`], [`Extract`], then [`Door`] and [`serve`].

mod access;
mod answer;
mod body;
mod call;
mod caller;
mod capability;
mod conditional;
mod door;
mod handler;
mod idempotency;
mod incoming;
mod measured;
mod page;
mod path;
mod peer;
mod problem;
mod query;
mod routes;
mod serve;
mod text;
mod token;

pub use access::{Access, Who};
pub use answer::Answer;
pub use axum::Router;
pub use axum::body::Body as Stream;
pub use axum::http::request::Parts as RequestParts;
pub use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
pub use body::{BODY_BYTES_MAX, Body, NoBody, RawBody, canonical_json, read_whole};
pub use bytes::Bytes;
pub use call::{Call, Reply};
pub use caller::{CART_CAPABILITY, Caller, Grant, Person, REQUEST_ID, Role, RoleParseError, TRACEPARENT};
pub use capability::Seal;
pub use conditional::{Conditions, Expected, PREFER_WAIT_MAX_MS, Prefer};
pub use door::{Door, Limits};
pub use handler::Handler;
pub use idempotency::{Fingerprint, IDEMPOTENCY_KEY, IDEMPOTENCY_KEY_CHARS_MAX, IdempotencyKey, key_reused};
pub use incoming::{Extract, Headers, Incoming, State};
pub use measured::Traffic;
pub use page::{Listing, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, Page, cursor_of};
pub use path::Path;
pub use peer::{PEER_ANSWER_BYTES_MAX, Peer, PeerAnswer, PeerAsk, PeerFault, PeerLimits, PeerStanding, PeerUrlError};
pub use problem::{PROBLEM_TYPE_BASE, Problem};
pub use query::{AnyQuery, Query};
pub use routes::{Carrier, RouteInfo, Routes};
pub use serde_json::{Value as Json, json};
pub use serve::{ClientAddress, Drained, ServeLimits, serve};
pub use token::{InternalKey, Keyring, PublicKey, SigningKey, TOKEN_TTL_MS, token_invalid};
