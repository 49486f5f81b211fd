//! A request with measurements, from its bytes to its answer.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use crate::app::{App, State};
use crate::clock::{millis, now};
use crate::fault::{Effect, Fault};
use crate::journal::{Entry, Member, Verdict};
use crate::measurement::Measurement;
use crate::refusal::{Errors, Refusal};
use crate::reply::Reply;
use crate::request::{Received, authenticate, require_json, user_agent};
use crate::tagged;
use crate::validate::{self, Batch};

/// The two ways to submit.
#[derive(Clone, Copy)]
pub(crate) enum Api {
    /// Source-based, and all or nothing.
    Metrics,
    /// Tag-based, each measurement for itself.
    Measurements,
}

impl Api {
    fn path(self) -> &'static str {
        match self {
            Self::Metrics => "/v1/metrics",
            Self::Measurements => "/v1/measurements",
        }
    }

    fn judge(self, body: &[u8], now: i64) -> Result<Batch, Refusal> {
        match self {
            Self::Metrics => validate::metrics(body, now),
            Self::Measurements => tagged::measurements(body, now),
        }
    }

    fn store(
        self,
        state: &mut State,
        batch: Batch,
        now: i64,
        user_agent: Option<&str>,
    ) -> (Reply, Vec<Member>) {
        match self {
            Self::Metrics => store_all(state, batch, now, user_agent),
            Self::Measurements => store_each(state, batch, now, user_agent),
        }
    }
}

/// Judges, stores and logs a submission. What comes back is the answer, or nothing where the connection
/// is to be cut instead, and how long that takes.
pub(crate) fn answer(
    api: Api,
    app: &App,
    headers: &HeaderMap,
    received: &Received,
) -> (Duration, Option<Reply>) {
    let now = now();
    let batch = authenticate(app, headers)
        .and_then(|()| require_json(headers))
        .and_then(|()| received.within_limit())
        .and_then(|body| api.judge(body, now).map_err(|r| Reply::refusal(&r, now)));
    let user_agent = user_agent(headers);

    let mut state = app.lock();
    let fault = state.faults.take();
    let befallen = fault.as_ref().map(|fault| fault.answer);
    let (reply, members) = match &fault {
        Some(fault) if !fault.answer.stores() => (fault.reply(now), withhold(batch, fault)),
        _ => {
            let (reply, members) = match batch {
                Ok(batch) => api.store(&mut state, batch, now, user_agent.as_deref()),
                Err(reply) => (reply, Vec::new()),
            };
            let reply = (befallen != Some(Effect::ResetAfter)).then_some(reply);
            (reply, members)
        }
    };
    let delay = fault.as_ref().map(Fault::delay).unwrap_or_default();
    let entry = Entry {
        seq: 0,
        at: received.at,
        method: "POST",
        path: api.path(),
        status: reply.as_ref().map_or(0, |reply| reply.status.as_u16()),
        ms: millis(received.since.elapsed() + reply.as_ref().map_or(Duration::ZERO, |_| delay)),
        bytes: received.length,
        user_agent,
        fault: befallen.map(Effect::name),
        error: reply
            .as_ref()
            .filter(|reply| !reply.status.is_success())
            .map(|reply| reply.body.clone()),
        gauges: 0,
        members,
    };
    let entry = state.journal.enter(entry);
    drop(state);
    app.publish(entry);
    (delay, reply)
}

/// The members of a request that a fault keeps from being stored.
fn withhold(batch: Result<Batch, Reply>, fault: &Fault) -> Vec<Member> {
    let members = batch.map(|batch| batch.members).unwrap_or_default();
    let reason = format!("fault {}", fault.answer.name());
    members
        .into_iter()
        .map(|member| Member::new(member.shown, Verdict::NotStored, Some(reason.clone())))
        .collect()
}

/// A batch, sorted by what its members are.
#[derive(Default)]
struct Sorted {
    shown: Vec<Map<String, Value>>,
    /// With their places.
    valid: Vec<(usize, Measurement)>,
    /// By place.
    wrong: BTreeMap<usize, Errors>,
}

