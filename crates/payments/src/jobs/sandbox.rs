//! The adapter to the sandbox provider: our questions in its words over HTTP, wherever it runs, and its words in ours.
//! Leaves its books to it, and bounding the time of a question to the worker.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::hmac;
use contracts::OrderId;
use kernel::{BoxFuture, Fault, FaultKind, Millis, Money, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use web::{IDEMPOTENCY_KEY, Json, Peer, PeerAnswer, PeerAsk, TRACEPARENT, json};

use crate::domain::outcome::{Dispute, Outcome, Standing, Truth};
use crate::jobs::provider::{Ask, Charge, Nudge, Provider, Silence};

/// The header in which we show that we may ask.
const KEY_HEADER: &str = "sandbox-key";
/// The header in which a webhook shows who sent it.
pub(crate) const SIGNATURE_HEADER: &str = "sandbox-signature";
/// How far the clock of a webhook's signature may be from ours.
const TOLERANCE_MS: Millis = 5 * 60_000;
/// How long the name of a webhook may be.
const WEBHOOK_ID_CHARS_MAX: usize = 128;

/// How the provider is reached.
struct Link {
    peer: Peer,
    key: String,
    webhook_secret: hmac::Key,
}

/// The provider behind a peer.
#[derive(Clone, Default)]
pub struct SandboxProvider {
    /// Set once it is known; until then whatever is asked stays unknown and is asked again.
    link: Arc<OnceLock<Link>>,
}

/// The provider's outcome, as it says it.
#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
enum Told {
    Done { intent: String },
    ActionRequired { intent: String, url: String },
    Declined { reason: String },
}

/// The provider's intent, as it shows it; what it shows besides is not needed.
#[derive(Deserialize)]
struct IntentView {
    intent: String,
    reference: String,
    state: Standing,
    authorised: Money,
    captured_minor: i64,
    refunded_minor: i64,
    action_url: Option<String>,
    dispute: Option<Dispute>,
    changed: i64,
}

#[derive(Deserialize)]
struct Intents {
    items: Vec<IntentView>,
}

/// A webhook's body; what it says besides is not needed.
#[derive(Deserialize)]
struct WebhookBody {
    id: String,
    reference: String,
}

impl From<Told> for Outcome {
    fn from(told: Told) -> Self {
        match told {
            Told::Done { intent } => Self::Done { intent },
            Told::ActionRequired { intent, url } => Self::ActionRequired { intent, url },
            Told::Declined { reason } => Self::Declined { reason },
        }
    }
}

impl From<IntentView> for Truth {
    fn from(view: IntentView) -> Self {
        let IntentView { intent, reference, state, authorised, captured_minor, refunded_minor, action_url, dispute, changed } =
            view;
        let (standing, amount, url) = (state, authorised, action_url);
        Self { intent, reference, standing, amount, captured_minor, refunded_minor, url, dispute, changed }
    }
}

impl SandboxProvider {
    /// The provider behind `peer`, which lets in whoever shows `key` and signs its webhooks with `webhook_secret`.
    #[must_use]
    pub fn new(peer: Peer, key: &str, webhook_secret: &str) -> Self {
        let provider = Self::default();
        provider.connect(peer, key, webhook_secret);
        provider
    }

    /// Reaches the provider behind `peer` from now on; the first call counts.
    pub fn connect(&self, peer: Peer, key: &str, webhook_secret: &str) {
        let webhook_secret = hmac::Key::new(hmac::HMAC_SHA256, webhook_secret.as_bytes());
        let _ = self.link.set(Link { peer, key: key.to_owned(), webhook_secret });
    }

    /// Asks once; what has a body is done once under its key.
    async fn ask(
        &self,
        method: &'static str,
        path: String,
        ask: Option<Ask<'_>>,
        body: Option<Json>,
    ) -> Result<PeerAnswer, String> {
        let Some(link) = self.link.get() else { return Err("the provider is not there yet".to_owned()) };
        let mut headers = vec![(KEY_HEADER, link.key.clone())];
        headers.extend(ask.map(|ask| (TRACEPARENT, ask.trace.to_string())));
        headers.extend(ask.filter(|_| body.is_some()).map(|ask| (IDEMPOTENCY_KEY, ask.key.to_owned())));
        headers.extend(body.as_ref().map(|_| ("content-type", "application/json".to_owned())));
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        link.peer.ask(PeerAsk { method, path, headers, body }).await.map_err(|fault| fault.to_string())
    }

    async fn demand(&self, ask: Ask<'_>, path: String, body: Json) -> Outcome {
        match self.ask("POST", path, Some(ask), Some(body)).await {
            Ok(answer) => outcome_of(&answer),
            Err(cause) => Outcome::Unknown { cause },
        }
    }

    /// What is there, or that it is not, which the provider says as `absent`.
    async fn read<T: DeserializeOwned>(&self, path: String, ask: Option<Ask<'_>>, absent: &str) -> Result<Option<T>, Silence> {
        let answer = self.ask("GET", path, ask, None).await.map_err(Silence)?;
        match answer.status {
            200 => parsed(&answer).map(Some).map_err(Silence),
            404 if problem_of(&answer).as_deref() == Some(absent) => Ok(None),
            _ => Err(Silence(brief(&answer))),
        }
    }
}

impl Provider for SandboxProvider {
    fn authorise<'a>(&'a self, ask: Ask<'a>, charge: &'a Charge) -> BoxFuture<'a, Outcome> {
        let Charge { order, amount, token, pay_by } = charge;
        let body = json!({ "reference": order, "amount": amount, "token": token, "pay_by": pay_by });
        Box::pin(self.demand(ask, "/sandbox/v1/intents".to_owned(), body))
    }

    fn capture<'a>(&'a self, ask: Ask<'a>, intent: &'a str, amount: Money) -> BoxFuture<'a, Outcome> {
        Box::pin(self.demand(ask, format!("/sandbox/v1/intents/{intent}/capture"), json!({ "amount": amount })))
    }

    fn void<'a>(&'a self, ask: Ask<'a>, intent: &'a str) -> BoxFuture<'a, Outcome> {
        Box::pin(self.demand(ask, format!("/sandbox/v1/intents/{intent}/void"), json!({})))
    }

    fn refund<'a>(&'a self, ask: Ask<'a>, intent: &'a str, amount: Money) -> BoxFuture<'a, Outcome> {
        Box::pin(self.demand(ask, format!("/sandbox/v1/intents/{intent}/refunds"), json!({ "amount": amount })))
    }

    fn find<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Result<Option<Outcome>, Silence>> {
        Box::pin(async move {
            let found = self.read::<Told>(format!("/sandbox/v1/demands/{}", ask.key), Some(ask), "unknown-demand").await?;
            Ok(found.map(Outcome::from))
        })
    }

    fn truth<'a>(&'a self, intent: &'a str) -> BoxFuture<'a, Result<Option<Truth>, Silence>> {
        Box::pin(async move {
            let found = self.read::<IntentView>(format!("/sandbox/v1/intents/{intent}"), None, "not-found").await?;
            Ok(found.map(Truth::from))
        })
    }

    fn changes<'a>(&'a self, after: i64, limit: usize) -> BoxFuture<'a, Result<Vec<Truth>, Silence>> {
        Box::pin(async move {
            let found =
                self.read::<Intents>(format!("/sandbox/v1/intents?after={after}&limit={limit}"), None, "not-found").await?;
            let intents = found.ok_or_else(|| Silence("the provider has no list of intents".to_owned()))?;
            Ok(intents.items.into_iter().map(Truth::from).collect())
        })
    }

    fn verify(&self, signature: &str, body: &[u8], now: Timestamp) -> Result<Nudge, Fault> {
        let link = self.link.get().ok_or_else(|| Fault::unavailable("the provider is not there yet", 1000))?;
        signed(signature, body, &link.webhook_secret, now).ok_or_else(unsigned)?;
        let body: WebhookBody = serde_json::from_slice(body).map_err(|error| malformed(&error.to_string()))?;
        if !(1..=WEBHOOK_ID_CHARS_MAX).contains(&body.id.len()) || !body.id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(malformed("its `id` is no name"));
        }
        Ok(Nudge { id: body.id, order: body.reference.parse().ok().map(OrderId) })
    }
}

