//! One batch of the queue: what is delivered of it, and what becomes of each message.
//!
//! A sequence of steps that the platform layer carries out in between: read, claim, deliver, set aside, tell the
//! ledger, decide.

use rustc_hash::FxHashMap;

use crate::Millis;
use crate::delivery::{Outcome, Partition};
use crate::destination::WriterId;
use crate::measurement::Measurement;
use crate::rejection::Code;
use crate::rollup::Rollup;
use crate::settings::{LateEvents, Settings};

use super::dead_letter::DeadLetter;
use super::once::{self, Claim, WriterRequest, WriterSettlement, is_on_time};
use super::parcel::{EventId, Owner, Parcel};

/// The first pause before a message comes again, in seconds.
const FIRST_PAUSE: u32 = 5;
/// The longest of our own making.
const LONGEST_PAUSE: u32 = 300;
/// The longest that the platform takes.
const PLATFORM_PAUSE: u32 = 43_200;
/// Deliveries after which a message is sent anew: the platform gives one up after a hundred retries.
const RENEWED_AFTER: u32 = 90;
/// What a delivery may take: events that are nearly too old are treated as too old.
const MARGIN_SECONDS: i64 = 30;

/// How long the number of a delivery is kept for it, in seconds: longer than a delivery takes ([`Policy::durable`]), and
/// all that comes after it.
///
/// [`Policy::durable`]: crate::delivery::Policy::durable
const WRITER_LEASE: u32 = 420;

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// All of it is delivered or set aside.
    Acknowledge,
    /// It comes again after so many seconds.
    Retry(u32),
    /// The same, as a new message, because the platform would give this one up soon.
    Renew(u32),
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    /// In no one's hands yet.
    Open,
    /// Nothing to do: somebody else's, or done before.
    Settled,
    /// Done now: delivered, or set aside.
    Done,
    /// The same event as another of this batch, which a copy of its message brought: whatever becomes of that one.
    Same(usize),
    /// In the letter of this place, unless that cannot be sent.
    InLetter(usize),
    /// It comes again, not before so many seconds where the destination said so.
    Kept(Option<u32>),
}

#[derive(Debug)]
struct Item {
    message: usize,
    id: EventId,
    /// Of the ledger.
    shard: u32,
    owner: Owner,
    received_at: i64,
    measurement: Measurement,
    /// Whose it is, where it travels in a shipment that was tried.
    sealed: Option<WriterId>,
    state: State,
}

/// A shipment that failed, to be stored as a message of its own: what is sent again is what was sent.
#[derive(Debug)]
pub struct Seal {
    /// The message.
    pub message: String,
    /// After how many seconds it is to come.
    pub delay: u32,
    /// The shard of its events.
    pub shard: u32,
    /// The message's owner.
    owner: Owner,
    /// What it holds.
    gauges: Vec<usize>,
}

/// One batch of messages.
#[derive(Debug)]
pub struct Consumption {
    messages: usize,
    /// How many shards the ledger has now.
    shards: u32,
    items: Vec<Item>,
    /// What is to be delivered: first what is rolled up here, then what was sealed, partition by partition.
    gauges: Vec<Measurement>,
    partitions: Vec<Partition>,
    /// The items of each gauge.
    members: Vec<Vec<usize>>,
    /// Which of them hold an event that was sent as it happened.
    on_time: Vec<bool>,
    /// Whether it matters whose a measurement is.
    deduplicates_points: bool,
    /// Messages that are sealed, each with its number and owner.
    seals: Vec<(usize, u32, Owner)>,
    /// What is stored as messages of their own, by their owners.
    sealed: Vec<Owner>,
    letters: Vec<DeadLetter>,
    /// Messages that could not be read, and their letters.
    unreadable: Vec<(usize, usize)>,
    letters_sent: Vec<bool>,
}

