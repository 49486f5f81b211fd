//! An event, as far as this destination looks at it: borrowed from the request's body.

use serde::de::MapAccess;
use serde_json::value::RawValue;

use crate::json::read::{Pass, Target, Value};
use crate::json::{self, FirstMatch, Key, Scalar, key_matches};

/// One event. Fields that may hold anything are kept as written; a field given twice counts once, with its last value,
/// as in JavaScript.
#[derive(Debug, Default)]
pub struct Event<'a> {
    /// `type`.
    pub kind: Option<&'a RawValue>,
    /// `event`, the name of a Track call.
    pub event: Option<&'a RawValue>,
    /// `name` of a Page call.
    pub name: Option<&'a RawValue>,
    /// `category` of a Page call.
    pub category: Option<&'a RawValue>,
    /// `userId`.
    pub user_id: Option<&'a RawValue>,
    /// `anonymousId`.
    pub anonymous_id: Option<&'a RawValue>,
    /// `messageId`.
    pub message_id: Option<&'a RawValue>,
    /// `timestamp`.
    pub timestamp: Option<&'a RawValue>,
    /// `originalTimestamp`, by the sender's clock.
    pub original_timestamp: Option<&'a RawValue>,
    /// `sentAt`.
    pub sent_at: Option<&'a RawValue>,
    /// `receivedAt`, where it has been through another pipeline.
    pub received_at: Option<&'a RawValue>,
    /// `writeKey`.
    pub write_key: Option<&'a RawValue>,
    /// `traits` of an Identify call.
    pub traits: Option<&'a RawValue>,
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
    /// Takes a member of the event's object.
    pub(super) fn member<A: MapAccess<'a>>(&mut self, key: &Key<'a>, value: Value<'_, A>) -> Result<(), A::Error> {
        let slot = match key.bytes() {
            b"type" => &mut self.kind,
            b"event" => &mut self.event,
            b"name" => &mut self.name,
            b"category" => &mut self.category,
            b"userId" => &mut self.user_id,
            b"anonymousId" => &mut self.anonymous_id,
            b"messageId" => &mut self.message_id,
            b"timestamp" => &mut self.timestamp,
            b"originalTimestamp" => &mut self.original_timestamp,
            b"sentAt" => &mut self.sent_at,
            b"receivedAt" => &mut self.received_at,
            b"writeKey" => &mut self.write_key,
            b"traits" => &mut self.traits,
            b"properties" => return value.read(&mut self.properties),
            b"integrations" => return value.read(&mut self.integrations),
            b"options" => return value.read(&mut self.options),
            b"context" => return value.read(&mut self.context),
            _ => return value.skip(),
        };
        value.keep(slot)
    }
}

/// `properties`, of which only `value` is looked at.
#[derive(Debug, Clone, Default)]
pub struct Properties<'a> {
    value: FirstMatch<'a, &'a RawValue>,
}

impl<'a> Properties<'a> {
    /// Returns the first key that is `value` but for case and punctuation.
    #[must_use]
    pub fn value(&self) -> Option<&'a RawValue> {
        self.value.get()
    }
}

impl<'a> Target<'a> for Properties<'a> {
    type Element = ();

    fn member<A: MapAccess<'a>>(&mut self, key: Key<'a>, value: Value<'_, A>) -> Result<(), A::Error> {
        if !key_matches(key.bytes(), "value") {
            return value.skip();
        }
        self.value.offer(key, value.raw()?);
        Ok(())
    }

    fn other(&mut self, _: bool) {}
}

/// `integrations`, `options` or `context`: what decides whether and under which source an event is measured. In all
/// three the same keys may stand.
#[derive(Debug, Clone, Default)]
pub struct Section<'a> {
    /// Whether JavaScript takes it for true: an object does, even an empty one, and an array.
    pub is_truthy: bool,
    /// In a place of its own: most events have none of it, and a batch holds thousands of sections.
    loose: Option<Box<LooseKeys<'a>>>,
    /// `consent`, in a context.
    pub consent: Option<&'a RawValue>,
    /// `personas`, in a context: which Engage computation made the event.
    pub personas: Option<&'a RawValue>,
    /// `library`, in a context: which client sent the event.
    pub library: Option<&'a RawValue>,
}

/// The keys of a section that match whatever their case.
#[derive(Debug, Clone, Default)]
struct LooseKeys<'a> {
    exact_librato: Option<Entry<'a>>,
    librato: FirstMatch<'a, Entry<'a>>,
    all: FirstMatch<'a, Option<bool>>,
    source: FirstMatch<'a, &'a RawValue>,
    /// Read when it is asked for: it may hold another, and so on.
    providers: FirstMatch<'a, &'a RawValue>,
}

