//! The page on which a shopper agrees to a payment or does not, as their bank would show it. Needs no script.
//! Leaves what follows to `service`; whoever knows the intent may answer for the shopper.

use engine::{Lane, Work};
use kernel::{Fault, TraceContext};
use web::{Answer, Caller, Path, RawBody, State, header};

use super::{Desk, Name};
use crate::domain::intent::{Intent, IntentState};
use crate::service;

/// What the page may do: send its form, and nothing else.
const POLICY: &str = "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Shows what is asked of the shopper, or that nothing is.
pub(super) async fn show(State(desk): State<Desk>, Path(Name(intent)): Path<Name>) -> Result<Answer, Fault> {
    let found = desk.handle.find::<Intent>(&intent).await?;
    let (intent, _) = found.ok_or_else(|| Fault::not_found("payment"))?;
    let page = Answer::bytes("text/html; charset=utf-8", page(&intent).into_bytes());
    Ok(page.header(header::CONTENT_SECURITY_POLICY, POLICY).header(header::REFERRER_POLICY, "no-referrer"))
}

/// Takes the shopper's word, the first one, and shows the page again.
pub(super) async fn answer(
    State(desk): State<Desk>,
    caller: Caller,
    Path(Name(intent)): Path<Name>,
    RawBody(body): RawBody,
) -> Result<Answer, Fault> {
    let agrees = match &body[..] {
        b"answer=approve" => true,
        b"answer=refuse" => false,
        _ => return Err(Fault::invalid_field("/answer", "the form's `answer` must be `approve` or `refuse`")),
    };
    let (id, config) = (intent.clone(), desk.config.clone());
    let decide = move |work: &mut Work<'_>| service::answer(work, &id, agrees, &config);
    let trace: &TraceContext = &caller.trace;
    desk.handle.decide(Lane::Money, trace, decide).await?;
    Ok(Answer::see_other(&format!("/sandbox/actions/{intent}")))
}

fn page(intent: &Intent) -> String {
    let (amount, reference) = (intent.authorised, escaped(&intent.reference));
    let rest = match intent.state {
        IntentState::RequiresAction => {
            "<p>Your bank asks: is this you?</p>\
             <form method=\"post\">\
             <button name=\"answer\" value=\"approve\">Yes, pay</button> \
             <button name=\"answer\" value=\"refuse\">No</button>\
             </form>"
        }
        IntentState::Authorised | IntentState::Captured => "<p>You agreed to this payment. You can close this page.</p>",
        IntentState::Declined => "<p>You did not agree: nothing is paid. You can close this page.</p>",
        IntentState::Voided | IntentState::Expired => "<p>This payment is no longer wanted. Nothing is paid.</p>",
    };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>Sandbox bank</title></head><body><main><h1>Sandbox bank</h1>\
         <p>{amount} for <code>{reference}</code>. No real money moves here.</p>{rest}</main></body></html>\n"
    )
}

/// `text` as it may stand in HTML.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use kernel::{Money, Timestamp};

    use super::*;

    #[test]
    fn a_reference_cannot_write_into_the_page() {
        let amount = Money::new(1234, "USD".parse().unwrap());
        let reference = "<script>&\"'";
        let mut intent = Intent::new("pi_1".to_owned(), reference, amount, "tok_action", true, Timestamp::from_millis(1));
        assert!(page(&intent).contains("USD 12.34 for <code>&lt;script&gt;&amp;&quot;&#39;</code>"), "{}", page(&intent));
        assert!(page(&intent).contains("<form"));
        intent.state = IntentState::Authorised;
        assert!(!page(&intent).contains("<form"));
    }
}
