//! Bringing measurements to a destination: what is sent when, sent again, split and set aside.
//!
//! A state machine without a clock and without a socket. It is asked what to do ([`Delivery::next`]) and told what came
//! of it ([`Delivery::settle`]), with the time each time, so that every course of events can be played through in a
//! test.

use std::collections::{BTreeMap, VecDeque};

use crate::Millis;
use crate::destination::Class;
pub use crate::destination::{
    Destination, Judgement, PartialSuccess, PermanentRejection, Reply, RetryReason, RetryableError, WriterId,
};
use crate::measurement::Measurement;

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// It was answered.
    Answered(Reply),
    /// There was no answer in time.
    TimedOut,
    /// The connection failed. Whether the request was taken is unknown.
    Lost,
}

/// What became of a measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The destination has it.
    Delivered,
    /// The destination will never take it, for this reason.
    SetAside(String),
    /// It is to be delivered later.
    Later(RetryableError),
}

/// How patient a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How often one request is tried.
    pub tries: u32,
    /// When all must be over.
    pub deadline: Millis,
    /// How long an answer is waited for.
    pub timeout: Millis,
    /// The pause before the second try; it doubles with each further one. A random part of up to the same length is
    /// added.
    pub pause: Millis,
    /// Requests that may fail for good before nothing more is begun.
    pub failures: u32,
    /// Where the random parts come from.
    pub seed: u64,
}

impl Policy {
    /// While the client waits: two tries within six seconds, and the whole answer within seven of the request's
    /// beginning.
    #[must_use]
    pub fn direct(started: Millis, now: Millis, seed: u64) -> Self {
        let deadline = (now + 6_000).min(started + 6_800);
        // The client will send all of it again: what has not been sent yet need not count twice.
        Self { tries: 2, deadline, timeout: 3_000, pause: 150, failures: 1, seed }
    }

    /// While the messages wait in the queue, which brings back what fails. One bad answer may be about one request;
    /// three in a row are about the destination.
    #[must_use]
    pub fn durable(now: Millis, seed: u64) -> Self {
        Self { tries: 1, deadline: now + 300_000, timeout: 10_000, pause: 0, failures: 3, seed }
    }
}

/// Requests under way at once: a Worker may wait for the headers of six.
pub const MAX_IN_FLIGHT: usize = 6;

/// Less time than this is not worth a try.
const SHORTEST_TRY: Millis = 250;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send this.
    Send(OutboundRequest),
    /// Wait for an answer, and no longer than until this time where one is given.
    Wait(Option<Millis>),
    /// Nothing more: [`Delivery::finish`] tells the outcomes.
    Done,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundRequest {
    /// To name it by when its answer comes.
    pub id: u64,
    /// Its body.
    pub body: Vec<u8>,
    /// How long to wait for the answer.
    pub timeout: Millis,
}

/// Measurements that travel by themselves: no request holds some of two partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Whose they are.
    pub writer: WriterId,
    /// How many.
    pub members: usize,
}

#[derive(Debug)]
struct Job {
    /// Whose the measurements are.
    writer: WriterId,
    /// Places of the measurements.
    members: Vec<usize>,
    /// Failed tries.
    tries: u32,
    /// Not before.
    due: Millis,
    /// What is sought among the measurements of a request that was refused, of which these are some.
    search: Option<Search>,
}

impl Job {
    fn new(writer: WriterId, members: Vec<usize>) -> Self {
        Self { writer, members, tries: 0, due: Millis::MIN, search: None }
    }

    /// Returns the next request of a search; `None` when it is over.
    fn seeking(writer: WriterId, mut search: Search) -> Option<Self> {
        let members = search.draw();
        (!members.is_empty()).then(|| Self { search: Some(search), ..Self::new(writer, members) })
    }
}

/// The search for those members of a refused request that are refused alone.
///
/// One request after the other, since a backend that takes a series in order would refuse what two at once bring out of
/// it. With `n` members:
///
/// - one offender takes `log2(n)` requests and 4 more, all rounded up;
/// - `r` that follow each other, as the oldest do where a backend refuses what is late, take `r + 3 log2(n)` and 3 more;
/// - whatever is refused, there are no more than `2 n`.
#[derive(Debug)]
struct Search {
    /// Those not judged yet, beside the ones under way.
    rest: VecDeque<usize>,
    /// So many of the first of them hold an offender, where those under way are taken.
    narrowed: usize,
    /// How many are judged, and how many of them offend.
    judged: usize,
    offenders: usize,
    /// How many were taken since the last offender.
    run: usize,
}

impl Search {
    /// Begins with all members of a refused request.
    fn of(members: Vec<usize>) -> Self {
        let narrowed = members.len();
        Self { rest: members.into(), narrowed, judged: 0, offenders: 0, run: 0 }
    }

