//! What an operator asks about the events that were set aside.

use super::answer::{Failure, FailureCode, Fallible};
use crate::durable::dead_letter::DeadLetter;
use crate::json::tree::Value;
use crate::json::writer::{ToJson, Writer};

/// Most letters that one request is about.
pub const MAX_LETTERS: u32 = 500;

/// A page of letters, the newest first.
#[derive(Debug)]
pub struct Page {
    /// How many there are in all.
    pub count: i64,
    /// These of them.
    pub letters: Vec<Numbered>,
}

/// A letter with its number.
#[derive(Debug)]
pub struct Numbered {
    /// The number by which it is named.
    pub id: u32,
    letter: DeadLetter,
}

impl Page {
    /// A page.
    #[must_use]
    pub fn of(count: i64, letters: Vec<(u32, DeadLetter)>) -> Self {
        let letters = letters.into_iter().map(|(id, letter)| Numbered { id, letter }).collect();
        Self { count, letters }
    }
}

impl ToJson for Page {
    fn write(&self, json: &mut Writer) {
        json.object(|json| {
            json.field("count", &self.count);
            json.field("letters", &self.letters);
        });
    }
}

impl ToJson for Numbered {
    fn write(&self, json: &mut Writer) {
        json.object(|json| {
            json.field("id", &self.id);
            self.letter.write_fields(json);
        });
    }
}

/// Which letters are to be sent again or forgotten.
#[derive(Debug, PartialEq, Eq)]
pub struct Wish {
    /// Their numbers; empty for the oldest [`MAX_LETTERS`].
    pub ids: Vec<u32>,
    /// Whether they are to count at the present time, since Librato takes nothing older than two hours.
    pub now: bool,
}

impl Wish {
    /// Reads `{"ids": [1, 2]}` or `{"all": true}`, with `"time": "now"` if wanted.
    ///
    /// # Errors
    ///
    /// [`FailureCode::InvalidEvent`] for anything else: nothing is sent or forgotten by mistake.
    pub fn read(body: &[u8]) -> Fallible<Self> {
        Self::of(body).ok_or_else(|| {
            Failure::new(
                FailureCode::InvalidEvent,
                "body: expected {\"ids\": [1, 2]} or {\"all\": true}, with \"time\": \"now\" if wanted",
            )
        })
    }

    fn of(body: &[u8]) -> Option<Self> {
        let Some(Value::Object(fields)) = Value::read_bytes(body) else { return None };
        let (mut ids, mut all, mut time) = (None, None, None);
        for (key, value) in &fields {
            // Whoever says a thing twice may have meant either.
            let is_new = match (&**key, value) {
                ("ids", Value::Array(numbers)) => {
                    let numbers: Option<Vec<u32>> = numbers.iter().map(Value::as_whole).collect();
                    ids.replace(numbers?).is_none()
                }
                ("all", Value::Bool(is_all)) => all.replace(*is_all).is_none(),
                ("time", Value::Null) => time.replace(false).is_none(),
                ("time", Value::Text(moment)) if moment == "now" => time.replace(true).is_none(),
                _ => false,
            };
            if !is_new {
                return None;
            }
        }
        let ids = ids.unwrap_or_default();
        let is_clear = ids.is_empty() == all.unwrap_or(false) && ids.len() <= MAX_LETTERS as usize;
        is_clear.then(|| Self { ids, now: time.unwrap_or(false) })
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Done {
    /// Always true.
    pub success: bool,
    /// How many letters were sent again or forgotten.
    pub changed: usize,
    /// How many are left.
    pub left: i64,
}

impl ToJson for Done {
    fn write(&self, json: &mut Writer) {
        json.object(|json| {
            json.field("success", &self.success);
            json.field("changed", &self.changed);
            json.field("left", &self.left);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_clear_or_refused() {
        for (body, wish) in [
            (r#"{"ids":[1,2]}"#, Some((vec![1, 2], false))),
            (r#"{"all":true,"time":"now"}"#, Some((vec![], true))),
            ("{}", None),
            ("", None),
            (r#"{"ids":[1],"all":true}"#, None),
            (r#"{"ids":["1"]}"#, None),
            (r#"{"all":true,"time":"then"}"#, None),
            (r#"{"al":true}"#, None),
        ] {
            let read = Wish::read(body.as_bytes()).ok().map(|wish| (wish.ids, wish.now));
            assert_eq!(read, wish, "{body}");
        }
    }
}
