//! The last requests, with what became of each of their members.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

/// So many requests are remembered.
const MAX_ENTRIES: usize = 200;
/// So many members of each.
pub const MAX_MEMBERS: usize = 300;
/// A longer text is cut, so that the journal is bounded whatever is sent.
const MAX_TEXT: usize = 1_000;

/// What became of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// It can be read back.
    #[serde(rename = "stored")]
    Stored,
    /// It is why it was not stored.
    #[serde(rename = "refused")]
    Refused,
    /// Something else is.
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
    /// A member that said `shown`.
    #[must_use]
    pub fn new(mut shown: Map<String, Value>, verdict: Verdict, reason: Option<String>) -> Self {
        shown.retain(|field, _| SHOWN.contains(&field.as_str()));
        for value in shown.values_mut() {
            abridge(value);
        }
        Self { shown, verdict, reason: reason.map(cut) }
    }

    /// Whether it was stored, and if not, whether by its own fault.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }
}

/// The fields of a member that are shown.
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
    /// Its number, counted from 1 since the start, whatever was reset in between.
    pub seq: u64,
    /// When it came, in epoch milliseconds.
    pub at: u64,
    /// Its method.
    pub method: &'static str,
    /// Its path.
    pub path: &'static str,
    /// The status of the answer, 0 where none was given.
    pub status: u16,
    /// Milliseconds until the answer was due.
    pub ms: u64,
    /// Length of its body.
    pub bytes: usize,
    /// Its `User-Agent`.
    pub user_agent: Option<String>,
    /// The fault that befell it.
    pub fault: Option<String>,
    /// The body of an answer other than 2xx.
    pub error: Option<String>,
    /// How many members it had.
    pub gauges: usize,
    /// The first of them.
    pub members: Vec<Member>,
}

/// Sums over all requests since the start or the last reset.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Totals {
    /// Requests.
    pub requests: u64,
    /// Measurements stored.
    pub accepted: u64,
    /// Measurements at fault.
    pub refused: u64,
    /// Bytes of request bodies.
    pub bytes: u64,
}

/// The journal.
#[derive(Debug, Default)]
pub struct Journal {
    entries: VecDeque<Arc<Entry>>,
    last: u64,
    /// The sums.
    pub totals: Totals,
}

impl Journal {
    /// Enters a request, whose members are counted before the list is cut.
    pub fn enter(&mut self, mut entry: Entry) -> Arc<Entry> {
        self.last += 1;
        entry.seq = self.last;
        entry.error = entry.error.map(cut);
        entry.user_agent = entry.user_agent.map(cut);
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

    /// The newest `limit` requests after number `after`, the newest last, and its number, which is that
    /// of the last request of all.
    #[must_use]
    pub fn after(&self, after: u64, limit: usize) -> (Vec<Arc<Entry>>, u64) {
        let older = self.entries.partition_point(|entry| entry.seq <= after);
        let first = older.max(self.entries.len().saturating_sub(limit));
        (self.entries.range(first..).cloned().collect(), self.last)
    }

    /// Forgets the requests, not their numbers: who asks for what is new still gets it.
    pub fn reset(&mut self) {
        self.entries.clear();
        self.totals = Totals::default();
    }
}

fn abridge(value: &mut Value) {
    match value {
        Value::String(text) => *text = cut(std::mem::take(text)),
        Value::Array(_) | Value::Object(_) => {
            let text = value.to_string();
            if text.len() > MAX_TEXT {
                *value = Value::String(cut(text));
            }
        }
        _ => {}
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT).rfind(|&i| text.is_char_boundary(i));
        text.truncate(end.unwrap_or_default());
        text.push('…');
    }
    text
}
