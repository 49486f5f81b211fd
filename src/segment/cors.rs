//! Cross-origin requests. analytics.js 1.84 sends `Authorization` from pages, so each of its calls is preflighted.

use crate::settings::{Settings, is_header_name};

/// How a request relates to the pages that may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'a> {
    /// Not from a page of another origin.
    None,
    /// From a page that may send.
    Allowed(&'a str),
    /// From a page that may not.
    Refused(&'a str),
}

impl<'a> Origin<'a> {
    /// Judges the request's `Origin` header by `ALLOWED_ORIGINS`.
    #[must_use]
    pub fn judge(header: Option<&'a str>, settings: &Settings) -> Self {
        match header {
            None => Self::None,
            Some(origin) if settings.allowed_origins.allow(origin) => Self::Allowed(origin),
            Some(origin) => Self::Refused(origin),
        }
    }

    /// The headers of every answer, errors included.
    ///
    /// An origin that may not send can read that it may not: a library that could not would take the silence for a
    /// fault of the network and send again. It gets no right to credentials.
    #[must_use]
    pub fn headers(self) -> Vec<(&'static str, &'a str)> {
        let mut headers = vec![("Vary", "Origin")];
        if let Self::Allowed(origin) | Self::Refused(origin) = self {
            headers.push(("Access-Control-Allow-Origin", origin));
            headers.push(("Access-Control-Expose-Headers", "Retry-After, X-RateLimit-Reset"));
        }
        if let Self::Allowed(_) = self {
            headers.push(("Access-Control-Allow-Credentials", "true"));
        }
        headers
    }
}

/// The further headers of a preflight's answer. `requested` are the names that the page asks for: libraries let their
/// users add headers, and a star never covers `Authorization`.
#[must_use]
pub fn preflight_headers(requested: Option<&str>) -> Vec<(&'static str, String)> {
    let is_short = |list: &&str| list.len() <= 1_024;
    // A star would allow every header to pages that send no credentials, which is more than was asked for.
    let is_name = |name: &str| name != "*" && is_header_name(name);
    let mut allowed = "Authorization, Content-Type, X-Retry-Count".to_owned();
    for name in requested.filter(is_short).unwrap_or_default().split(',').map(str::trim) {
        let is_listed = allowed.split(',').map(str::trim).any(|listed| listed.eq_ignore_ascii_case(name));
        if is_name(name) && !is_listed {
            allowed.push_str(", ");
            allowed.push_str(name);
        }
    }
    vec![
        ("Access-Control-Allow-Methods", "GET, POST, OPTIONS".to_owned()),
        ("Access-Control-Allow-Headers", allowed),
        ("Access-Control-Max-Age", "86400".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_add_any_header_whatever_else_it_asks_for() {
        for (requested, added) in [
            ("", ""),
            ("authorization,content-type", ""),
            ("baggage,sentry-trace,traceparent", ", baggage, sentry-trace, traceparent"),
            ("x-b3.traceid, newrelic", ", x-b3.traceid, newrelic"),
            ("x-ok, x bad, x-\u{e9}, x-more", ", x-ok, x-more"),
            ("*", ""),
            ("*, x-more", ", x-more"),
        ] {
            let headers = preflight_headers(Some(requested));
            let allowed = format!("Authorization, Content-Type, X-Retry-Count{added}");
            assert!(headers.contains(&("Access-Control-Allow-Headers", allowed)), "{headers:?}");
        }
    }
}
