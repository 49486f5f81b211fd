//! An event, as far as this destination looks at it: borrowed from the request's body.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::{FirstMatch, Key, Scalar, key_matches};

/// One event. Fields that may hold anything are kept as written; a field given twice counts once,
/// with its last value, as in JavaScript.
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
    /// `sentAt`.
    pub sent_at: Option<&'a RawValue>,
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

impl<'de> Deserialize<'de> for Event<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EventVisitor;
        impl<'de> Visitor<'de> for EventVisitor {
            type Value = Event<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an event, which is a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut event = Event::default();
                while let Some(Key(key)) = map.next_key()? {
                    match key.as_ref() {
                        b"type" => event.kind = map.next_value()?,
                        b"event" => event.event = map.next_value()?,
                        b"name" => event.name = map.next_value()?,
                        b"category" => event.category = map.next_value()?,
                        b"userId" => event.user_id = map.next_value()?,
                        b"anonymousId" => event.anonymous_id = map.next_value()?,
                        b"messageId" => event.message_id = map.next_value()?,
                        b"timestamp" => event.timestamp = map.next_value()?,
                        b"sentAt" => event.sent_at = map.next_value()?,
                        b"writeKey" => event.write_key = map.next_value()?,
                        b"traits" => event.traits = map.next_value()?,
                        b"properties" => event.properties = map.next_value()?,
                        b"integrations" => event.integrations = map.next_value()?,
                        b"options" => event.options = map.next_value()?,
                        b"context" => event.context = map.next_value()?,
                        _ => _ = map.next_value::<IgnoredAny>()?,
                    }
                }
                Ok(event)
            }
        }
        deserializer.deserialize_map(EventVisitor)
    }
}

/// `properties`, of which only `value` is looked at.
#[derive(Debug, Default)]
pub struct Properties<'a> {
    value: FirstMatch<'a, &'a RawValue>,
}

impl<'a> Properties<'a> {
    /// The first key that is `value` but for case and punctuation.
    #[must_use]
    pub fn value(&self) -> Option<&'a RawValue> {
        self.value.get().copied()
    }
}

impl<'de> ObjectPart<'de> for Properties<'de> {
    fn entry<A: MapAccess<'de>>(
        &mut self,
        key: Cow<'de, [u8]>,
        map: &mut A,
    ) -> Result<(), A::Error> {
        if key_matches(&key, "value") {
            self.value.offer(key, map.next_value()?);
        } else {
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// `integrations`, `options` or `context`: what decides whether and under which source an event is
/// measured. In all three the same keys may stand.
#[derive(Debug, Clone, Default)]
pub struct Section<'a> {
    /// Whether JavaScript takes it for true: an object does, even an empty one, and an array.
    pub is_truthy: bool,
    exact_librato: Option<Entry<'a>>,
    librato: FirstMatch<'a, Entry<'a>>,
    all: FirstMatch<'a, Option<bool>>,
    source: FirstMatch<'a, &'a RawValue>,
    /// Read when it is asked for: it may hold another, and so on.
    providers: FirstMatch<'a, &'a RawValue>,
    /// `consent`, in a context.
    pub consent: Option<&'a RawValue>,
    /// `personas`, in a context: which Engage computation made the event.
    pub personas: Option<&'a RawValue>,
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

impl<'a> Section<'a> {
    /// The entry of this destination: `Librato` as written here, unless it holds nothing, else the
    /// first key that is the same but for case and punctuation.
    #[must_use]
    pub fn librato(&self) -> Option<Entry<'a>> {
        match self.exact_librato {
            Some(entry @ (Entry::Bool(_) | Entry::Object(_))) => Some(entry),
            _ => self.librato.get().copied(),
        }
    }

    /// The entry of `All`, when it is a boolean.
    #[must_use]
    pub fn all(&self) -> Option<bool> {
        self.all.get().copied().flatten()
    }

    /// `source`.
    #[must_use]
    pub fn source(&self) -> Option<&'a RawValue> {
        self.source.get().copied()
    }

    /// `providers`, the oldest place of `integrations`, unless it is empty in JavaScript's sense.
    #[must_use]
    pub fn providers(&self) -> Option<Self> {
        let raw = self.providers.get()?;
        serde_json::from_str(raw.get()).ok().filter(|section: &Self| section.is_truthy)
    }

    /// This section with the envelope's for what is not in it.
    #[must_use]
    pub fn with_defaults(self, defaults: &Self) -> Self {
        fn or<'a, T: Clone>(
            own: FirstMatch<'a, T>,
            other: &FirstMatch<'a, T>,
        ) -> FirstMatch<'a, T> {
            if own.get().is_some() { own } else { other.clone() }
        }
        if !self.is_truthy || !defaults.is_truthy {
            return if self.is_truthy { self } else { defaults.clone() };
        }
        Self {
            is_truthy: true,
            exact_librato: if self.librato.get().is_some() {
                self.exact_librato
            } else {
                defaults.exact_librato
            },
            librato: or(self.librato, &defaults.librato),
            all: or(self.all, &defaults.all),
            source: or(self.source, &defaults.source),
            providers: or(self.providers, &defaults.providers),
            consent: self.consent.or(defaults.consent),
            personas: self.personas.or(defaults.personas),
        }
    }
}

