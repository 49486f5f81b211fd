//! The rate-limit headers that stand on every answer.
//!
//! Librato's limits were soft and per account. This counts as the service did but refuses nobody: a
//! [fault](crate::fault) does that on order.

use crate::store::Stored;

/// Header for measurements of metrics with service-side aggregation.
pub const AGGREGATED: &str = "x-librato-ratelimit-agg";
/// Header for all other measurements.
pub const PLAIN: &str = "x-librato-ratelimit-std";

/// Measurements in a window, as clients of the service saw it.
const LIMIT: usize = 600_000;
/// Seconds after which counting begins anew. Not documented; this is assumed.
const WINDOW: i64 = 600;

/// What has been used of the present window.
#[derive(Debug, Default)]
pub struct Budget {
    window: i64,
    used: Stored,
}

impl Budget {
    /// Counts what has been stored.
    pub fn spend(&mut self, now: i64, stored: Stored) {
        if reset(now) != self.window {
            self.window = reset(now);
            self.used = Stored::default();
        }
        self.used.aggregated += stored.aggregated;
        self.used.plain += stored.plain;
    }

    /// Both headers.
    #[must_use]
    pub fn headers(&self, now: i64) -> [(&'static str, String); 2] {
        let used = if reset(now) == self.window { self.used } else { Stored::default() };
        [(AGGREGATED, used.aggregated), (PLAIN, used.plain)]
            .map(|(name, used)| (name, header(LIMIT.saturating_sub(used), reset(now))))
    }
}

/// When the window of `now` ends, in epoch seconds.
#[must_use]
pub fn reset(now: i64) -> i64 {
    now - now.rem_euclid(WINDOW) + WINDOW
}

/// A header's value.
#[must_use]
pub fn header(remaining: usize, reset: i64) -> String {
    format!("limit={LIMIT},remaining={remaining},reset={reset}")
}
