//! What the operator's object knows: all figures, in memory and as rows.
//!
//! It is read from its rows when the object begins, and says after each question which of them are to be written.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::answers::{self, Range};
use super::figures::Figures;
use super::live::LiveList;
use super::metrics::Metrics;
use super::tally::{Flush, Flushed, Minute};
use crate::Millis;

/// Seconds of a half-hour.
pub(super) const HALF: i64 = 1_800;

/// For how many half-hours it is known what was delivered, and for how many the figures.
pub(super) const METRICS_HALVES: i64 = 48;
const HALVES: i64 = 30 * 48;

/// Seconds for which minutes are held at least: the hour that is shown, and what comes late.
const MINUTES_HELD: i64 = 3_900;

/// Most names whose first appearance is remembered, and for how many seconds after the last.
const MAX_NAMES: usize = 2_000;
const NAMES_REMEMBERED: i64 = 30 * 86_400;

/// How long somebody looks at the page after having asked, in milliseconds.
const WATCHED: Millis = 30_000;

/// A question to the object.
#[derive(Debug, Serialize, Deserialize)]
pub enum Question {
    /// Takes what an isolate has counted. Answered by [`Flushed`].
    Flush(Flush),
    /// The figures of a time. Answered by [`answers::Flow`].
    Flow(Range),
    /// What was delivered in the last day.
    Metrics,
    /// The events after a number.
    Live(u64),
    /// All figures since the object began. Answered by [`Totals`].
    Totals,
}

/// All figures since the object began.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Totals {
    /// When that was, in seconds.
    pub since: i64,
    /// The figures.
    pub figures: Figures,
    /// When the oldest of the events arrived that wait for a further try, in seconds.
    pub oldest: Option<i64>,
}

/// A change of the rows.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// A row of this kind and key is to have this text.
    Put(&'static str, i64, String),
    /// Those of this kind before a key are to go, of which there are so many.
    Forget(&'static str, i64, usize),
}

impl Change {
    /// Returns how many rows it writes; the platform counts one that goes as written.
    fn rows(&self) -> u64 {
        match self {
            Self::Put(..) => 1,
            Self::Forget(_, _, rows) => *rows as u64,
        }
    }
}

/// Kinds of rows.
const MINUTE: &str = "minute";
const HALF_HOUR: &str = "half";
const SUM: &str = "sum";
const NAMES: &str = "names";

/// A minute, with the last flush in it of each isolate.
#[derive(Debug, Default, Serialize, Deserialize)]
struct MinuteRow {
    minute: Minute,
    flushes: BTreeMap<String, u64>,
}

/// A half-hour that is over.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Half {
    pub(super) figures: Figures,
    #[serde(default)]
    pub(super) metrics: Metrics,
}

/// The sum of all that is over.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Sum {
    /// When the object began.
    since: i64,
    /// Before which second all minutes are in half-hours.
    folded: i64,
    figures: Figures,
}

/// When a name was delivered first and last.
type Names = BTreeMap<String, (i64, i64)>;

/// The book.
#[derive(Debug, Default)]
pub struct Book {
    minutes: BTreeMap<i64, MinuteRow>,
    halves: BTreeMap<i64, Half>,
    sum: Sum,
    names: Names,
    /// The last flush of each isolate that is known.
    flushes: HashMap<String, u64>,
    live: LiveList,
    watched_until: Millis,
}

impl Book {
    /// Takes a row. One that cannot be read is left out.
    pub fn load(&mut self, kind: &str, key: i64, text: &str) {
        match kind {
            MINUTE => {
                let Ok(row) = serde_json::from_str::<MinuteRow>(text) else { return };
                for (isolate, sequence) in &row.flushes {
                    remember(&mut self.flushes, isolate, *sequence);
                }
                note(&mut self.names, &row.minute);
                self.minutes.insert(key, row);
            }
            HALF_HOUR => _ = serde_json::from_str(text).map(|half| self.halves.insert(key, half)),
            SUM => self.sum = serde_json::from_str(text).unwrap_or_default(),
            NAMES => {
                for (name, (first, last)) in serde_json::from_str::<Names>(text).unwrap_or_default() {
                    let known = self.names.entry(name).or_insert((first, last));
                    *known = (known.0.min(first), known.1.max(last));
                }
            }
            _ => {}
        }
    }

    /// Answers a question. The changes are to be written before the answer is given.
    pub fn ask(&mut self, question: Question, now: Millis) -> (Vec<u8>, Vec<Change>) {
        let second = now.div_euclid(1_000);
        let mut changes = Vec::new();
        if let Question::Flow(_) | Question::Metrics | Question::Live(_) = question {
            self.watched_until = now + WATCHED;
        }
        let answer = match question {
            Question::Flush(flush) => {
                changes = self.take(flush, now);
                serde_json::to_vec(&Flushed { is_watched: now < self.watched_until })
            }
            Question::Flow(range) => serde_json::to_vec(&answers::flow(self, range, second)),
            Question::Metrics => serde_json::to_vec(&answers::metrics(self, second)),
            Question::Live(after) => serde_json::to_vec(&answers::live(&self.live, after)),
            Question::Totals => serde_json::to_vec(&self.totals(second)),
        };
        // Texts and finite numbers can be written.
        (answer.unwrap_or_default(), changes)
    }

