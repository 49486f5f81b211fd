//! Journal of the latest requests and of the outcome of each member.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

/// Most requests that are remembered.
const MAX_ENTRIES: usize = 200;
/// Most members of a request that are remembered.
pub const MAX_MEMBERS: usize = 300;
/// Longest text in bytes; longer ones are truncated, so that the memory of the journal is bounded.
const MAX_TEXT: usize = 1_000;

/// Outcome of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// It was stored.
    #[serde(rename = "stored")]
    Stored,
    /// It was refused for its own fault.
    #[serde(rename = "refused")]
    Refused,
    /// It was not stored for a fault of another member, of the request or of the server.
    #[serde(rename = "not stored")]
    NotStored,
}

/// A member of a request.
#[derive(Clone, Debug, Serialize)]
pub struct Member {
    #[serde(flatten)]
    shown: Map<String, Value>,
    verdict: Verdict,
    reason: Option<String>,
}

impl Member {
    /// Creates a member with the fields `shown`.
    #[must_use]
    pub fn new(mut shown: Map<String, Value>, verdict: Verdict, reason: Option<String>) -> Self {
        shown.retain(|field, _| SHOWN.contains(&field.as_str()));
        for value in shown.values_mut() {
            truncate_value(value);
        }
        Self { shown, verdict, reason: reason.map(truncated) }
    }

    /// Returns the outcome.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }
}

/// Fields of a member that are shown.
const SHOWN: [&str; 15] = [
    "name",
    "source",
    "tags",
    "value",
    "count",
    "sum",
    "min",
    "max",
    "sum_squares",
    "last",
    "stddev",
    "measure_time",
    "time",
    "period",
    "attributes",
];

/// A measurement request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Sequence number, counted from 1 since the start; resets do not restart it.
    pub seq: u64,
    /// Time of receipt, in epoch milliseconds.
    pub at: u64,
    /// HTTP method.
    pub method: &'static str,
    /// Path.
    pub path: &'static str,
    /// Status of the answer; 0 without one.
    pub status: u16,
    /// Milliseconds until the answer.
    pub ms: u64,
    /// Length of the body.
    pub bytes: usize,
    /// `User-Agent` header.
    pub user_agent: Option<String>,
    /// Injected fault.
    pub fault: Option<String>,
    /// Body of an answer other than 2xx.
    pub error: Option<String>,
    /// Number of members.
    pub gauges: usize,
    /// The first members.
    pub members: Vec<Member>,
}

/// Totals of all requests since the start or the last reset.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Totals {
    /// Requests.
    pub requests: u64,
    /// Measurements stored.
    pub accepted: u64,
    /// Measurements refused.
    pub refused: u64,
    /// Bytes of request bodies.
    pub bytes: u64,
}

/// The latest requests, and the totals of all.
#[derive(Debug, Default)]
pub struct Journal {
    entries: VecDeque<Arc<Entry>>,
    last: u64,
    /// The totals.
    pub totals: Totals,
}

impl Journal {
    /// Records a request. All its members are counted, before their list is truncated.
    pub fn record(&mut self, mut entry: Entry) -> Arc<Entry> {
        self.last += 1;
        entry.seq = self.last;
        entry.error = entry.error.map(truncated);
        entry.user_agent = entry.user_agent.map(truncated);
        self.totals.requests += 1;
        self.totals.bytes += entry.bytes as u64;
        for member in &entry.members {
            match member.verdict() {
                Verdict::Stored => self.totals.accepted += 1,
                Verdict::Refused => self.totals.refused += 1,
                Verdict::NotStored => {}
            }
        }
        entry.gauges = entry.members.len();
        entry.members.truncate(MAX_MEMBERS);
        entry.members.shrink_to_fit();
        let entry = Arc::new(entry);
        if self.entries.len() == MAX_ENTRIES {
            self.entries.pop_front();
        }
        self.entries.push_back(Arc::clone(&entry));
        entry
    }

    /// Returns the newest `limit` requests after sequence number `after`, oldest first, and the number of the latest
    /// request of all.
    #[must_use]
    pub fn after(&self, after: u64, limit: usize) -> (Vec<Arc<Entry>>, u64) {
        let older = self.entries.partition_point(|entry| entry.seq <= after);
        let first = older.max(self.entries.len().saturating_sub(limit));
        (self.entries.range(first..).cloned().collect(), self.last)
    }

    /// Removes the requests and totals. The numbering goes on, so that readers who ask for newer requests miss none.
    pub fn reset(&mut self) {
        self.entries.clear();
        self.totals = Totals::default();
    }
}

/// Truncates the texts of a value.
fn truncate_value(value: &mut Value) {
    match value {
        Value::String(text) => *text = truncated(std::mem::take(text)),
        Value::Array(_) | Value::Object(_) => {
            let text = value.to_string();
            if text.len() > MAX_TEXT {
                *value = Value::String(truncated(text));
            }
        }
        _ => {}
    }
}

fn truncated(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT).rfind(|&i| text.is_char_boundary(i));
        text.truncate(end.unwrap_or_default());
        text.push('…');
    }
    text
}
