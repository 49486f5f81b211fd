//! Hours of deliveries to a backend that takes each series in order, played through with a virtual clock: consumers beside
//! each other, a destination that fails, a ledger that restarts, consumers that die.

// A test may fail by a panic; the Worker may not.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod common;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use common::model::NOW;
use common::otlp;
use librato_edge::Millis;
use librato_edge::delivery::{Arrival, Delivery, OutboundRequest, Policy, Reply, Step, WriterId};
use librato_edge::durable::consume::{Consumption, Decision};
use librato_edge::durable::once::{Answer, Claim, Ledger, MAX_EVENTS, Question, Record};
use librato_edge::durable::parcel::{Owner, Parcel};
use librato_edge::measurement::{Measurement, Samples};
use librato_edge::otlp::proto::{Data, ExportRequest};
use librato_edge::settings::Settings;
use prost::Message as _;

/// Which numbers are given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// As the ledger does it.
    Ledger,
    /// The smallest that is free at all seconds, whatever is still to come under it: as it was before.
    FreeAtSeconds,
}

/// What a simulated time is like.
#[derive(Debug, Clone, Copy)]
struct Course {
    rule: Rule,
    seconds: i64,
    /// Requests a second.
    rate: u64,
    /// Events of a request, at the most.
    events: u64,
    /// How old an event is at its receipt, in milliseconds, at the most.
    age: u64,
    /// Of a thousand requests to the destination, so many fail without being stored.
    failing: u64,
    /// Of a thousand answers, so many take up to three seconds, and the others up to a fifth of one.
    slow: u64,
    /// The destination fails altogether for so many seconds in the middle.
    outage: i64,
    /// Of a thousand batches, so many meet a ledger that is silent, or one that restarts, or a consumer that dies before
    /// it has sent anything.
    troubled: u64,
}

const CALM: Course = Course {
    rule: Rule::Ledger,
    seconds: 400,
    rate: 8,
    events: 6,
    age: 900,
    failing: 0,
    slow: 0,
    outage: 0,
    troubled: 0,
};

/// What came of it.
#[derive(Debug, Default, PartialEq)]
struct Found {
    sent: u64,
    stored: u64,
    /// Dead letters.
    refused: usize,
    /// Different numbers.
    writers: usize,
    requests: usize,
}

enum Event {
    Request,
    Consume,
    Arrive { consumer: usize, request: OutboundRequest },
}

struct Consumer {
    batch: Vec<(String, u32)>,
    consumption: Consumption,
    delivery: Delivery<'static>,
    writer: Option<(WriterId, Owner)>,
}

struct World {
    course: Course,
    settings: &'static Settings,
    now: Millis,
    agenda: BinaryHeap<Reverse<(Millis, u64)>>,
    events: BTreeMap<u64, Event>,
    /// Messages by when they are handed over.
    queue: BTreeMap<(Millis, u64), (String, u32)>,
    consumers: BTreeMap<usize, Consumer>,
    ledger: Ledger,
    log: Vec<(u32, Vec<u8>)>,
    /// For [`Rule::FreeAtSeconds`].
    taken: BTreeMap<u32, BTreeSet<u32>>,
    latest: BTreeMap<(String, String, String), u64>,
    writers: BTreeSet<String>,
    found: Found,
    random: u64,
    serial: u64,
}

impl World {
    fn play(course: Course) -> Found {
        let mut world = Self {
            course,
            settings: Box::leak(Box::new(otlp([("OTLP_PROFILE", "gauge")]))),
            now: NOW,
            agenda: BinaryHeap::new(),
            events: BTreeMap::new(),
            queue: BTreeMap::new(),
            consumers: BTreeMap::new(),
            ledger: Ledger::new(MAX_EVENTS),
            log: Vec::new(),
            taken: BTreeMap::new(),
            latest: BTreeMap::new(),
            writers: BTreeSet::new(),
            found: Found::default(),
            random: 0x9e37_79b9_7f4a_7c15,
            serial: 0,
        };
        world.schedule(0, Event::Request);
        world.schedule(0, Event::Consume);
        while let Some(Reverse((at, id))) = world.agenda.pop() {
            world.now = at;
            match world.events.remove(&id).unwrap() {
                Event::Request => world.request(),
                Event::Consume => world.consume(),
                Event::Arrive { consumer, request } => world.arrive(consumer, &request),
            }
        }
        assert!(world.queue.is_empty() && world.consumers.is_empty());
        world.found.writers = world.writers.len();
        world.found
    }

