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
        Self { count, letters }
    }
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
        Self::of(body).ok_or_else(|| {
            ApiError::new(
                ErrorCode::InvalidEvent,
                "body: expected {\"ids\": [1, 2]} or {\"all\": true}, with \"time\": \"now\" if wanted",
            )
        })
    }

    fn of(body: &[u8]) -> Option<Self> {
        // Whoever says a thing twice may have meant either, which a derive refuses.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Body {
            #[serde(default)]
            ids: Vec<u32>,
            #[serde(default)]
            all: bool,
            time: Option<Time>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Time {
            Now,
        }
        let Body { ids, all, time } = serde_json::from_slice(body).ok()?;
        let is_clear = ids.is_empty() == all && ids.len() <= MAX_LETTERS as usize;
        is_clear.then(|| Self { ids, now: time.is_some() })
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
}
