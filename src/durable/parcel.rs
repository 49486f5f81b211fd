//! What goes through the queue: the measurements of one request, compact.
//!
//! A message costs by its number and not by its size, so one request is one message wherever the
//! platform's limit allows, and names and sources stand in it once.

use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustc_hash::FxHashMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha1::{Digest, Sha1};

use crate::destination::Writer;
use crate::json::{number, writer as json};
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

    /// Characters of an identity as it is written.
    const TEXT: usize = 16;

    fn write(self, room: &mut [u8; Self::TEXT]) -> &str {
        // Twelve bytes are sixteen characters.
        _ = URL_SAFE_NO_PAD.encode_slice(self.0, room);
        std::str::from_utf8(room).unwrap_or_default()
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
    /// Whose they are, where they are one shipment that was tried and is to be sent as it was.
    pub sealed: Option<Writer>,
}

/// A message: version, owner, receipt, writer of what is sealed, texts, and rows, each of which is the
/// place of the name, the place of the source, seconds from the receipt, `value` or `[count, sum, min,
/// max, sum_squares]`, and the id.
#[derive(Deserialize)]
struct Read<'a> {
    v: u32,
    o: String,
    r: i64,
    w: Option<String>,
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
        let message = write(measured, received_at, new_owner(), None);
        if message.len() <= MAX_BYTES || measured.len() == 1 {
            return vec![message];
        }
        let (first, second) = measured.split_at(measured.len() / 2);
        let mut messages = Self::pack(first, received_at, new_owner);
        messages.extend(Self::pack(second, received_at, new_owner));
        messages
    }

    /// Packs one shipment, to be sent again as it was. `None` when a message does not take it.
    #[must_use]
    pub fn seal(
        shipment: &[&Measurement],
        received_at: i64,
        owner: Owner,
        writer: Writer,
    ) -> Option<String> {
        let measured: Vec<_> = shipment.iter().map(|measurement| (*measurement, None)).collect();
        let message = write(&measured, received_at, owner, Some(writer));
        (message.len() <= MAX_BYTES).then_some(message)
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
        let sealed = match read.w {
            Some(text) => Some(Writer::read(&text).ok_or("a parcel of a strange writer")?),
            None => None,
        };
        Ok(Self { owner, received_at: read.r, entries, sealed })
    }
}

/// Writes a message as [`Read`] has it.
fn write(measured: &[Packed], received_at: i64, owner: Owner, sealed: Option<Writer>) -> String {
    /// The bytes that a row takes as a rule.
    const ROW: usize = 40;
    let mut places = FxHashMap::default();
    let mut texts = json::Writer::default();
    let mut rows = json::Writer::with_capacity(measured.len() * ROW);
    let mut place = |text| {
        let next = places.len();
        *places.entry(text).or_insert_with(|| {
            texts.item(text);
            next
        })
    };
    for (measurement, id) in measured {
        let samples = measurement.samples;
        rows.raw(",[");
        rows.value(&place(&*measurement.name));
        rows.item(&place(&*measurement.source));
        rows.item(&(measurement.time - received_at));
        if samples.count == 1 {
            rows.item(&samples.sum);
        } else {
            let Samples { count, sum, min, max, sum_squares } = samples;
            rows.item(&(count, sum, min, max, sum_squares));
        }
        match id {
            Some(id) => rows.item(id.write(&mut [0; EventId::TEXT])),
            None => rows.raw(",null"),
        }
        rows.raw("]");
    }
    let (texts, rows) = (texts.finish_text(), rows.finish_text());
    let mut message = json::Writer::with_capacity(texts.len() + rows.len() + 100);
    message.raw("{\"v\":");
    message.value(&VERSION);
    message.field("o", &format!("{owner:016x}"));
    message.field("r", &received_at);
    if let Some(writer) = sealed {
        message.field("w", &writer.to_string());
    }
    // Both begin with the comma of what would stand before them.
    for (name, list) in [(",\"n\":[", &texts), ("],\"m\":[", &rows)] {
        message.raw(name);
        message.raw(list.get(1..).unwrap_or_default());
    }
    message.raw("]}");
    message.finish_text()
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
