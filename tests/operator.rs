//! The operator's figures, from the isolates that count to the object's rows and answers.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use librato_edge::Millis;
use librato_edge::delivery::Outcome;
use librato_edge::ingest::Counts;
use librato_edge::measurement::{Measurement, Samples};
use librato_edge::operator::answers::Range;
use librato_edge::operator::book::{Book, Change, Question, Totals};
use librato_edge::operator::live::LiveEvent;
use librato_edge::operator::prometheus::{self, Present};
use librato_edge::operator::tally::{Flush, Flushed, Tally};
use proptest::prelude::*;
use serde_json::{Value, json};

const START: Millis = 1_795_000_000_000;
const MINUTE: Millis = 60_000;

/// The object: a book, and the rows of which it can be read anew.
#[derive(Default)]
struct Object {
    book: Book,
    rows: BTreeMap<(&'static str, i64), String>,
}

impl Object {
    fn ask(&mut self, question: Question, now: Millis) -> Vec<u8> {
        let (answer, changes) = self.book.ask(question, now);
        for change in changes {
            match change {
                Change::Put(kind, key, text) => _ = self.rows.insert((kind, key), text),
                Change::Forget(kind, before, _) => self.rows.retain(|(other, key), _| *other != kind || *key >= before),
            }
        }
        answer
    }

    fn json(&mut self, question: Question, now: Millis) -> Value {
        serde_json::from_slice(&self.ask(question, now)).unwrap()
    }

    fn totals(&mut self, now: Millis) -> Totals {
        serde_json::from_slice(&self.ask(Question::Totals, now)).unwrap()
    }

    fn flush(&mut self, tally: &mut Tally, now: Millis) -> Flush {
        let flush = tally.flush(7, now).unwrap().clone();
        let answer: Flushed = serde_json::from_slice(&self.ask(Question::Flush(flush.clone()), now)).unwrap();
        tally.flushed(flush.sequence, answer);
        flush
    }

    fn begin_anew(&mut self) {
        self.book = Book::default();
        for ((kind, key), text) in &self.rows {
            self.book.load(kind, *key, text);
        }
    }
}

fn tally() -> Tally {
    let mut tally = Tally::default();
    (tally.is_on, tally.shows_events) = (true, true);
    tally
}

fn measurement(name: &str, count: u64) -> Measurement {
    let samples = Samples { count, ..Samples::one(2.0) };
    Measurement { name: name.into(), display_name: name.into(), source: "s".into(), time: 0, samples }
}

/// What becomes of a flush on its way.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Answered,
    AnswerLost,
    Lost,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![3 => Just(Fate::Answered), 1 => Just(Fate::AnswerLost), 1 => Just(Fate::Lost)]
}

