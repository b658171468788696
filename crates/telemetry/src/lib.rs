//! What is counted, and how it is told: counters, gauges and histograms of atomics, and the text form that Prometheus reads.
//! Leaves what is worth counting to those who are counted, and where it is shown to the program.
//!
//! There is no registry: whoever counts owns its metrics and tells them when [`Text`] comes round. A label's values are what
//! the program knows (its routes, its services, its lanes), never what somebody sent, so the series stay as many as they are.

mod metric;
mod text;

pub use metric::{Counter, Gauge, Histogram, Scale};
pub use text::{Family, Labels, Text, seconds};