impl Sorted {
    fn new(members: Vec<validate::Member>) -> Self {
        let mut sorted = Self::default();
        for (i, member) in members.into_iter().enumerate() {
            sorted.shown.push(member.shown);
            match member.outcome {
                Ok(measurement) => sorted.valid.push((i, measurement)),
                Err(errors) => {
                    sorted.wrong.insert(i, errors);
                }
            }
        }
        sorted
    }

    /// What the journal says of the members, where those that are not wrong were stored, or were not
    /// because the request was refused as a whole.
    fn judged(self, as_a_whole: bool) -> Vec<Member> {
        let judge = |(i, shown)| match self.wrong.get(&i) {
            Some(errors) => Member::new(shown, Verdict::Refused, Some(errors.to_string())),
            None if as_a_whole => {
                let reason = "the request was refused as a whole".to_owned();
                Member::new(shown, Verdict::NotStored, Some(reason))
            }
            None => Member::new(shown, Verdict::Stored, None),
        };
        self.shown.into_iter().enumerate().map(judge).collect()
    }
}

/// Stores every member, or none if anything is wrong with one: "drops whole payloads", as Librato's own
/// `StatsD` backend put it. The answer names the first offender; types are found wrong later, by the
/// store, and all of those are named.
fn store_all(
    state: &mut State,
    batch: Batch,
    now: i64,
    user_agent: Option<&str>,
) -> (Reply, Vec<Member>) {
    let mut sorted = Sorted::new(batch.members);
    let outside = Some(batch.errors).filter(|errors| !errors.is_empty());
    let mut told = outside.or_else(|| sorted.wrong.values().next().cloned());
    if told.is_none() {
        // All are valid, so that their places here are those in the request.
        let valid = std::mem::take(&mut sorted.valid);
        let measurements = valid.into_iter().map(|(_, measurement)| measurement);
        match state.store.submit(measurements.collect(), now, user_agent) {
            Ok(stored) => state.budget.spend(now, stored),
            Err(refused) => {
                let mut all = Errors::default();
                for (i, errors) in refused {
                    all.append(errors.clone());
                    sorted.wrong.insert(i, errors);
                }
                told = Some(all);
            }
        }
    }
    let members = sorted.judged(told.is_some());
    let reply = match told {
        // The documented success: 200, and not a byte of body.
        None => Reply::empty(StatusCode::OK),
        Some(errors) => Reply::refusal(&Refusal::Params(errors), now),
    };
    (reply, members)
}

/// Stores every measurement that can be, and names the others: Librato's developers announced so, and
/// its Java client reads a success with `errors` as a failure in part. Only a number that is too large
/// aborts the request (Librato API docs, "Float Restrictions"). The body is what this project assumes.
fn store_each(
    state: &mut State,
    batch: Batch,
    now: i64,
    user_agent: Option<&str>,
) -> (Reply, Vec<Member>) {
    let mut sorted = Sorted::new(batch.members);
    let too_large = |errors: &&Errors| errors.iter().any(|(_, text)| text == validate::TOO_LARGE);
    if let Some(errors) = sorted.wrong.values().find(too_large) {
        let reply = Reply::refusal(&Refusal::Params(errors.clone()), now);
        return (reply, sorted.judged(true));
    }
    for (i, measurement) in std::mem::take(&mut sorted.valid) {
        match state.store.submit(vec![measurement], now, user_agent) {
            Ok(stored) => state.budget.spend(now, stored),
            Err(refused) => {
                let errors = refused.into_iter().map(|(_, errors)| (i, errors));
                sorted.wrong.extend(errors);
            }
        }
    }
    let (total, failed) = (sorted.shown.len(), sorted.wrong.len());
    let mut body = json!({"measurements": {"summary": {
        "total": total,
        "accepted": total - failed,
        "failed": failed,
        "filtered": 0,
    }}});
    if failed > 0 {
        let errors = sorted.wrong.iter().flat_map(|(i, errors)| {
            let name = sorted.shown[*i].get("name");
            errors
                .iter()
                .map(move |(param, reason)| json!({"name": name, "param": param, "reason": reason}))
        });
        body["errors"] = errors.collect();
    }
    (Reply::json(StatusCode::ACCEPTED, &body), sorted.judged(false))
}
