//! One structured line a request, without anything of its payload.

use serde::Serialize;

use crate::Millis;
use crate::ingest::Counts;

/// What a request's log line tells.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line {
    event: &'static str,
    route: &'static str,
    pub(super) status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<&'static str>,
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

    pub(super) fn write(mut self, ms: Millis) {
        self.ms = ms;
        worker::console_log!("{}", serde_json::to_string(&self).unwrap_or_default());
    }
}
