//! What the program tells on its standard error output: lines for people, or one JSON object a line for machines. Each line
//! carries the service, the trace and the request that it belongs to, as the span around it says.
//! Leaves what is told to whoever tells it.

use std::fmt;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// What a line says of where it belongs, at its top: said by the line itself, or by the innermost span that says it.
const BELONGS: [&str; 4] = ["service", "trace_id", "span_id", "request_id"];

/// The form of the lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Tells what happens on the standard error output in the form `format`, as far as `filter` lets it pass.
pub(crate) fn tell_by(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter)
        .with_context(|| format!("server.log: {filter} is no filter, as `info` or `warn,engine=debug`"))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.fmt_fields(JsonFields::new()).event_format(JsonLines).init(),
    }
    Ok(())
}

/// One JSON object for each event.
struct JsonLines;

#[derive(Serialize)]
struct Line<'a> {
    time: &'a str,
    level: &'a str,
    #[serde(flatten)]
    belongs: Map<String, Value>,
    target: &'a str,
    message: Value,
    #[serde(skip_serializing_if = "Map::is_empty")]
    fields: Map<String, Value>,
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut belongs = Map::new();
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let told = extensions.get::<FormattedFields<N>>().and_then(|told| serde_json::from_str(&told.fields).ok());
            let told: Map<String, Value> = told.unwrap_or_default();
            belongs.extend(told.into_iter().filter(|(name, _)| BELONGS.contains(&name.as_str())));
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Fields(mut fields) = fields;
        belongs.extend(BELONGS.iter().filter_map(|name| fields.remove_entry(*name)));
        let message = fields.remove("message").unwrap_or_default();
        let (level, target) = (event.metadata().level().as_str(), event.metadata().target());
        let line = Line { time: &time, level, belongs, target, message, fields };
        writeln!(writer, "{}", serde_json::to_string(&line).map_err(|_| fmt::Error)?)
    }
}

/// The fields of an event, with their types as far as JSON has them.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn keep(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is told as JSON while `telling`, through the filter that a server has if nobody sets another.
    fn told(telling: impl FnOnce()) -> Vec<Value> {
        let lines = Lines::default();
        let writer = lines.clone();
        let json = tracing_subscriber::fmt().with_env_filter(EnvFilter::new("warn")).with_writer(move || writer.clone());
        let json = json.fmt_fields(JsonFields::new()).event_format(JsonLines).finish();
        tracing::subscriber::with_default(json, telling);
        let bytes = lines.0.lock().unwrap();
        bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_is_one_object_with_what_it_belongs_to() {
        let lines = told(|| {
            let request = tracing::error_span!("request", service = "web", request_id = "r-1", trace_id = "t-1", span_id = "s-1");
            request.in_scope(|| {
                let input = tracing::error_span!("input", service = "orders", trace_id = "t-1", span_id = "s-2", aside = 1);
                input.in_scope(|| tracing::warn!(count = 3, whole = false, cause = %"it \"broke\"\n", "not done"));
            });
            tracing::error!(service = "payments", "alone");
            tracing::info!("not told");
        });
        let [mut inner, mut alone] = <[_; 2]>::try_from(lines).unwrap();
        for line in [&mut inner, &mut alone] {
            let time = line.as_object_mut().unwrap().remove("time").unwrap();
            assert!(kernel::Timestamp::parse(time.as_str().unwrap()).is_some(), "{time}");
        }
        let fields = json!({ "count": 3, "whole": false, "cause": "it \"broke\"\n" });
        let target = "swiftcart::logs::tests";
        assert_eq!(
            inner,
            json!({
                "level": "WARN", "target": target, "message": "not done", "fields": fields,
                "service": "orders", "request_id": "r-1", "trace_id": "t-1", "span_id": "s-2",
            })
        );
        assert_eq!(alone, json!({ "level": "ERROR", "target": target, "message": "alone", "service": "payments" }));
    }
}
