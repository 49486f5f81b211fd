//! Durable delivery, played through: whatever Librato answers, whoever sends again, whatever crashes in between, each
//! accepted event is delivered or set aside, and counts twice only where an answer was lost after storing.

// A test may fail by a panic; the Worker may not.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use common::model::{Model, NOW, Weather, Wording, play, weather, wording};
use common::settings;
use librato_edge::delivery::{Outcome, Policy};
use librato_edge::durable::consume::{Consumption, Decision};
use librato_edge::durable::dead_letter::DeadLetter;
use librato_edge::durable::once::{
    Answer, Claim, HOURS, Ledger, LedgerStats, MAX_EVENTS, MAX_QUESTION_BYTES, MAX_QUESTION_EVENTS, Occupancy,
    Question, Record, WriterRequest, WriterSettlement, shard,
};
use librato_edge::durable::parcel::{EventId, MAX_BYTES, Parcel};
use librato_edge::librato::MAX_MEMBERS;
use librato_edge::measurement::{Measurement, Samples};
use proptest::prelude::*;

fn measurement(source: usize) -> Measurement {
    Measurement {
        name: format!("m{}", source % 3).into(),
        display_name: format!("m{}", source % 3).into(),
        source: format!("s{source}").into(),
        time: NOW / 1_000,
        samples: Samples::one(1.0),
    }
}

/// Where a consumer stops without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crash {
    Never,
    AfterClaim,
    /// Librato has it and nobody else knows: as good as a lost answer.
    AfterDelivery,
    AfterLedger,
}

#[derive(Debug, Clone)]
enum Step {
    /// A client sends events `from..to`, perhaps again.
    Send { from: usize, to: usize, named: bool },
    /// The platform hands over up to so many messages.
    Consume {
        count: usize,
        weather: Vec<Weather>,
        crash: Crash,
        ledger_answers: bool,
        dead_letters_work: bool,
        /// The platform delivers the first message once more although it was acknowledged.
        twice: bool,
    },
    /// The ledger's object is evicted and comes back from its log.
    EvictLedger,
    /// The platform hands over a message that it has handed over already, or a copy of it.
    Copy,
    /// Something that is no parcel.
    Garbage(String),
}

