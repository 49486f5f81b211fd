//! The two ends of the queue.
//!
//! A request is packed and stored; a consumer gets batches of what was stored and settles each
//! message by itself. A handler that failed would bring back even what was acknowledged, so it never
//! does.

use super::bindings::{self, Message, MessageBatch, Queue};
use super::task::{Begun, Settlement};
use super::{Platform, log, once, outbound, random, set_aside};
use crate::Millis;
use crate::delivery::{Outcome, Policy};
use crate::destination::{Trouble, TroubleKind};
use crate::durable::consume::{Consumption, Decision};
use crate::durable::dead_letter::DeadLetter;
use crate::durable::once::{Claim, Question};
use crate::durable::parcel::{EventId, Parcel};
use crate::ingest::Intake;
use crate::segment::answer::{Failure, FailureCode, Fallible};
use crate::settings::{Problem, Settings};
use crate::text::{self, join};

/// How the name of the dead-letter queue ends; it has the same consumer.
const SET_ASIDE_SUFFIX: &str = "set-aside";
/// How long storing may take, in milliseconds: the answer to the client waits for it.
const STORE_TIMEOUT: f64 = 5_000.0;
/// Most messages and bytes in one call of the platform.
const MAX_MESSAGES: usize = 100;
const MAX_CALL_BYTES: usize = 250_000;

/// Stores a request's measurements. Tells how many messages it took.
pub(super) async fn store(
    platform: &Platform,
    queue: &Queue,
    intake: &Intake<'_>,
    received_at: Millis,
) -> Fallible<u64> {
    let measured: Vec<_> = intake
        .measured()
        .map(|(measurement, id)| (measurement, id.map(|id| EventId::named(&intake.write_key, id))))
        .collect();
    let messages = Parcel::pack(&measured, received_at.div_euclid(1_000), &mut random);
    let count = messages.len() as u64;
    send(platform, queue, messages).await.map_err(|error| match error {
        QueueError::TooMany => {
            Failure::new(FailureCode::RateLimited, "the queue takes no more now: send again later")
        }
        QueueError::Unavailable => Failure::new(
            FailureCode::UpstreamUnavailable,
            "the queue does not take measurements now: send again later",
        ),
    })?;
    Ok(count)
}

/// Why a queue did not take a message.
enum QueueError {
    /// Too many at once.
    TooMany,
    /// Anything else.
    Unavailable,
}

/// Sends messages in as few calls as the platform's limits allow.
async fn send(platform: &Platform, queue: &Queue, messages: Vec<String>) -> Result<(), QueueError> {
    let mut rest = messages;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |message: &&String| {
            bytes += message.len();
            bytes <= MAX_CALL_BYTES
        };
        let count = rest.iter().take(MAX_MESSAGES).take_while(fits).count().max(1);
        let others = rest.split_off(count);
        stored(&call(platform, queue, rest, 0).await)?;
        rest = others;
    }
    Ok(())
}

/// Begins to store messages in one call, to be delivered after some seconds.
fn call(platform: &Platform, queue: &Queue, messages: Vec<String>, delay: u32) -> Begun {
    platform.begun(|ticket| bindings::store(ticket, queue, messages, delay, STORE_TIMEOUT))
}

/// What came of it.
fn stored(called: &Settlement) -> Result<(), QueueError> {
    match called.code {
        1 => Ok(()),
        2 => Err(QueueError::TooMany),
        _ => Err(QueueError::Unavailable),
    }
}

/// The consumer of both queues.
pub(super) async fn handle(batch: &MessageBatch, platform: &Platform) {
    let messages = batch.messages();
    if batch.queue().ends_with(SET_ASIDE_SUFFIX) {
        keep(&messages, platform).await;
    } else {
        consume(&messages, platform).await;
    }
}

async fn consume(messages: &[Message], platform: &Platform) {
    let started = platform.now();
    let account = platform.account();
    let settings = &account.settings;
    let bodies: Vec<_> = messages.iter().map(bindings::message_text).collect();
    let mut consumption = Consumption::read(&bodies, started);
    let claims = consumption.claims();
    let answers = once::claim(platform, &claims, settings.once_shards).await;
    let gauges = consumption.plan(&answers, settings, platform.now()).len();
    let mut line = log::ConsumerLine::new(messages.len(), claims.len(), gauges);
    let mut is_silent = answers.contains(&Claim::Unknown);
    let knows_points = settings.destination.as_ref().is_some_and(|to| to.knows_points());
    let seconds = consumption.seconds();
    if knows_points && !seconds.is_empty() {
        let writer = once::writer(platform, seconds, once::PATIENCE).await;
        is_silent |= writer.is_none();
        consumption.write_as(writer);
    }
    line.trouble = is_silent.then(|| "ONCE does not answer: its events wait".to_owned());
    let (gauges, lots) = consumption.load();
    let (outcomes, failed) = match account.upstream() {
        Some(upstream) if !gauges.is_empty() => {
            let policy = Policy::durable(platform.now(), random());
            let report = outbound::deliver(platform, upstream, gauges, lots, policy).await;
            line.requests = report.requests;
            line.refused_points = report.refused_points();
            line.trouble = report.trouble().or(line.trouble);
            (report.outcomes, report.failed)
        }
        Some(_) => (Vec::new(), Vec::new()),
        None => (vec![unset(settings); gauges.len()], Vec::new()),
    };
    line.count(&outcomes);
    let letters: Vec<String> =
        consumption.delivered(&outcomes).iter().map(DeadLetter::posted).collect();
    if knows_points {
        line.sealed = seal(&mut consumption, &failed, platform).await;
    }
    line.set_aside = letters.len();
    let is_sent = match platform.env.set_aside() {
        _ if letters.is_empty() => true,
        Some(queue) => send(platform, &queue, letters).await.is_ok(),
        None => false,
    };
    let done = consumption.set_aside(vec![is_sent; line.set_aside]);
    once::tell(platform, &Question::Done(done), settings.once_shards).await;
    let attempts: Vec<_> = messages.iter().map(Message::attempts).collect();
    let decisions = consumption.decide(&attempts, &mut random_below);
    line.retried = decisions.iter().filter(|decision| **decision != Decision::Acknowledge).count();
    let renewed: Vec<_> = messages
        .iter()
        .zip(&bodies)
        .zip(decisions)
        .filter_map(|((message, body), decision)| {
            settle(message, body.as_ref(), decision, platform)
        })
        .collect();
    for renewed in renewed {
        renewed.end().await;
    }
    line.write(platform.now() - started);
}

