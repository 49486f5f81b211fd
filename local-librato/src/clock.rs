//! The system clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns the time since the epoch.
pub(crate) fn clock() -> Duration {
    // A clock that is set before 1970 counts as 1970.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Returns whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns whole epoch seconds.
pub(crate) fn now() -> i64 {
    i64::try_from(clock().as_secs()).unwrap_or(i64::MAX)
}
