//! The consumer of both queues.
//!
//! It gets batches of what was stored and settles each message by itself. A handler that failed would bring back even
//! what was acknowledged, so it never does: `#[event(queue)]` panics at an `Err`, and `worker::MessageBatch::messages`
//! fails for all messages where one cannot be read. Nor does `worker::Message` tell the number of attempts
//! (<https://github.com/cloudflare/workers-rs/issues/1057>). Hence types of our own.

use futures_util::future::{OptionFuture, join, join_all};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use worker::js_sys::{JSON, Object, Reflect};
use worker::{Context, Env};

use super::clock::{now, random, random_below};
use super::env::Platform;
use super::queue::{send, send_later};
use super::{log, once, outbound, set_aside, tally};
use crate::Millis;
use crate::delivery::{Outcome, Policy};
use crate::destination::{RetryReason, RetryableError};
use crate::durable::consume::{Consumption, Decision};
use crate::durable::dead_letter::DeadLetter;
use crate::durable::once::Claim;
use crate::operator::figures::{Counts, Figures};
use crate::settings::{Problem, Settings};

/// How the name of the dead-letter queue ends; it has the same consumer.
const SET_ASIDE_SUFFIX: &str = "set-aside";

#[wasm_bindgen]
extern "C" {
    /// What a consumer is handed.
    #[allow(unreachable_pub)]
    pub type MessageBatch;

    /// Name of the queue.
    #[wasm_bindgen(method, getter)]
    fn queue(this: &MessageBatch) -> String;

    #[wasm_bindgen(method, getter)]
    fn messages(this: &MessageBatch) -> Vec<Message>;

    /// One message of a batch.
    type Message;

    #[wasm_bindgen(method, getter)]
    fn body(this: &Message) -> JsValue;

    /// How often it has been delivered, this time included.
    #[wasm_bindgen(method, getter)]
    fn attempts(this: &Message) -> u32;

    #[wasm_bindgen(method, catch)]
    fn ack(this: &Message) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    fn retry(this: &Message, options: &Object) -> Result<(), JsValue>;
}

impl Message {
    /// Returns the body: a text as it is, anything else as JSON.
    fn text(&self) -> Option<String> {
        let body = self.body();
        body.as_string().or_else(|| JSON::stringify(&body).ok()?.as_string())
    }

    /// Settles it. What cannot be acknowledged comes again, and is known then.
    fn acknowledge(&self) {
        _ = self.ack();
    }

    /// Has it come again after so many seconds. What is neither acknowledged nor retried is settled as the platform
    /// sees fit.
    fn again_after(&self, seconds: u32) {
        let options = Object::new();
        // Setting a property of a plain object does not fail.
        _ = Reflect::set(&options, &"delaySeconds".into(), &seconds.into());
        _ = self.retry(&options);
    }
}

/// Handles a batch, under the name that `worker-build` looks for.
#[wasm_bindgen]
#[allow(unreachable_pub)]
pub async fn queue(batch: MessageBatch, env: Env, context: JsValue) {
    let platform = Platform::new(env);
    let messages = batch.messages();
    if batch.queue().ends_with(SET_ASIDE_SUFFIX) {
        keep(&messages, &platform).await;
    } else {
        consume(&messages, &platform).await;
    }
    tally::flush_later(&platform, &Context::new(context.unchecked_into()));
}

