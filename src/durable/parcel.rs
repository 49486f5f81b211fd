//! What goes through the queue: the measurements of one request, compact.
//!
//! A message costs by its number and not by its size, so one request is one message wherever the platform's limit
//! allows, and names and sources stand in it once.

use std::collections::BTreeMap;
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use borsh::{BorshDeserialize, BorshSerialize};
use indexmap::IndexSet;
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

use crate::destination::WriterId;
use crate::json::serialize_number;
use crate::measurement::{Measurement, Samples, is_in_range};

/// The shape of messages that this version writes and reads.
const VERSION: u32 = 1;

/// Longest message, in bytes: the platform takes 128,000 with about 100 of its own.
pub const MAX_BYTES: usize = 127_000;

/// Who claims an event: the parcel that brought it. Two parcels never share one, but for a copy of the same parcel.
pub type Owner = u64;

/// An event's identity: of its write key and `messageId`, or of its place in its parcel. The first four bytes say with
/// which others it belongs ([`super::once::shard`]); the other eight tell it from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct EventId(pub [u8; 12]);

impl EventId {
    /// The identity of an event that its client names: a part of a cryptographic digest.
    #[must_use]
    pub fn named(write_key: &str, message_id: &str) -> Self {
        Self::of(&[write_key.as_bytes(), b"\0", message_id.as_bytes()])
    }

    /// The identity of an event without a name, which can only come again with its parcel.
    #[must_use]
    pub fn placed(owner: Owner, place: usize) -> Self {
        Self::of(&[&owner.to_le_bytes(), &(place as u64).to_le_bytes()])
    }

    /// Returns the same identity among those of a sender, so that what a client sends again stays together: of a write
    /// key with an `anonymousId` or a `userId`.
    #[must_use]
    pub fn among(self, sender: u32) -> Self {
        let [_, _, _, _, rest @ ..] = self.0;
        let mut id = [0; 12];
        let bytes = sender.to_le_bytes().into_iter().chain(rest);
        for (to, from) in id.iter_mut().zip(bytes) {
            *to = from;
        }
        Self(id)
    }

    /// Returns the number of the sender whose it is.
    #[must_use]
    pub fn sender(self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_le_bytes([a, b, c, d])
    }

    /// Returns the identity that a digest of these bytes gives.
    pub(super) fn of(parts: &[&[u8]]) -> Self {
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

    /// Returns it as text.
    pub(super) fn write(self) -> String {
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
    /// Among how many shards of the ledger they are spread, as it was when they were packed; `None` in a message of an
    /// older version.
    pub shards: Option<u32>,
    /// Whose they are, where they are one shipment that was tried and is to be sent as it was.
    pub sealed: Option<WriterId>,
}

/// A message as it is written. Its keys are short, since it is paid by each 64 KB.
#[derive(Serialize, Deserialize)]
struct Message {
    /// Version.
    v: u32,
    /// Claim token, in hexadecimal digits, since JavaScript's numbers would not hold it.
    o: String,
    /// Receipt, in seconds since 1970.
    r: i64,
    /// Number of shards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    s: Option<u32>,
    /// Writer of what is sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    w: Option<String>,
    /// Names and sources.
    n: Vec<Rc<str>>,
    /// Names as they were written, by the place of the metric's name, where they differ from it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    d: BTreeMap<usize, Rc<str>>,
    /// Measurements.
    m: Vec<Row>,
}

/// A measurement: places of name and source, seconds from the receipt, values, and the event's identity where its
/// client gave one.
#[derive(Serialize, Deserialize)]
struct Row(usize, usize, i64, Values, Option<String>);

/// One value, or count, sum, minimum, maximum and sum of squares of several.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Values {
    One(#[serde(serialize_with = "serialize_number")] f64),
    Several(
        u64,
        #[serde(serialize_with = "serialize_number")] f64,
        #[serde(serialize_with = "serialize_number")] f64,
        #[serde(serialize_with = "serialize_number")] f64,
        #[serde(serialize_with = "serialize_number")] f64,
    ),
}

impl Values {
    fn of(samples: Samples) -> Self {
        let Samples { count, sum, min, max, sum_squares } = samples;
        if count == 1 { Self::One(sum) } else { Self::Several(count, sum, min, max, sum_squares) }
    }

    fn samples(&self) -> Option<Samples> {
        match *self {
            Self::One(value) => is_in_range(value).then(|| Samples::one(value)),
            Self::Several(count, sum, min, max, sum_squares) => {
                (count > 0 && is_in_range(sum)).then_some(Samples { count, sum, min, max, sum_squares })
            }
        }
    }
}

/// A measurement to pack, with the identity that its client gave its event.
pub type Packed<'m> = (&'m Measurement, Option<EventId>);

impl Parcel {
    /// Packs measurements into as few messages as the platform's limit allows. `new_owner` gives a new owner for each.
    pub fn pack(
        measured: &[Packed],
        shards: u32,
        received_at: i64,
        new_owner: &mut dyn FnMut() -> Owner,
    ) -> Vec<String> {
        Self::pack_as(None, measured, shards, received_at, new_owner)
    }

