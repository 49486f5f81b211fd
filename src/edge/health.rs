//! `GET /health?deep=1`: what only others can tell about the Worker's state.
//!
//! A write key stands in web pages, so whoever reads one there can ask. What that costs others is bounded: one look in
//! ten seconds by each isolate, and a few objects. Whoever names the operator's token is told everything, anew each
//! time.

use std::cell::RefCell;

use futures_util::future::join3;

use super::clock::now;
use super::env::Platform;
use super::http::within;
use super::outbound::{self, Upstream};
use super::{once, set_aside};
use crate::Millis;
use crate::durable::once::{LedgerStats, Occupancy};
use crate::segment::answer::{ApiError, ErrorCode, Result};
use crate::segment::health::Deep;

/// How long the objects are waited for. An answer takes seven seconds at the most.
const LOOK_TIMEOUT: Millis = 5_000;
/// How long the answer to a holder of a write key stands.
const LOOK_STANDS: Millis = 10_000;
/// Most objects that are asked for a holder of a write key. With more, `waiting` is not told.
const MAX_SHARDS: u32 = 8;

thread_local! {
    /// When a holder of a write key asked last, and what was found once the look is over.
    static LAST: RefCell<Option<(Millis, Option<Deep>)>> = const { RefCell::new(None) };
}

/// Looks for the operator.
pub(super) async fn look(platform: &Platform, upstream: Upstream<'_>) -> Deep {
    look_at(platform, upstream, true).await
}

/// Looks for a holder of a write key, or repeats what was found not long ago.
pub(super) async fn look_rarely(platform: &Platform, upstream: Upstream<'_>) -> Result<Deep> {
    let asked = now();
    match LAST.with_borrow(Clone::clone) {
        Some((at, Some(found))) if asked - at < LOOK_STANDS => return Ok(found),
        // Its promise cannot be awaited: the platform cancels whoever waits for another's.
        Some((at, None)) if asked - at < LOOK_STANDS => {
            return Err(ApiError::new(ErrorCode::RateLimited, "deep: another request is looking: ask again later"));
        }
        _ => {}
    }
    LAST.set(Some((asked, None)));
    let found = look_at(platform, upstream, false).await;
    LAST.set(Some((asked, Some(found.clone()))));
    Ok(found)
}

/// Returns how many events a consumer has seen and not yet delivered. `None` where that is not known.
pub(super) async fn waiting(platform: &Platform) -> Option<u64> {
    Some(pending(&stats(platform).await?))
}

/// Returns the occupancy of each shard. `None` where that is not known, or delivery is direct.
async fn stats(platform: &Platform) -> Option<Vec<LedgerStats>> {
    platform.measurements()?;
    within(LOOK_TIMEOUT, once::stats(platform, platform.settings().once_shards)).await?
}

fn pending(stats: &[LedgerStats]) -> u64 {
    stats.iter().map(|one| one.pending).sum()
}

/// Returns how many letters are set aside. `None` where that is not known.
pub(super) async fn letters(platform: &Platform) -> Option<i64> {
    platform.measurements()?;
    let letters = within(LOOK_TIMEOUT, set_aside::list(platform, 0, 0)).await?.ok()?;
    Some(letters.count)
}

async fn look_at(platform: &Platform, upstream: Upstream<'_>, is_operator: bool) -> Deep {
    let shards = platform.settings().once_shards;
    let stats = async { if is_operator || shards <= MAX_SHARDS { stats(platform).await } else { None } };
    let check = outbound::check(upstream, is_operator);
    let (destination, stats, set_aside) = join3(check, stats, letters(platform)).await;
    let waiting = stats.as_deref().map(pending);
    let second = u64::try_from(now().div_euclid(1_000)).unwrap_or_default();
    let ledger = stats.filter(|_| is_operator).map(|stats| Occupancy::of(&stats, second));
    Deep { destination, waiting, set_aside, ledger }
}
