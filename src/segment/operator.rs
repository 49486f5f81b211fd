//! An operator's requests about the events that were set aside.

use serde::{Deserialize, Serialize};

use super::answer::{ApiError, ErrorCode, Result};
use crate::durable::dead_letter::DeadLetter;

/// Most letters that one request is about.
pub const MAX_LETTERS: u32 = 500;

/// A page of letters, the newest first.
#[derive(Debug, Serialize)]
pub struct Page {
    /// How many there are in all.
    pub count: i64,
    /// These of them.
    pub letters: Vec<Numbered>,
    /// Before which number there may be more, where that is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Option<u32>>,
}

/// A letter with its number.
#[derive(Debug, Serialize)]
pub struct Numbered {
    /// The number by which it is named.
    pub id: u32,
    #[serde(flatten)]
    letter: DeadLetter,
}

impl Page {
    /// Returns a page of letters with their numbers.
    #[must_use]
    pub fn of(count: i64, letters: Vec<(u32, DeadLetter)>) -> Self {
        let letters = letters.into_iter().map(|(id, letter)| Numbered { id, letter }).collect();
        Self { count, letters, next: None }
    }
}

/// Letters of one reason.
#[derive(Debug, Serialize, Deserialize)]
pub struct Group {
    /// The reason.
    pub reason: String,
    /// The words of the newest; the destination's own where it refused it.
    pub words: Option<String>,
    /// How many.
    pub count: i64,
    /// When the events of the first one arrived, in seconds.
    pub oldest: Option<i64>,
    /// When those of the last one did.
    pub newest: Option<i64>,
}

/// Answer with all groups.
#[derive(Debug, Serialize, Deserialize)]
pub struct Groups {
    /// How many letters there are in all.
    pub count: i64,
    /// The groups, those with most letters first.
    pub groups: Vec<Group>,
}

/// Request to send letters again or to forget them.
#[derive(Debug, PartialEq, Eq)]
pub struct ReplayRequest {
    /// Their numbers; empty for the oldest [`MAX_LETTERS`].
    pub ids: Vec<u32>,
    /// Whether they are to count at the present time, since Librato takes nothing older than two hours.
    pub now: bool,
}

impl ReplayRequest {
    /// Reads `{"ids": [1, 2]}` or `{"all": true}`, with `"time": "now"` if wanted.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidEvent`] for anything else: nothing is sent or forgotten by mistake.
    pub fn read(body: &[u8]) -> Result<Self> {
        let request = Body::read(body).filter(|body| {
            let is_step = body.reason.is_some() || body.after.is_some() || body.up_to.is_some();
            body.is_clear() && !is_step
        });
        let request = request.map(|Body { ids, time, .. }| Self { ids, now: time.is_some() });
        request.ok_or_else(|| {
            ApiError::new(
                ErrorCode::InvalidEvent,
                "body: expected {\"ids\": [1, 2]} or {\"all\": true}, with \"time\": \"now\" if wanted",
            )
        })
    }
}

/// Request for one step of sending letters again or of forgetting them.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// Which letters.
    pub choice: Choice,
    /// Whether they are to count at the present time.
    pub now: bool,
}

/// Which letters a step is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Those with these numbers.
    Numbers(Vec<u32>),
    /// The first after a number and up to another, of one reason or of all.
    Next {
        /// The reason.
        reason: Option<String>,
        /// The last number of the step before.
        after: u32,
        /// The last number of all steps; what is set aside anew meanwhile has a larger one.
        up_to: Option<u32>,
    },
}

impl Step {
    /// Reads a choice of letters: `{"ids": [1, 2]}`, `{"reason": "…"}` or `{"all": true}`, with `"time": "now"` if
    /// wanted, and `after` and `upTo` of the step before.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidEvent`] for anything else: nothing is sent or forgotten by mistake.
    pub fn read(body: &[u8]) -> Result<Self> {
        let request = Body::read(body).filter(Body::is_clear).map(|body| {
            let Body { ids, reason, after, up_to, time, .. } = body;
            let choice = if ids.is_empty() {
                Choice::Next { reason, after: after.unwrap_or_default(), up_to }
            } else {
                Choice::Numbers(ids)
            };
            Self { choice, now: time.is_some() }
        });
        request.ok_or_else(|| {
            ApiError::new(
                ErrorCode::InvalidEvent,
                "body: expected {\"ids\": [1, 2]}, {\"reason\": \"…\"} or {\"all\": true}, with \"time\": \"now\" if \
                 wanted, and with \"after\" and \"upTo\" of the step before",
            )
        })
    }
}

/// What may stand in a request about letters. Whoever says a thing twice may have meant either, which a derive refuses.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Body {
    #[serde(default)]
    ids: Vec<u32>,
    reason: Option<String>,
    #[serde(default)]
    all: bool,
    after: Option<u32>,
    up_to: Option<u32>,
    time: Option<Time>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Time {
    Now,
}

impl Body {
    fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// Returns whether it says in exactly one way which letters are meant.
    fn is_clear(&self) -> bool {
        let ways = [!self.ids.is_empty(), self.reason.is_some(), self.all];
        ways.into_iter().filter(|is_used| *is_used).count() == 1 && self.ids.len() <= MAX_LETTERS as usize
    }
}

/// Answer to a [`ReplayRequest`].
#[derive(Debug, Serialize)]
pub struct Done {
    /// Always true.
    pub success: bool,
    /// How many letters were sent again or forgotten.
    pub changed: usize,
    /// How many are left.
    pub left: i64,
    /// Where the next step begins.
    #[serde(flatten)]
    pub place: Option<Place>,
}

/// How far a step has come.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The last number of this step.
    pub after: u32,
    /// The last number of all steps.
    pub up_to: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_clear_or_refused() {
        for (body, expected) in [
            (r#"{"ids":[1,2]}"#, Some((vec![1, 2], false))),
            (r#"{"all":true,"time":"now"}"#, Some((vec![], true))),
            ("{}", None),
            ("", None),
            (r#"{"ids":[1],"all":true}"#, None),
            (r#"{"ids":["1"]}"#, None),
            (r#"{"all":true,"time":"then"}"#, None),
            (r#"{"al":true}"#, None),
            (r#"{"ids":[1],"ids":[2]}"#, None),
            (r#"{"ids":null,"all":true}"#, None),
        ] {
            let read = ReplayRequest::read(body.as_bytes()).ok().map(|request| (request.ids, request.now));
            assert_eq!(read, expected, "{body}");
        }
    }

    #[test]
    fn a_step_is_clear_or_refused() {
        let next =
            |reason: Option<&str>, after, up_to| Some(Choice::Next { reason: reason.map(str::to_owned), after, up_to });
        for (body, expected) in [
            (r#"{"ids":[1]}"#, Some(Choice::Numbers(vec![1]))),
            (r#"{"all":true}"#, next(None, 0, None)),
            (r#"{"reason":"r","after":7,"upTo":9}"#, next(Some("r"), 7, Some(9))),
            (r#"{"reason":"r","all":true}"#, None),
            (r#"{"reason":"r","ids":[1]}"#, None),
            (r#"{"after":7}"#, None),
            (r#"{"reason":"r","before":7}"#, None),
        ] {
            assert_eq!(Step::read(body.as_bytes()).ok().map(|step| step.choice), expected, "{body}");
        }
        for body in [r#"{"reason":"r"}"#, r#"{"all":true,"after":1}"#] {
            assert!(ReplayRequest::read(body.as_bytes()).is_err(), "{body}");
        }
    }
}
