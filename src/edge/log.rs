//! One structured line a request, without anything of its payload.

use serde::Serialize;

use crate::Millis;
use crate::ingest::Counts;
use crate::segment::answer::Answer;

/// What a request's log line tells.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line {
    event: &'static str,
    route: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(flatten)]
    pub(super) counts: Counts,
    pub(super) gauges: usize,
    #[serde(rename = "libratoRequests")]
    pub(super) requests: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trouble: Option<String>,
    ms: Millis,
}

impl Line {
    pub(super) fn new(route: &'static str) -> Self {
        Self {
            event: "request",
            route,
            status: 200,
            code: None,
            counts: Counts::default(),
            gauges: 0,
            requests: 0,
            trouble: None,
            ms: 0,
        }
    }

    pub(super) fn write(&mut self, answer: &Answer, ms: Millis) {
        (self.status, self.code, self.ms) = (answer.status, answer.code, ms);
        worker::console_log!("{}", serde_json::to_string(self).unwrap_or_default());
    }
}
