//! The two ends of the queue.
//!
//! A request is packed and stored; a consumer gets batches of what was stored and settles each
//! message by itself. A handler that failed would bring back even what was acknowledged, so it never
//! does.

use std::pin::pin;

use futures_util::future::{Either, join_all, select};
use wasm_bindgen::prelude::wasm_bindgen;
use worker::Env;

use super::bindings::{Message, MessageBatch, Queue, QueueError};
use super::outbound::{self, sleep};
use super::{log, now, once, random, set_aside, settings};
use crate::Millis;
use crate::delivery::{Outcome, Policy};
use crate::destination::{Trouble, TroubleKind};
use crate::durable::consume::{Consumption, Decision};
use crate::durable::dead_letter::DeadLetter;
use crate::durable::once::{Claim, Question};
use crate::durable::parcel::{EventId, Parcel};
use crate::ingest::Intake;
use crate::segment::answer::{Failure, FailureCode};
use crate::settings::Settings;

/// The queue of accepted measurements.
pub(super) const MEASUREMENTS: &str = "MEASUREMENTS";
/// The dead-letter queue.
const SET_ASIDE: &str = "SET_ASIDE";
/// How the name of the dead-letter queue ends; it has the same consumer.
const SET_ASIDE_SUFFIX: &str = "set-aside";
/// How long storing may take: the answer to the client waits for it.
const STORE_TIMEOUT: Millis = 5_000;
/// Most messages and bytes in one call of the platform.
const MAX_MESSAGES: usize = 100;
const MAX_CALL_BYTES: usize = 250_000;

/// Stores a request's measurements. Tells how many messages it took.
pub(super) async fn store(
    queue: &Queue,
    intake: &Intake<'_>,
    received_at: Millis,
) -> Result<u64, Failure> {
    let measured: Vec<_> = intake
        .measured()
        .map(|(measurement, id)| (measurement, id.map(|id| EventId::named(&intake.write_key, id))))
        .collect();
    let messages = Parcel::pack(&measured, received_at.div_euclid(1_000), &mut random);
    send(queue, &messages).await.map_err(|error| match error {
        QueueError::TooMany => {
            Failure::new(FailureCode::RateLimited, "the queue takes no more now: send again later")
        }
        QueueError::Unavailable => Failure::new(
            FailureCode::UpstreamUnavailable,
            "the queue does not take measurements now: send again later",
        ),
    })?;
    Ok(messages.len() as u64)
}

/// Sends messages in as few calls as the platform's limits allow.
async fn send(queue: &Queue, messages: &[String]) -> Result<(), QueueError> {
    let mut rest = messages;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |message: &&String| {
            bytes += message.len();
            bytes <= MAX_CALL_BYTES
        };
        let count = rest.iter().take(MAX_MESSAGES).take_while(fits).count().max(1);
        let (call, others) = rest.split_at_checked(count).unwrap_or((rest, &[]));
        match select(pin!(queue.store(call, 0)), pin!(sleep(STORE_TIMEOUT))).await {
            Either::Left((stored, _)) => stored?,
            Either::Right(_) => return Err(QueueError::Unavailable),
        }
        rest = others;
    }
    Ok(())
}

/// The consumer of both queues, under the name that the platform calls it by.
#[wasm_bindgen]
#[allow(unreachable_pub)]
pub async fn queue(batch: MessageBatch, env: Env) {
    let messages = batch.to_vec();
    if batch.queue().ends_with(SET_ASIDE_SUFFIX) {
        keep(&messages, &env).await;
    } else {
        consume(&messages, &env).await;
    }
}

async fn consume(messages: &[Message], env: &Env) {
    let started = now();
    let settings = settings(env);
    let bodies: Vec<_> = messages.iter().map(Message::text).collect();
    let mut consumption = Consumption::read(&bodies, started);
    let claims = consumption.claims();
    let answers = once::claim(env, &claims, settings.once_shards).await;
    let gauges = consumption.plan(&answers, &settings, now()).len();
    let mut line = log::ConsumerLine::new(messages.len(), claims.len(), gauges);
    let mut is_silent = answers.contains(&Claim::Unknown);
    let knows_points = settings.destination.as_ref().is_some_and(|to| to.knows_points());
    let seconds = consumption.seconds();
    if knows_points && !seconds.is_empty() {
        let writer = once::writer(env, seconds, once::PATIENCE).await;
        is_silent |= writer.is_none();
        consumption.write_as(writer);
    }
    line.trouble = is_silent.then(|| "ONCE does not answer: its events wait".to_owned());
    let (gauges, lots) = consumption.load();
    let (outcomes, failed) = match &settings.destination {
        Some(destination) if !gauges.is_empty() => {
            let policy = Policy::durable(now(), random());
            let report = outbound::deliver(&**destination, gauges, lots, policy).await;
            line.requests = report.requests;
            line.refused_points = report.refused_points();
            line.trouble = report.trouble().or(line.trouble);
            (report.outcomes, report.failed)
        }
        Some(_) => (Vec::new(), Vec::new()),
        None => (vec![unset(&settings); gauges.len()], Vec::new()),
    };
    line.count(&outcomes);
    let letters: Vec<String> =
        consumption.delivered(&outcomes).iter().map(DeadLetter::posted).collect();
    if knows_points {
        line.sealed = seal(&mut consumption, &failed, env).await;
    }
    line.set_aside = letters.len();
    let is_sent = match Queue::bound(env, SET_ASIDE) {
        _ if letters.is_empty() => true,
        Some(queue) => send(&queue, &letters).await.is_ok(),
        None => false,
    };
    let done = consumption.set_aside(vec![is_sent; letters.len()]);
    once::tell(env, &Question::Done(done), settings.once_shards).await;
    let attempts: Vec<_> = messages.iter().map(Message::attempts).collect();
    let decisions = consumption.decide(&attempts, &mut random_below);
    line.retried = decisions.iter().filter(|decision| **decision != Decision::Acknowledge).count();
    let settled = messages.iter().zip(&bodies).zip(decisions);
    join_all(
        settled.map(|((message, body), decision)| settle(message, body.as_ref(), decision, env)),
    )
    .await;
    line.write(now() - started);
}