    /// Draws the members of the next request. Where an offender is known to be, half of where it can be. Else, after a
    /// single one, all the rest, since it may have been the only one; then as many as there have been for each offender,
    /// or one more than were taken in a row, if these are more.
    fn draw(&mut self) -> Vec<usize> {
        let count = match (self.narrowed, self.offenders) {
            (0, 0 | 1) => self.rest.len(),
            (0, offenders) => (self.judged / offenders).max(self.run + 1),
            (narrowed, _) => (narrowed / 2).max(1),
        };
        self.rest.drain(..count.min(self.rest.len())).collect()
    }

    /// Takes that members were refused together.
    fn narrow(&mut self, members: Vec<usize>) {
        self.narrowed = members.len();
        self.put_back(members);
    }

    /// Takes members back that are to be judged next.
    fn put_back(&mut self, members: Vec<usize>) {
        for member in members.into_iter().rev() {
            self.rest.push_front(member);
        }
    }

    /// Takes that so many were taken.
    fn taken(&mut self, count: usize) {
        self.narrowed = self.narrowed.saturating_sub(count);
        self.judged += count;
        self.run += count;
    }

    /// Takes that so many were refused for good.
    fn refused(&mut self, count: usize) {
        self.narrowed = 0;
        self.judged += count;
        self.offenders += count;
        self.run = 0;
    }
}

/// The delivery of a list of measurements.
pub struct Delivery<'a> {
    destination: &'a dyn Destination,
    measurements: &'a [Measurement],
    outcomes: Vec<Option<Outcome>>,
    waiting: VecDeque<Job>,
    in_flight: Vec<(u64, Job)>,
    policy: Policy,
    random: u64,
    requests: u64,
    failures: u32,
    /// The members of each request that failed for good.
    failed: Vec<Vec<usize>>,
    unnamed: u64,
    answers: BTreeMap<u16, u64>,
    partial: Option<PartialSuccess>,
    /// Why nothing more is begun.
    given_up: Option<RetryableError>,
}

impl<'a> Delivery<'a> {
    /// Begins a delivery to a destination to which it does not matter whose the measurements are.
    #[must_use]
    pub fn new(destination: &'a dyn Destination, measurements: &'a [Measurement], policy: Policy) -> Self {
        let partition = Partition { writer: WriterId::NONE, members: measurements.len() };
        Self::of_partitions(destination, measurements, &[partition], policy)
    }

    /// Begins a delivery of measurements that stand partition by partition. Where the destination knows points, those of
    /// one metric and source share a request: what fails of them comes later than none that follow.
    #[must_use]
    pub fn of_partitions(
        destination: &'a dyn Destination,
        measurements: &'a [Measurement],
        partitions: &[Partition],
        policy: Policy,
    ) -> Self {
        let mut delivery = Self {
            destination,
            measurements,
            outcomes: vec![None; measurements.len()],
            waiting: VecDeque::new(),
            in_flight: Vec::new(),
            policy,
            random: policy.seed | 1,
            requests: 0,
            failures: 0,
            failed: Vec::new(),
            unnamed: 0,
            answers: BTreeMap::new(),
            partial: None,
            given_up: None,
        };
        let most = destination.limits().members.max(1);
        let mut places = 0..measurements.len();
        for Partition { writer, members } in partitions {
            let mut members: Vec<_> = places.by_ref().take(*members).collect();
            if destination.deduplicates_points() {
                members.sort_by_key(|member| measurements.get(*member).map(|one| (&one.name, &one.source, one.time)));
            }
            while !members.is_empty() {
                let rest = delivery.split(&mut members, most);
                delivery.waiting.push_back(Job::new(*writer, std::mem::replace(&mut members, rest)));
            }
        }
        delivery
    }

    /// How many requests were sent.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// How many requests were stored in part without a word about which part. What was refused of them cannot be found,
    /// and sending them again would count the rest twice.
    #[must_use]
    pub fn unnamed(&self) -> u64 {
        self.unnamed
    }

    /// The measurements of each request that failed for good, by their places. Whether the destination has them is not
    /// known of all; the others that are to be delivered later were never sent.
    #[must_use]
    pub fn failed(&self) -> &[Vec<usize>] {
        &self.failed
    }

    /// Returns how often the destination has answered with which status, but for success.
    #[must_use]
    pub fn answers(&self) -> &BTreeMap<u16, u64> {
        &self.answers
    }

    /// Returns what the destination has said about what it took: the last words, and all that it refused.
    #[must_use]
    pub fn partial(&self) -> Option<&PartialSuccess> {
        self.partial.as_ref()
    }