async fn consume(messages: &[Message], platform: &Platform) {
    let started = now();
    let settings = platform.settings();
    let bodies: Vec<_> = messages.iter().map(Message::text).collect();
    let mut consumption = Consumption::read(&bodies, settings.once_shards, started);
    let claims = consumption.claims();
    let answers = once::claim(platform, &claims).await;
    let gauges = consumption.plan(&answers, settings, now()).len();
    let mut line = log::ConsumerLine::new(messages.len(), claims.len(), gauges);
    let mut is_silent = answers.contains(&Claim::Unknown);
    let deduplicates = settings.destination.as_ref().is_some_and(|to| to.deduplicates_points());
    let holder = random();
    let mut writer = None;
    if let Some(request) = consumption.writer_request(holder) {
        writer = once::writer(platform, request, once::LEDGER_TIMEOUT).await;
        is_silent |= writer.is_none();
        consumption.write_as(writer);
    }
    line.trouble = is_silent.then(|| "ONCE does not answer: its events wait".to_owned());
    let (gauges, partitions) = consumption.load();
    let (outcomes, failed) = match platform.upstream() {
        Some(upstream) if !gauges.is_empty() => {
            let policy = Policy::durable(now(), random());
            let report = outbound::deliver(upstream, gauges, partitions, policy).await;
            line.requests = report.requests;
            line.refused_points = report.refused_points();
            line.answers = report.answers.clone();
            line.trouble = report.trouble().or(line.trouble);
            (report.outcomes, report.failed)
        }
        Some(_) => (Vec::new(), Vec::new()),
        None => (vec![unset(settings); gauges.len()], Vec::new()),
    };
    line.count(&outcomes);
    let letters = consumption.delivered(&outcomes);
    let mut reasons = Counts::new();
    for letter in letters {
        *line.reasons.entry(letter.reason.clone()).or_default() += 1;
        let events = letter.measurement.as_ref().map_or(1, |gauge| gauge.count);
        *reasons.entry(letter.reason.clone().into()).or_default() += events;
    }
    let letters: Vec<String> = letters.iter().map(DeadLetter::posted).collect();
    if deduplicates {
        line.sealed = seal(&mut consumption, &failed, platform).await;
    }
    line.set_aside = letters.len();
    let is_sent = match platform.set_aside() {
        _ if letters.is_empty() => true,
        Some(queue) => send(&queue, &letters, Millis::MAX).await.is_ok(),
        None => false,
    };
    let done = consumption.set_aside(vec![is_sent; line.set_aside]);
    tally::with(|tally| {
        if let Some(figures) = tally.figures(now()) {
            let (kept, oldest_kept) = consumption.kept();
            let set_aside = if is_sent { reasons } else { Counts::new() };
            figures.merge(&Figures { kept, oldest_kept, set_aside, ..Figures::default() });
        }
    });
    let attempts: Vec<_> = messages.iter().map(Message::attempts).collect();
    let decisions = consumption.decide(&attempts, &mut random_below);
    line.retried = decisions.iter().filter(|decision| **decision != Decision::Acknowledge).count();
    // Numbers come free only after everything under them.
    let settlement = consumption.settlement(writer.map(|writer| (writer, holder)));
    let settled = settlement.map(|settlement| once::settle_writers(platform, settlement));
    join(once::mark_done(platform, done, line.retried == 0), OptionFuture::from(settled)).await;
    let settled = messages.iter().zip(&bodies).zip(decisions).enumerate();
    let settled = settled.map(|(place, ((message, body), decision))| {
        settle(message, body.as_ref(), decision, consumption.shard_of(place), platform)
    });
    join_all(settled).await;
    line.write(now() - started);
}

/// Stores what failed as it was sent. Tells how many shipments that were.
async fn seal(consumption: &mut Consumption, failed: &[Vec<usize>], platform: &Platform) -> u64 {
    let Some(queues) = platform.measurements() else { return 0 };
    let seals = consumption.seal(failed, &mut random_below, &mut random);
    let calls = seals.iter().map(|seal| {
        let queue = queues.of_shard(seal.shard);
        async move { send_later(queue, &seal.message, seal.delay).await }
    });
    let mut count = 0;
    for (seal, called) in seals.iter().zip(join_all(calls).await) {
        if called.is_ok() {
            consumption.sealed(seal);
            count += 1;
        }
    }
    count
}

/// Settles a message; one that is sent anew only once its copy is stored.
async fn settle(message: &Message, body: Option<&String>, decision: Decision, shard: u32, platform: &Platform) {
    match decision {
        Decision::Acknowledge => message.acknowledge(),
        Decision::Retry(seconds) => message.again_after(seconds),
        Decision::Renew(seconds) => {
            let is_stored = match platform.measurements().zip(body) {
                Some((queues, body)) => send_later(queues.of_shard(shard), body, seconds).await.is_ok(),
                None => false,
            };
            if is_stored { message.acknowledge() } else { message.again_after(seconds) }
        }
    }
}

/// Returns the outcome while no destination is set: a fault of the operator's, who will set one.
fn unset(settings: &Settings) -> Outcome {
    let problems: Vec<_> = settings.problems.iter().map(Problem::to_string).collect();
    Outcome::Later(RetryableError { reason: RetryReason::Unauthorized, retry_after: None, detail: problems.join("; ") })
}

/// Keeps what came into the dead-letter queue where the operator finds it.
async fn keep(messages: &[Message], platform: &Platform) {
    let letters: Vec<_> =
        messages.iter().map(|message| DeadLetter::read(&message.text().unwrap_or_default(), now())).collect();
    for (message, is_kept) in messages.iter().zip(set_aside::keep(platform, &letters).await) {
        if is_kept { message.acknowledge() } else { message.again_after(60) }
    }
}