impl Consumption {
    /// Reads the messages; `None` is one whose body cannot even be written as text. What cannot be read is set aside:
    /// it would not be readable the next time. `shards` is how many there are now.
    #[must_use]
    pub fn read(messages: &[Option<String>], shards: u32, now: Millis) -> Self {
        let mut consumption = Self {
            messages: messages.len(),
            shards,
            items: Vec::new(),
            gauges: Vec::new(),
            partitions: Vec::new(),
            members: Vec::new(),
            on_time: Vec::new(),
            deduplicates_points: false,
            seals: Vec::new(),
            sealed: Vec::new(),
            letters: Vec::new(),
            unreadable: Vec::new(),
            letters_sent: Vec::new(),
        };
        for (message, body) in messages.iter().enumerate() {
            let parcel = match body {
                Some(body) => Parcel::read(body),
                None => Err("a message without a text"),
            };
            match parcel {
                Ok(Parcel { owner, received_at, entries, shards: packed, sealed }) => {
                    // As many as there were then: whoever gets a message meets the same ones.
                    let shard_of = |id: EventId| match packed {
                        Some(packed) => once::shard(id.sender(), packed),
                        None => once::shard_before(id, shards),
                    };
                    let items = entries.into_iter().map(|entry| Item {
                        message,
                        id: entry.id,
                        shard: shard_of(entry.id),
                        owner,
                        received_at,
                        measurement: entry.measurement,
                        sealed,
                        state: State::Open,
                    });
                    consumption.items.extend(items);
                    if let Some(WriterId::Assigned(number)) = sealed {
                        consumption.seals.push((message, number, owner));
                    }
                }
                Err(reason) => {
                    let text = body.as_deref().unwrap_or_default();
                    consumption.unreadable.push((message, consumption.letters.len()));
                    consumption.letters.push(DeadLetter::unreadable(text, reason, now));
                }
            }
        }
        consumption
    }

    /// What the ledger is to be asked, by its shards, in an order that [`Self::plan`] takes the answers in.
    #[must_use]
    pub fn claims(&self) -> Vec<(u32, (EventId, Owner))> {
        self.items.iter().map(|item| (item.shard, (item.id, item.owner))).collect()
    }

    /// Takes the ledger's answers and tells what is to be delivered.
    pub fn plan(&mut self, answers: &[Claim], settings: &Settings, now: Millis) -> &[Measurement] {
        let second = now.div_euclid(1_000);
        let oldest = settings.window().oldest(second) + MARGIN_SECONDS;
        let mut rollup = Rollup::new(settings.rollup_seconds, oldest);
        let mut granted = FxHashMap::default();
        let mut sealed: Vec<(usize, WriterId, Vec<usize>)> = Vec::new();
        let deduplicates_points = settings.destination.as_ref().is_some_and(|to| to.deduplicates_points());
        self.deduplicates_points = deduplicates_points;
        for (place, item) in self.items.iter_mut().enumerate() {
            item.state = match answers.get(place) {
                Some(Claim::Settled) => State::Settled,
                Some(Claim::Granted) => State::Open,
                Some(Claim::Unknown) | None => State::Kept(None),
            };
            if item.state != State::Open {
                continue;
            }
            let first = *granted.entry(item.id).or_insert(place);
            if first != place {
                item.state = State::Same(first);
                continue;
            }
            // What is in the queue was in time when it arrived.
            if item.measurement.time < oldest {
                match settings.late_events {
                    LateEvents::Now => {
                        item.measurement.time = second;
                        item.sealed = None;
                    }
                    LateEvents::Reject => {
                        item.state = State::InLetter(self.letters.len());
                        self.letters.push(DeadLetter::of(
                            &item.measurement,
                            Code::TimestampOutOfRange,
                            None,
                            item.received_at,
                            &[item.id],
                            item.sealed.filter(|_| deduplicates_points),
                        ));
                        continue;
                    }
                }
            }
            if let Some(writer) = item.sealed.filter(|_| deduplicates_points) {
                match sealed.last_mut() {
                    Some((message, _, places)) if *message == item.message => places.push(place),
                    _ => sealed.push((item.message, writer, vec![place])),
                }
                continue;
            }
            let is_on_time = is_on_time(item.measurement.time, item.received_at, second);
            let gauge = rollup.add(&item.measurement);
            if self.members.len() <= gauge {
                self.members.resize_with(gauge + 1, Vec::new);
                self.on_time.resize(gauge + 1, false);
            }
            if let (Some(members), Some(on_time)) = (self.members.get_mut(gauge), self.on_time.get_mut(gauge)) {
                members.push(place);
                *on_time |= is_on_time;
            }
        }
        self.gauges = rollup.finish();
        self.partitions = vec![Partition { writer: WriterId::NONE, members: self.gauges.len() }];
        for (_, writer, places) in sealed {
            self.partitions.push(Partition { writer, members: places.len() });
            for place in places {
                let measurement = self.items.get(place).map(|item| item.measurement.clone());
                self.gauges.extend(measurement);
                self.members.push(vec![place]);
            }
        }
        &self.gauges
    }

    /// How many of the measurements are not sealed: those for which a writer is wanted, where the destination knows
    /// points.
    fn unsealed(&self) -> usize {
        self.partitions.first().map_or(0, |partition| partition.members)
    }

