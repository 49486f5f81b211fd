//! The counters of this isolate, and their flush to the object that holds the operator's figures.

use std::cell::{Cell, RefCell};

use worker::Context;

use super::clock::{now, random, sleep};
use super::env::Platform;
use super::object;
use crate::Millis;
use crate::operator::book::Question;
use crate::operator::tally::{FLUSH_AFTER, Flushed, Tally};

/// How long the object is waited for. What is waited for besides an answer has 30 seconds
/// (<https://developers.cloudflare.com/workers/platform/limits/#duration>).
const FLUSH_TIMEOUT: Millis = 10_000;
/// After how long a flush is taken for one that the platform has given up.
const FLUSH_GIVEN_UP: Millis = 30_000;

thread_local! {
    static TALLY: RefCell<Tally> = RefCell::default();
    /// The name of this isolate.
    static ISOLATE: u64 = random();
    /// When the flush that is on its way was begun.
    static BEGUN: Cell<Option<Millis>> = const { Cell::new(None) };
}

/// Looks at the counters, or counts.
pub(super) fn with<T>(count: impl FnOnce(&mut Tally) -> T) -> T {
    TALLY.with_borrow_mut(count)
}

/// Has what is counted flushed in a while, whether or not anything else comes. One flush is on its way at a time.
pub(super) fn flush_later(platform: &Platform, context: &Context) {
    if !with(|tally| tally.is_due()) {
        return;
    }
    let started = now();
    if BEGUN.get().is_some_and(|begun| started - begun < FLUSH_GIVEN_UP) {
        return;
    }
    let Some(namespace) = platform.operator() else { return };
    BEGUN.set(Some(started));
    context.wait_until(async move {
        sleep(FLUSH_AFTER).await;
        if let Some(flush) = with(|tally| tally.flush(ISOLATE.with(|isolate| *isolate), now()).cloned()) {
            let sequence = flush.sequence;
            let question = serde_json::to_vec(&Question::Flush(flush)).unwrap_or_default();
            let answer = object::ask(&namespace, object::OPERATOR, &question, FLUSH_TIMEOUT).await;
            let answer = answer.and_then(|answer| serde_json::from_slice::<Flushed>(&answer).ok());
            if let Some(answer) = answer {
                with(|tally| tally.flushed(sequence, answer));
            }
        }
        BEGUN.set(None);
    });
}
