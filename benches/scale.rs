//! A day of 10 million, 100 million and a billion events, through the real messages, ledger, consumer and delivery, with a
//! virtual clock: what it takes, what it costs, and whether anything is lost or counts twice.
//!
//! Sampled: one of the queues at its own rate, for 75 minutes of the day, so that what is sent again up to an hour later
//! meets what was sent first. Everything is scaled up from there.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    // It runs natively.
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::time::Instant;

use librato_edge::Millis;
use librato_edge::delivery::{Arrival, Delivery, Policy, Reply, Step};
use librato_edge::durable::consume::{Consumption, Decision};
use librato_edge::durable::once::{
    Answer, Claim, Ledger, MAX_EVENTS, MAX_QUESTION_EVENTS, Question, Record, by_shard, shard,
};
use librato_edge::durable::parcel::{EventId, Parcel};
use librato_edge::measurement::{Measurement, Samples};
use librato_edge::settings::Settings;

const NOW: Millis = 1_795_435_200_000;
/// How long is played.
const SAMPLE: Millis = 75 * 60 * 1_000;
const DAY: f64 = 86_400_000.0;

/// Dollars a million (<https://developers.cloudflare.com/workers/platform/pricing/>,
/// <https://developers.cloudflare.com/queues/platform/pricing/>,
/// <https://developers.cloudflare.com/durable-objects/platform/pricing/>, November 2026). What a plan includes is left out.
const REQUEST: f64 = 0.30;
const CPU_MILLISECOND: f64 = 0.02;
const QUEUE_OPERATION: f64 = 0.40;
const OBJECT_REQUEST: f64 = 0.15;
const GIGABYTE_SECOND: f64 = 12.50;
const ROW_WRITTEN: f64 = 1.00;

/// Taken, not simulated: CPU time of a client's request and of a consumer's batch, and how long an object works on a
/// question, in milliseconds.
const REQUEST_CPU: f64 = 1.0;
const BATCH_CPU: f64 = 20.0;
const QUESTION_TIME: f64 = 3.0;

/// A day: `name`, events, queues and shards.
const DAYS: [(&str, f64, u32, u32); 3] =
    [("10 million", 1e7, 1, 3), ("100 million", 1e8, 2, 34), ("a billion", 1e9, 12, 336)];

/// Of the events, so many come from servers, a hundred a request, the others from browsers, ten a request.
const SERVERS: f64 = 0.3;
/// Of a thousand messages, so many are sent again.
const AGAIN: u64 = 20;
/// Of a thousand batches, so many die after the claim, and so many before they acknowledge.
const DYING: u64 = 2;

type Events = Vec<(Measurement, EventId)>;

struct Shard {
    ledger: Ledger,
    log: Vec<(u32, Vec<u8>)>,
}

#[derive(Default)]
struct Counts {
    messages: u64,
    handed_over: u64,
    batches: u64,
    object_requests: u64,
    rows: u64,
    destination_requests: u64,
    restarts: u64,
    events: u64,
    /// Sum of the values of all events, by which one that is lost does not make up for one that counts twice.
    sum: f64,
    stored: u64,
    stored_sum: f64,
}

enum Happening {
    Browser,
    Server,
    Again(Events),
    Hand,
    Done(Box<Batch>),
}

struct Batch {
    messages: Vec<(String, u32)>,
    consumption: Consumption,
    done: Vec<(u32, EventId)>,
    dies: bool,
}

struct World {
    settings: Settings,
    queues: u32,
    shards: u32,
    rates: (f64, f64),
    now: Millis,
    agenda: BinaryHeap<Reverse<(Millis, u64)>>,
    happenings: HashMap<u64, Happening>,
    queue: VecDeque<(Millis, String, u32)>,
    later: BTreeMap<(Millis, u64), (String, u32)>,
    ledgers: BTreeMap<u32, Shard>,
    counts: Counts,
    random: u64,
    serial: u64,
}