impl<'de> ObjectPart<'de> for Section<'de> {
    fn set_truthy(&mut self, is_truthy: bool) {
        self.is_truthy = is_truthy;
    }

    fn entry<A: MapAccess<'de>>(
        &mut self,
        key: Cow<'de, [u8]>,
        map: &mut A,
    ) -> Result<(), A::Error> {
        if key_matches(&key, "librato") {
            let entry = Entry::of(map.next_value()?);
            if *key == *b"Librato" {
                self.exact_librato = Some(entry);
            }
            self.librato.offer(key, entry);
        } else if key_matches(&key, "all") {
            let all = match Scalar::of(map.next_value()?) {
                Scalar::Bool(all) => Some(all),
                _ => None,
            };
            self.all.offer(key, all);
        } else if key_matches(&key, "source") {
            self.source.offer(key, map.next_value()?);
        } else if key_matches(&key, "providers") {
            self.providers.offer(key, map.next_value()?);
        } else if *key == *b"consent" {
            self.consent = map.next_value()?;
        } else if *key == *b"personas" {
            self.personas = map.next_value()?;
        } else {
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

impl<'a> Entry<'a> {
    fn of(raw: &'a RawValue) -> Self {
        match Scalar::of(raw) {
            Scalar::Bool(on) => Self::Bool(on),
            Scalar::Object => Self::Object(field(raw, "source")),
            Scalar::Array => Self::Object(None),
            _ => Self::Other,
        }
    }
}

/// One field of an object that has been kept as written.
#[must_use]
pub fn field<'a>(object: &'a RawValue, key: &str) -> Option<&'a RawValue> {
    struct Field<'k>(&'k str);
    impl<'de> Visitor<'de> for Field<'_> {
        type Value = Option<&'de RawValue>;
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some(Key(key)) = map.next_key()? {
                if *key == *self.0.as_bytes() {
                    found = map.next_value()?;
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }
    serde_json::Deserializer::from_str(object.get()).deserialize_map(Field(key)).ok().flatten()
}

/// A field that is looked into when it is an object, and only tells its truth when it is not.
trait ObjectPart<'de>: Default {
    fn entry<A: MapAccess<'de>>(
        &mut self,
        key: Cow<'de, [u8]>,
        map: &mut A,
    ) -> Result<(), A::Error>;

    fn set_truthy(&mut self, _is_truthy: bool) {}

    fn non_object(is_truthy: bool) -> Self {
        let mut part = Self::default();
        part.set_truthy(is_truthy);
        part
    }
}

struct PartVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: ObjectPart<'de>> Visitor<'de> for PartVisitor<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut part = T::non_object(true);
        while let Some(Key(key)) = map.next_key()? {
            part.entry(key, &mut map)?;
        }
        Ok(part)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(T::non_object(true))
    }
    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::non_object(false))
    }
    fn visit_bool<E>(self, value: bool) -> Result<T, E> {
        Ok(T::non_object(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<T, E> {
        Ok(T::non_object(value != 0))
    }
    fn visit_u64<E>(self, value: u64) -> Result<T, E> {
        Ok(T::non_object(value != 0))
    }
    fn visit_f64<E>(self, value: f64) -> Result<T, E> {
        Ok(T::non_object(value != 0.0))
    }
    fn visit_str<E>(self, value: &str) -> Result<T, E> {
        Ok(T::non_object(!value.is_empty()))
    }
}

macro_rules! deserialize_part {
    ($part:ident) => {
        impl<'de> Deserialize<'de> for $part<'de> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(PartVisitor(std::marker::PhantomData))
            }
        }
    };
}

deserialize_part!(Properties);
deserialize_part!(Section);