/// What an answer to a demand says for certain: done, or refused; everything else leaves it open.
fn outcome_of(answer: &PeerAnswer) -> Outcome {
    match answer.status {
        200 => parsed::<Told>(answer).map_or_else(Outcome::unknown, Outcome::from),
        // Refused before anything was done: it is malformed, or about an intent that is not there.
        400 | 404 | 422 => match problem_of(answer) {
            // Of another demand under this key we know nothing.
            Some(reason) if reason != "idempotency-key-reused" => Outcome::declined(&reason),
            _ => Outcome::unknown(brief(answer)),
        },
        _ => Outcome::unknown(brief(answer)),
    }
}

/// Its own word for why it refuses, if that is what it says.
fn problem_of(answer: &PeerAnswer) -> Option<String> {
    let problem: Json = serde_json::from_slice(&answer.body).ok()?;
    let kind = problem["type"].as_str()?.rsplit('/').next()?;
    (!kind.is_empty()).then(|| kind.to_owned())
}

fn parsed<T: DeserializeOwned>(answer: &PeerAnswer) -> Result<T, String> {
    serde_json::from_slice(&answer.body).map_err(|error| format!("an answer that makes no sense: {error}"))
}

fn brief(answer: &PeerAnswer) -> String {
    let text: String = String::from_utf8_lossy(&answer.body).chars().take(200).collect();
    format!("status {}: {text}", answer.status)
}

