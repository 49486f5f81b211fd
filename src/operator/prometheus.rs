//! The figures in the text format of Prometheus, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::fmt::Write;

use super::book::Totals;
use super::figures::{BOUNDS, Counts};

/// What the format is called in `Content-Type`.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is known besides the figures.
#[derive(Debug, Clone, Copy, Default)]
pub struct Present {
    /// Events that a consumer has seen and not yet delivered, where that is known.
    pub waiting: Option<u64>,
    /// Letters that are set aside, where that is known.
    pub letters: Option<i64>,
}

/// Returns the text. Figures that are not known are left out.
#[must_use]
pub fn text(totals: &Totals, present: Present) -> String {
    let Totals { since, figures, oldest } = totals;
    let mut page = Page(String::new());
    page.family("build_info", "gauge", "The version of the Worker.");
    page.sample("build_info", &format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1);
    page.single("counting_since_timestamp_seconds", "gauge", "When counting began.", *since);
    for (name, help, value) in [
        ("requests_total", "Requests with events.", figures.requests),
        ("events_received_total", "Events that came; again, where a client sends again.", figures.received),
        ("events_accepted_total", "Events that were accepted.", figures.accepted),
        ("events_measured_total", "Accepted events that are in a measurement.", figures.measured),
        ("events_delivered_total", "Events that the destination has taken.", figures.delivered),
        ("events_kept_total", "Events of the queue whose delivery failed, at each try.", figures.kept),
        ("refused_points_total", "Points that the destination refused of what it took.", figures.refused_points),
        ("operator_flushes_total", "Requests to the object that counts.", figures.flushes),
        ("operator_rows_written_total", "Rows that it has written.", figures.rows),
    ] {
        page.single(name, "counter", help, value);
    }
    for (name, help, label, counts) in [
        ("requests_failed_total", "Requests that were refused whole.", "code", &figures.failed),
        ("events_not_measured_total", "Accepted events without a measurement.", "reason", &figures.not_measured),
        ("events_refused_total", "Refused events.", "code", &figures.refused),
        ("events_set_aside_total", "Events that were set aside.", "reason", &figures.set_aside),
        ("upstream_requests_total", "Requests to the destination.", "outcome", &figures.upstream.outcomes),
    ] {
        page.labelled(name, help, label, counts);
    }
    let latency = &figures.upstream.latency;
    let name = "upstream_request_duration_seconds";
    page.family(name, "histogram", "How long requests to the destination took.");
    let mut below = 0;
    for (count, bound) in latency.counts.iter().zip(BOUNDS) {
        below += count;
        let labels = format!("{{le=\"{}\"}}", f64::from(bound) / 1_000.0);
        page.sample("upstream_request_duration_seconds_bucket", &labels, below);
    }
    page.sample("upstream_request_duration_seconds_bucket", "{le=\"+Inf\"}", latency.count());
    page.sample("upstream_request_duration_seconds_sum", "", seconds(latency.sum));
    page.sample("upstream_request_duration_seconds_count", "", latency.count());
    if let Some(waiting) = present.waiting {
        page.single("waiting_events", "gauge", "Events of the queue that are not delivered yet.", waiting);
    }
    if let Some(oldest) = oldest.filter(|_| present.waiting != Some(0)) {
        let help = "When the oldest event arrived whose delivery failed.";
        page.single("oldest_waiting_timestamp_seconds", "gauge", help, oldest);
    }
    if let Some(letters) = present.letters {
        page.single("set_aside_letters", "gauge", "Measurements that are set aside.", letters);
    }
    page.0
}

/// Milliseconds as seconds.
#[allow(clippy::cast_precision_loss)]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1_000.0
}

/// What all names begin with.
const PREFIX: &str = "librato_edge_";

struct Page(String);

// Writing into a text does not fail.
impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        _ = writeln!(self.0, "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        _ = writeln!(self.0, "{PREFIX}{name}{labels} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, kind, help);
        self.sample(name, "", value);
    }

    fn labelled(&mut self, name: &str, help: &str, label: &str, counts: &Counts) {
        self.family(name, "counter", help);
        for (value, count) in counts {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.sample(name, &format!("{{{label}=\"{escaped}\"}}"), count);
        }
    }
}
