//! What an isolate counts, until it is flushed.

use serde::{Deserialize, Serialize};

use super::figures::{Figures, add};
use super::lately::Lately;
use super::live::LiveEvent;
use super::metrics::{Events, Metrics};
use crate::Millis;
use crate::delivery::Outcome;
use crate::destination::PartialSuccess;
use crate::ingest;
use crate::measurement::Measurement;

/// How long an isolate counts before it flushes.
pub const FLUSH_AFTER: Millis = 5_000;
/// The same while nobody looks.
const FLUSH_AFTER_UNWATCHED: Millis = 15_000;

/// Most events that are shown of one flush: while somebody looks, and while nobody does.
const MAX_LIVE: usize = 200;
const MAX_LIVE_UNWATCHED: usize = 20;

/// Most minutes that wait for a flush. Beyond that, the last one takes what comes.
const MAX_MINUTES: usize = 60;

/// How old what it holds may be when a flush is sent again. The book remembers for longer which it knows.
const GIVEN_UP_AFTER: Millis = 3_600_000;

/// What was counted in a minute.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Minute {
    /// Its first second.
    pub start: i64,
    /// The figures.
    pub figures: Figures,
    /// What was delivered.
    pub metrics: Metrics,
}

/// What an isolate has counted since the flush before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flush {
    /// Which isolate.
    pub isolate: String,
    /// The number of the flush: one that was answered and whose answer was lost comes again with its number.
    pub sequence: u64,
    /// What was counted.
    pub minutes: Vec<Minute>,
    /// The last events.
    pub live: Vec<LiveEvent>,
}

/// The answer to a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Flushed {
    /// Whether somebody looks at the page.
    pub is_watched: bool,
}

/// The counters of an isolate.
#[derive(Debug, Default)]
pub struct Tally {
    /// What came of the last deliveries.
    pub lately: Lately,
    /// Whether anything else is counted.
    pub is_on: bool,
    /// Whether events are shown.
    pub shows_events: bool,
    minutes: Vec<Minute>,
    live: Vec<LiveEvent>,
    is_watched: bool,
    sequence: u64,
    /// The flush that was not answered yet.
    pending: Option<Flush>,
}

impl Tally {
    /// How many more events may be shown.
    #[must_use]
    pub fn room(&self) -> usize {
        let room = match (self.is_on && self.shows_events, self.is_watched) {
            (false, _) => 0,
            (true, false) => MAX_LIVE_UNWATCHED,
            (true, true) => MAX_LIVE,
        };
        room.saturating_sub(self.live.len())
    }

    /// Counts a request with events, by the code with which it was refused whole, if it was.
    pub fn request(&mut self, failed: Option<&'static str>, now: Millis) {
        let Some(Minute { figures, .. }) = self.minute(now) else { return };
        figures.requests += 1;
        if let Some(code) = failed {
            add(&mut figures.failed, code, 1);
        }
    }

    /// Counts the events of a request. Those of one that failed came, and will come again.
    pub fn events(&mut self, counts: &ingest::Counts, has_failed: bool, now: Millis) {
        let Some(Minute { figures, .. }) = self.minute(now) else { return };
        figures.received += counts.events as u64;
        if has_failed {
            return;
        }
        figures.accepted += counts.accepted as u64;
        figures.measured += counts.measured as u64;
        for (all, more) in [(&mut figures.not_measured, &counts.not_measured), (&mut figures.refused, &counts.rejected)]
        {
            for (code, count) in more {
                add(all, code, *count as u64);
            }
        }
    }

    /// Shows events, as many as there is room for.
    pub fn show(&mut self, events: impl IntoIterator<Item = LiveEvent>) {
        self.live.extend(events.into_iter().take(self.room()));
    }

    /// Takes what came of a delivery.
    pub fn delivered(
        &mut self,
        measurements: &[Measurement],
        outcomes: &[Outcome],
        partial: Option<&PartialSuccess>,
        now: Millis,
    ) {
        self.lately.record(outcomes, partial, now);
        let Some(Minute { figures, metrics, .. }) = self.minute(now) else { return };
        figures.refused_points += partial.map_or(0, |partial| partial.rejected_points);
        for (Measurement { name, source, samples, .. }, outcome) in measurements.iter().zip(outcomes) {
            if *outcome == Outcome::Delivered {
                let events = Events { count: samples.count, sum: samples.sum, last: now.div_euclid(1_000) };
                figures.delivered += samples.count;
                metrics.add(name, source, events);
            }
        }
    }

