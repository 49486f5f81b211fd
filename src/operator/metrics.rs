//! Which metrics are delivered, by name and source.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Most pairs of a name and a source that are counted at once. A write key is public: whoever has one may invent names.
pub const MAX_PAIRS: usize = 500;

/// Events of one metric and source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Events {
    /// How many.
    pub count: u64,
    /// The sum of their values.
    pub sum: f64,
    /// When the last was delivered, in seconds.
    pub last: i64,
}

/// Events by metric and source, within a bound.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metrics {
    /// By name, then by source.
    pub names: BTreeMap<String, BTreeMap<String, Events>>,
    /// Whether there were more.
    pub is_truncated: bool,
}

impl Metrics {
    /// Counts events of a metric and source. Beyond the bound, those of new ones are not counted.
    pub fn add(&mut self, name: &str, source: &str, events: Events) {
        if let Some(held) = self.names.get_mut(name).and_then(|sources| sources.get_mut(source)) {
            held.merge(events);
        } else if self.pairs() < MAX_PAIRS {
            self.names.entry(name.to_owned()).or_default().insert(source.to_owned(), events);
        } else {
            self.is_truncated = true;
        }
    }

    /// Adds those of another time. Beyond the bound, those with most events are kept: a flood of invented names does
    /// not displace what is in use.
    pub fn merge(&mut self, other: &Self) {
        self.is_truncated |= other.is_truncated;
        for (name, source, events) in other.iter() {
            let sources = self.names.entry(name.to_owned()).or_default();
            sources.entry(source.to_owned()).or_default().merge(events);
        }
        let pairs = self.pairs();
        if pairs <= MAX_PAIRS {
            return;
        }
        self.is_truncated = true;
        let mut counts: Vec<u64> = self.iter().map(|(_, _, events)| events.count).collect();
        let (_, least, _) = counts.select_nth_unstable(pairs - MAX_PAIRS);
        let least = *least;
        // Of those that have as many as the least that is kept, as many as there is room for.
        let mut equal = MAX_PAIRS - counts.iter().filter(|count| **count > least).count();
        for sources in self.names.values_mut() {
            sources.retain(|_, events| {
                let is_kept = events.count > least || events.count == least && equal > 0;
                equal -= usize::from(is_kept && events.count == least);
                is_kept
            });
        }
        self.names.retain(|_, sources| !sources.is_empty());
    }

    /// Returns name, source and events of each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, Events)> {
        self.names.iter().flat_map(|(name, sources)| {
            sources.iter().map(|(source, events)| (name.as_str(), source.as_str(), *events))
        })
    }

    /// How many pairs there are.
    fn pairs(&self) -> usize {
        self.names.values().map(BTreeMap::len).sum()
    }
}

impl Events {
    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.last = self.last.max(other.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_with_most_events_are_kept() {
        let mut metrics = Metrics::default();
        let events = |count| Events { count, sum: 1.0, last: 5 };
        for place in 0..MAX_PAIRS + 9 {
            metrics.add(&format!("flood-{place}"), "s", events(1));
        }
        assert_eq!(metrics.pairs(), MAX_PAIRS);
        assert!(metrics.is_truncated);
        let mut used = Metrics::default();
        used.add("used", "s", events(2));
        used.add("used", "t", events(7));
        used.add("used", "t", Events { count: 1, sum: 2.0, last: 4 });
        metrics.merge(&used);
        assert_eq!(metrics.pairs(), MAX_PAIRS);
        let of_used: Vec<_> = metrics.iter().filter(|(name, _, _)| *name == "used").collect();
        assert_eq!(of_used, [("used", "s", events(2)), ("used", "t", Events { count: 8, sum: 3.0, last: 5 })]);
    }
}
