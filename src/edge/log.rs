//! One structured line a request, without anything of its payload.

use std::collections::BTreeMap;

use serde::Serialize;
use worker::{console_error, console_log};

use crate::Millis;
use crate::delivery::Outcome;
use crate::ingest::Counts;
use crate::segment::answer::Answer;

/// A request's log line.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line {
    event: &'static str,
    route: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "is_default")]
    code: Option<&'static str>,
    events: usize,
    accepted: usize,
    measured: usize,
    /// Refused events by code.
    rejected: BTreeMap<&'static str, usize>,
    /// The client library of the first of them.
    #[serde(skip_serializing_if = "is_default")]
    rejected_library: Option<String>,
    /// Measured events whose name has no letter and no digit that a metric's may have.
    #[serde(skip_serializing_if = "is_default")]
    illegible_names: usize,
    /// Messages to the queue, in durable delivery.
    pub(super) messages: u64,
    /// Gauges and requests to the destination, in direct delivery.
    pub(super) gauges: usize,
    #[serde(rename = "libratoRequests")]
    pub(super) requests: u64,
    /// How often the destination has answered with which status, but for success.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) answers: BTreeMap<u16, u64>,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) refused_points: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) trouble: Option<String>,
    ms: Millis,
}

/// The log line of a batch of the queue.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConsumerLine {
    event: &'static str,
    messages: usize,
    events: usize,
    gauges: usize,
    delivered: usize,
    #[serde(rename = "libratoRequests")]
    pub(super) requests: u64,
    /// How often the destination has answered with which status, but for success.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) answers: BTreeMap<u16, u64>,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) refused_points: u64,
    /// Shipments that are to be sent again as they were.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) sealed: u64,
    pub(super) set_aside: usize,
    /// Dead letters by the code of their reason.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) reasons: BTreeMap<String, usize>,
    pub(super) retried: usize,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) trouble: Option<String>,
    /// Nothing will be delivered until somebody sets it right.
    #[serde(skip_serializing_if = "is_default")]
    operator_fault: bool,
    ms: Millis,
}

impl Line {
    pub(super) fn new(route: &'static str) -> Self {
        Self { event: "request", route, ..Self::default() }
    }

    pub(super) fn count(&mut self, counts: Counts) {
        (self.events, self.accepted) = (counts.events, counts.accepted);
        (self.measured, self.rejected) = (counts.measured, counts.rejected);
        (self.rejected_library, self.illegible_names) = (counts.rejected_library, counts.illegible_names);
    }

    pub(super) fn write(&mut self, answer: &Answer, ms: Millis) {
        (self.status, self.code, self.ms) = (answer.status, answer.code, ms);
        console_log!("{}", serde_json::to_string(self).unwrap_or_default());
    }
}

impl ConsumerLine {
    pub(super) fn new(messages: usize, events: usize, gauges: usize) -> Self {
        Self { event: "consume", messages, events, gauges, ..Self::default() }
    }

    pub(super) fn count(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            match outcome {
                Outcome::Delivered => self.delivered += 1,
                Outcome::Later(error) => {
                    self.operator_fault |= error.reason.is_operator_fault();
                }
                Outcome::SetAside(_) => {}
            }
        }
    }

    pub(super) fn write(&mut self, ms: Millis) {
        self.ms = ms;
        let line = serde_json::to_string(self).unwrap_or_default();
        if self.operator_fault {
            console_error!("{line}");
        } else {
            console_log!("{line}");
        }
    }
}

/// Returns whether a field says nothing, so that the line goes without it.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