    fn schedule(&mut self, after: Millis, event: Event) {
        self.serial += 1;
        self.agenda.push(Reverse((self.now + after, self.serial)));
        self.events.insert(self.serial, event);
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % limit
    }

    fn second(&self) -> u32 {
        u32::try_from(self.now / 1_000).unwrap()
    }

    /// How long it has been going on.
    fn elapsed(&self) -> i64 {
        (self.now - NOW) / 1_000
    }

    fn is_over(&self) -> bool {
        self.elapsed() >= self.course.seconds
    }

    fn enqueue(&mut self, after: Millis, message: String, attempts: u32) {
        self.serial += 1;
        self.queue.insert((self.now + after, self.serial), (message, attempts));
    }

    fn request(&mut self) {
        if self.is_over() {
            return;
        }
        let events: Vec<_> = (0..=self.below(self.course.events))
            .map(|_| {
                let age = i64::try_from(self.below(self.course.age + 1)).unwrap();
                Measurement {
                    name: format!("m{}", self.below(3)).into(),
                    display_name: "m".into(),
                    source: format!("s{}", self.below(4)).into(),
                    time: (self.now - age).div_euclid(1_000),
                    samples: Samples::one(1.0),
                }
            })
            .collect();
        self.found.sent += events.len() as u64;
        let packed: Vec<_> = events.iter().map(|event| (event, None)).collect();
        let owner = self.below(u64::MAX);
        for message in Parcel::pack(&packed, 1, self.now / 1_000, &mut || owner) {
            self.enqueue(0, message, 0);
        }
        let pause = i64::try_from(self.below(2_000 / self.course.rate)).unwrap();
        self.schedule(pause, Event::Request);
    }

    fn ask(&mut self, question: &Question) -> Answer {
        let (answer, record) = self.ledger.ask(question, self.second());
        self.log.extend(record.map(|record| (self.second() / 3_600, record.write())));
        answer
    }

    fn restart(&mut self) {
        self.ledger = Ledger::new(MAX_EVENTS);
        for (hour, record) in &self.log {
            self.ledger.replay(&Record::read(record).unwrap(), *hour);
        }
    }

