//! Figures that add up: of a minute, of an hour, of all.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Millis;
use crate::delivery::Arrival;
use crate::destination::Class;

/// How often each of a few things happened. Their names are ours.
pub type Counts = BTreeMap<Cow<'static, str>, u64>;

/// Adds to one of the counts.
pub fn add(counts: &mut Counts, name: &'static str, count: u64) {
    if count > 0 {
        *counts.entry(Cow::Borrowed(name)).or_default() += count;
    }
}

/// What happened in a time. Events but for `requests`, `failed`, `refused_points` and `upstream`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Figures {
    /// Requests with events.
    pub requests: u64,
    /// Requests that were refused whole, by code.
    #[serde(skip_serializing_if = "Counts::is_empty")]
    pub failed: Counts,
    /// Events that came. Those of a request that failed come again.
    pub received: u64,
    /// Events that were accepted.
    pub accepted: u64,
    /// Accepted events that are in a measurement.
    pub measured: u64,
    /// The other accepted events, by the reason.
    #[serde(skip_serializing_if = "Counts::is_empty")]
    pub not_measured: Counts,
    /// Refused events, by code.
    #[serde(skip_serializing_if = "Counts::is_empty")]
    pub refused: Counts,
    /// Events that the destination has taken.
    pub delivered: u64,
    /// Points that it has refused of what it took.
    pub refused_points: u64,
    /// Events that could not be delivered from the queue and come again, at each try.
    pub kept: u64,
    /// When the oldest of these arrived, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_kept: Option<i64>,
    /// Events that were set aside, by the reason.
    #[serde(skip_serializing_if = "Counts::is_empty")]
    pub set_aside: Counts,
    /// Requests to the destination.
    pub upstream: Upstream,
    /// What counting has cost in requests to the object.
    pub flushes: u64,
    /// And in rows that it has written.
    pub rows: u64,
}

/// Requests to the destination.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Upstream {
    /// How many.
    pub requests: u64,
    /// What came of them: `2xx`, a status, `timeout` or `network`.
    #[serde(skip_serializing_if = "Counts::is_empty")]
    pub outcomes: Counts,
    /// How long they took.
    pub latency: Latency,
}

impl Figures {
    /// Adds the figures of another time.
    pub fn merge(&mut self, other: &Self) {
        let Self { requests, failed, received, accepted, measured, not_measured, refused, .. } = other;
        let Self { delivered, refused_points, kept, oldest_kept, set_aside, upstream, flushes, rows, .. } = other;
        self.requests += requests;
        self.received += received;
        self.accepted += accepted;
        self.measured += measured;
        self.delivered += delivered;
        self.refused_points += refused_points;
        self.kept += kept;
        self.flushes += flushes;
        self.rows += rows;
        self.oldest_kept = [self.oldest_kept, *oldest_kept].into_iter().flatten().min();
        self.upstream.requests += upstream.requests;
        for (all, more) in [
            (&mut self.failed, failed),
            (&mut self.not_measured, not_measured),
            (&mut self.refused, refused),
            (&mut self.set_aside, set_aside),
            (&mut self.upstream.outcomes, &upstream.outcomes),
        ] {
            for (name, count) in more {
                *all.entry(name.clone()).or_default() += count;
            }
        }
        self.upstream.latency.merge(&upstream.latency);
    }
}

impl Upstream {
    /// Takes what came of a request that took so long.
    pub fn record(&mut self, arrival: &Arrival, took: Millis) {
        let outcome = match arrival {
            Arrival::Answered(reply) if Class::of(reply.status) == Class::Success => Cow::Borrowed("2xx"),
            Arrival::Answered(reply) => Cow::Owned(reply.status.to_string()),
            Arrival::TimedOut => Cow::Borrowed("timeout"),
            Arrival::Lost => Cow::Borrowed("network"),
        };
        self.requests += 1;
        *self.outcomes.entry(outcome).or_default() += 1;
        self.latency.record(took);
    }
}

/// Upper ends of the ranges of latencies, in milliseconds; beyond the last there is one more.
pub const BOUNDS: [u32; 17] = [5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 750, 1_000, 2_000, 3_000, 5_000, 10_000];

/// A histogram of latencies. Two of them add up, as percentiles do not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// How many are in each range.
    pub counts: [u64; BOUNDS.len() + 1],
    /// All together, in milliseconds.
    pub sum: u64,
}

impl Latency {
    fn record(&mut self, took: Millis) {
        let took = u64::try_from(took).unwrap_or_default();
        let range = BOUNDS.iter().position(|bound| took <= u64::from(*bound)).unwrap_or(BOUNDS.len());
        if let Some(count) = self.counts.get_mut(range) {
            *count += 1;
        }
        self.sum += took;
    }

    fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum += other.sum;
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the milliseconds within which so many of a hundred were answered, evenly spread within a range. `None`
    /// where there are none.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> Option<f64> {
        let count = self.count();
        let wanted = (count * percent).div_ceil(100).max(1);
        let (mut below, mut begin) = (0, 0);
        for (count, end) in self.counts.iter().zip(BOUNDS) {
            if below + count >= wanted {
                let part = ratio(wanted - below, *count);
                return Some((f64::from(begin) + part * f64::from(end - begin)).round());
            }
            (below, begin) = (below + count, end);
        }
        (count > 0).then_some(begin.into())
    }
}

/// A quotient of two counts.
#[allow(clippy::cast_precision_loss)]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::Reply;

    #[test]
    fn percentiles_lie_in_the_range_of_what_they_are_about() {
        let mut latency = Latency::default();
        assert_eq!(latency.percentile(50), None);
        for took in [1, 2, 3, 4, 40, 40, 40, 40, 40, 20_000] {
            latency.record(took);
        }
        assert_eq!(latency.percentile(40), Some(5.0));
        assert_eq!(latency.percentile(50), Some(34.0));
        assert_eq!(latency.percentile(90), Some(50.0));
        assert_eq!(latency.percentile(99), Some(10_000.0));
        assert_eq!((latency.count(), latency.sum), (10, 20_210));
    }

    #[test]
    fn what_came_of_a_request_has_a_short_name() {
        let mut upstream = Upstream::default();
        let answered = |status| Arrival::Answered(Reply { status, ..Reply::default() });
        for arrival in [answered(200), answered(204), answered(400), Arrival::TimedOut, Arrival::Lost] {
            upstream.record(&arrival, 7);
        }
        let outcomes: Vec<_> = upstream.outcomes.iter().map(|(name, count)| (name.as_ref(), *count)).collect();
        assert_eq!(outcomes, [("2xx", 2), ("400", 1), ("network", 1), ("timeout", 1)]);
        assert_eq!((upstream.requests, upstream.latency.count()), (5, 5));
    }
}