    /// Takes a flush, unless it is known.
    fn take(&mut self, flush: Flush, now: Millis) -> Vec<Change> {
        let Flush { isolate, sequence, minutes, live } = flush;
        let second = now.div_euclid(1_000);
        if self.flushes.get(&isolate).is_some_and(|known| *known >= sequence) {
            return Vec::new();
        }
        let mut changes = self.fold(second);
        let present = second - second.rem_euclid(60);
        let mut starts = BTreeSet::new();
        for mut minute in minutes {
            minute.start = minute.start.min(present).max(self.sum.folded);
            note(&mut self.names, &minute);
            let row = self.minutes.entry(minute.start).or_default();
            row.minute.start = minute.start;
            row.minute.figures.merge(&minute.figures);
            row.minute.metrics.merge(&minute.metrics);
            starts.insert(minute.start);
        }
        if let Some(row) = starts.last().and_then(|start| self.minutes.get_mut(start)) {
            // In the row that is held longest.
            row.flushes.insert(isolate.clone(), sequence);
            row.minute.figures.flushes += 1;
            row.minute.figures.rows += changes.iter().map(Change::rows).sum::<u64>() + starts.len() as u64;
        }
        let rows = starts.iter().filter_map(|start| Some((*start, written(self.minutes.get(start)?))));
        changes.extend(rows.map(|(start, text)| Change::Put(MINUTE, start, text)));
        remember(&mut self.flushes, &isolate, sequence);
        self.live.extend(live, now);
        changes
    }

    /// Makes half-hours of minutes that are no longer shown.
    fn fold(&mut self, second: i64) -> Vec<Change> {
        let end = second - MINUTES_HELD;
        let end = end - end.rem_euclid(HALF);
        if self.sum.since == 0 {
            self.sum = Sum { since: second, folded: end, ..Sum::default() };
            return vec![Change::Put(SUM, 0, written(&self.sum))];
        }
        if end <= self.sum.folded {
            return Vec::new();
        }
        self.sum.folded = end;
        let later = self.minutes.split_off(&end);
        let over = std::mem::replace(&mut self.minutes, later);
        let mut touched = Vec::new();
        let minutes_over = over.len();
        for (start, MinuteRow { minute, flushes }) in over {
            let begin = start - start.rem_euclid(HALF);
            let half = self.halves.entry(begin).or_default();
            half.figures.merge(&minute.figures);
            half.metrics.merge(&minute.metrics);
            self.sum.figures.merge(&minute.figures);
            touched.push(begin);
            for (isolate, sequence) in flushes {
                // One that has flushed since is known by that.
                if self.flushes.get(&isolate) == Some(&sequence) {
                    self.flushes.remove(&isolate);
                }
            }
        }
        for (begin, half) in self.halves.range_mut(..end - METRICS_HALVES * HALF) {
            if !half.metrics.names.is_empty() {
                half.metrics = Metrics::default();
                touched.push(*begin);
            }
        }
        let first = end - HALVES * HALF;
        let halves_held = self.halves.split_off(&first);
        let halves_over = std::mem::replace(&mut self.halves, halves_held).len();
        self.names.retain(|_, (_, last)| *last > second - NAMES_REMEMBERED);
        touched.sort_unstable();
        touched.dedup();
        let halves = touched.iter().filter_map(|begin| Some((*begin, written(self.halves.get(begin)?))));
        let mut changes: Vec<_> = halves.map(|(begin, text)| Change::Put(HALF_HOUR, begin, text)).collect();
        changes.push(Change::Put(SUM, 0, written(&self.sum)));
        changes.push(Change::Put(NAMES, 0, written(&self.names)));
        changes.push(Change::Forget(MINUTE, end, minutes_over));
        changes.push(Change::Forget(HALF_HOUR, first, halves_over));
        changes
    }

    fn totals(&self, second: i64) -> Totals {
        let mut figures = self.sum.figures.clone();
        for minute in self.minutes() {
            figures.merge(&minute.figures);
        }
        Totals { since: self.sum.since, figures, oldest: self.oldest(second) }
    }

    /// Returns when the oldest of the events arrived whose delivery failed lately. What is kept comes again within five
    /// minutes, unless the destination wants a longer pause.
    pub(super) fn oldest(&self, second: i64) -> Option<i64> {
        let lately = self.minutes.range(second - 360..);
        lately.filter_map(|(_, row)| row.minute.figures.oldest_kept).min()
    }

    /// Returns the minutes that are held.
    pub(super) fn minutes(&self) -> impl Iterator<Item = &Minute> {
        self.minutes.values().map(|row| &row.minute)
    }

    /// Returns the half-hours that are over, by their first seconds.
    pub(super) fn halves(&self) -> impl Iterator<Item = (i64, &Half)> {
        self.halves.iter().map(|(begin, half)| (*begin, half))
    }

    /// Returns when a name was delivered first, where that is known.
    pub(super) fn first_seen(&self, name: &str) -> Option<i64> {
        self.names.get(name).map(|(first, _)| *first)
    }
}

fn written(row: &impl Serialize) -> String {
    serde_json::to_string(row).unwrap_or_default()
}

fn remember(flushes: &mut HashMap<String, u64>, isolate: &str, sequence: u64) {
    let known = flushes.entry(isolate.to_owned()).or_default();
    *known = sequence.max(*known);
}

/// Notes the names of a minute. Once there are too many, new ones stay new.
fn note(names: &mut Names, minute: &Minute) {
    for (name, sources) in &minute.metrics.names {
        let last = sources.values().map(|events| events.last).max().unwrap_or(minute.start);
        if let Some(known) = names.get_mut(name) {
            *known = (known.0.min(minute.start), known.1.max(last));
        } else if names.len() < MAX_NAMES {
            names.insert(name.clone(), (minute.start, last));
        }
    }
}