/// Whether `signature`, as `t=<unix seconds>,v1=<hex>`, is that of `body` and not old.
fn signed(signature: &str, body: &[u8], secret: &hmac::Key, now: Timestamp) -> Option<()> {
    let (time, tag) = signature.split_once(',')?;
    let (seconds, tag) = (time.strip_prefix("t=")?, tag.strip_prefix("v1=")?);
    let sent = Timestamp::from_millis(seconds.parse::<u32>().map(i64::from).ok()?.checked_mul(1000)?);
    if now.since_ms(sent).abs() > TOLERANCE_MS {
        return None;
    }
    let payload = [seconds.as_bytes(), b".", body].concat();
    // The comparison takes the same time wherever the two differ.
    hmac::verify(secret, &payload, &bytes_of(tag)?).ok()
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = hex.chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn unsigned() -> Fault {
    let detail = "the signature is not the provider's, or too old: webhooks are signed with the secret that we share";
    Fault::new(FaultKind::Unauthenticated, "signature-invalid", detail)
}

fn malformed(cause: &str) -> Fault {
    let detail = "the webhook is rightly signed, but says nothing: it needs an `id` and a `reference`";
    Fault::new(FaultKind::Invalid, "webhook-malformed", detail).because(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_764_000_000_999);
    const SIGNED: &str = "t=1764000000,v1=b691197929ebc73b102d12f9a4689644cb2d1a38c9f2d1883b9f478077313f85";

    fn verify(signature: &str, body: &[u8], now: Timestamp) -> Option<()> {
        signed(signature, body, &hmac::Key::new(hmac::HMAC_SHA256, b"secret"), now)
    }

    #[test]
    fn only_what_was_signed_lately_with_our_secret_passes() {
        // printf '1764000000.{}' | openssl dgst -sha256 -hmac secret
        assert!(verify(SIGNED, b"{}", AT).is_some());
        assert!(verify(SIGNED, b"{}", AT.plus_ms(TOLERANCE_MS - 1000)).is_some());
        assert!(verify(SIGNED, b"{}", AT.plus_ms(TOLERANCE_MS)).is_none(), "it is old");
        assert!(verify(SIGNED, b"{}", AT.plus_ms(-TOLERANCE_MS - 1000)).is_none(), "it is of the future");
        assert!(verify(SIGNED, b"{ }", AT).is_none(), "the body is another");
        assert!(verify(&SIGNED.replace("1764000000", "1764000001"), b"{}", AT).is_none(), "the time is another");
        for broken in ["", "t=1", "v1=00,t=1764000000", "t=1764000000,v1=", "t=1764000000,v1=zz", "t=-1,v1=00", &SIGNED[..60]] {
            assert!(verify(broken, b"{}", AT).is_none(), "{broken}");
        }
    }

    #[test]
    fn only_what_is_certain_is_an_outcome() {
        let answer = |status, body: &str| PeerAnswer { status, body: body.as_bytes().to_vec() };
        let problem = |reason: &str| format!(r#"{{"type":"https://swiftcart.example/problems/{reason}"}}"#);
        let declined = Outcome::declined;
        let cases = [
            (200, r#"{"outcome":"done","intent":"pi_1"}"#.to_owned(), Some(Outcome::Done { intent: "pi_1".to_owned() })),
            (200, r#"{"outcome":"declined","reason":"card-declined"}"#.to_owned(), Some(declined("card-declined"))),
            (200, r#"{"outcome":"perhaps"}"#.to_owned(), None),
            (200, "<html>".to_owned(), None),
            (404, problem("not-found"), Some(declined("not-found"))),
            (422, problem("invalid-field"), Some(declined("invalid-field"))),
            (422, problem("idempotency-key-reused"), None),
            (404, "a proxy in between".to_owned(), None),
            (401, problem("key-invalid"), None),
            (429, problem("too-many"), None),
            (500, problem("internal"), None),
            (503, problem("unavailable"), None),
        ];
        for (status, body, wanted) in cases {
            let outcome = outcome_of(&answer(status, &body));
            assert_eq!(outcome.known().then_some(outcome), wanted, "{status} {body}");
        }
    }
}
