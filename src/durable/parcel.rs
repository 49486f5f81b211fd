//! What goes through the queue: the measurements of one request, compact.
//!
//! A message costs by its number and not by its size, so one request is one message wherever the
//! platform's limit allows, and names and sources stand in it once.

use std::borrow::Cow;
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha1::{Digest, Sha1};

use crate::destination::Writer;
use crate::index::{Index, hash};
use crate::json::reader::{Malformed, Raw, Reader};
use crate::json::{Scalar, number, writer as json};
use crate::measurement::{Measurement, Samples, is_in_range};
use crate::text::{read_hex, read_integer, read_whole};

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
#[derive(Default)]
struct Read<'a> {
    version: Option<u32>,
    owner: Option<Cow<'a, str>>,
    received_at: Option<i64>,
    writer: Option<Cow<'a, str>>,
    texts: Option<Vec<Rc<str>>>,
    rows: Option<Vec<Row<'a>>>,
}

struct Row<'a> {
    name: usize,
    source: usize,
    offset: i64,
    values: Raw<'a>,
    id: Option<Cow<'a, str>>,
}

impl<'a> Read<'a> {
    fn of(message: &'a str) -> Result<Self, Malformed> {
        let mut read = Self::default();
        let mut reader = Reader::new(message);
        reader.object(|key, reader| {
            match key.plain() {
                Some("v") => read.version = Some(whole(reader.raw()?)?),
                Some("o") => read.owner = Some(text(reader.raw()?)?),
                Some("r") => read.received_at = Some(integer(reader.raw()?)?),
                Some("w") => read.writer = reader.raw()?.unless_null().map(text).transpose()?,
                Some("n") => {
                    let texts = read.texts.insert(Vec::new());
                    reader.array(|reader| {
                        texts.push(Rc::from(text(reader.raw()?)?));
                        Ok(())
                    })?;
                }
                Some("m") => {
                    let rows = read.rows.insert(Vec::new());
                    reader.array(|reader| {
                        rows.push(Row::of(reader.raw()?)?);
                        Ok(())
                    })?;
                }
                _ => reader.pass()?,
            }
            Ok(())
        })?;
        reader.end().map(|()| read)
    }
}

impl<'a> Row<'a> {
    fn of(row: Raw<'a>) -> Result<Self, Malformed> {
        let [name, source, offset, values, id] = row.row()?;
        Ok(Self {
            name: whole(name)?,
            source: whole(source)?,
            offset: integer(offset)?,
            values,
            id: id.unless_null().map(text).transpose()?,
        })
    }
}

fn integer(raw: Raw) -> Result<i64, Malformed> {
    read_integer(raw.text()).ok_or(Malformed)
}

fn whole<T: TryFrom<u64>>(raw: Raw) -> Result<T, Malformed> {
    read_whole(raw.text()).ok_or(Malformed)
}

fn text(raw: Raw<'_>) -> Result<Cow<'_, str>, Malformed> {
    Scalar::of(raw).into_text().ok_or(Malformed)
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
        let Ok(Read {
            version: Some(version),
            owner: Some(owner),
            received_at: Some(received_at),
            writer,
            texts: Some(texts),
            rows: Some(rows),
        }) = Read::of(message)
        else {
            return Err("not a parcel");
        };
        if version != VERSION {
            return Err("a parcel of another version");
        }
        let owner = read_hex(&owner).ok_or("a parcel without an owner")?;
        let text = |place: usize| texts.get(place).cloned();
        let mut entries = Vec::with_capacity(rows.len());
        for (place, row) in rows.iter().enumerate() {
            let entry = || {
                Some(Entry {
                    id: match &row.id {
                        Some(id) => EventId::read(id)?,
                        None => EventId::placed(owner, place),
                    },
                    measurement: Measurement {
                        name: text(row.name)?,
                        source: text(row.source)?,
                        time: received_at.checked_add(row.offset)?,
                        samples: samples(row.values)?,
                    },
                })
            };
            entries.push(entry().ok_or("a parcel with a broken entry")?);
        }
        let sealed = match writer {
            Some(text) => Some(Writer::read(&text).ok_or("a parcel of a strange writer")?),
            None => None,
        };
        Ok(Self { owner, received_at, entries, sealed })
    }
}

/// Writes a message as [`Read`] has it.
fn write<'m>(
    measured: &[Packed<'m>],
    received_at: i64,
    owner: Owner,
    sealed: Option<Writer>,
) -> String {
    /// The bytes that a row takes as a rule.
    const ROW: usize = 40;
    let mut index = Index::default();
    let mut listed = Vec::new();
    let mut texts = json::Writer::default();
    texts.raw("[");
    let mut rows = json::Writer::with_capacity(measured.len() * ROW);
    rows.raw("[");
    let mut place = |text: &'m str| {
        let next = listed.len();
        let mut is_same = |place: &mut usize| listed.get(*place) == Some(&text);
        let place = index.place(hash(0, text.as_bytes()), next, &mut is_same);
        if place == next {
            listed.push(text);
            texts.item(text);
        }
        place
    };
    for (place_of_row, (measurement, id)) in measured.iter().enumerate() {
        let samples = measurement.samples;
        rows.raw(if place_of_row == 0 { "[" } else { ",[" });
        rows.value(&place(&measurement.name));
        rows.item(&place(&measurement.source));
        rows.item(&(measurement.time - received_at));
        if samples.count == 1 {
            rows.raw(",");
            rows.number(samples.sum);
        } else {
            let Samples { count, sum, min, max, sum_squares } = samples;
            rows.raw(",[");
            rows.value(&count);
            for value in [sum, min, max, sum_squares] {
                rows.raw(",");
                rows.number(value);
            }
            rows.raw("]");
        }
        match id {
            Some(id) => rows.item(id.write(&mut [0; EventId::TEXT])),
            None => rows.raw(",null"),
        }
        rows.raw("]");
    }
    let (texts, rows) = (texts.finish_text(), rows.finish_text());
    let mut message = json::Writer::with_capacity(texts.len() + rows.len() + 100);
    message.object(|message| {
        message.field("v", &VERSION);
        message.field("o", &hex(owner));
        message.field("r", &received_at);
        message.field_of("w", sealed.map(Writer::text));
        for (name, list) in [("n", &texts), ("m", &rows)] {
            message.name(name);
            message.raw(list);
            message.raw("]");
        }
    });
    message.finish_text()
}

/// Sixteen digits.
fn hex(owner: Owner) -> String {
    let digit = |shift| char::from_digit((owner >> shift & 0xf) as u32, 16);
    (0..u64::BITS).step_by(4).rev().filter_map(digit).collect()
}

fn samples(raw: Raw) -> Option<Samples> {
    let finite = |raw: Raw| match Scalar::of(raw) {
        Scalar::Number(text) => Some(number(text)).filter(|value| value.is_finite()),
        _ => None,
    };
    let in_range = |raw: Raw| finite(raw).filter(|value| is_in_range(*value));
    let Ok([count, sum, min, max, sum_squares]) = raw.row() else {
        return in_range(raw).map(Samples::one);
    };
    Some(Samples {
        count: whole(count).ok().filter(|count| *count > 0)?,
        sum: in_range(sum)?,
        min: finite(min)?,
        max: finite(max)?,
        sum_squares: finite(sum_squares)?,
    })
}