    /// Three times a second the platform hands over what waits.
    fn consume(&mut self) {
        if !(self.is_over() && self.queue.is_empty() && self.consumers.is_empty()) {
            self.schedule(333, Event::Consume);
        }
        let due: Vec<_> = self.queue.range(..=(self.now, u64::MAX)).map(|(key, _)| *key).take(100).collect();
        if due.is_empty() {
            return;
        }
        let batch: Vec<_> = due.iter().filter_map(|key| self.queue.remove(key)).collect();
        let batch: Vec<_> = batch.into_iter().map(|(body, attempts)| (body, attempts + 1)).collect();
        let bodies: Vec<_> = batch.iter().map(|(body, _)| Some(body.clone())).collect();
        let mut consumption = Consumption::read(&bodies, 1, self.now);
        let (is_troubled, kind) = (self.below(1_000) < self.course.troubled, self.below(3));
        if is_troubled && kind == 0 {
            self.restart();
        }
        let claims: Vec<_> = consumption.claims().into_iter().map(|(_, claim)| claim).collect();
        let is_silent = is_troubled && kind == 1;
        let claims = match is_silent.then(|| vec![Claim::Unknown; claims.len()]) {
            Some(unknown) => unknown,
            None => match self.ask(&Question::Claim(claims)) {
                Answer::Claim(claims) => claims,
                other => panic!("{other:?}"),
            },
        };
        consumption.plan(&claims, self.settings, self.now);
        let holder = self.below(u64::MAX);
        let mut writer = None;
        if let Some(request) = consumption.writer_request(holder) {
            let number = match self.course.rule {
                Rule::Ledger => match self.ask(&Question::AllocateWriter(request)) {
                    Answer::WriterAllocated(number, _) => number,
                    other => panic!("{other:?}"),
                },
                Rule::FreeAtSeconds => {
                    let is_free = |number: &u32| {
                        request.seconds.iter().all(|second| !self.taken.get(second).is_some_and(|t| t.contains(number)))
                    };
                    let number = (0..u32::MAX).find(is_free).unwrap();
                    for second in request.seconds {
                        self.taken.entry(second).or_default().insert(number);
                    }
                    number
                }
            };
            writer = Some((WriterId::Assigned(number), holder));
            consumption.write_as(Some(WriterId::Assigned(number)));
        }
        if is_troubled && kind == 2 {
            // It dies, and the messages come again.
            for (body, attempts) in batch {
                self.enqueue(20_000, body, attempts);
            }
            return;
        }
        let (gauges, partitions) = consumption.load();
        let gauges: &'static [Measurement] = Vec::leak(gauges.to_vec());
        let to = self.settings.destination.as_deref().unwrap();
        let delivery = Delivery::of_partitions(to, gauges, partitions, Policy::durable(self.now, 7));
        self.serial += 1;
        let consumer = usize::try_from(self.serial).unwrap();
        self.consumers.insert(consumer, Consumer { batch, consumption, delivery, writer });
        self.go_on(consumer);
    }

    fn go_on(&mut self, id: usize) {
        loop {
            match self.consumers.get_mut(&id).unwrap().delivery.next(self.now) {
                Step::Send(request) => {
                    let took = if self.below(1_000) < self.course.slow { 3_000 } else { 200 };
                    let took = i64::try_from(self.below(took)).unwrap();
                    self.schedule(took, Event::Arrive { consumer: id, request });
                }
                Step::Wait(until) => {
                    assert_eq!(until, None);
                    return;
                }
                Step::Done => break,
            }
        }
        self.finish(id);
    }

    fn arrive(&mut self, id: usize, request: &OutboundRequest) {
        self.found.requests += 1;
        let middle = self.course.seconds / 2;
        let is_out = (middle..middle + self.course.outage).contains(&self.elapsed());
        let answered = |status, retry_after: Option<&str>| {
            let retry_after = retry_after.map(str::to_owned);
            Arrival::Answered(Reply { status, retry_after, ..Reply::default() })
        };
        let arrival = if is_out {
            answered(503, None)
        } else if self.below(1_000) < self.course.failing {
            match self.below(4) {
                0 => answered(429, Some("3")),
                1 => answered(502, None),
                2 => answered(401, None),
                _ => Arrival::Lost,
            }
        } else {
            answered(self.store(&request.body), None)
        };
        let consumer = self.consumers.get_mut(&id).unwrap();
        consumer.delivery.settle(request.id, &arrival, self.now);
        self.go_on(id);
    }

    /// Takes a request whole, or not at all where it has a point that is older than its series.
    fn store(&mut self, body: &[u8]) -> u16 {
        let request = ExportRequest::decode(body).unwrap();
        let [resource] = &request.resource_metrics[..] else { panic!("one resource") };
        let text = |attributes: &[librato_edge::otlp::proto::KeyValue], key: &str| {
            let attribute = attributes.iter().find(|attribute| attribute.key == key).unwrap();
            attribute.value.as_ref().and_then(|value| value.string_value.clone()).unwrap()
        };
        let writer = text(&resource.resource.as_ref().unwrap().attributes, "service.instance.id");
        let mut points = Vec::new();
        for metric in &resource.scope_metrics[0].metrics {
            let Data::Gauge(gauge) = metric.data.as_ref().unwrap() else { panic!("a sum") };
            for point in &gauge.data_points {
                let series = (writer.clone(), metric.name.clone(), text(&point.attributes, "source"));
                if self.latest.get(&series).is_some_and(|latest| *latest >= point.time_unix_nano) {
                    return 400;
                }
                points.push((series, point.time_unix_nano, point.as_double.unwrap()));
            }
        }
        self.writers.insert(writer);
        for (series, time, value) in points {
            if series.1.strip_suffix(".count").is_some() {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let count = value as u64;
                self.found.stored += count;
            }
            self.latest.insert(series, time);
        }
        200
    }