    /// Returns how many points the destination says to have refused of what it took.
    #[must_use]
    pub fn rejected_points(&self) -> u64 {
        self.partial.as_ref().map_or(0, |partial| partial.rejected_points)
    }

    /// What is to be done now.
    pub fn next(&mut self, now: Millis) -> Step {
        let time_left = self.policy.deadline - now;
        if time_left < SHORTEST_TRY && !self.waiting.is_empty() {
            let out_of_time = RetryableError {
                reason: RetryReason::Unavailable,
                retry_after: None,
                detail: "no time is left".into(),
            };
            self.given_up.get_or_insert(out_of_time);
        }
        if let Some(trouble) = self.given_up.clone() {
            for job in std::mem::take(&mut self.waiting) {
                // What is sought in was sent once.
                let was_sent = job.search.is_some();
                self.postpone(job, &trouble, was_sent);
            }
        }
        let due = self.waiting.iter().position(|job| job.due <= now);
        if self.in_flight.len() < MAX_IN_FLIGHT
            && let Some(mut job) = due.and_then(|place| self.waiting.remove(place))
        {
            let body = self.encode(&mut job);
            self.requests += 1;
            let id = self.requests;
            self.in_flight.push((id, job));
            return Step::Send(OutboundRequest { id, body, timeout: self.policy.timeout.min(time_left) });
        }
        if self.in_flight.is_empty() && self.waiting.is_empty() {
            return Step::Done;
        }
        // With every place taken, only an answer changes anything.
        let is_full = self.in_flight.len() == MAX_IN_FLIGHT;
        Step::Wait(self.waiting.iter().map(|job| job.due).min().filter(|_| !is_full))
    }

    /// Takes the answer to a shipment.
    pub fn settle(&mut self, id: u64, arrival: &Arrival, now: Millis) {
        let Some(place) = self.in_flight.iter().position(|(other, _)| *other == id) else { return };
        let (_, job) = self.in_flight.swap_remove(place);
        let judgement = match arrival {
            Arrival::Answered(reply) => {
                if Class::of(reply.status) != Class::Success {
                    *self.answers.entry(reply.status).or_default() += 1;
                }
                self.destination.judge(reply, &self.batch(&job.members), now)
            }
            Arrival::TimedOut => unavailable("no answer in time"),
            Arrival::Lost => unavailable("the connection failed"),
        };
        match judgement {
            Judgement::Delivered => self.close(job, &Outcome::Delivered),
            Judgement::Partial(mut partial) => {
                self.close(job, &Outcome::Delivered);
                partial.rejected_points += self.rejected_points();
                self.partial = Some(partial);
            }
            Judgement::Rejected(reason) => self.close(job, &Outcome::SetAside(reason)),
            Judgement::TooLarge if job.members.len() == 1 => {
                self.close(job, &Outcome::SetAside("it is too large".into()));
            }
            Judgement::TooLarge => self.halve(job),
            Judgement::Refused(refusal) => self.isolate(job, refusal),
            Judgement::Partly(refusal) => {
                let refused = refusal.suspects.iter().filter_map(|place| job.members.get(*place));
                let refused: Vec<usize> = refused.copied().collect();
                self.unnamed += u64::from(refused.is_empty());
                self.close(job, &Outcome::Delivered);
                self.set(&refused, &Outcome::SetAside(refusal.reason));
            }
            Judgement::Later(trouble) => self.try_again(job, trouble, now),
        }
    }

    /// The outcomes, in the order of the measurements.
    #[must_use]
    pub fn finish(self) -> Vec<Outcome> {
        let unsettled = RetryableError {
            reason: RetryReason::Unavailable,
            retry_after: None,
            detail: "the delivery was broken off".into(),
        };
        let settled = |outcome: Option<_>| outcome.unwrap_or(Outcome::Later(unsettled.clone()));
        self.outcomes.into_iter().map(settled).collect()
    }