proptest! {
    /// Whatever is lost on the way and however often the object begins anew, a flush that came counts once, in all
    /// answers, and writes a row for each of its minutes.
    #[test]
    fn a_flush_counts_once(
        steps in prop::collection::vec((0..3_usize, 0..2_000_i64, 1..9_u64, fate(), any::<bool>()), 1..25),
    ) {
        let mut object = Object::default();
        let mut tallies = [tally(), tally(), tally()];
        let (mut now, mut known, mut expected, mut written) = (START, BTreeSet::new(), 0, 0_u64);
        for (place, seconds, events, fate, is_new) in steps {
            now += seconds * 1_000;
            if is_new {
                object.begin_anew();
            }
            let tally = &mut tallies[place];
            tally.delivered(&[measurement("m", events)], &[Outcome::Delivered], None, now);
            let flush = tally.flush(place as u64, now).unwrap().clone();
            if fate == Fate::Lost {
                continue;
            }
            if known.insert((place, flush.sequence)) {
                expected += flush.minutes.iter().map(|minute| minute.figures.delivered).sum::<u64>();
            }
            let (answer, changes) = object.book.ask(Question::Flush(flush.clone()), now);
            let minutes = changes.iter().filter(|change| matches!(change, Change::Put("minute", ..))).count();
            prop_assert!(minutes <= flush.minutes.len());
            for change in changes {
                match change {
                    Change::Put(kind, key, text) => {
                        object.rows.insert((kind, key), text);
                        written += 1;
                    }
                    Change::Forget(kind, before, _) => {
                        let held = object.rows.len();
                        object.rows.retain(|(other, key), _| *other != kind || *key >= before);
                        written += (held - object.rows.len()) as u64;
                    }
                }
            }
            if fate == Fate::Answered {
                tallies[place].flushed(flush.sequence, serde_json::from_slice(&answer).unwrap());
            }
        }
        object.begin_anew();
        let figures = object.totals(now).figures;
        prop_assert_eq!((figures.delivered, figures.rows), (expected, written));
        let flow = object.json(Question::Flow(Range::Month), now);
        let buckets = flow["buckets"].as_array().unwrap();
        let delivered = buckets.iter().map(|bucket| bucket["delivered"].as_u64().unwrap()).sum::<u64>();
        prop_assert_eq!((buckets.len(), delivered), (720, expected));
        let metrics = object.json(Question::Metrics, now);
        let series = metrics["metrics"][0]["series"].as_array();
        let of_series = series.map_or(0, |series| series.iter().map(|count| count.as_u64().unwrap()).sum());
        let in_a_day = metrics["metrics"][0]["events"].as_u64().unwrap_or_default();
        prop_assert_eq!(of_series, in_a_day);
        prop_assert!(in_a_day <= expected);
    }
}

#[test]
fn rows_are_one_a_minute_then_one_a_half_hour_and_nothing_after_a_month() {
    let mut object = Object::default();
    let mut tally = tally();
    let mut now = START;
    for _ in 0..200 {
        // Several flushes of a minute share its row.
        for _ in 0..3 {
            tally.request(None, now);
            tally.delivered(&[measurement("m", 1)], &[Outcome::Delivered], None, now);
            object.flush(&mut tally, now);
        }
        now += MINUTE;
    }
    let count = |object: &Object, kind: &str| object.rows.keys().filter(|(other, _)| *other == kind).count();
    let minutes = count(&object, "minute");
    assert!((65..=95).contains(&minutes), "{minutes}");
    assert!(count(&object, "half") <= 6);
    assert_eq!(object.totals(now).figures.requests, 600);
    now += 31 * 1_440 * MINUTE;
    tally.request(None, now);
    object.flush(&mut tally, now);
    now += 2 * MINUTE;
    assert_eq!((count(&object, "minute"), count(&object, "half")), (1, 0));
    object.begin_anew();
    let totals = object.totals(now);
    assert_eq!((totals.since * 1_000, totals.figures.requests, totals.figures.flushes), (START, 601, 601));
}

#[test]
fn the_flow_has_every_step_with_its_figures() {
    let mut object = Object::default();
    let mut tally = tally();
    let now = START + 7 * MINUTE;
    for (at, failed) in [(START, None), (START, Some("invalid_write_key")), (now, None)] {
        tally.request(failed, at);
    }
    let counts = Counts {
        events: 5,
        accepted: 4,
        measured: 2,
        not_measured: [("switched_off", 1), ("duplicate", 1)].into(),
        rejected: [("missing_event", 1)].into(),
        ..Counts::default()
    };
    tally.events(&counts, false, START);
    tally.events(&counts, true, START);
    if let Some(figures) = tally.figures(now) {
        figures.kept = 3;
        figures.oldest_kept = Some(START / 1_000);
    }
    object.flush(&mut tally, now);
    let flow = object.json(Question::Flow(Range::Hour), now);
    let buckets = flow["buckets"].as_array().unwrap();
    assert_eq!(buckets.len(), 60);
    let starts: Vec<_> = buckets.iter().map(|bucket| bucket["start"].as_i64().unwrap()).collect();
    assert!(starts.is_sorted() && starts.windows(2).all(|pair| pair[1] - pair[0] == 60));
    let expected = json!({
        "start": starts[59] - 7 * 60, "requests": 2, "failed": {"invalid_write_key": 1}, "received": 10, "accepted": 4,
        "measured": 2, "notMeasured": {"duplicate": 1, "switched_off": 1}, "refused": {"missing_event": 1},
        "delivered": 0, "refusedPoints": 0, "kept": 0, "setAside": {},
        "upstream": {"requests": 0, "outcomes": {}, "p50": null, "p99": null},
    });
    assert_eq!(buckets[52], expected);
    assert_eq!((buckets[59]["requests"].as_u64(), buckets[59]["kept"].as_u64()), (Some(1), Some(3)));
    assert_eq!(flow["waiting"]["oldest"].as_i64(), Some(START / 1_000));
    let later = object.json(Question::Flow(Range::Hour), now + 7 * MINUTE);
    assert!(later["waiting"]["oldest"].is_null());
}

