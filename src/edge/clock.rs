//! Time and chance, which pure code is handed.

use std::time::Duration;

use worker::Delay;
use worker::js_sys::{Date, Math};

use crate::Millis;

/// Returns the time.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn now() -> Millis {
    // A JavaScript time is a whole number of milliseconds and fits.
    Date::now() as Millis
}

/// Returns what the engine's `Date.parse` makes of a text. Workers live in UTC.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn native_date(text: &str) -> Option<Millis> {
    let date = Date::parse(text);
    date.is_finite().then_some(date as Millis)
}

/// Waits.
pub(super) async fn sleep(time: Millis) {
    Delay::from(Duration::from_millis(u64::try_from(time).unwrap_or_default())).await;
}

/// Returns a number of 53 random bits. The bits of the `f64` itself will not do: its last ones are the same for every
/// number that the engine draws.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn random() -> u64 {
    const TWO_TO_53: f64 = 9_007_199_254_740_992.0;
    (Math::random() * TWO_TO_53) as u64
}

/// Returns a random number below a limit.
pub(super) fn random_below(limit: u32) -> u32 {
    u32::try_from(random() % u64::from(limit.max(1))).unwrap_or_default()
}