impl World {
    fn play(events: f64, queues: u32, shards: u32) -> Counts {
        let settings = Settings::read(|name| {
            let value = match name {
                "LIBRATO_EMAIL" | "LIBRATO_TOKEN" | "WRITE_KEYS" => Some("key"),
                "LIBRATO_URL" => Some("https://librato.example.com"),
                _ => None,
            };
            value.into()
        });
        // Messages a millisecond in one queue. Nearly each server's request has events of each queue.
        let share = 1.0 - (1.0 - 1.0 / f64::from(queues)).powi(100);
        let rates = (events * (1.0 - SERVERS) / 10.0 / f64::from(queues) / DAY, events * SERVERS / 100.0 * share / DAY);
        let mut world = Self {
            settings,
            queues,
            shards,
            rates,
            now: NOW,
            agenda: BinaryHeap::new(),
            happenings: HashMap::new(),
            queue: VecDeque::new(),
            later: BTreeMap::new(),
            ledgers: BTreeMap::new(),
            counts: Counts::default(),
            random: 0x2545_f491_4f6c_dd1d,
            serial: 0,
        };
        world.schedule(0, Happening::Browser);
        world.schedule(0, Happening::Server);
        while let Some(Reverse((at, id))) = world.agenda.pop() {
            world.now = at;
            match world.happenings.remove(&id).expect("it is planned") {
                Happening::Browser => {
                    let events = world.browser();
                    world.send(events);
                    world.next(world.rates.0, Happening::Browser);
                }
                Happening::Server => {
                    let events = world.server();
                    world.send(events);
                    world.next(world.rates.1, Happening::Server);
                }
                Happening::Again(events) => world.put(&events),
                Happening::Hand => world.hand_over(),
                Happening::Done(batch) => world.settle(*batch),
            }
        }
        assert!(world.queue.is_empty() && world.later.is_empty());
        world.counts
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % limit
    }

    fn schedule(&mut self, after: Millis, what: Happening) {
        self.serial += 1;
        self.agenda.push(Reverse((self.now + after, self.serial)));
        self.happenings.insert(self.serial, what);
    }

    fn next(&mut self, rate: f64, what: Happening) {
        let mean = 1_000.0 / rate;
        // In microseconds, rounded up to the clock's milliseconds by chance, so that the mean is right.
        let micros = self.below((2.0 * mean) as u64 + 1);
        let pause = micros / 1_000 + u64::from(self.below(1_000) < micros % 1_000);
        if self.now - NOW < SAMPLE {
            self.schedule(pause as Millis, what);
        }
    }

    /// A sender whose events go through the queue that is looked at.
    fn sender(&mut self) -> u32 {
        loop {
            let sender = self.below(1 << 32) as u32;
            if shard(sender, self.shards).is_multiple_of(self.queues) {
                return sender;
            }
        }
    }

    fn event(&mut self, sender: u32) -> (Measurement, EventId) {
        let name: std::rc::Rc<str> = format!("Event-{}", self.below(20)).into();
        let value = self.below(1_000) as f64;
        let measurement = Measurement {
            display_name: std::rc::Rc::clone(&name),
            name,
            source: format!("source-{}", self.below(8)).into(),
            time: self.now / 1_000 - self.below(3) as i64,
            samples: Samples::one(value),
        };
        let id = EventId::placed(self.below(u64::MAX), 0).among(sender);
        (measurement, id)
    }

    fn browser(&mut self) -> Events {
        let sender = self.sender();
        (0..10).map(|_| self.event(sender)).collect()
    }

    fn server(&mut self) -> Events {
        let queues = u64::from(self.queues);
        let count = (0..100).filter(|_| self.below(queues) == 0).count().max(1);
        (0..count)
            .map(|_| {
                let sender = self.sender();
                self.event(sender)
            })
            .collect()
    }

    fn send(&mut self, events: Events) {
        self.counts.events += events.len() as u64;
        self.counts.sum += events.iter().map(|(measurement, _)| measurement.samples.sum).sum::<f64>();
        self.put(&events);
        if self.below(1_000) < AGAIN {
            let after = self.below(3_600_000) as Millis;
            self.schedule(after, Happening::Again(events));
        }
    }

    fn put(&mut self, events: &Events) {
        let packed: Vec<_> = events.iter().map(|(measurement, id)| (measurement, Some(*id))).collect();
        let owner = self.below(u64::MAX);
        for message in Parcel::pack(&packed, self.shards, self.now / 1_000, &mut || owner) {
            self.counts.messages += 1;
            self.queue.push_back((self.now, message, 0));
        }
        match self.queue.len() {
            1 => self.schedule(1_000, Happening::Hand),
            100.. => self.hand_over(),
            _ => {}
        }
    }

    fn ask(&mut self, shard: u32, question: &Question) -> Answer {
        // Objects restart now and then.
        let is_restarted = self.below(20_000) == 0;
        let (second, hour) = ((self.now / 1_000) as u32, (self.now / 3_600_000) as u32);
        let entry = self.ledgers.entry(shard);
        let known = entry.or_insert_with(|| Shard { ledger: Ledger::new(MAX_EVENTS), log: Vec::new() });
        if is_restarted {
            self.counts.restarts += 1;
            known.ledger = Ledger::new(MAX_EVENTS);
            for (hour, record) in &known.log {
                known.ledger.replay(&Record::read(record).expect("a record"), *hour);
            }
        }
        self.counts.object_requests += 1;
        let (answer, record) = known.ledger.ask(question, second);
        if let Some(record) = record {
            self.counts.rows += 1;
            known.log.push((hour, record.write()));
        }
        if known.ledger.is_log_long() {
            known.log = known.ledger.records().map(|(hour, record)| (hour, record.write())).collect();
            self.counts.rows += known.log.len() as u64;
            known.ledger.log_rewritten();
        }
        answer
    }

