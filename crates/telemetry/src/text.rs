//! Prometheus' text form: families of samples, each with its help and its type before it, in the order of their names,
//! whoever told them when. Leaves the metrics to `metric`.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};

use kernel::Millis;

use crate::metric::Histogram;

/// What tells the samples of a family apart: names and values.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

/// All that is told at one time.
#[derive(Debug, Default)]
pub struct Text(BTreeMap<&'static str, Family>);

/// The samples of one name.
#[derive(Debug)]
pub struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    samples: String,
}

impl Text {
    /// The media type of the text.
    pub const MEDIA_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// The family `name` of numbers that only rise.
    pub fn counter(&mut self, name: &'static str, help: &'static str) -> &mut Family {
        self.family(name, "counter", help)
    }

    /// The family `name` of numbers that rise and fall.
    pub fn gauge(&mut self, name: &'static str, help: &'static str) -> &mut Family {
        self.family(name, "gauge", help)
    }

    /// The family `name` of histograms.
    pub fn histogram(&mut self, name: &'static str, help: &'static str) -> &mut Family {
        self.family(name, "histogram", help)
    }

    fn family(&mut self, name: &'static str, kind: &'static str, help: &'static str) -> &mut Family {
        let family = self.0.entry(name).or_insert_with(|| Family { name, kind, help, samples: String::new() });
        debug_assert!(family.kind == kind && family.help == help, "{name} is told in two ways");
        family
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Family { name, kind, help, samples } in self.0.values() {
            let help = help.replace('\\', "\\\\").replace('\n', "\\n");
            write!(f, "# HELP {name} {help}\n# TYPE {name} {kind}\n{samples}")?;
        }
        Ok(())
    }
}

impl Family {
    /// One sample.
    pub fn sample(&mut self, labels: Labels<'_>, value: impl Display) -> &mut Self {
        self.line("", labels, None, &value)
    }

    /// The samples of a histogram: how many up to each bound, their sum and their number.
    pub fn buckets(&mut self, labels: Labels<'_>, histogram: &Histogram) -> &mut Self {
        let mut count = 0;
        for (bound, up_to) in histogram.up_to() {
            let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| bound.to_string());
            self.line("_bucket", labels, Some(("le", &bound)), &up_to);
            count = up_to;
        }
        self.line("_sum", labels, None, &histogram.sum()).line("_count", labels, None, &count)
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, more: Option<(&'static str, &str)>, value: &dyn Display) -> &mut Self {
        let labels: Vec<String> =
            labels.iter().copied().chain(more).map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        // A string takes whatever is written to it.
        let _ = writeln!(self.samples, "{}{suffix}{labels} {value}", self.name);
        self
    }
}

/// Milliseconds as seconds; what would be negative is none.
#[must_use]
pub fn seconds(ms: Millis) -> impl Display {
    let ms = ms.max(0);
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Scale;

    #[test]
    fn families_stand_together_in_the_order_of_their_names() {
        let mut text = Text::default();
        text.gauge("b", "What b is.").sample(&[("of", "one")], 1);
        text.counter("a", "What a \\ is.\nReally.").sample(&[], 2);
        text.gauge("b", "What b is.").sample(&[("of", "two")], seconds(1500)).sample(&[("of", "three")], seconds(-1));
        let wanted = "# HELP a What a \\\\ is.\\nReally.\n# TYPE a counter\na 2\n\
                      # HELP b What b is.\n# TYPE b gauge\nb{of=\"one\"} 1\nb{of=\"two\"} 1.500\nb{of=\"three\"} 0.000\n";
        assert_eq!(text.to_string(), wanted);
    }

    #[test]
    fn values_of_labels_are_escaped() {
        let mut text = Text::default();
        text.gauge("a", "").sample(&[("b", "say \"c\"\n"), ("d", "\\")], 1);
        assert!(text.to_string().ends_with("\na{b=\"say \\\"c\\\"\\n\",d=\"\\\\\"} 1\n"), "{text}");
    }

    #[test]
    fn a_histogram_counts_up_to_each_bound() {
        let histogram = Histogram::new(Scale::DURATION);
        for micros in [0, 500, 501, 20_000_000] {
            histogram.observe(micros);
        }
        let mut text = Text::default();
        text.histogram("took", "").buckets(&[("by", "us")], &histogram);
        let text = text.to_string();
        for line in [
            "took_bucket{by=\"us\",le=\"0.0005\"} 2",
            "took_bucket{by=\"us\",le=\"0.001\"} 3",
            "took_bucket{by=\"us\",le=\"10\"} 3",
            "took_bucket{by=\"us\",le=\"+Inf\"} 4",
            "took_sum{by=\"us\"} 20.001001",
            "took_count{by=\"us\"} 4",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} in {text}");
        }
        assert_eq!(histogram.count(), 4);
    }
}