/// What stands under `Librato`.
#[derive(Debug, Clone, Copy)]
pub enum Entry<'a> {
    /// On or off.
    Bool(bool),
    /// Options, of which only `source` counts; its key is exact.
    Object(Option<&'a RawValue>),
    /// `null`, or what has no meaning here.
    Other,
}

impl<'a> Target<'a> for Section<'a> {
    type Element = ();

    fn object(&mut self) {
        self.is_truthy = true;
    }

    fn member<A: MapAccess<'a>>(&mut self, key: Key<'a>, value: Value<'_, A>) -> Result<(), A::Error> {
        let name = key.bytes();
        let matches = |wanted| key_matches(name, wanted);
        // Nearly all keys are none of these, which their first letter tells.
        match name.iter().find(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase) {
            Some(b'l') if matches("librato") => {
                let entry = Entry::of(value.raw()?);
                let keys = self.loose_keys();
                if name == b"Librato" {
                    keys.exact_librato = Some(entry);
                }
                keys.librato.offer(key, entry);
            }
            Some(b'a') if matches("all") => {
                let all = match Scalar::of(value.raw()?) {
                    Scalar::Bool(all) => Some(all),
                    _ => None,
                };
                self.loose_keys().all.offer(key, all);
            }
            Some(b's') if matches("source") => self.loose_keys().source.offer(key, value.raw()?),
            Some(b'p') if matches("providers") => self.loose_keys().providers.offer(key, value.raw()?),
            Some(b'c') if name == b"consent" => return value.keep(&mut self.consent),
            Some(b'p') if name == b"personas" => return value.keep(&mut self.personas),
            Some(b'l') if name == b"library" => return value.keep(&mut self.library),
            _ => return value.skip(),
        }
        Ok(())
    }

    fn other(&mut self, is_truthy: bool) {
        self.is_truthy = is_truthy;
    }
}

impl<'a> Section<'a> {
    fn loose_keys(&mut self) -> &mut LooseKeys<'a> {
        self.loose.get_or_insert_default()
    }

    /// Returns the entry of this destination: `Librato` as written here, unless it holds nothing, else the first key
    /// that is the same but for case and punctuation.
    #[must_use]
    pub fn librato(&self) -> Option<Entry<'a>> {
        let keys = self.loose.as_ref()?;
        match keys.exact_librato {
            Some(entry @ (Entry::Bool(_) | Entry::Object(_))) => Some(entry),
            _ => keys.librato.get(),
        }
    }

    /// Returns the entry of `All`, when it is a boolean.
    #[must_use]
    pub fn all(&self) -> Option<bool> {
        self.loose.as_ref()?.all.get()?
    }

    /// Returns `source`.
    #[must_use]
    pub fn source(&self) -> Option<&'a RawValue> {
        self.loose.as_ref()?.source.get()
    }

    /// Returns `providers`, the oldest place of `integrations`, unless it is empty in JavaScript's sense.
    #[must_use]
    pub fn providers(&self) -> Option<Self> {
        let section: Self = Pass::read(self.loose.as_ref()?.providers.get()?.get(), true).ok()?;
        section.is_truthy.then_some(section)
    }

    /// Fills unset fields from the batch envelope.
    pub fn apply_defaults(&mut self, defaults: &Self) {
        if !defaults.is_truthy {
            return;
        }
        if !self.is_truthy {
            self.clone_from(defaults);
            return;
        }
        if let Some(defaults) = &defaults.loose {
            self.loose_keys().apply_defaults(defaults);
        }
        self.consent = self.consent.or(defaults.consent);
        self.personas = self.personas.or(defaults.personas);
        self.library = self.library.or(defaults.library);
    }
}

impl LooseKeys<'_> {
    /// Fills unset fields from those of the batch envelope.
    fn apply_defaults(&mut self, defaults: &Self) {
        if self.librato.get().is_none() {
            self.exact_librato = defaults.exact_librato;
        }
        self.librato.fill_from(&defaults.librato);
        self.all.fill_from(&defaults.all);
        self.source.fill_from(&defaults.source);
        self.providers.fill_from(&defaults.providers);
    }
}

impl<'a> Entry<'a> {
    fn of(raw: &'a RawValue) -> Self {
        match Scalar::of(raw) {
            Scalar::Bool(on) => Self::Bool(on),
            Scalar::Object => Self::Object(json::field(raw, "source")),
            Scalar::Array => Self::Object(None),
            _ => Self::Other,
        }
    }
}
