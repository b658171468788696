//! The shop's one address where services have processes of their own: routes that carry a request to whoever serves it, and
//! the answer back, as if it had been served here.
//! Leaves who may call to the service, where it answers and what is tried again to its [`Peer`], and which services are
//! elsewhere to the program.

mod headers;

use std::sync::Arc;

use kernel::{BoxFuture, Fault, FaultKind, Millis};
use web::{
    Carrier, InternalKey, Peer, PeerFault, Request, Response, RouteInfo, Routes, Stream, header, read_whole, token_invalid,
};

/// When to come back to a service that does not answer.
const RETRY_AFTER_MS: Millis = 1000;

/// The routes of `table`, served by `peer`. Whoever comes from outside must not pass for a process of the shop: `refused` is
/// the key that these have, and that no request may show here.
#[must_use]
pub fn routes(service: &'static str, table: Vec<RouteInfo>, peer: &Peer, refused: Option<InternalKey>) -> Routes {
    let way = Arc::new(Way { service, peer: peer.clone(), refused });
    let carrier: Carrier = Arc::new(move |request| carry(way.clone(), request));
    table.into_iter().fold(Routes::new(service), |routes, info| routes.elsewhere(info, carrier.clone()))
}

/// The way to a service.
struct Way {
    service: &'static str,
    peer: Peer,
    refused: Option<InternalKey>,
}

fn carry(way: Arc<Way>, request: Request<Stream>) -> BoxFuture<'static, Result<Response<Stream>, Fault>> {
    Box::pin(async move {
        way.refuse_insiders(&request)?;
        let (mut parts, body) = request.into_parts();
        headers::of_request(&mut parts);
        let method = parts.method.clone();
        // Whole, so that it can be sent again, and so that nobody's slow line keeps a service busy.
        let body = read_whole(&parts.headers, body).await?;
        let mut answer = way
            .peer
            .send(Request::from_parts(parts, body))
            .await
            .map_err(|fault| unanswered(way.service, method.as_str(), &fault))?;
        headers::of_answer(answer.headers_mut());
        Ok(answer)
    })
}

impl Way {
    fn refuse_insiders(&self, request: &Request<Stream>) -> Result<(), Fault> {
        let Some(key) = &self.refused else { return Ok(()) };
        let shown = |value: &web::HeaderValue| value.to_str().is_ok_and(|text| text.split(' ').any(|word| key.is(word)));
        let shows = request.headers().get_all(header::AUTHORIZATION).iter().any(shown);
        if shows { Err(token_invalid()) } else { Ok(()) }
    }
}

/// What whoever asked is told when `service` did not answer `what`: never that nothing was done if it may have been.
#[must_use]
pub fn unanswered(service: &str, what: &str, fault: &PeerFault) -> Fault {
    let mut told = if fault.maybe_done {
        let detail = format!(
            "{service} was asked and has not answered, so this may or may not have happened; repeat it with the same \
             Idempotency-Key"
        );
        Fault::new(FaultKind::OutcomeUnknown, "outcome-unknown", detail)
    } else {
        let detail = format!("{service} does not answer at this moment; nothing was done, please try again shortly");
        Fault::new(FaultKind::Unavailable, "peer-unavailable", detail)
    };
    told.retry_after_ms = Some(RETRY_AFTER_MS);
    told.because(format!("{what} of {service}: {}", fault.why)).with("service", service)
}
