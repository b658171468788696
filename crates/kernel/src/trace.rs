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
}