    /// Returns what the ledger is to be asked for a writer, where one is wanted, for this holder.
    #[must_use]
    pub fn writer_request(&self, holder: Owner) -> Option<WriterRequest> {
        let unsealed = self.gauges.get(..self.unsealed())?;
        let is_wanted = self.deduplicates_points && !unsealed.is_empty();
        let measured = unsealed.iter().zip(self.on_time.iter().copied());
        is_wanted.then(|| WriterRequest::of(holder, WRITER_LEASE, measured))
    }

    /// Returns what became of writers, the last step: of this delivery's, where it has one with this holder, and of
    /// those of the messages that came sealed.
    #[must_use]
    pub fn settlement(&self, mine: Option<(WriterId, Owner)>) -> Option<WriterSettlement> {
        let mut settlement = WriterSettlement::default();
        if let Some((WriterId::Assigned(number), holder)) = mine {
            settlement.released.push((number, holder));
            settlement.held = self.sealed.iter().map(|owner| (number, *owner)).collect();
        }
        let is_kept = |message: usize| {
            self.items.iter().any(|item| item.message == message && matches!(item.state, State::Kept(_)))
        };
        let settled = self.seals.iter().filter(|(message, ..)| !is_kept(*message));
        settlement.released.extend(settled.map(|(_, number, owner)| (*number, *owner)));
        let is_any = !settlement.released.is_empty() || !settlement.held.is_empty();
        (self.deduplicates_points && is_any).then_some(settlement)
    }

    /// Takes whose the measurements are that are not sealed. Without a writer they wait.
    pub fn write_as(&mut self, writer: Option<WriterId>) {
        let unsealed = self.unsealed();
        match (writer, self.partitions.first_mut()) {
            (Some(writer), Some(partition)) => partition.writer = writer,
            (Some(_), None) => {}
            (None, _) => {
                self.gauges.drain(..unsealed);
                for place in self.members.drain(..unsealed).flatten() {
                    if let Some(item) = self.items.get_mut(place) {
                        item.state = State::Kept(None);
                    }
                }
                if let Some(partition) = self.partitions.first_mut() {
                    partition.members = 0;
                }
            }
        }
    }

    /// What is to be delivered, and in which partitions.
    #[must_use]
    pub fn load(&self) -> (&[Measurement], &[Partition]) {
        (&self.gauges, &self.partitions)
    }

    /// Takes which measurements failed together, after [`Self::delivered`], and tells what is to be stored in their
    /// place. What was sealed before comes again by itself.
    pub fn seal(
        &self,
        failed: &[Vec<usize>],
        random: &mut dyn FnMut(u32) -> u32,
        new_owner: &mut dyn FnMut() -> Owner,
    ) -> Vec<Seal> {
        let Some(Partition { writer, members: unsealed }) = self.partitions.first() else {
            return Vec::new();
        };
        let failed = failed.iter().filter(|gauges| gauges.iter().all(|gauge| gauge < unsealed));
        let seals = failed.filter_map(|gauges| {
            let shipment: Vec<_> = gauges.iter().filter_map(|gauge| self.gauges.get(*gauge)).collect();
            let items: Vec<_> = gauges
                .iter()
                .filter_map(|gauge| self.members.get(*gauge))
                .flatten()
                .filter_map(|place| self.items.get(*place))
                .collect();
            let received_at = items.iter().map(|item| item.received_at).min()?;
            let asked_for = items.iter().find_map(|item| match item.state {
                State::Kept(seconds) => seconds,
                _ => None,
            });
            let delay = match asked_for {
                Some(seconds) => seconds.clamp(1, PLATFORM_PAUSE),
                None => pause(1, random),
            };
            let owner = new_owner();
            let message = Parcel::seal(&shipment, self.shards, received_at, owner, *writer)?;
            let shard = once::shard(Parcel::sender(owner), self.shards);
            Some(Seal { message, delay, shard, owner, gauges: gauges.clone() })
        });
        seals.collect()
    }

    /// Takes that a seal is stored: its events are in it now, and done where they came from.
    pub fn sealed(&mut self, seal: &Seal) {
        self.sealed.push(seal.owner);
        for place in seal.gauges.iter().filter_map(|gauge| self.members.get(*gauge)).flatten() {
            if let Some(item) = self.items.get_mut(*place) {
                item.state = State::Done;
            }
        }
    }