    /// Returns the figures of the present minute; `None` where nothing is counted.
    pub fn figures(&mut self, now: Millis) -> Option<&mut Figures> {
        self.minute(now).map(|minute| &mut minute.figures)
    }

    fn minute(&mut self, now: Millis) -> Option<&mut Minute> {
        if !self.is_on {
            return None;
        }
        let start = now.div_euclid(60_000) * 60;
        let is_there = self.minutes.last().is_some_and(|minute| minute.start == start);
        if !is_there && self.minutes.len() < MAX_MINUTES {
            self.minutes.push(Minute { start, ..Minute::default() });
        }
        self.minutes.last_mut()
    }

    /// How long to count before the next flush. The first one comes soon: it finds out whether somebody looks.
    #[must_use]
    pub fn pause(&self) -> Millis {
        if self.is_watched || self.sequence == 0 { FLUSH_AFTER } else { FLUSH_AFTER_UNWATCHED }
    }

    /// Returns whether there is anything to flush.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.pending.is_some() || !self.minutes.is_empty()
    }

    /// Returns what is to be flushed now: what was not answered, as it was, or else what was counted since. `isolate`
    /// names the isolate.
    pub fn flush(&mut self, isolate: u64, now: Millis) -> Option<&Flush> {
        let last = self.pending.as_ref().and_then(|flush| flush.minutes.last());
        if last.is_some_and(|minute| now - minute.start * 1_000 > GIVEN_UP_AFTER) {
            self.pending = None;
        }
        if self.pending.is_none() && !self.minutes.is_empty() {
            self.sequence += 1;
            let (minutes, live) = (std::mem::take(&mut self.minutes), std::mem::take(&mut self.live));
            let isolate = format!("{isolate:x}");
            self.pending = Some(Flush { isolate, sequence: self.sequence, minutes, live });
        }
        self.pending.as_ref()
    }

    /// Takes the answer to the flush of this number.
    pub fn flushed(&mut self, sequence: u64, answer: Flushed) {
        if self.pending.as_ref().is_some_and(|flush| flush.sequence == sequence) {
            self.pending = None;
        }
        self.is_watched = answer.is_watched;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Millis = 60_000;

    fn on() -> Tally {
        Tally { is_on: true, shows_events: true, ..Tally::default() }
    }

    #[test]
    fn nothing_is_counted_while_it_is_off() {
        let mut tally = Tally::default();
        tally.request(None, 0);
        tally.events(&ingest::Counts { events: 1, ..ingest::Counts::default() }, false, 0);
        assert!(tally.figures(0).is_none() && !tally.is_due());
        assert_eq!((tally.room(), tally.flush(1, 0)), (0, None));
    }

    #[test]
    fn a_flush_is_the_same_until_it_is_answered() {
        let mut tally = on();
        tally.request(Some("malformed_json"), 59_999);
        tally.request(None, MINUTE);
        let first = tally.flush(10, MINUTE).cloned().unwrap();
        assert_eq!((first.isolate.as_str(), first.sequence), ("a", 1));
        let starts: Vec<_> = first.minutes.iter().map(|minute| (minute.start, minute.figures.requests)).collect();
        assert_eq!(starts, [(0, 1), (60, 1)]);
        tally.request(None, 2 * MINUTE);
        assert_eq!(tally.flush(10, 3 * MINUTE), Some(&first));
        tally.flushed(1, Flushed { is_watched: false });
        let second = tally.flush(10, 3 * MINUTE).cloned().unwrap();
        assert_eq!((second.sequence, second.minutes.len()), (2, 1));
        // The answer to another changes nothing.
        tally.flushed(1, Flushed { is_watched: true });
        assert!(tally.is_due());
        assert_eq!(tally.flush(10, GIVEN_UP_AFTER + 4 * MINUTE), None);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut tally = on();
        for minute in 0..1_000 {
            tally.request(None, minute * MINUTE);
            tally.show([LiveEvent::default(), LiveEvent::default()]);
        }
        let flush = tally.flush(1, 0).unwrap();
        assert_eq!(flush.minutes.len(), MAX_MINUTES);
        assert_eq!(flush.minutes.iter().map(|minute| minute.figures.requests).sum::<u64>(), 1_000);
        assert_eq!(flush.live.len(), MAX_LIVE_UNWATCHED);
        tally.flushed(1, Flushed { is_watched: true });
        assert_eq!((tally.room(), tally.pause()), (MAX_LIVE, FLUSH_AFTER));
        tally.flushed(1, Flushed { is_watched: false });
        assert_eq!((tally.room(), tally.pause()), (MAX_LIVE_UNWATCHED, FLUSH_AFTER_UNWATCHED));
    }
}