/// Stores what failed as it was sent. Tells how many shipments that were.
async fn seal(consumption: &mut Consumption, failed: &[Vec<usize>], platform: &Platform) -> u64 {
    let Some(queue) = platform.env.measurements() else { return 0 };
    let seals = consumption.seal(failed, &mut random_below, &mut random);
    let called: Vec<_> = seals
        .iter()
        .map(|seal| call(platform, &queue, vec![seal.message.clone()], seal.delay))
        .collect();
    let mut count = 0;
    for (seal, called) in seals.iter().zip(called) {
        if stored(&called.await).is_ok() {
            consumption.sealed(seal);
            count += 1;
        }
    }
    count
}

fn random_below(limit: u32) -> u32 {
    u32::try_from(random() % u64::from(limit.max(1))).unwrap_or_default()
}

/// Settles a message; one that is sent anew only once its copy is stored.
fn settle<'m>(
    message: &'m Message,
    body: Option<&String>,
    decision: Decision,
    platform: &Platform,
) -> Option<Renewal<'m>> {
    match decision {
        Decision::Acknowledge => bindings::acknowledge(message),
        Decision::Retry(seconds) => bindings::again_after(message, seconds),
        Decision::Renew(seconds) => match platform.env.measurements().zip(body.cloned()) {
            Some((queue, body)) => {
                return Some(Renewal {
                    message,
                    copy: call(platform, &queue, vec![body], seconds),
                    seconds,
                });
            }
            None => bindings::again_after(message, seconds),
        },
    }
    None
}

/// A message that is being sent anew.
struct Renewal<'m> {
    message: &'m Message,
    copy: Begun,
    seconds: u32,
}

impl Renewal<'_> {
    async fn end(self) {
        match stored(&self.copy.await) {
            Ok(()) => bindings::acknowledge(self.message),
            Err(_) => bindings::again_after(self.message, self.seconds),
        }
    }
}

/// The outcome while no destination is set: a fault of the operator's, who will set one.
fn unset(settings: &Settings) -> Outcome {
    Outcome::Later(Trouble {
        kind: TroubleKind::Unauthorized,
        retry_after: None,
        detail: join(settings.problems.iter().map(Problem::text), "; "),
    })
}

/// Keeps what came into the dead-letter queue where the operator finds it.
async fn keep(messages: &[Message], platform: &Platform) {
    let letters: Vec<_> = messages
        .iter()
        .map(|message| {
            DeadLetter::read(&bindings::message_text(message).unwrap_or_default(), platform.now())
                .write()
        })
        .collect();
    let is_kept = set_aside::keep(platform, &letters).await;
    for message in messages {
        if is_kept {
            bindings::acknowledge(message);
        } else {
            bindings::again_after(message, 60);
        }
    }
}

/// Sends measurements again that had been set aside, and tells the numbers of those letters. The number
/// is their identity, so that asking twice counts once.
pub(super) async fn replay(
    platform: &Platform,
    letters: &[(u32, DeadLetter)],
    at: Option<i64>,
) -> Fallible<Vec<u32>> {
    let unavailable = || {
        Failure::new(FailureCode::UpstreamUnavailable, "the queue does not take measurements now")
    };
    let queue = platform.env.measurements().ok_or_else(unavailable)?;
    let (mut revived, mut whole, mut replayed) = (Vec::new(), Vec::new(), Vec::new());
    for (number, letter) in letters {
        match (letter.revived(), &letter.original) {
            (Some(mut measurement), _) => {
                measurement.time = at.unwrap_or(measurement.time);
                revived.push((
                    measurement,
                    EventId::named("set-aside", &text::whole((*number).into())),
                ));
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
    let mut messages = Parcel::pack(&packed, platform.now().div_euclid(1_000), &mut random);
    messages.append(&mut whole);
    send(platform, &queue, messages).await.map_err(|_| unavailable())?;
    Ok(replayed)
}
