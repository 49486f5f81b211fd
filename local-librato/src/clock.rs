//! The time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time since the epoch.
pub(crate) fn clock() -> Duration {
    // A clock before 1970 is no clock.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whole epoch seconds.
pub(crate) fn now() -> i64 {
    i64::try_from(clock().as_secs()).unwrap_or(i64::MAX)
}