    /// Takes what became of the measurements, in the order of [`Self::plan`], and tells what is to be sent to the
    /// dead-letter queue.
    pub fn delivered(&mut self, outcomes: &[Outcome]) -> &[DeadLetter] {
        let writers = self.partitions.iter().flat_map(|partition| {
            let writer = Some(partition.writer).filter(|_| self.deduplicates_points);
            std::iter::repeat_n(writer, partition.members)
        });
        let gauges = self.gauges.iter().zip(&self.members).zip(writers);
        for (((gauge, members), writer), outcome) in gauges.zip(outcomes) {
            let state = match outcome {
                Outcome::Delivered => State::Done,
                Outcome::Later(trouble) => State::Kept(trouble.retry_after),
                Outcome::SetAside(reason) => {
                    let items = members.iter().filter_map(|place| self.items.get(*place));
                    let (events, received): (Vec<_>, Vec<_>) = items.map(|item| (item.id, item.received_at)).unzip();
                    let received_at = received.into_iter().min().unwrap_or_default();
                    let code = Code::RefusedByLibrato;
                    let reason = Some(reason.as_str());
                    self.letters.push(DeadLetter::of(gauge, code, reason, received_at, &events, writer));
                    State::InLetter(self.letters.len() - 1)
                }
            };
            for place in members {
                if let Some(item) = self.items.get_mut(*place) {
                    item.state = state.clone();
                }
            }
        }
        &self.letters
    }

    /// Takes which of the letters were sent, and tells the events that are done for good, by shards.
    pub fn set_aside(&mut self, sent: Vec<bool>) -> Vec<(u32, EventId)> {
        self.letters_sent = sent;
        let mut done = Vec::new();
        for item in &mut self.items {
            if let State::InLetter(letter) = item.state {
                let is_sent = self.letters_sent.get(letter).copied().unwrap_or_default();
                item.state = if is_sent { State::Done } else { State::Kept(None) };
            }
            if item.state == State::Done {
                done.push((item.shard, item.id));
            }
        }
        for place in 0..self.items.len() {
            let state = match self.items.get(place).map(|item| &item.state) {
                Some(State::Same(first)) => self.items.get(*first).map(|item| item.state.clone()),
                _ => continue,
            };
            if let (Some(item), Some(state)) = (self.items.get_mut(place), state) {
                item.state = state;
            }
        }
        done
    }

    /// Returns how many events come again, and the second at which the oldest of them arrived.
    #[must_use]
    pub fn kept(&self) -> (u64, Option<i64>) {
        let kept = self.items.iter().filter(|item| matches!(item.state, State::Kept(_)));
        (kept.clone().count() as u64, kept.map(|item| item.received_at).min())
    }

    /// Returns the shard of a message's first event.
    #[must_use]
    pub fn shard_of(&self, message: usize) -> u32 {
        self.items.iter().find(|item| item.message == message).map_or(0, |item| item.shard)
    }

    /// What becomes of each message. `attempts` tells how often each has been delivered, this time included; `random`
    /// gives a number below its argument.
    pub fn decide(&self, attempts: &[u32], random: &mut dyn FnMut(u32) -> u32) -> Vec<Decision> {
        let mut kept: Vec<Option<Option<u32>>> = vec![None; self.messages];
        for item in &self.items {
            let (State::Kept(pause), Some(slot)) = (&item.state, kept.get_mut(item.message)) else {
                continue;
            };
            *slot = Some(slot.flatten().max(*pause));
        }
        for (message, letter) in &self.unreadable {
            let is_sent = self.letters_sent.get(*letter).copied().unwrap_or_default();
            if let Some(slot) = kept.get_mut(*message).filter(|_| !is_sent) {
                *slot = Some(None);
            }
        }
        kept.into_iter()
            .enumerate()
            .map(|(message, kept)| {
                let Some(asked_for) = kept else { return Decision::Acknowledge };
                let attempts = attempts.get(message).copied().unwrap_or(1);
                let pause = match asked_for {
                    Some(seconds) => seconds.clamp(1, PLATFORM_PAUSE),
                    None => pause(attempts, random),
                };
                if attempts >= RENEWED_AFTER { Decision::Renew(pause) } else { Decision::Retry(pause) }
            })
            .collect()
    }
}

/// Five seconds, doubled with each delivery up to five minutes, of which the second half is random.
fn pause(attempts: u32, random: &mut dyn FnMut(u32) -> u32) -> u32 {
    let longest = (FIRST_PAUSE << attempts.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
    longest - random(longest / 2 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_five_seconds_to_five_minutes() {
        for (attempts, longest) in [(0, 5), (1, 5), (2, 10), (3, 20), (6, 160), (7, 300), (99, 300)] {
            assert_eq!(pause(attempts, &mut |_| 0), longest, "{attempts}");
            let shortest = pause(attempts, &mut |limit| limit - 1);
            assert!(shortest >= longest / 2 && shortest < longest, "{attempts}: {shortest}");
        }
    }
}