/// Stores what failed as it was sent. Tells how many shipments that were.
async fn seal(consumption: &mut Consumption, failed: &[Vec<usize>], env: &Env) -> u64 {
    let Some(queue) = Queue::bound(env, MEASUREMENTS) else { return 0 };
    let seals = consumption.seal(failed, &mut random_below, &mut random);
    let stored =
        seals.iter().map(|seal| queue.store(std::slice::from_ref(&seal.message), seal.delay));
    let mut count = 0;
    for (seal, stored) in seals.iter().zip(join_all(stored).await) {
        if stored.is_ok() {
            consumption.sealed(seal);
            count += 1;
        }
    }
    count
}

fn random_below(limit: u32) -> u32 {
    u32::try_from(random() % u64::from(limit.max(1))).unwrap_or_default()
}

async fn settle(message: &Message, body: Option<&String>, decision: Decision, env: &Env) {
    match decision {
        Decision::Acknowledge => message.acknowledge(),
        Decision::Retry(seconds) => message.again_after(seconds),
        Decision::Renew(seconds) => {
            // Only once the copy is stored may the original go.
            let queue = Queue::bound(env, MEASUREMENTS).zip(body.cloned());
            let is_stored = match queue {
                Some((queue, body)) => queue.store(&[body], seconds).await.is_ok(),
                None => false,
            };
            if is_stored { message.acknowledge() } else { message.again_after(seconds) }
        }
    }
}

/// The outcome while no destination is set: a fault of the operator's, who will set one.
fn unset(settings: &Settings) -> Outcome {
    Outcome::Later(Trouble {
        kind: TroubleKind::Unauthorized,
        retry_after: None,
        detail: settings.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    })
}

/// Keeps what came into the dead-letter queue where the operator finds it.
async fn keep(messages: &[Message], env: &Env) {
    let letters: Vec<_> = messages
        .iter()
        .map(|message| DeadLetter::read(&message.text().unwrap_or_default(), now()).write())
        .collect();
    let is_kept = set_aside::keep(env, &letters).await;
    for message in messages {
        if is_kept { message.acknowledge() } else { message.again_after(60) }
    }
}

/// Sends measurements again that had been set aside, and tells the numbers of those letters. The number
/// is their identity, so that asking twice counts once.
pub(super) async fn replay(
    env: &Env,
    letters: &[(u32, DeadLetter)],
    at: Option<i64>,
) -> Result<Vec<u32>, Failure> {
    let unavailable = || {
        Failure::new(FailureCode::UpstreamUnavailable, "the queue does not take measurements now")
    };
    let queue = Queue::bound(env, MEASUREMENTS).ok_or_else(unavailable)?;
    let (mut revived, mut whole, mut replayed) = (Vec::new(), Vec::new(), Vec::new());
    for (number, letter) in letters {
        match (letter.revived(), &letter.original) {
            (Some(mut measurement), _) => {
                measurement.time = at.unwrap_or(measurement.time);
                revived.push((measurement, EventId::named("set-aside", &number.to_string())));
            }
            (None, Some(original)) if Parcel::read(original).is_ok() => {
                whole.push(original.clone());
            }
            // What could not be read cannot be sent.
            (None, _) => continue,
        }
        replayed.push(*number);
    }
    let packed: Vec<_> = revived.iter().map(|(measurement, id)| (measurement, Some(*id))).collect();
    let mut messages = Parcel::pack(&packed, now().div_euclid(1_000), &mut random);
    messages.append(&mut whole);
    send(&queue, &messages).await.map_err(|_| unavailable())?;
    Ok(replayed)
}