    /// Hands a batch over: when there are a hundred messages, or one has waited for a second.
    fn hand_over(&mut self) {
        let due: Vec<_> = self.later.range(..=(self.now, u64::MAX)).map(|(key, _)| *key).collect();
        for key in due {
            let (message, attempts) = self.later.remove(&key).expect("it is there");
            self.queue.push_back((self.now, message, attempts));
        }
        let is_due = |(since, ..): &(Millis, String, u32)| self.now - since >= 1_000;
        if !(self.queue.len() >= 100 || self.queue.front().is_some_and(is_due)) {
            if let Some((since, ..)) = self.queue.front() {
                self.schedule(since + 1_000 - self.now, Happening::Hand);
            }
            return;
        }
        let count = self.queue.len().min(100);
        let messages: Vec<_> = self.queue.drain(..count).map(|(_, body, attempts)| (body, attempts + 1)).collect();
        if !self.queue.is_empty() {
            self.schedule(1, Happening::Hand);
        }
        self.counts.batches += 1;
        self.counts.handed_over += messages.len() as u64;
        let bodies: Vec<_> = messages.iter().map(|(body, _)| Some(body.clone())).collect();
        let mut consumption = Consumption::read(&bodies, self.shards, self.now);
        let claims = consumption.claims();
        let mut answers = vec![Claim::Unknown; claims.len()];
        let places = claims.iter().enumerate().map(|(place, (shard, _))| (*shard, place));
        for (shard, places) in by_shard(places) {
            let part = places.iter().map(|place| claims[*place].1).collect();
            let Answer::Claim(part) = self.ask(shard, &Question::Claim(part)) else { panic!("no answer") };
            for (place, answer) in places.into_iter().zip(part) {
                answers[place] = answer;
            }
        }
        if self.below(1_000) < DYING {
            return self.come_again(messages, 5_000);
        }
        let gauges = consumption.plan(&answers, &self.settings, self.now);
        let destination = self.settings.destination.as_deref().expect("Librato is set");
        let mut delivery = Delivery::new(destination, gauges, Policy::durable(self.now, 7));
        let mut under_way = VecDeque::new();
        loop {
            match delivery.next(self.now) {
                Step::Send(request) => under_way.push_back(request.id),
                Step::Wait(_) => {
                    let id = under_way.pop_front().expect("it waits for something");
                    let reply = Reply { status: 200, ..Reply::default() };
                    delivery.settle(id, &Arrival::Answered(reply), self.now);
                }
                Step::Done => break,
            }
        }
        self.counts.destination_requests += delivery.requests();
        self.counts.stored += gauges.iter().map(|gauge| gauge.samples.count).sum::<u64>();
        self.counts.stored_sum += gauges.iter().map(|gauge| gauge.samples.sum).sum::<f64>();
        let outcomes = delivery.finish();
        consumption.delivered(&outcomes);
        let done = consumption.set_aside(Vec::new());
        let (took, dies) = (100 + self.below(200) as Millis, self.below(1_000) < DYING);
        self.schedule(took, Happening::Done(Box::new(Batch { messages, consumption, done, dies })));
    }

    fn settle(&mut self, batch: Batch) {
        let attempts: Vec<_> = batch.messages.iter().map(|(_, attempts)| *attempts).collect();
        let decisions = batch.consumption.decide(&attempts, &mut |limit| limit / 2);
        let may_wait = decisions.iter().all(|decision| *decision == Decision::Acknowledge);
        for (shard, ids) in by_shard(batch.done.into_iter()) {
            for ids in ids.chunks(MAX_QUESTION_EVENTS) {
                self.ask(shard, &Question::Done(ids.to_vec(), may_wait));
            }
        }
        if batch.dies {
            return self.come_again(batch.messages, 5_000);
        }
        let again = batch.messages.into_iter().zip(decisions);
        let again: Vec<_> =
            again.filter(|(_, decision)| *decision != Decision::Acknowledge).map(|(one, _)| one).collect();
        self.come_again(again, 5_000);
    }

    fn come_again(&mut self, messages: Vec<(String, u32)>, after: Millis) {
        if messages.is_empty() {
            return;
        }
        for message in messages {
            self.serial += 1;
            self.later.insert((self.now + after, self.serial), message);
        }
        self.schedule(after, Happening::Hand);
        self.schedule(after + 1_000, Happening::Hand);
    }
}