    fn batch(&self, members: &[usize]) -> Vec<&'a Measurement> {
        members.iter().filter_map(|member| self.measurements.get(*member)).collect()
    }

    /// Encodes a job; what is beyond the destination's limit becomes a job of its own.
    fn encode(&mut self, job: &mut Job) -> Vec<u8> {
        loop {
            let body = self.destination.encode(&self.batch(&job.members), job.writer);
            if body.len() <= self.destination.limits().bytes || job.members.len() <= 1 {
                return body;
            }
            let half = job.members.len() / 2;
            let rest = self.split(&mut job.members, half);
            self.waiting.push_front(Job::new(job.writer, rest));
        }
    }

    /// Leaves so many members at the most, and returns the others. No metric and source is on both sides, if it can be.
    fn split(&self, members: &mut Vec<usize>, most: usize) -> Vec<usize> {
        if members.len() <= most {
            return Vec::new();
        }
        let series = |place: usize| {
            let member = members.get(place)?;
            self.measurements.get(*member).map(|one| (&one.name, &one.source))
        };
        let between = (1..=most).rev().find(|place| series(place - 1) != series(*place));
        members.split_off(between.unwrap_or(most).max(1))
    }

    fn set(&mut self, members: &[usize], outcome: &Outcome) {
        for member in members {
            if let Some(slot) = self.outcomes.get_mut(*member) {
                *slot = Some(outcome.clone());
            }
        }
    }

    /// Takes what became of a job's members, and goes on with what it seeks.
    fn close(&mut self, job: Job, outcome: &Outcome) {
        self.set(&job.members, outcome);
        if let Some(mut search) = job.search {
            match outcome {
                Outcome::Delivered => search.taken(job.members.len()),
                _ => search.refused(job.members.len()),
            }
            self.waiting.extend(Job::seeking(job.writer, search));
        }
    }

    /// Takes that a job is for later; whether the destination has it is not known if it was sent.
    fn postpone(&mut self, job: Job, trouble: &RetryableError, was_sent: bool) {
        let mut members = job.members;
        members.extend(job.search.into_iter().flat_map(|search| search.rest));
        self.set(&members, &Outcome::Later(trouble.clone()));
        if was_sent {
            self.failed.push(members);
        }
    }

    fn halve(&mut self, mut job: Job) {
        let half = job.members.len() / 2;
        let rest = self.split(&mut job.members, half);
        match &mut job.search {
            // It stays narrowed to what it was: one of both holds an offender, or what follows them.
            Some(search) => {
                search.narrowed += if search.narrowed > 0 { rest.len() } else { 0 };
                search.put_back(rest);
            }
            None => self.waiting.push_back(Job::new(job.writer, rest)),
        }
        self.waiting.push_back(job);
    }

    /// Narrows a refusal down to the members that are refused alone ([`Search`]). Those that are named or hinted at are
    /// sent apart from the others.
    fn isolate(&mut self, job: Job, refusal: PermanentRejection) {
        if job.members.len() == 1 {
            return self.close(job, &Outcome::SetAside(refusal.reason));
        }
        let Job { writer, members, search, .. } = job;
        let (mut suspects, mut others) = (Vec::new(), Vec::new());
        for (place, member) in members.iter().enumerate() {
            if refusal.suspects.contains(&place) { &mut suspects } else { &mut others }.push(*member);
        }
        if refusal.is_certain && !suspects.is_empty() {
            self.set(&suspects, &Outcome::SetAside(refusal.reason));
            suspects.clear();
        } else if suspects.is_empty() || others.is_empty() {
            let search = match search {
                Some(mut search) => {
                    search.narrow(members);
                    search
                }
                None => Search::of(self.by_time(members)),
            };
            return self.waiting.extend(Job::seeking(writer, search));
        }
        for members in [others, suspects] {
            if !members.is_empty() {
                self.waiting.push_back(Job::new(writer, members));
            }
        }
        // The others of a search do not wait for these.
        if let Some(mut search) = search {
            search.narrowed = 0;
            self.waiting.extend(Job::seeking(writer, search));
        }
    }

    /// Sorts members by their time: a backend refuses the old rather than the new, and takes a series in order.
    fn by_time(&self, mut members: Vec<usize>) -> Vec<usize> {
        members.sort_by_key(|member| self.measurements.get(*member).map(|one| one.time));
        members
    }

    fn try_again(&mut self, mut job: Job, trouble: RetryableError, now: Millis) {
        job.tries += 1;
        let pause = match trouble.retry_after {
            Some(seconds) => Millis::from(seconds) * 1_000,
            None => {
                let pause = self.policy.pause << (job.tries - 1).min(16);
                pause + self.jitter(pause)
            }
        };
        job.due = now + pause;
        if job.tries < self.policy.tries && job.due + SHORTEST_TRY <= self.policy.deadline {
            self.waiting.push_back(job);
        } else {
            self.postpone(job, &trouble, true);
            self.failures += 1;
            // A limit or bad credentials concern every request.
            if self.failures >= self.policy.failures || trouble.reason != RetryReason::Unavailable {
                self.given_up.get_or_insert(trouble);
            }
        }
    }

    /// A random time below `limit` (xorshift; the pauses of many isolates must only differ).
    fn jitter(&mut self, limit: Millis) -> Millis {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 1).cast_signed() % limit.max(1)
    }
}

fn unavailable(detail: &str) -> Judgement {
    Judgement::Later(RetryableError { reason: RetryReason::Unavailable, retry_after: None, detail: detail.into() })
}
