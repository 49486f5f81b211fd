//! Whether the Worker is set up, by `GET /health`.

use serde::Serialize;

use super::answer::{Answer, Failure, FailureCode};
use crate::settings::Settings;

/// Where Librato's own service was, until it was switched off.
const SWITCHED_OFF: &str = "librato.com";

/// The failure of a route that needs a setting which is missing or malformed. Names all of them and
/// shows no value.
#[must_use]
pub fn misconfigured(settings: &Settings) -> Option<Failure> {
    let problems: Vec<_> = settings.problems.iter().map(ToString::to_string).collect();
    (!problems.is_empty()).then(|| Failure {
        retry_after: Some(60),
        ..Failure::new(FailureCode::Misconfigured, problems.join("; "))
    })
}

/// 200, or 503 with what is missing.
#[must_use]
pub fn answer(settings: &Settings) -> Answer {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        status: &'a str,
        version: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        success: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        missing: Vec<Missing<'a>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        notes: Vec<&'a str>,
    }
    #[derive(Serialize)]
    struct Missing<'a> {
        setting: &'a str,
        expected: &'a str,
    }
    let failure = misconfigured(settings);
    let message = failure.as_ref().map(|failure| failure.message.as_str());
    let missing = settings.problems.iter();
    let mut notes = Vec::new();
    let host = settings.librato.as_ref().and_then(|librato| librato.url.split('/').nth(2));
    if host.is_some_and(|host| host.ends_with(SWITCHED_OFF)) {
        notes.push("LIBRATO_URL names Librato's own service, which was switched off");
    }
    let body = Body {
        status: if failure.is_some() { "misconfigured" } else { "ok" },
        version: env!("CARGO_PKG_VERSION"),
        success: failure.as_ref().map(|_| false),
        code: failure.as_ref().map(|failure| failure.code.parts().0),
        message,
        error: message,
        missing: missing
            .map(|problem| Missing { setting: problem.setting, expected: problem.expected })
            .collect(),
        notes,
    };
    let mut answer = failure.as_ref().map_or_else(
        || Answer { status: 200, headers: Vec::new(), body: String::new() },
        Failure::answer,
    );
    answer.headers.push(("Cache-Control", "no-store".to_owned()));
    answer.body = serde_json::to_string(&body).unwrap_or_default();
    answer
}