#[test]
fn metrics_are_the_last_days_and_new_ones_are_told() {
    let mut object = Object::default();
    let mut tally = tally();
    let mut now = START;
    let day = 1_440 * MINUTE;
    let mut deliver = |object: &mut Object, name: &str, now| {
        tally.delivered(&[measurement(name, 2)], &[Outcome::Delivered], None, now);
        object.flush(&mut tally, now);
    };
    deliver(&mut object, "old", now);
    now += 2 * day;
    for _ in 0..3 {
        deliver(&mut object, "old", now);
        deliver(&mut object, "new", now - 31 * MINUTE);
        deliver(&mut object, "new", now);
    }
    object.begin_anew();
    let answer = object.json(Question::Metrics, now);
    let found: Vec<_> = answer["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|metric| {
            let number = |field: &str| metric[field].as_f64().unwrap();
            let series: Vec<_> = metric["series"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
            let is_new = metric["isNew"].as_bool().unwrap();
            (metric["name"].as_str().unwrap(), number("events"), number("sum"), is_new, series.len(), series[47])
        })
        .collect();
    assert_eq!(found, [("new", 12.0, 12.0, true, 48, 6), ("old", 6.0, 6.0, false, 48, 6)]);
    assert_eq!(answer["allowedEvents"], r#"ALLOWED_EVENTS = "new, old""#);
    assert_eq!(answer["truncated"], false);
}

#[test]
fn events_are_asked_for_more_of_while_somebody_looks_and_are_in_no_row() {
    let mut object = Object::default();
    let mut tally = tally();
    let event = LiveEvent { name: Some("Secret Plan".into()), ..LiveEvent::default() };
    tally.request(None, START);
    tally.show(vec![event; 300]);
    object.flush(&mut tally, START);
    let few = tally.room();
    let seen = object.json(Question::Live(0), START);
    assert_eq!(seen["events"].as_array().unwrap().len(), few);
    assert_eq!(seen["events"][0]["name"], "Secret Plan");
    tally.request(None, START);
    object.flush(&mut tally, START + 1);
    assert!(tally.room() > few);
    tally.request(None, START);
    object.flush(&mut tally, START + MINUTE);
    assert_eq!(tally.room(), few);
    assert!(object.rows.values().all(|row| !row.contains("Secret Plan")));
    object.begin_anew();
    assert_eq!(object.json(Question::Live(0), START)["events"].as_array().unwrap().len(), 0);
}

#[test]
fn prometheus_is_told_what_is_known() {
    let mut object = Object::default();
    let mut tally = tally();
    tally.request(Some("misconfigured"), START);
    object.flush(&mut tally, START);
    let text = prometheus::text(&object.totals(START), Present { waiting: Some(0), letters: None });
    for line in [
        "librato_edge_requests_failed_total{code=\"misconfigured\"} 1",
        "librato_edge_waiting_events 0",
        "librato_edge_upstream_request_duration_seconds_bucket{le=\"+Inf\"} 0",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} in {text}");
    }
    assert!(!text.contains("set_aside_letters") && text.ends_with('\n'));
}
