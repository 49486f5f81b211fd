//! An event, as far as this destination looks at it: borrowed from the request's body.

use crate::json::reader::{Key, Malformed, Raw, Reader};
use crate::json::{FirstMatch, Scalar, key_matches};

/// One event. Fields that may hold anything are kept as written; a field given twice counts once,
/// with its last value, as in JavaScript.
#[derive(Debug, Default)]
pub struct Event<'a> {
    /// `type`.
    pub kind: Option<Raw<'a>>,
    /// `event`, the name of a Track call.
    pub event: Option<Raw<'a>>,
    /// `name` of a Page call.
    pub name: Option<Raw<'a>>,
    /// `category` of a Page call.
    pub category: Option<Raw<'a>>,
    /// `userId`.
    pub user_id: Option<Raw<'a>>,
    /// `anonymousId`.
    pub anonymous_id: Option<Raw<'a>>,
    /// `messageId`.
    pub message_id: Option<Raw<'a>>,
    /// `timestamp`.
    pub timestamp: Option<Raw<'a>>,
    /// `sentAt`.
    pub sent_at: Option<Raw<'a>>,
    /// `writeKey`.
    pub write_key: Option<Raw<'a>>,
    /// `traits` of an Identify call.
    pub traits: Option<Raw<'a>>,
    /// `properties.value`.
    pub properties: Properties<'a>,
    /// `integrations`.
    pub integrations: Section<'a>,
    /// `options`, where the oldest libraries put what is `context` now.
    pub options: Section<'a>,
    /// `context`.
    pub context: Section<'a>,
}

impl<'a> Event<'a> {
    /// Reads an event into an empty one: where it is to stay, since it is large.
    ///
    /// # Errors
    ///
    /// [`Malformed`], also for what is no object.
    pub fn read(&mut self, reader: &mut Reader<'a>) -> Result<(), Malformed> {
        reader.object(|key, reader| {
            let slot = match key.bytes().as_ref() {
                b"type" => &mut self.kind,
                b"event" => &mut self.event,
                b"name" => &mut self.name,
                b"category" => &mut self.category,
                b"userId" => &mut self.user_id,
                b"anonymousId" => &mut self.anonymous_id,
                b"messageId" => &mut self.message_id,
                b"timestamp" => &mut self.timestamp,
                b"sentAt" => &mut self.sent_at,
                b"writeKey" => &mut self.write_key,
                b"traits" => &mut self.traits,
                b"properties" => return self.properties.read(reader),
                b"integrations" => return self.integrations.read(reader),
                b"options" => return self.options.read(reader),
                b"context" => return self.context.read(reader),
                _ => return reader.pass(),
            };
            *slot = reader.raw()?.unless_null();
            Ok(())
        })
    }
}

/// `properties`, of which only `value` is looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Properties<'a> {
    value: FirstMatch<'a, Raw<'a>>,
}

impl<'a> Properties<'a> {
    /// The first key that is `value` but for case and punctuation.
    #[must_use]
    pub fn value(&self) -> Option<Raw<'a>> {
        self.value.get()
    }

    fn read(&mut self, reader: &mut Reader<'a>) -> Result<(), Malformed> {
        *self = Self::default();
        if reader.peek() != Some(b'{') {
            return reader.pass();
        }
        reader.object(|key, reader| {
            if !key_matches(&key.bytes(), "value") {
                return reader.pass();
            }
            self.value.offer(key, reader.raw()?);
            Ok(())
        })
    }
}

/// `integrations`, `options` or `context`: what decides whether and under which source an event is
/// measured. In all three the same keys may stand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Section<'a> {
    /// Whether JavaScript takes it for true: an object does, even an empty one, and an array.
    pub is_truthy: bool,
    exact_librato: Option<Entry<'a>>,
    librato: FirstMatch<'a, Entry<'a>>,
    all: FirstMatch<'a, Option<bool>>,
    source: FirstMatch<'a, Raw<'a>>,
    /// Read when it is asked for: it may hold another, and so on.
    providers: FirstMatch<'a, Raw<'a>>,
    /// `consent`, in a context.
    pub consent: Option<Raw<'a>>,
    /// `personas`, in a context: which Engage computation made the event.
    pub personas: Option<Raw<'a>>,
}

