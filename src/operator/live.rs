//! The last events as they came: what a log line may not hold, so it is held in memory alone, and not for long.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::Millis;
use crate::json::serialize_number;
use crate::measurement::Measurement;

/// How many events the list holds.
const LENGTH: usize = 200;

/// Longest text of an event that is shown, in characters.
const MAX_TEXT: usize = 300;

/// An event, as far as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveEvent {
    /// When it arrived.
    pub at: Millis,
    /// Its type; of a request that was refused whole, the route.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name.
    pub name: Option<String>,
    /// The last characters of the write key.
    pub write_key: Option<String>,
    /// Name and version of the client library.
    pub library: Option<String>,
    /// What became of it.
    pub outcome: LiveOutcome,
    /// Its measurement.
    pub gauge: Option<LiveGauge>,
    /// Why it was refused, or not measured.
    pub code: Option<String>,
    /// The same in words.
    pub message: Option<String>,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LiveOutcome {
    /// It was accepted and is in a measurement.
    Measured,
    /// It was accepted, and there is nothing to measure.
    #[default]
    Accepted,
    /// It was refused.
    Refused,
}

/// A measurement, as far as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveGauge {
    name: String,
    source: String,
    #[serde(serialize_with = "serialize_number")]
    value: f64,
    time: i64,
}

impl LiveGauge {
    /// Returns what is shown of a measurement of one event.
    #[must_use]
    pub fn of(measurement: &Measurement) -> Self {
        let Measurement { name, source, time, samples, .. } = measurement;
        Self { name: name.to_string(), source: source.to_string(), value: samples.sum, time: *time }
    }
}

/// Returns the beginning of a text.
#[must_use]
pub fn shown(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

/// Returns what is shown of a write key: enough to tell two apart.
#[must_use]
pub fn shown_key(write_key: &str) -> Option<String> {
    let hidden = write_key.chars().count().saturating_sub(4);
    let last: String = write_key.chars().skip(hidden).collect();
    (!last.is_empty()).then(|| format!("…{last}"))
}

/// An event with its number.
#[derive(Debug, Serialize)]
pub struct Numbered {
    /// Later events have larger ones, also after the list was lost.
    pub number: u64,
    #[serde(flatten)]
    event: LiveEvent,
}

/// The list.
#[derive(Debug, Default)]
pub struct LiveList {
    events: VecDeque<Numbered>,
    /// The number of the last event.
    pub latest: u64,
}

impl LiveList {
    /// Takes events. The first number comes from the clock, so that a list that begins anew goes on.
    pub fn extend(&mut self, events: Vec<LiveEvent>, now: Millis) {
        if self.latest == 0 {
            self.latest = u64::try_from(now).unwrap_or_default() * 1_000;
        }
        for event in events {
            self.latest += 1;
            self.events.push_back(Numbered { number: self.latest, event });
        }
        self.events.drain(..self.events.len().saturating_sub(LENGTH));
    }

    /// Returns the events after a number, the oldest first.
    pub fn after(&self, number: u64) -> impl Iterator<Item = &Numbered> {
        self.events.iter().filter(move |event| event.number > number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_holds_the_last_ones_and_its_numbers_only_grow() {
        let event = |at| LiveEvent { at, ..LiveEvent::default() };
        let mut list = LiveList::default();
        list.extend((0..300).map(event).collect(), 1_000);
        assert_eq!(list.latest, 1_000_300);
        let first = list.after(0).next().map(|numbered| (numbered.number, numbered.event.at));
        assert_eq!(first, Some((1_000_101, 100)));
        assert_eq!(list.after(list.latest).count(), 0);
        assert_eq!(list.after(1_000_298).count(), 2);
        let mut anew = LiveList::default();
        anew.extend(vec![event(0)], 1_001);
        assert!(anew.latest > list.latest);
    }

    #[test]
    fn a_write_key_is_told_by_its_end() {
        for (key, told) in [("local", Some("…ocal")), ("", None), ("abc", Some("…abc")), ("ééééé", Some("…éééé"))]
        {
            assert_eq!(shown_key(key).as_deref(), told);
        }
    }
}