    /// Packs measurements likewise, to be sent under this writer.
    pub(super) fn pack_as(
        writer: Option<WriterId>,
        measured: &[Packed],
        shards: u32,
        received_at: i64,
        new_owner: &mut dyn FnMut() -> Owner,
    ) -> Vec<String> {
        if measured.is_empty() {
            return Vec::new();
        }
        let message = write(measured, shards, received_at, new_owner(), writer);
        if message.len() <= MAX_BYTES || measured.len() == 1 {
            return vec![message];
        }
        let (first, second) = measured.split_at(measured.len() / 2);
        let mut messages = Self::pack_as(writer, first, shards, received_at, new_owner);
        messages.extend(Self::pack_as(writer, second, shards, received_at, new_owner));
        messages
    }

    /// Returns the number that stands for the sender of events without a name.
    #[must_use]
    pub fn sender(owner: Owner) -> u32 {
        let [a, b, c, d, ..] = owner.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// Packs one shipment, to be sent again as it was. `None` when a message does not take it.
    #[must_use]
    pub fn seal(
        shipment: &[&Measurement],
        shards: u32,
        received_at: i64,
        owner: Owner,
        writer: WriterId,
    ) -> Option<String> {
        let measured: Vec<_> = shipment.iter().map(|measurement| (*measurement, None)).collect();
        let message = write(&measured, shards, received_at, owner, Some(writer));
        (message.len() <= MAX_BYTES).then_some(message)
    }

    /// Reads a message.
    ///
    /// # Errors
    ///
    /// In words, when it is none of this version's.
    pub fn read(message: &str) -> Result<Self, &'static str> {
        let message: Message = serde_json::from_str(message).map_err(|_| "not a parcel")?;
        if message.v != VERSION {
            return Err("a parcel of another version");
        }
        let owner = Owner::from_str_radix(&message.o, 16).map_err(|_| "a parcel without an owner")?;
        let text = |place: usize| message.n.get(place).cloned();
        let entries = message.m.iter().enumerate().map(|(place, row)| {
            let Row(name, source, offset, values, id) = row;
            Some(Entry {
                id: match id {
                    Some(id) => EventId::read(id)?,
                    // All in one shard, since they can only come again together.
                    None if message.s.is_some() => EventId::placed(owner, place).among(Self::sender(owner)),
                    None => EventId::placed(owner, place),
                },
                measurement: Measurement {
                    name: text(*name)?,
                    display_name: message.d.get(name).cloned().or_else(|| text(*name))?,
                    source: text(*source)?,
                    time: message.r.checked_add(*offset)?,
                    samples: values.samples()?,
                },
            })
        });
        let entries: Option<Vec<Entry>> = entries.collect();
        let entries = entries.ok_or("a parcel with a broken entry")?;
        let sealed = match message.w {
            Some(text) => Some(WriterId::read(&text).ok_or("a parcel of a strange writer")?),
            None => None,
        };
        Ok(Self { owner, received_at: message.r, entries, shards: message.s, sealed })
    }
}

/// Writes a message.
fn write(measured: &[Packed], shards: u32, received_at: i64, owner: Owner, sealed: Option<WriterId>) -> String {
    let mut texts: IndexSet<&Rc<str>> = IndexSet::new();
    let mut display_names = BTreeMap::new();
    let rows = measured.iter().map(|(measurement, id)| {
        let Measurement { name, display_name, .. } = *measurement;
        let place = texts.insert_full(name).0;
        // The least of several, as OTLP writes it: what is sent again is the same.
        let least: &mut &Rc<str> = display_names.entry(place).or_insert(display_name);
        *least = display_name.min(*least);
        Row(
            place,
            texts.insert_full(&measurement.source).0,
            measurement.time - received_at,
            Values::of(measurement.samples),
            id.map(EventId::write),
        )
    });
    let rows = rows.collect();
    let is_written_so = |(place, written): &(usize, &Rc<str>)| texts.get_index(*place) != Some(written);
    let display_names = display_names.into_iter().filter(is_written_so);
    let display_names = display_names.map(|(place, written)| (place, Rc::clone(written))).collect();
    let message = Message {
        v: VERSION,
        o: format!("{owner:016x}"),
        r: received_at,
        s: Some(shards),
        w: sealed.map(WriterId::text),
        n: texts.into_iter().cloned().collect(),
        d: display_names,
        m: rows,
    };
    // Texts and finite numbers can be written.
    serde_json::to_string(&message).unwrap_or_default()
}
