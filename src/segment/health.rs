//! Whether the Worker is set up, by `GET /health`.

use serde::Serialize;

use super::answer::{Answer, Failure, FailureCode};
use crate::settings::{Problem, Settings};

/// Where Librato's own service was, until it was switched off.
const SWITCHED_OFF: &str = "librato.com";

/// Fails a route that needs settings which are missing or malformed. Names all of them and shows no
/// value.
///
/// # Errors
///
/// [`FailureCode::Misconfigured`].
pub fn require(settings: &Settings, is_needed: impl Fn(&Problem) -> bool) -> Result<(), Failure> {
    let problems: Vec<_> =
        settings.problems.iter().filter(|p| is_needed(p)).map(ToString::to_string).collect();
    if problems.is_empty() {
        return Ok(());
    }
    Err(Failure {
        retry_after: Some(60),
        ..Failure::new(FailureCode::Misconfigured, problems.join("; "))
    })
}

/// 200, or 503 with what is missing. `destination` is what asking the destination gave, where it was
/// asked.
#[must_use]
pub fn answer(settings: &Settings, destination: Option<Result<(), Failure>>) -> Answer {
    let asked = destination.is_some();
    let failure = require(settings, |_| true).and_then(|()| destination.unwrap_or(Ok(()))).err();
    let mut answer = match &failure {
        None => Answer::ok(&Report::of(settings, None, asked)),
        Some(failure) => Answer {
            body: Answer::ok(&Report::of(settings, Some(failure), asked)).body,
            ..failure.answer()
        },
    };
    answer.headers.push(("Cache-Control", "no-store".to_owned()));
    answer
}

#[derive(Serialize)]
struct Report<'a> {
    status: &'a str,
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<&'a str>,
    #[serde(flatten)]
    failure: Option<Told<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<Missing<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<&'a str>,
}

/// What every failure tells.
#[derive(Serialize)]
struct Told<'a> {
    success: bool,
    code: &'a str,
    message: &'a str,
    error: &'a str,
}

#[derive(Serialize)]
struct Missing<'a> {
    setting: &'a str,
    expected: &'a str,
}

impl<'a> Report<'a> {
    fn of(settings: &'a Settings, failure: Option<&'a Failure>, asked: bool) -> Self {
        let host = settings.librato.as_ref().and_then(|librato| librato.url.split('/').nth(2));
        let is_switched_off = host.is_some_and(|host| host.ends_with(SWITCHED_OFF));
        Self {
            status: failure.map_or("ok", |failure| failure.code.parts().0),
            version: env!("CARGO_PKG_VERSION"),
            destination: (asked && failure.is_none()).then_some("it takes the credentials"),
            failure: failure.map(|failure| Told {
                success: false,
                code: failure.code.parts().0,
                message: &failure.message,
                error: &failure.message,
            }),
            missing: settings
                .problems
                .iter()
                .map(|problem| Missing { setting: problem.setting, expected: problem.expected })
                .collect(),
            notes: is_switched_off
                .then_some("LIBRATO_URL names Librato's own service, which was switched off")
                .into_iter()
                .collect(),
        }
    }
}
