//! The counters of this isolate, and their flush to the object that holds the operator's figures.

use std::cell::{Cell, RefCell};

use worker::Context;

use super::clock::{now, random, sleep};
use super::env::Platform;
use super::object;
use crate::Millis;
use crate::operator::book::Question;
use crate::operator::tally::{FLUSH_AFTER, Flushed, Tally};

/// How long the object is waited for.
const FLUSH_TIMEOUT: Millis = 5_000;
/// How long what goes on after an answer may take, before the platform gives it up
/// (<https://developers.cloudflare.com/workers/platform/limits/#duration>).
const GIVEN_UP_AFTER: Millis = 30_000;
/// When the last flush of an invocation may be asked for.
const LAST_BEGUN: Millis = GIVEN_UP_AFTER - FLUSH_AFTER - FLUSH_TIMEOUT;

thread_local! {
    static TALLY: RefCell<Tally> = RefCell::default();
    /// The name of this isolate.
    static ISOLATE: u64 = random();
    /// When the next flush was asked for.
    static ASKED: Cell<Option<Millis>> = const { Cell::new(None) };
}

/// Looks at the counters, or counts.
pub(super) fn with<T>(count: impl FnOnce(&mut Tally) -> T) -> T {
    TALLY.with_borrow_mut(count)
}

/// Has what is counted flushed in a while, whether or not anything else comes. A flush that fails is sent again with
/// the next.
pub(super) fn flush_later(platform: &Platform, context: &Context) {
    let asked = now();
    let is_asked_for = ASKED.get().is_some_and(|before| asked - before < GIVEN_UP_AFTER);
    if is_asked_for || !with(|tally| tally.is_due()) {
        return;
    }
    let Some(namespace) = platform.operator() else { return };
    ASKED.set(Some(asked));
    let mut pause = with(|tally| tally.pause());
    context.wait_until(async move {
        loop {
            sleep(pause).await;
            // What comes from here on asks for a flush of its own.
            ASKED.set(None);
            let flush = with(|tally| tally.flush(ISOLATE.with(|isolate| *isolate), now()).cloned());
            let Some(flush) = flush else { break };
            let sequence = flush.sequence;
            let question = serde_json::to_vec(&Question::Flush(flush)).unwrap_or_default();
            let answer = object::ask(&namespace, object::OPERATOR, &question, FLUSH_TIMEOUT).await;
            let Some(answer) = answer.and_then(|answer| serde_json::from_slice::<Flushed>(&answer).ok()) else { break };
            let is_more = with(|tally| {
                tally.flushed(sequence, answer);
                tally.is_due()
            });
            // Unless it did, while an older flush was on its way.
            if !is_more || ASKED.get().is_some() || now() - asked > LAST_BEGUN {
                break;
            }
            ASKED.set(Some(now()));
            pause = FLUSH_AFTER;
        }
    });
}