    fn finish(&mut self, id: usize) {
        let Consumer { batch, mut consumption, delivery, writer } = self.consumers.remove(&id).unwrap();
        let failed = delivery.failed().to_vec();
        let letters = consumption.delivered(&delivery.finish()).len();
        self.found.refused += letters;
        let (mut drawn, mut owner) = (self.below(u64::MAX), self.below(u64::MAX));
        let mut random = |limit: u32| {
            drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            u32::try_from((drawn >> 33) % u64::from(limit)).unwrap()
        };
        let seals = consumption.seal(&failed, &mut random, &mut || {
            owner += 1;
            owner
        });
        for seal in seals {
            consumption.sealed(&seal);
            self.enqueue(Millis::from(seal.delay) * 1_000, seal.message, 0);
        }
        let done = consumption.set_aside(vec![true; letters]).into_iter().map(|(_, id)| id).collect();
        if let Some(settlement) = consumption.settlement(writer) {
            self.ask(&Question::SettleWriters(settlement));
        }
        self.ask(&Question::Done(done, false));
        let attempts: Vec<_> = batch.iter().map(|(_, attempts)| *attempts).collect();
        let decisions = consumption.decide(&attempts, &mut random);
        for ((body, attempts), decision) in batch.into_iter().zip(decisions) {
            match decision {
                Decision::Acknowledge => {}
                Decision::Retry(seconds) => self.enqueue(Millis::from(seconds) * 1_000, body, attempts),
                Decision::Renew(seconds) => self.enqueue(Millis::from(seconds) * 1_000, body, 0),
            }
        }
    }
}

/// All arrives, in order.
#[track_caller]
fn assert_exact(found: &Found) {
    assert!(found.sent > 1_000, "{found:?}");
    assert_eq!((found.stored, found.refused), (found.sent, 0), "{found:?}");
}

#[test]
fn where_nothing_fails_there_are_no_more_writers_than_free_seconds_want() {
    for rate in [1, 8, 30] {
        let course = Course { rate, ..CALM };
        let (found, before) = (World::play(course), World::play(Course { rule: Rule::FreeAtSeconds, ..course }));
        assert_exact(&found);
        assert_eq!(found, before);
    }
    // Events of some seconds' age come in any order, which took one writer less and was not exact.
    assert_exact(&World::play(Course { age: 2_900, ..CALM }));
}

#[test]
fn a_series_is_in_order_through_all_faults_but_a_lost_answer() {
    for (failing, outage, troubled, most) in [(50, 0, 0, 20), (0, 0, 60, 60), (100, 60, 30, 300)] {
        let course = Course { failing, outage, troubled, slow: 100, ..CALM };
        let found = World::play(course);
        assert_exact(&found);
        assert!(found.writers < most, "{found:?}");
        let before = World::play(Course { rule: Rule::FreeAtSeconds, ..course });
        assert!(before.refused > 0, "nothing was out of order: {before:?}");
    }
}

#[test]
fn late_events_are_refused_in_few_requests() {
    let course = Course { rate: 1, events: 80, age: 600_000, seconds: 20, ..CALM };
    let found = World::play(course);
    assert_eq!(found.stored + u64::try_from(found.refused).unwrap(), found.sent);
    assert!(found.refused > 40 && found.requests < 3 * found.refused, "{found:?}");
}
