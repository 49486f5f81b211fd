//! Rate-limit headers, which every answer has.
//!
//! Librato's limits were soft and per account. This counts as the service did but never refuses a request: to test
//! that, a [fault](crate::fault) is injected.

use crate::store::Stored;

/// Header that counts measurements of metrics with service-side aggregation.
pub const AGGREGATED: &str = "x-librato-ratelimit-agg";
/// Header that counts all other measurements.
pub const PLAIN: &str = "x-librato-ratelimit-std";

/// Most measurements in a window, as clients of the service saw it.
const LIMIT: usize = 600_000;
/// Seconds of a window. They are not documented; this is assumed.
const WINDOW: i64 = 600;

/// Measurements counted in the current window.
#[derive(Debug, Default)]
pub struct Budget {
    window: i64,
    used: Stored,
}

impl Budget {
    /// Counts stored measurements.
    pub fn spend(&mut self, now: i64, stored: Stored) {
        if reset(now) != self.window {
            self.window = reset(now);
            self.used = Stored::default();
        }
        self.used.aggregated += stored.aggregated;
        self.used.plain += stored.plain;
    }

    /// Returns both headers.
    #[must_use]
    pub fn headers(&self, now: i64) -> [(&'static str, String); 2] {
        let used = if reset(now) == self.window { self.used } else { Stored::default() };
        [(AGGREGATED, used.aggregated), (PLAIN, used.plain)]
            .map(|(name, used)| (name, header(LIMIT.saturating_sub(used), reset(now))))
    }
}

/// Returns when the window of `now` ends, in epoch seconds.
#[must_use]
pub fn reset(now: i64) -> i64 {
    now - now.rem_euclid(WINDOW) + WINDOW
}

/// Returns the value of a header.
#[must_use]
pub fn header(remaining: usize, reset: i64) -> String {
    format!("limit={LIMIT},remaining={remaining},reset={reset}")
}