fn step() -> impl Strategy<Value = Step> {
    let crash = prop_oneof![
        6 => Just(Crash::Never),
        1 => Just(Crash::AfterClaim),
        1 => Just(Crash::AfterDelivery),
        1 => Just(Crash::AfterLedger),
    ];
    prop_oneof![
        4 => (0_usize..60, 1_usize..20, any::<bool>())
            .prop_map(|(from, len, named)| Step::Send { from, to: from + len, named }),
        5 => (1_usize..6, proptest::collection::vec(weather(), 0..4), crash, prop::bool::weighted(0.85),
              prop::bool::weighted(0.85), prop::bool::weighted(0.2))
            .prop_map(|(count, weather, crash, ledger_answers, dead_letters_work, twice)| {
                Step::Consume { count, weather, crash, ledger_answers, dead_letters_work, twice }
            }),
        1 => Just(Step::EvictLedger),
        1 => Just(Step::Copy),
        1 => prop_oneof![Just(r#"{"v":2,"o":"0","r":0,"n":[],"m":[]}"#.to_owned()), "\\PC{0,20}"]
            .prop_map(Step::Garbage),
    ]
}

struct World {
    queue: Vec<(String, u32)>,
    ledger: Ledger,
    log: Vec<(u32, Record)>,
    model: Model,
    dead: Vec<DeadLetter>,
    /// Sources of events without a name: each sending counts.
    unnamed: BTreeMap<String, u32>,
    named: BTreeSet<String>,
    risky: BTreeSet<String>,
    garbage: usize,
    owners: u64,
}

impl World {
    fn new(bad: &BTreeSet<usize>, wording: Wording) -> Self {
        Self {
            queue: Vec::new(),
            ledger: Ledger::new(MAX_EVENTS),
            log: Vec::new(),
            model: Model {
                bad: bad.iter().map(|n| format!("s{n}")).collect(),
                wording,
                stored: HashMap::new(),
                samples: HashMap::new(),
                lost_after_storing: BTreeSet::new(),
                largest: MAX_MEMBERS,
            },
            dead: Vec::new(),
            unnamed: BTreeMap::new(),
            named: BTreeSet::new(),
            risky: BTreeSet::new(),
            garbage: 0,
            owners: 0,
        }
    }

    fn ask(&mut self, question: &Question) -> Vec<Claim> {
        let travelled = Question::read(&question.write()).expect("what is written can be read");
        let second = u32::try_from(NOW / 1_000).unwrap();
        let (answer, record) = self.ledger.ask(&travelled, second);
        self.log.extend(record.map(|record| (second / 3_600, record)));
        match Answer::read(&answer.write(), question) {
            Some(Answer::Claim(claims)) => claims,
            Some(Answer::Done(_)) => Vec::new(),
            other => panic!("{other:?}"),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Send { from, to, named } => {
                // Events with and without a name have sources of their own.
                let measured: Vec<_> = (*from..*to).map(|n| measurement(if *named { n } else { n + 1_000 })).collect();
                let packed: Vec<_> =
                    measured.iter().map(|m| (m, named.then(|| EventId::named("key", &m.source)))).collect();
                for m in &measured {
                    if *named {
                        self.named.insert(m.source.to_string());
                    } else {
                        *self.unnamed.entry(m.source.to_string()).or_default() += 1;
                    }
                }
                let owners = &mut self.owners;
                let messages = Parcel::pack(&packed, 1, NOW / 1_000, &mut || {
                    *owners += 1;
                    *owners
                });
                self.queue.extend(messages.into_iter().map(|message| (message, 0)));
            }
            Step::Garbage(text) => {
                self.garbage += 1;
                self.queue.push((text.clone(), 0));
            }
            Step::Copy => {
                let first = self.queue.first().cloned();
                self.queue.extend(first.filter(|(body, _)| Parcel::read(body).is_ok()));
            }
            Step::EvictLedger => {
                self.ledger = Ledger::new(MAX_EVENTS);
                for (hour, record) in &self.log {
                    let stored = Record::read(&record.write()).unwrap();
                    self.ledger.replay(&stored, *hour);
                }
            }
            Step::Consume { count, weather, crash, ledger_answers, dead_letters_work, twice } => {
                self.consume(*count, weather, *crash, *ledger_answers, *dead_letters_work, *twice);
            }
        }
    }

    fn consume(
        &mut self,
        count: usize,
        weather: &[Weather],
        crash: Crash,
        ledger_answers: bool,
        dead_letters_work: bool,
        twice: bool,
    ) {
        let settings = settings([]);
        let taken = count.min(self.queue.len());
        let batch: Vec<(String, u32)> =
            self.queue.drain(..taken).map(|(body, attempts)| (body, attempts + 1)).collect();
        let bodies: Vec<_> = batch.iter().map(|(body, _)| Some(body.clone())).collect();
        let mut consumption = Consumption::read(&bodies, 1, NOW);
        let claims: Vec<_> = consumption.claims().into_iter().map(|(_, claim)| claim).collect();
        let answers =
            if ledger_answers { self.ask(&Question::Claim(claims)) } else { vec![Claim::Unknown; claims.len()] };
        if crash == Crash::AfterClaim {
            return self.queue.extend(batch);
        }
        let gauges = consumption.plan(&answers, &settings, NOW).to_vec();
        let course = play(&gauges, &mut self.model, weather, Policy::durable(NOW, 7), NOW, &[(1, 5)]);
        if crash == Crash::AfterDelivery {
            let delivered = gauges.iter().zip(&course.outcomes);
            self.risky.extend(
                delivered
                    .filter(|(_, outcome)| **outcome == Outcome::Delivered)
                    .map(|(gauge, _)| gauge.source.to_string()),
            );
            return self.queue.extend(batch);
        }
        let letters = consumption.delivered(&course.outcomes).to_vec();
        if dead_letters_work {
            self.dead.extend(letters.iter().map(|letter| DeadLetter::read(&letter.posted(), NOW)));
        }
        let done =
            consumption.set_aside(vec![dead_letters_work; letters.len()]).into_iter().map(|(_, id)| id).collect();
        self.ask(&Question::Done(done, false));
        if crash == Crash::AfterLedger {
            // Unreadable messages are known to nobody: their letter may come twice.
            self.garbage += consumption_garbage(&letters, dead_letters_work);
            return self.queue.extend(batch);
        }
        let attempts: Vec<u32> = batch.iter().map(|(_, attempts)| *attempts).collect();
        let decisions = consumption.decide(&attempts, &mut |limit| limit / 2);
        assert_eq!(decisions.len(), batch.len());
        for (place, (message, decision)) in batch.into_iter().zip(decisions).enumerate() {
            match decision {
                Decision::Acknowledge => {
                    // Garbage that comes twice is set aside twice.
                    if twice && place == 0 && Parcel::read(&message.0).is_ok() {
                        self.queue.push(message);
                    }
                }
                Decision::Retry(seconds) => {
                    assert!((1..=43_200).contains(&seconds));
                    self.queue.push(message);
                }
                Decision::Renew(_) => self.queue.push((message.0, 0)),
            }
        }
    }

    /// Good weather until the queue is empty.
    fn drain(&mut self) {
        for _ in 0..10_000 {
            if self.queue.is_empty() {
                return;
            }
            self.consume(10, &[], Crash::Never, true, true, false);
        }
        panic!("the queue does not drain: {:?}", self.queue);
    }
}

fn consumption_garbage(letters: &[DeadLetter], sent: bool) -> usize {
    if sent { letters.iter().filter(|letter| letter.measurement.is_none()).count() } else { 0 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn each_event_is_delivered_or_set_aside_once(
        steps in proptest::collection::vec(step(), 1..40),
        bad in proptest::collection::btree_set(0_usize..80, 0..4),
        wording in wording(),
    ) {
        let mut world = World::new(&bad, wording);
        for step in &steps {
            world.take(step);
        }
        world.drain();
        let mut set_aside: HashMap<String, u64> = HashMap::new();
        let mut unreadable = 0;
        for letter in &world.dead {
            match letter.revived() {
                Some(measurement) => *set_aside.entry(measurement.source.to_string()).or_default() += measurement.samples.count,
                None => unreadable += 1,
            }
        }
        prop_assert_eq!(unreadable, world.garbage);
        let expected = world.named.iter().map(|source| (source, 1)).chain(world.unnamed.iter().map(|(s, n)| (s, *n)));
        for (source, times) in expected {
            let stored = world.model.samples.get(source).copied().unwrap_or(0);
            let aside = set_aside.get(source).copied().unwrap_or(0);
            let all = stored + aside;
            prop_assert!(all >= u64::from(times), "{source} is lost: {stored} + {aside} of {times}");
            let may_be_twice = world.risky.contains(source) || world.model.lost_after_storing.contains(source);
            prop_assert!(all == u64::from(times) || may_be_twice, "{source} counts {stored} + {aside} times, not {times}");
            prop_assert_eq!(aside > 0, world.model.bad.contains(source), "{} was set aside", source);
        }
    }

    #[test]
    fn what_is_packed_is_what_is_read(
        rows in proptest::collection::vec(("[A-Za-z._-]{1,255}", "[A-Za-z.:_-]{1,60}", -7_200_i64..600, any::<f64>(), proptest::option::of("\\PC{0,40}"), 1_u64..5), 0..120),
    ) {
        let measured: Vec<_> = rows.iter().map(|(name, source, offset, value, _, count)| {
            let value = if value.is_finite() && value.abs() < 1e100 { *value } else { 0.1 };
            let mut samples = Samples::one(value);
            for _ in 1..*count {
                samples = samples.merged(Samples::one(value / 3.0)).unwrap();
            }
            Measurement { name: name.as_str().into(), display_name: format!("{name} as written").into(), source: source.as_str().into(), time: NOW / 1_000 + offset, samples }
        }).collect();
        let ids: Vec<_> = rows.iter().map(|row| row.4.as_ref().map(|id| EventId::named("k", id))).collect();
        let packed: Vec<_> = measured.iter().zip(ids.iter().copied()).collect();
        let mut owner = 41;
        let messages = Parcel::pack(&packed, 1, NOW / 1_000, &mut || { owner += 1; owner });
        prop_assert!(messages.iter().all(|message| message.len() <= MAX_BYTES));
        let read: Vec<_> = messages.iter().map(|message| Parcel::read(message).unwrap()).collect();
        let entries: Vec<_> = read.iter().flat_map(|parcel| &parcel.entries).collect();
        prop_assert_eq!(entries.len(), measured.len());
        for ((entry, measurement), id) in entries.iter().zip(&measured).zip(&ids) {
            prop_assert_eq!(&entry.measurement, measurement);
            prop_assert!(id.is_none_or(|id| id == entry.id));
        }
        let distinct: BTreeSet<_> = entries.iter().map(|entry| entry.id).collect();
        let named: BTreeSet<_> = ids.iter().flatten().collect();
        prop_assert_eq!(distinct.len(), named.len() + ids.iter().filter(|id| id.is_none()).count());
    }

    #[test]
    fn nothing_that_is_read_makes_a_panic(text in "\\PC*", bytes in any::<Vec<u8>>()) {
        _ = Parcel::read(&text);
        _ = Question::read(&bytes);
        _ = Record::read(&bytes);
        for question in [Question::Claim(vec![(EventId([0; 12]), 1)]), Question::Done(vec![], true), Question::AllocateWriter(writer_request()), Question::SettleWriters(WriterSettlement::default()), Question::Stats] {
            _ = Answer::read(&bytes, &question);
        }
        _ = DeadLetter::read(&text, NOW);
        _ = DeadLetter::unreadable(&text.repeat(1_000), "x", NOW);
    }
}

#[test]
fn a_full_batch_of_events_is_one_message() {
    let measured: Vec<_> = (0..2_500).map(|n| Measurement { source: "web".into(), ..measurement(n) }).collect();
    let packed: Vec<_> = measured
        .iter()
        .enumerate()
        .map(|(n, m)| (m, Some(EventId::named("key", &format!("ajs-next-1795435200000-{n}")))))
        .collect();
    let messages = Parcel::pack(&packed, 1, NOW / 1_000, &mut || 1);
    assert_eq!(messages.len(), 1, "{}", messages[0].len());
}

#[test]
fn late_events_are_treated_as_the_setting_says() {
    let mut late = measurement(1);
    late.time -= 7_190;
    let messages = Parcel::pack(&[(&late, None)], 1, NOW / 1_000 - 7_190, &mut || 1);
    for (setting, delivered, letters) in [("now", 1, 0), ("reject", 0, 1)] {
        let settings = settings([("LATE_EVENTS", setting)]);
        let mut consumption = Consumption::read(&[Some(messages[0].clone())], 1, NOW);
        let gauges = consumption.plan(&[Claim::Granted], &settings, NOW).to_vec();
        assert_eq!(gauges.len(), delivered);
        assert!(gauges.iter().all(|gauge| gauge.time == NOW / 1_000));
        let sent = consumption.delivered(&vec![Outcome::Delivered; delivered]).to_vec();
        assert_eq!(sent.len(), letters);
        assert!(sent.iter().all(|letter| letter.reason == "timestamp_out_of_range"));
        assert_eq!(consumption.set_aside(vec![true; letters]).len(), 1);
        assert_eq!(consumption.decide(&[1], &mut |_| 0), [Decision::Acknowledge]);
    }
}

#[test]
fn equal_metrics_of_many_messages_are_one_gauge() {
    let messages: Vec<_> = (0..100)
        .map(|owner| Parcel::pack(&[(&measurement(1), None)], 1, NOW / 1_000, &mut || owner)[0].clone())
        .map(Some)
        .collect();
    let mut consumption = Consumption::read(&messages, 1, NOW);
    let gauges = consumption.plan(&[Claim::Granted; 100], &settings([]), NOW);
    assert_eq!((gauges.len(), gauges[0].samples.count), (1, 100));
}

#[test]
fn a_message_that_the_platform_would_give_up_is_sent_anew() {
    let body = Parcel::pack(&[(&measurement(1), None)], 1, NOW / 1_000, &mut || 1);
    let mut consumption = Consumption::read(&[Some(body[0].clone())], 1, NOW);
    consumption.plan(&[Claim::Unknown], &settings([]), NOW);
    consumption.delivered(&[]);
    consumption.set_aside(Vec::new());
    assert!(matches!(consumption.decide(&[89], &mut |_| 0)[..], [Decision::Retry(300)]));
    assert!(matches!(consumption.decide(&[90], &mut |_| 0)[..], [Decision::Renew(300)]));
}

fn writer_request() -> WriterRequest {
    let seconds = vec![1_795_000_000];
    WriterRequest { holder: u64::MAX - 1, lease: 60, first: 1_795_000_000, last: 1_795_000_000, seconds }
}

/// Asks about one event.
fn claim(ledger: &mut Ledger, id: EventId, owner: u64, hour: u32) -> Claim {
    claim_at(ledger, id, owner, hour * 3_600)
}

fn claim_at(ledger: &mut Ledger, id: EventId, owner: u64, second: u32) -> Claim {
    match ledger.ask(&Question::Claim(vec![(id, owner)]), second).0 {
        Answer::Claim(claims) => claims[0],
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_ledger_remembers_a_day() {
    let mut ledger = Ledger::new(MAX_EVENTS);
    let id = EventId::named("k", "m");
    assert_eq!(claim(&mut ledger, id, 1, 100), Claim::Granted);
    assert_eq!(claim(&mut ledger, id, 1, 100), Claim::Granted, "its own again");
    assert_eq!(claim(&mut ledger, id, 2, 100), Claim::Settled, "another's");
    ledger.ask(&Question::Done(vec![id], false), 100 * 3_600);
    assert_eq!(claim(&mut ledger, id, 1, 100), Claim::Settled, "done");
    assert_eq!(ledger.forget(100 + HOURS - 1), Some(100));
    assert_eq!(claim(&mut ledger, id, 3, 100 + HOURS - 1), Claim::Settled, "24 hours later");
    assert_eq!(ledger.forget(100 + HOURS), Some(101));
    assert_eq!(ledger.forget(100 + HOURS), None, "nothing new");
    assert_eq!(claim(&mut ledger, id, 3, 100 + HOURS), Claim::Granted, "and after that");
}

#[test]
fn more_events_than_are_remembered_are_no_harm() {
    const MOST: u64 = 20_000;
    const BEGIN: u32 = 1_500_000_000;
    // As good as a digest here, and quicker.
    let id = |n: u64| {
        let mut bytes = [0; 12];
        bytes[4..].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        EventId(bytes)
    };
    let mut ledger = Ledger::new(usize::try_from(MOST).unwrap());
    let mut log: Vec<(u32, Vec<u8>)> = Vec::new();
    let (mut longest, mut rewritten, mut now) = (0, 0, BEGIN);
    // A hundred of them wait all the time.
    let old: Vec<_> = (0..100).map(|n| (EventId::placed(n, 1), 7)).collect();
    let (_, record) = ledger.ask(&Question::Claim(old.clone()), now);
    log.extend(record.map(|record| (now / 3_600, record.write())));
    for first in (0..500_000_u64).step_by(500) {
        now += 60;
        let ids = first..first + 500;
        for question in [
            Question::Claim(ids.clone().map(|n| (id(n), n / 10)).collect()),
            Question::Done(ids.map(id).collect(), false),
        ] {
            let (answer, record) = ledger.ask(&question, now);
            assert!(match answer {
                Answer::Claim(claims) => claims.iter().all(|claim| *claim == Claim::Granted),
                other => matches!(other, Answer::Done(_)),
            });
            log.extend(record.map(|record| (now / 3_600, record.write())));
            if ledger.is_log_long() {
                log = ledger.records().map(|(hour, record)| (hour, record.write())).collect();
                ledger.log_rewritten();
                rewritten += 1;
                assert!(!ledger.is_log_long(), "it would be written anew at each question");
            }
            longest = longest.max(log.iter().map(|(_, bytes)| bytes.len()).sum::<usize>());
        }
        assert!(ledger.stats().tracked <= MOST + 100);
    }
    assert!(longest < 5_500_000 && rewritten > 0, "{longest} bytes");

    let mut again = Ledger::new(usize::try_from(MOST).unwrap());
    for (hour, bytes) in &log {
        again.replay(&Record::read(bytes).unwrap(), *hour);
        assert!(again.stats().tracked <= MOST + 600);
    }
    for mut ledger in [ledger, again] {
        let LedgerStats { tracked, pending, .. } = ledger.stats();
        assert!(tracked > MOST * 62 / 64 && pending == 100, "{tracked}, {pending}");
        for n in 500_000 - MOST * 62 / 64..500_000 {
            assert_eq!(claim_at(&mut ledger, id(n), n, now), Claim::Settled, "done");
        }
        for (id, owner) in &old {
            assert_eq!(claim_at(&mut ledger, *id, *owner, now), Claim::Granted, "it waits for its owner");
            assert_eq!(claim_at(&mut ledger, *id, owner + 1, now), Claim::Settled, "for nobody else");
        }
        assert_eq!(claim_at(&mut ledger, id(1), 1, now), Claim::Granted, "forgotten");
    }
}

#[test]
fn where_too_many_wait_the_oldest_are_forgotten() {
    let mut ledger = Ledger::new(200);
    let ids: Vec<_> = (0..30).map(|n| EventId::placed(n, 0)).collect();
    ledger.ask(&Question::Claim(ids.iter().map(|id| (*id, 1)).collect()), 0);
    assert_eq!(ledger.stats(), LedgerStats { tracked: 10, pending: 10, since: 0 });
    assert_eq!(claim(&mut ledger, ids[29], 2, 0), Claim::Settled);
    // What was delivered although it had been forgotten is remembered as that.
    let (_, record) = ledger.ask(&Question::Done(vec![ids[0]], false), 0);
    assert!(record.is_some());
    assert_eq!(ledger.stats(), LedgerStats { tracked: 11, pending: 10, since: 0 });
    assert_eq!(claim(&mut ledger, ids[0], 2, 0), Claim::Settled);
}

#[test]
fn a_full_ledger_fits_its_object() {
    // Natively the tables are as large as in WebAssembly.
    let mut ledger = Ledger::new(MAX_EVENTS);
    let ids = |first: u64| {
        (first..first + MAX_QUESTION_EVENTS as u64).map(|n| {
            let mut bytes = [0; 12];
            bytes[4..].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
            EventId(bytes)
        })
    };
    let used = allocation_counter::measure(|| {
        let mut now = 1_500_000_000;
        for first in (0..5_000_000).step_by(MAX_QUESTION_EVENTS) {
            now += 60;
            if first < 300_000 {
                ledger.ask(&Question::Claim(ids(first).map(|id| (id, first)).collect()), now);
            }
            ledger.ask(&Question::Done(ids(first + 1_000_000).collect(), false), now);
        }
    });
    let stats = ledger.stats();
    assert!(stats.tracked > MAX_EVENTS as u64 && stats.pending == 200_000, "{stats:?}");
    assert!(used.bytes_max < 90_000_000, "{} bytes", used.bytes_max);
}

#[test]
fn a_ledger_that_shares_its_memory_gives_room_back_and_remembers_the_latest() {
    const EVENTS: usize = 400_000;
    const MINUTES: usize = 100;
    let ids = |minute: usize| {
        (0..EVENTS / MINUTES).map(move |n| EventId::named("k", &format!("{minute} {n}"))).collect::<Vec<_>>()
    };
    let now = |minute: usize| 1_500_000_000 + 60 * u32::try_from(minute).unwrap();
    let mut ledger = Ledger::new(EVENTS);
    let filled = allocation_counter::measure(|| {
        for minute in 0..MINUTES {
            ledger.ask(&Question::Claim(ids(minute).into_iter().map(|id| (id, 1)).collect()), now(minute));
            ledger.ask(&Question::Done(ids(minute), false), now(minute));
        }
        for n in 0..40_000 {
            ledger.ask(&Question::Claim(vec![(EventId::named("w", &n.to_string()), 1)]), now(MINUTES));
        }
    });
    assert_eq!(ledger.stats().pending, 20_000);
    let shrunk = allocation_counter::measure(|| ledger.resize(EVENTS / 4));
    assert_eq!(ledger.stats().pending, 5_000);
    let held = filled.bytes_current + shrunk.bytes_current;
    assert!(shrunk.bytes_max < 100_000, "{shrunk:?}");
    assert!(held < filled.bytes_current / 3, "{filled:?}, {shrunk:?}");

    let remembered = |ledger: &mut Ledger, minute: usize| {
        let claims = ids(minute).into_iter().map(|id| (id, 2)).collect();
        let (Answer::Claim(claims), _) = ledger.ask(&Question::Claim(claims), now(MINUTES)) else { panic!() };
        claims.iter().filter(|claim| **claim == Claim::Settled).count()
    };
    let latest: usize = (76..MINUTES).map(|minute| remembered(&mut ledger, minute)).sum();
    assert_eq!(latest, EVENTS / MINUTES * 24);
    let settled = |n: u32| ledger.ask(&Question::Claim(vec![(EventId::named("w", &n.to_string()), 2)]), now(MINUTES)).0;
    assert_eq!(
        [39_999, 35_000].map(settled),
        [Answer::Claim(vec![Claim::Settled]), Answer::Claim(vec![Claim::Settled])]
    );
    // It may have all of it again.
    ledger.resize(EVENTS);
    for minute in 200..260 {
        ledger.ask(&Question::Done(ids(minute), false), now(minute));
    }
    assert_eq!(ledger.stats().tracked - ledger.stats().pending, 84 * EVENTS as u64 / MINUTES as u64);
}

#[test]
fn an_answer_is_read_only_as_the_answer_to_its_question() {
    let id = EventId::named("k", "m");
    let claims = vec![(id, 1), (EventId::placed(1, 0), 2), (EventId::placed(2, 0), 3)];
    let questions = [
        Question::Claim(claims),
        Question::Claim(Vec::new()),
        Question::Done(vec![id], false),
        Question::AllocateWriter(writer_request()),
        Question::SettleWriters(WriterSettlement { released: vec![(1, 2)], held: vec![(1, 3), (1, u64::MAX)] }),
        Question::Stats,
    ];
    let mut ledger = Ledger::new(10);
    let answers: Vec<_> = questions.iter().map(|question| ledger.ask(question, 0).0).collect();
    for (place, question) in questions.iter().enumerate() {
        assert_eq!(Question::read(&question.write()).as_ref(), Some(question));
        for (other, answer) in answers.iter().enumerate() {
            let bytes = answer.write();
            let expected = (place == other).then(|| answer.clone());
            assert_eq!(Answer::read(&bytes, question), expected, "{question:?}: {answer:?}");
            let longer = [&bytes[..], &[0]].concat();
            for wrong in [&bytes[..bytes.len() - 1], &longer] {
                assert_eq!(Answer::read(wrong, question), None, "{question:?}: {wrong:?}");
            }
        }
        // Nor is the question its own answer, where it asks for anything.
        let echo = Answer::read(&question.write(), question);
        assert!(echo.is_none() || *question == Question::Claim(Vec::new()), "{question:?}");
    }
    let claim = Question::Claim(vec![(id, 1)]);
    for value in 2..=u8::MAX {
        assert_eq!(Answer::read(&[b'c', 1, 0, 0, 0, value], &claim), None);
    }
    let (one, two) = (1_u64.to_le_bytes(), 2_u64.to_le_bytes());
    let writer = |number: u32, seconds: [u8; 8]| {
        let answer = [&b"a"[..], &number.to_le_bytes(), &seconds].concat();
        Answer::read(&answer, &Question::AllocateWriter(writer_request()))
    };
    assert_eq!(writer(2, one), Some(Answer::WriterAllocated(2, 1)));
    assert_eq!((writer(65_536, one), writer(2, two)), (None, None));
    let done = [&b"d"[..], &one].concat();
    assert_eq!(Answer::read(&done, &Question::Done(vec![id, id], false)), None);
    assert_eq!(Answer::read(&[&b"s"[..], &one, &two, &one].concat(), &Question::Stats), None);
    for bytes in [&b""[..], b"x", b"ss", b"c1", b"a1", b"v1"] {
        assert_eq!(Question::read(bytes), None, "{bytes:?}");
    }
    let full = Question::Claim(vec![(id, 1); MAX_QUESTION_EVENTS]);
    assert_eq!(full.write().len(), MAX_QUESTION_BYTES);
}

#[test]
fn shards_are_even() {
    let mut counts = [0; 8];
    for n in 0..8_000 {
        counts[shard(EventId::named("k", &n.to_string()).sender(), 8) as usize] += 1;
    }
    assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
}

#[test]
fn with_more_shards_only_those_move_that_the_new_ones_get() {
    for (before, after) in [(1, 2), (7, 8), (8, 16), (200, 1_000)] {
        let mut moved = 0;
        for n in 0..20_000_u32 {
            let sender = n.wrapping_mul(0x9e37_79b9);
            let (old, new) = (shard(sender, before), shard(sender, after));
            assert!(new == old || (before..after).contains(&new), "{sender} went from {old} to {new}");
            moved += u32::from(new != old);
        }
        let expected = 20_000 - 20_000 * before / after;
        assert!(moved.abs_diff(expected) < 500, "{moved} of 20,000 moved, not {expected}");
    }
}

/// The shards that the events of a request meet, and their identities.
fn met(settings: &librato_edge::settings::Settings, body: &str, consumer_shards: u32) -> Vec<(u32, EventId)> {
    let request = common::post(settings, "/v1/batch", body, NOW, |_| None).expect("a batch");
    let packed: Vec<_> = request.identified().collect();
    let messages = Parcel::pack(&packed, settings.once_shards, NOW / 1_000, &mut || 5);
    let messages: Vec<_> = messages.into_iter().map(Some).collect();
    let claims = Consumption::read(&messages, consumer_shards, NOW).claims();
    claims.into_iter().map(|(shard, (id, _))| (shard, id)).collect()
}

#[test]
fn events_of_one_sender_meet_one_shard_now_and_when_they_are_sent_again() {
    let event = |who: &str, id: usize| {
        format!(r#"{{"type":"track","event":"e","properties":{{"value":1}},{who},"messageId":"m{id}"}}"#)
    };
    let batch = |events: &[String]| format!(r#"{{"batch":[{}]}}"#, events.join(","));
    let settings = settings([("ONCE_SHARDS", "50")]);
    let mut shards = BTreeSet::new();
    for sender in 0..40 {
        let who = format!(r#""anonymousId":"visitor-{sender}""#);
        let events: Vec<_> = (0..10).map(|n| event(&who, sender * 100 + n)).collect();
        // The consumer may know another number of shards already, or not yet.
        let first = met(&settings, &batch(&events), 50);
        assert!(first.iter().all(|(shard, _)| *shard == first[0].0), "{first:?}");
        assert_eq!(met(&settings, &batch(&events), 3), first);
        // One by one, and with a userId, as after a login.
        let again = event(&format!(r#"{who},"userId":"u""#), sender * 100 + 3);
        assert_eq!(met(&settings, &batch(&[again]), 50), first[3..4]);
        shards.insert(first[0].0);
    }
    assert!(shards.len() > 20, "{shards:?}");
    // Whoever has no anonymousId is told by the userId.
    let users: Vec<_> = (0..2).map(|n| event(r#""userId":7"#, n)).collect();
    let found = met(&settings, &batch(&users), 50);
    assert_eq!(found[0].0, found[1].0);
    // With one shard an event is the same whoever names it.
    let one = common::settings([]);
    let of = |who: &str| met(&one, &batch(&[event(who, 1)]), 1);
    assert_eq!(of(r#""userId":"a""#), of(r#""anonymousId":"b""#));
}

#[test]
fn events_without_a_name_meet_one_shard() {
    let measured: Vec<_> = (0..20).map(measurement).collect();
    let packed: Vec<_> = measured.iter().map(|one| (one, None)).collect();
    let messages = Parcel::pack(&packed, 50, NOW / 1_000, &mut || 0x1234_5678_9abc);
    let claims = Consumption::read(&[Some(messages[0].clone())], 50, NOW).claims();
    assert!(claims.iter().all(|(shard, _)| *shard == claims[0].0));
    assert_eq!(claims.iter().map(|(_, (id, _))| id).collect::<BTreeSet<_>>().len(), 20);
}

#[test]
fn a_message_of_the_version_before_is_read_as_that_one_read_it() {
    let message = r#"{"v":1,"o":"00000000000000ab","r":1795435200,"n":["m","s"],"m":[[0,1,-2,1.5,"AQIDBAUGBwgJCgsM"],[0,1,0,[2,3,1,2,5],null]]}"#;
    let parcel = Parcel::read(message).unwrap();
    assert_eq!((parcel.owner, parcel.shards, parcel.entries[0].measurement.time), (0xab, None, 1_795_435_198));
    let claims = Consumption::read(&[Some(message.to_owned())], 7, NOW).claims();
    let named = EventId([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    let shard_of = |id: EventId| id.sender() % 7;
    let placed = EventId::placed(0xab, 1);
    assert_eq!(claims, [(shard_of(named), (named, 0xab)), (shard_of(placed), (placed, 0xab))]);
}

#[test]
fn what_is_done_shares_the_row_of_the_next_claims_where_they_come_often() {
    const BEGIN: u32 = 1_500_000_000;
    let mut ledger = Ledger::new(MAX_EVENTS);
    let (mut log, mut rows) = (Vec::new(), 0);
    // Two hundred batches of a hundred messages with ten events, eight a second.
    for batch in 0..200_u64 {
        let now = BEGIN + u32::try_from(batch / 8).unwrap();
        let ids: Vec<_> = (0..1_000).map(|n| EventId::placed(batch, n)).collect();
        let claims = ids.iter().zip(0_u64..).map(|(id, n)| (*id, batch * 100 + n / 10)).collect();
        for question in [Question::Claim(claims), Question::Done(ids, true)] {
            let question = Question::read(&question.write()).unwrap();
            let (_, record) = ledger.ask(&question, now);
            rows += usize::from(record.is_some());
            log.extend(record.map(|record| (now / 3_600, record.write())));
        }
    }
    assert!(rows < 205, "{rows} rows of 200 batches");
    // Whoever asks how full it is has the rest logged; so is what brings a message back, and what comes alone.
    let mut logs = |question: &Question, now| {
        let (_, record) = ledger.ask(question, now);
        log.extend(record.as_ref().map(|record| (now / 3_600, record.write())));
        record.is_some()
    };
    assert!(logs(&Question::Stats, BEGIN + 25) && !logs(&Question::Stats, BEGIN + 25));
    assert!(logs(&Question::Done(vec![EventId::placed(1_000, 0)], false), BEGIN + 25));
    assert!(logs(&Question::Done(vec![EventId::placed(1_000, 1)], true), BEGIN + 60));
    let mut again = Ledger::new(MAX_EVENTS);
    for (hour, record) in &log {
        again.replay(&Record::read(record).unwrap(), *hour);
    }
    assert_eq!(again.stats(), LedgerStats { tracked: 200_002, pending: 0, since: BEGIN.into() });
}

#[test]
fn an_operator_is_told_how_many_shards_the_traffic_wants() {
    let day = 25 * 3_600;
    let full = MAX_EVENTS as u64;
    let shard = |done, pending, age| LedgerStats { tracked: done + pending, pending, since: 10 * day - age };
    let of = |stats: &[LedgerStats]| {
        let Occupancy { shards, fullest_percent, remembers_hours, wanted_shards } = Occupancy::of(stats, 10 * day);
        (shards, fullest_percent, remembers_hours, wanted_shards)
    };
    assert_eq!(of(&[LedgerStats::default()]), (1, 0, None, 1));
    assert_eq!(of(&[shard(full / 2, 100, day)]), (1, 50, Some(25), 1));
    // It is full after five hours, and forgets what is older.
    assert_eq!(of(&[shard(full, 0, day / 5)]), (1, 100, Some(5), 5));
    assert_eq!(of(&[shard(full, 0, day / 2), shard(full / 4, 0, day)]), (2, 100, Some(12), 3));
    // Nothing is made of what a few minutes brought.
    assert_eq!(of(&[shard(1_000, 0, 60)]), (1, 0, Some(0), 1));
}
