//! The producer's end of the queues: requests, dead letters and replays become messages.

use futures_util::future::try_join_all;
use wasm_bindgen::JsValue;
use worker::{Queue, QueueContentType, RawMessageBuilder, SendMessage};

use super::clock::{now, random};
use super::env::{Platform, Queues};
use super::http::within;
use crate::Millis;
use crate::durable::dead_letter::DeadLetter;
use crate::durable::once::{by_shard, shard};
use crate::durable::parcel::Parcel;
use crate::durable::replay::Replay;
use crate::ingest::ParsedRequest;
use crate::segment::answer::{self, ApiError, ErrorCode};

/// How long one call may take.
const STORE_TIMEOUT: Millis = 5_000;
/// Most messages and bytes in one call of the platform: 100 and 256 KB
/// (<https://developers.cloudflare.com/queues/platform/limits/>).
const MAX_MESSAGES: usize = 100;
const MAX_CALL_BYTES: usize = 250_000;

/// Stores a request's measurements by the deadline, as a client waits, each in the queue of its shard. Returns how many
/// messages it took. Where one queue of several does not take them, the client sends all again.
pub(super) async fn store(
    queues: &Queues,
    intake: &ParsedRequest<'_>,
    shards: u32,
    received_at: Millis,
    deadline: Millis,
) -> answer::Result<u64> {
    let measured = intake.identified().map(|(measurement, id)| {
        let shard = id.map_or(0, |id| shard(id.sender(), shards));
        (queues.place(shard), (measurement, id))
    });
    let parts = by_shard(measured).into_iter().map(|(place, measured)| async move {
        let messages = Parcel::pack(&measured, shards, received_at.div_euclid(1_000), &mut random);
        send(queues.of_shard(place), &messages, deadline).await.map(|()| messages.len() as u64)
    });
    let counts = try_join_all(parts).await.map_err(|error| match error {
        QueueError::TooMany => ApiError::new(ErrorCode::RateLimited, "the queue takes no more now: send again later"),
        QueueError::Unavailable => {
            ApiError::new(ErrorCode::UpstreamUnavailable, "the queue does not take measurements now: send again later")
        }
    })?;
    Ok(counts.into_iter().sum())
}

/// Why a queue did not take a message.
pub(super) enum QueueError {
    /// Too many at once.
    TooMany,
    /// Anything else.
    Unavailable,
}

impl QueueError {
    /// Tells the two apart by the text, since the platform gives nothing else.
    fn of(error: &worker::Error) -> Self {
        // The one for each queue, the other when the service itself is busy
        // (https://github.com/cloudflare/workerd/issues/6053).
        const WORDINGS: [&str; 2] = ["too many requests", "overloaded"];
        let words = error.to_string().to_ascii_lowercase();
        if WORDINGS.iter().any(|wording| words.contains(wording)) { Self::TooMany } else { Self::Unavailable }
    }
}

/// Sends messages in as few calls as the platform's limits allow, and begins none after the deadline.
pub(super) async fn send(queue: &Queue, messages: &[String], deadline: Millis) -> Result<(), QueueError> {
    let mut rest = messages;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |message: &&String| {
            bytes += message.len();
            bytes <= MAX_CALL_BYTES
        };
        let count = rest.iter().take(MAX_MESSAGES).take_while(fits).count().max(1);
        let (call, others) = rest.split_at_checked(count).unwrap_or((rest, &[]));
        let timeout = deadline.saturating_sub(now()).min(STORE_TIMEOUT);
        send_within(timeout, queue, call, 0).await?;
        rest = others;
    }
    Ok(())
}

/// Stores one message, to be delivered after some seconds.
pub(super) async fn send_later(queue: &Queue, message: &str, delay: u32) -> Result<(), QueueError> {
    send_within(STORE_TIMEOUT, queue, &[message], delay).await
}

/// Stores messages in one call, all or none.
async fn send_within<M: AsRef<str>>(
    timeout: Millis,
    queue: &Queue,
    messages: &[M],
    delay: u32,
) -> Result<(), QueueError> {
    let sent = async {
        let mut texts = messages.iter().map(|message| as_text(message.as_ref(), delay));
        match (messages.len(), texts.next()) {
            (1, Some(one)) => queue.send_raw(one).await,
            (_, first) => queue.send_raw_batch(first.into_iter().chain(texts)).await,
        }
    };
    let sent = within(timeout, sent).await.ok_or(QueueError::Unavailable)?;
    sent.map_err(|error| QueueError::of(&error))
}

/// Returns a message as text. `Queue::send` makes JSON of it, which a text becomes longer by, and in which maps and
/// large numbers arrive changed.
fn as_text(message: &str, delay: u32) -> SendMessage<JsValue> {
    RawMessageBuilder::new(message.into()).delay_seconds(delay).build_with_content_type(QueueContentType::Text)
}

/// Sends measurements again that had been set aside, and returns the numbers of those letters.
pub(super) async fn replay(
    platform: &Platform,
    letters: &[(u32, DeadLetter)],
    at: Option<i64>,
    deadline: Millis,
) -> answer::Result<Vec<u32>> {
    let unavailable = || ApiError::new(ErrorCode::UpstreamUnavailable, "the queue does not take measurements now");
    let queues = platform.measurements().ok_or_else(unavailable)?;
    let Replay { messages, letters } =
        Replay::pack(letters, at, platform.settings().once_shards, now().div_euclid(1_000), &mut random);
    send(queues.of_shard(0), &messages, deadline).await.map_err(|_| unavailable())?;
    Ok(letters)
}
