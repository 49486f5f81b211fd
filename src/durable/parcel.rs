//! What goes through the queue: the measurements of one request, compact.
//!
//! A message costs by its number and not by its size, so one request is one message wherever the
//! platform's limit allows, and names and sources stand in it once.

use std::collections::HashMap;
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha1::{Digest, Sha1};

use crate::json::number;
use crate::measurement::{Measurement, Samples, is_in_range};

/// The shape of messages that this version writes and reads.
const VERSION: u32 = 1;

/// Longest message, in bytes: the platform takes 128,000 with about 100 of its own.
pub const MAX_BYTES: usize = 127_000;

/// Who claims an event: the parcel that brought it. Two parcels never share one, but for a copy of
/// the same parcel.
pub type Owner = u64;

/// An event's identity: of its write key and `messageId`, or of its place in its parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(pub [u8; 12]);

impl EventId {
    /// The identity of an event that its client names. Ninety-six bits of a cryptographic digest:
    /// nobody can make an event that is taken for another's.
    #[must_use]
    pub fn named(write_key: &str, message_id: &str) -> Self {
        Self::of(&[write_key.as_bytes(), b"\0", message_id.as_bytes()])
    }

    /// The identity of an event without a name, which can only come again with its parcel.
    #[must_use]
    pub fn placed(owner: Owner, place: usize) -> Self {
        Self::of(&[&owner.to_le_bytes(), &(place as u64).to_le_bytes()])
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut digest = Sha1::new();
        for part in parts {
            digest.update(part);
        }
        let mut id = [0; 12];
        for (to, from) in id.iter_mut().zip(digest.finalize()) {
            *to = from;
        }
        Self(id)
    }

    fn read(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    fn text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

/// One event's measurement on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Which event.
    pub id: EventId,
    /// What it became.
    pub measurement: Measurement,
}

/// The measurements of one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Parcel {
    /// Who claims them.
    pub owner: Owner,
    /// When they arrived, in seconds since 1970.
    pub received_at: i64,
    /// The measurements.
    pub entries: Vec<Entry>,
}

/// `value`, or `[count, sum, min, max, sum_squares]`.
#[derive(Serialize)]
#[serde(untagged)]
enum Values {
    One(f64),
    Many(u64, f64, f64, f64, f64),
}

/// Place of the name, place of the source, seconds from the receipt, values, id.
#[derive(Serialize)]
struct Row(usize, usize, i64, Values, Option<String>);

#[derive(Serialize)]
struct Written<'a> {
    v: u32,
    o: String,
    r: i64,
    n: Vec<&'a str>,
    m: Vec<Row>,
}

#[derive(Deserialize)]
struct Read<'a> {
    v: u32,
    o: String,
    r: i64,
    n: Vec<String>,
    #[serde(borrow)]
    m: Vec<(usize, usize, i64, &'a RawValue, Option<String>)>,
}

/// A measurement to pack, with the identity that its client gave its event.
pub type Packed<'m> = (&'m Measurement, Option<EventId>);

impl Parcel {
    /// Packs measurements into as few messages as the platform's limit allows. `new_owner` gives a new
    /// owner for each.
    pub fn pack(
        measured: &[Packed],
        received_at: i64,
        new_owner: &mut dyn FnMut() -> Owner,
    ) -> Vec<String> {
        if measured.is_empty() {
            return Vec::new();
        }
        let message = write(measured, received_at, new_owner());
        if message.len() <= MAX_BYTES || measured.len() == 1 {
            return vec![message];
        }
        let (first, second) = measured.split_at(measured.len() / 2);
        let mut messages = Self::pack(first, received_at, new_owner);
        messages.extend(Self::pack(second, received_at, new_owner));
        messages
    }

    /// Reads a message.
    ///
    /// # Errors
    ///
    /// In words, when it is none of this version's.
    pub fn read(message: &str) -> Result<Self, &'static str> {
        let read: Read = serde_json::from_str(message).map_err(|_| "not a parcel")?;
        if read.v != VERSION {
            return Err("a parcel of another version");
        }
        let owner = Owner::from_str_radix(&read.o, 16).map_err(|_| "a parcel without an owner")?;
        let texts: Vec<Rc<str>> = read.n.into_iter().map(Rc::from).collect();
        let entries = read.m.into_iter().enumerate().map(|(place, row)| {
            let (name, source, offset, values, id) = row;
            let text = |place: usize| texts.get(place).cloned();
            Some(Entry {
                id: match id {
                    Some(id) => EventId::read(&id)?,
                    None => EventId::placed(owner, place),
                },
                measurement: Measurement {
                    name: text(name)?,
                    source: text(source)?,
                    time: read.r.checked_add(offset)?,
                    samples: samples(values)?,
                },
            })
        });
        let entries: Option<Vec<Entry>> = entries.collect();
        let entries = entries.ok_or("a parcel with a broken entry")?;
        Ok(Self { owner, received_at: read.r, entries })
    }
}

fn write(measured: &[Packed], received_at: i64, owner: Owner) -> String {
    let mut texts = Vec::new();
    let mut places = HashMap::new();
    let mut place = |text| {
        *places.entry(text).or_insert_with(|| {
            texts.push(text);
            texts.len() - 1
        })
    };
    let rows = measured.iter().map(|(measurement, id)| {
        let samples = measurement.samples;
        let values = match samples.count {
            1 => Values::One(samples.sum),
            count => {
                Values::Many(count, samples.sum, samples.min, samples.max, samples.sum_squares)
            }
        };
        let (name, source) = (place(&*measurement.name), place(&*measurement.source));
        Row(name, source, measurement.time - received_at, values, id.map(EventId::text))
    });
    let rows = rows.collect();
    let written =
        Written { v: VERSION, o: format!("{owner:016x}"), r: received_at, n: texts, m: rows };
    serde_json::to_string(&written).unwrap_or_default()
}

fn samples(raw: &RawValue) -> Option<Samples> {
    let is_number =
        |raw: &&RawValue| raw.get().starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let finite = |raw: &RawValue| Some(number(raw.get())).filter(|value| value.is_finite());
    if is_number(&raw) {
        return finite(raw).filter(|value| is_in_range(*value)).map(Samples::one);
    }
    let parts: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
    match parts.as_slice() {
        [count, sum, min, max, sum_squares] => Some(Samples {
            count: count.get().parse().ok().filter(|count| *count > 0)?,
            sum: finite(sum).filter(|sum| is_in_range(*sum))?,
            min: finite(min)?,
            max: finite(max)?,
            sum_squares: finite(sum_squares)?,
        }),
        _ => None,
    }
}
