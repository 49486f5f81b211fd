//! Submission of measurements, from the body of a request to its answer.

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

/// The two APIs for submitting measurements.
#[derive(Clone, Copy)]
pub(crate) enum Api {
    /// `POST /v1/metrics`: source-based, all or nothing.
    Metrics,
    /// `POST /v1/measurements`: tag-based, each measurement by itself.
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

    fn store(self, state: &mut State, batch: Batch, now: i64, user_agent: Option<&str>) -> (Reply, Vec<Member>) {
        match self {
            Self::Metrics => store_all(state, batch, now, user_agent),
            Self::Measurements => store_each(state, batch, now, user_agent),
        }
    }
}

/// Validates, stores and logs a submission. Returns the delay of the answer, and the answer; `None` if the connection
/// is to be reset.
pub(crate) fn answer(api: Api, app: &App, headers: &HeaderMap, received: &Received) -> (Duration, Option<Reply>) {
    let now = now();
    let batch = authenticate(app, headers)
        .and_then(|()| require_json(headers))
        .and_then(|()| received.within_limit())
        .and_then(|body| api.judge(body, now).map_err(|r| Reply::refusal(&r, now)));
    let user_agent = user_agent(headers);

    let mut state = app.lock();
    let fault = state.faults.take();
    let effect = fault.as_ref().map(|fault| fault.answer);
    let (reply, members) = match &fault {
        Some(fault) if !fault.answer.stores() => (fault.reply(now), unstored_members(batch, fault)),
        _ => {
            let (reply, members) = match batch {
                Ok(batch) => api.store(&mut state, batch, now, user_agent.as_deref()),
                Err(reply) => (reply, Vec::new()),
            };
            let reply = (effect != Some(Effect::ResetAfter)).then_some(reply);
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
        fault: effect.map(Effect::name),
        error: reply.as_ref().filter(|reply| !reply.status.is_success()).map(|reply| reply.body.clone()),
        gauges: 0,
        members,
    };
    let entry = state.journal.record(entry);
    drop(state);
    app.publish(entry);
    (delay, reply)
}

/// Returns the journal's members of a request that a fault keeps from being stored.
fn unstored_members(batch: Result<Batch, Reply>, fault: &Fault) -> Vec<Member> {
    let members = batch.map(|batch| batch.members).unwrap_or_default();
    let reason = format!("fault {}", fault.answer.name());
    members.into_iter().map(|member| Member::new(member.shown, Verdict::NotStored, Some(reason.clone()))).collect()
}

/// A batch, with its valid and its invalid members apart.
#[derive(Default)]
struct JudgedBatch {
    /// Fields of all members.
    shown: Vec<Map<String, Value>>,
    /// Valid members, with their indices.
    valid: Vec<(usize, Measurement)>,
    /// Errors of the invalid ones, by index.
    invalid: BTreeMap<usize, Errors>,
}

impl JudgedBatch {
    fn new(members: Vec<validate::Member>) -> Self {
        let mut judged = Self::default();
        for (i, member) in members.into_iter().enumerate() {
            judged.shown.push(member.shown);
            match member.outcome {
                Ok(measurement) => judged.valid.push((i, measurement)),
                Err(errors) => {
                    judged.invalid.insert(i, errors);
                }
            }
        }
        judged
    }

    /// Returns the journal's members. The valid ones were stored, unless the request was refused as a whole.
    fn into_members(self, is_refused_whole: bool) -> Vec<Member> {
        let judge = |(i, shown)| match self.invalid.get(&i) {
            Some(errors) => Member::new(shown, Verdict::Refused, Some(errors.to_string())),
            None if is_refused_whole => {
                let reason = "the request was refused as a whole".to_owned();
                Member::new(shown, Verdict::NotStored, Some(reason))
            }
            None => Member::new(shown, Verdict::Stored, None),
        };
        self.shown.into_iter().enumerate().map(judge).collect()
    }
}

/// Stores all members, or none if one is invalid: the service "drops whole payloads", as Librato's own `StatsD` backend
/// put it. The answer has the errors of the first invalid member; conflicts of types, which only the store finds, are
/// all named.
fn store_all(state: &mut State, batch: Batch, now: i64, user_agent: Option<&str>) -> (Reply, Vec<Member>) {
    let mut judged = JudgedBatch::new(batch.members);
    let of_request = Some(batch.errors).filter(|errors| !errors.is_empty());
    let mut refusal = of_request.or_else(|| judged.invalid.values().next().cloned());
    if refusal.is_none() {
        // All are valid, so that their indices are those of the request.
        let valid = std::mem::take(&mut judged.valid);
        let measurements = valid.into_iter().map(|(_, measurement)| measurement);
        match state.store.submit(measurements.collect(), now, user_agent) {
            Ok(stored) => state.budget.spend(now, stored),
            Err(refused) => {
                let mut all = Errors::default();
                for (i, errors) in refused {
                    all.append(errors.clone());
                    judged.invalid.insert(i, errors);
                }
                refusal = Some(all);
            }
        }
    }
    let members = judged.into_members(refusal.is_some());
    let reply = match refusal {
        // A success is 200 with an empty body (Librato API docs, "Submit Metrics").
        None => Reply::empty(StatusCode::OK),
        Some(errors) => Reply::refusal(&Refusal::Params(errors), now),
    };
    (reply, members)
}

/// Stores every valid measurement, and names the others. Librato's developers announced it so, and its Java client
/// takes a success with `errors` for a partial one. Only a number that is too large aborts the request (Librato API
/// docs, "Float Restrictions"). The form of the body is assumed.
fn store_each(state: &mut State, batch: Batch, now: i64, user_agent: Option<&str>) -> (Reply, Vec<Member>) {
    let mut judged = JudgedBatch::new(batch.members);
    let too_large = |errors: &&Errors| errors.iter().any(|(_, text)| text == validate::TOO_LARGE);
    if let Some(errors) = judged.invalid.values().find(too_large) {
        let reply = Reply::refusal(&Refusal::Params(errors.clone()), now);
        return (reply, judged.into_members(true));
    }
    for (i, measurement) in std::mem::take(&mut judged.valid) {
        match state.store.submit(vec![measurement], now, user_agent) {
            Ok(stored) => state.budget.spend(now, stored),
            Err(refused) => {
                let errors = refused.into_iter().map(|(_, errors)| (i, errors));
                judged.invalid.extend(errors);
            }
        }
    }
    let (total, failed) = (judged.shown.len(), judged.invalid.len());
    let mut body = json!({"measurements": {"summary": {
        "total": total,
        "accepted": total - failed,
        "failed": failed,
        "filtered": 0,
    }}});
    if failed > 0 {
        let errors = judged.invalid.iter().flat_map(|(i, errors)| {
            let name = judged.shown[*i].get("name");
            errors.iter().map(move |(param, reason)| json!({"name": name, "param": param, "reason": reason}))
        });
        body["errors"] = errors.collect();
    }
    (Reply::json(StatusCode::ACCEPTED, &body), judged.into_members(false))
}