/// What stands under `Librato`.
#[derive(Debug, Clone, Copy)]
pub enum Entry<'a> {
    /// On or off.
    Bool(bool),
    /// Options, of which only `source` counts; its key is exact.
    Object(Option<Raw<'a>>),
    /// `null`, or what has no meaning here.
    Other,
}

impl<'a> Section<'a> {
    /// Reads a section; what is no object only tells whether it is true.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn read(&mut self, reader: &mut Reader<'a>) -> Result<(), Malformed> {
        *self = Self::default();
        if reader.peek() != Some(b'{') {
            self.is_truthy = Scalar::of(reader.raw()?).is_truthy();
            return Ok(());
        }
        self.is_truthy = true;
        reader.object(|key, reader| self.entry(key, reader))
    }

    fn entry(&mut self, key: Key<'a>, reader: &mut Reader<'a>) -> Result<(), Malformed> {
        let name = key.bytes();
        let matches = |wanted| key_matches(&name, wanted);
        // Nearly all keys are none of these, which their first letter tells.
        match name.iter().find(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase) {
            Some(b'l') if matches("librato") => {
                let entry = Entry::of(reader.raw()?);
                if *name == *b"Librato" {
                    self.exact_librato = Some(entry);
                }
                self.librato.offer(key, entry);
            }
            Some(b'a') if matches("all") => {
                let all = match Scalar::of(reader.raw()?) {
                    Scalar::Bool(all) => Some(all),
                    _ => None,
                };
                self.all.offer(key, all);
            }
            Some(b's') if matches("source") => self.source.offer(key, reader.raw()?),
            Some(b'p') if matches("providers") => self.providers.offer(key, reader.raw()?),
            Some(b'c') if *name == *b"consent" => self.consent = reader.raw()?.unless_null(),
            Some(b'p') if *name == *b"personas" => self.personas = reader.raw()?.unless_null(),
            _ => reader.pass()?,
        }
        Ok(())
    }

    /// The entry of this destination: `Librato` as written here, unless it holds nothing, else the
    /// first key that is the same but for case and punctuation.
    #[must_use]
    pub fn librato(&self) -> Option<Entry<'a>> {
        match self.exact_librato {
            Some(entry @ (Entry::Bool(_) | Entry::Object(_))) => Some(entry),
            _ => self.librato.get(),
        }
    }

    /// The entry of `All`, when it is a boolean.
    #[must_use]
    pub fn all(&self) -> Option<bool> {
        self.all.get().flatten()
    }

    /// `source`.
    #[must_use]
    pub fn source(&self) -> Option<Raw<'a>> {
        self.source.get()
    }

    /// `providers`, the oldest place of `integrations`, unless it is empty in JavaScript's sense.
    #[must_use]
    pub fn providers(&self) -> Option<Self> {
        let mut section = Self::default();
        section.read(&mut Reader::new(self.providers.get()?.text())).ok()?;
        section.is_truthy.then_some(section)
    }

    /// Takes the envelope's for what is not in it.
    pub fn fill(&mut self, defaults: &Self) {
        if !defaults.is_truthy {
            return;
        }
        if !self.is_truthy {
            *self = *defaults;
            return;
        }
        *self = Self {
            is_truthy: true,
            exact_librato: if self.librato.get().is_some() {
                self.exact_librato
            } else {
                defaults.exact_librato
            },
            librato: self.librato.or(defaults.librato),
            all: self.all.or(defaults.all),
            source: self.source.or(defaults.source),
            providers: self.providers.or(defaults.providers),
            consent: self.consent.or(defaults.consent),
            personas: self.personas.or(defaults.personas),
        };
    }
}

impl<'a> Entry<'a> {
    fn of(raw: Raw<'a>) -> Self {
        match Scalar::of(raw) {
            Scalar::Bool(on) => Self::Bool(on),
            Scalar::Object => Self::Object(raw.field("source")),
            Scalar::Array => Self::Object(None),
            _ => Self::Other,
        }
    }
}