/// How long a full shard takes to read its log, in seconds, natively.
fn restart() -> f64 {
    let mut ledger = Ledger::new(MAX_EVENTS);
    let mut now = (NOW / 1_000) as u32;
    let mut log = Vec::new();
    for first in (0..MAX_EVENTS as u64).step_by(1_000) {
        let ids = (first..first + 1_000).map(|n| EventId::placed(n, 0));
        let (_, record) = ledger.ask(&Question::Done(ids.collect(), false), now);
        log.extend(record.map(|record| (now / 3_600, record.write())));
        now += 20;
    }
    let begun = Instant::now();
    let mut again = Ledger::new(MAX_EVENTS);
    again.reserve(log.iter().map(|(_, record)| record.len()).sum());
    for (hour, record) in &log {
        again.replay(&Record::read(record).expect("a record"), *hour);
    }
    assert_eq!(again.stats(), ledger.stats());
    begun.elapsed().as_secs_f64()
}

fn main() {
    println!("| | {} |", DAYS.map(|(name, ..)| name).join(" | "));
    println!("|{}", " --- |".repeat(DAYS.len() + 1));
    let mut rows: Vec<(&str, Vec<String>)> = Vec::new();
    let mut row = |place: usize, name: &'static str, value: String| {
        if place == 0 {
            rows.push((name, Vec::new()));
        }
        let row = rows.iter_mut().find(|(other, _)| *other == name).expect("a row");
        row.1.push(value);
    };
    let millions = |count: f64| format!("{:.2}", count / 1e6);
    for (place, (_, events, queues, shards)) in DAYS.into_iter().enumerate() {
        let found = World::play(events, queues, shards);
        let scale = events / found.events as f64;
        let of = |count: u64| count as f64 * scale;
        let requests = events * ((1.0 - SERVERS) / 10.0 + SERVERS / 100.0) * (1.0 + AGAIN as f64 / 1_000.0);
        let operations = of(2 * found.messages + found.handed_over);
        // Each row is deleted a day later, which is written as well.
        // An alarm is a row and a request to the object: one in five seconds, where something waits for a row.
        let alarms = f64::from(shards) * 86_400.0 / 5.0;
        let written = of(2 * found.rows) + alarms;
        let cpu = requests * REQUEST_CPU + of(found.batches) * BATCH_CPU;
        let gigabyte_seconds = of(found.object_requests) * QUESTION_TIME / 1_000.0 * 0.128;
        let dollars = [
            ("dollars: requests", (requests + of(found.batches)) * REQUEST),
            ("dollars: CPU", cpu * CPU_MILLISECOND),
            ("dollars: queues", operations * QUEUE_OPERATION),
            ("dollars: object requests", (of(found.object_requests) + alarms) * OBJECT_REQUEST),
            ("dollars: object time", gigabyte_seconds * GIGABYTE_SECOND),
            ("dollars: rows", written * ROW_WRITTEN),
        ];
        let remembered = events * 25.0 / 24.0 / f64::from(shards);
        row(place, "queues and shards", format!("{queues} and {shards}"));
        row(place, "events played", found.events.to_string());
        row(place, "messages, millions", millions(of(found.messages)));
        row(place, "messages a batch", format!("{:.0}", found.handed_over as f64 / found.batches as f64));
        row(place, "queue operations, millions", millions(operations));
        row(place, "object requests, millions", millions(of(found.object_requests)));
        row(place, "rows written, and deleted, millions", millions(written));
        row(place, "rows a batch and shard", format!("{:.2}", 2.0 * found.rows as f64 / found.object_requests as f64));
        row(place, "destination requests, millions", millions(of(found.destination_requests)));
        row(place, "events a shard remembers, millions", millions(remembered));
        row(place, "MB of them a shard, at the most", format!("{:.0}", remembered * 12.5 / 1e6));
        row(place, "restarts of objects", found.restarts.to_string());
        let twice = found.stored.saturating_sub(found.events);
        let lost = found.events.saturating_sub(found.stored);
        let is_exact = twice + lost == 0 && (found.sum - found.stored_sum).abs() < 0.5;
        row(place, "counted twice", twice.to_string());
        row(place, "lost", lost.to_string());
        row(place, "sum of values is exact", is_exact.to_string());
        for (name, amount) in dollars {
            row(place, name, format!("{:.2}", amount / 1e6));
        }
        row(place, "dollars a day", format!("{:.2}", dollars.iter().map(|(_, amount)| amount / 1e6).sum::<f64>()));
    }
    for (name, values) in rows {
        println!("| {name} | {} |", values.join(" | "));
    }
    println!("\nA full shard reads its log in {:.2} s natively.", restart());
}
