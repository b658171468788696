//! The W3C trace context that a request hands to every event it causes.
//! Leaves sampling and export to telemetry.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Draw;

/// A `traceparent` (W3C Trace Context, version 00): which request something belongs to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TraceContext(String);

impl TraceContext {
    /// A new trace that begins here.
    #[must_use]
    pub fn start(draw: &mut Draw) -> Self {
        let trace = u128::from(draw.next_u64() | 1) << 64 | u128::from(draw.next_u64());
        Self(format!("00-{trace:032x}-{:016x}-01", draw.next_u64() | 1))
    }

    /// The context of a `traceparent` header, or `None` if it is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hex = |part: &str, len: usize| {
            part.len() == len && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) && part.bytes().any(|b| b != b'0')
        };
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let whole = version == "00" && parts.next().is_none() && flags.len() == 2;
        (whole && hex(trace, 32) && hex(span, 16) && flags.bytes().all(|b| b.is_ascii_hexdigit())).then(|| Self(text.to_owned()))
    }

    /// The same trace, with a span of its own that `span` tells apart.
    #[must_use]
    pub fn child(&self, span: u64) -> Self {
        let flags = self.0.get(52..).unwrap_or("-01");
        Self(format!("00-{}-{:016x}{flags}", self.trace_id(), span.max(1)))
    }

    /// Which trace: what all that goes back to one request has in common.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.0.get(3..35).unwrap_or_default()
    }

    /// Which span of the trace.
    #[must_use]
    pub fn span_id(&self) -> &str {
        self.0.get(36..52).unwrap_or_default()
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_start_we_can_read() {
        let context = TraceContext::start(&mut Draw::seeded(3));
        assert_eq!(TraceContext::parse(&context.to_string()), Some(context));
        for wrong in [
            "",
            "00-0-0-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_child_is_of_the_same_trace() {
        let parent = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00").unwrap();
        assert_eq!((parent.trace_id(), parent.span_id()), ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"));
        let child = parent.child(0);
        assert_eq!(TraceContext::parse(&child.to_string()), Some(child.clone()));
        assert_eq!(child.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000001-00");
    }
}
