//! Helpers of the native tests.

pub(crate) mod model;

use librato_edge::Millis;
use librato_edge::destination::WriterId;
use librato_edge::ingest::{self, Call, Kind, ParsedRequest};
use librato_edge::rollup::Rollup;
use librato_edge::segment::answer::Result;
use librato_edge::segment::route::Route;
use librato_edge::settings::Settings;
use librato_edge::time::NativeDate;
use serde_json::Value;

/// The write key of the tests.
pub(crate) const WRITE_KEY: &str = "key";

/// Returns complete settings, some of which are overridden.
#[track_caller]
pub(crate) fn settings<'s>(pairs: impl IntoIterator<Item = (&'s str, &'s str)>) -> Settings {
    let pairs: Vec<_> = pairs.into_iter().collect();
    let base = [
        ("LIBRATO_EMAIL", "metrics@example.com"),
        ("LIBRATO_TOKEN", "token"),
        ("LIBRATO_URL", "https://librato.example.com"),
        ("WRITE_KEYS", WRITE_KEY),
    ];
    let settings = Settings::read(|name| {
        let mut all = pairs.iter().chain(&base);
        all.find(|(key, _)| *key == name).map(|(_, value)| *value).into()
    });
    assert_eq!(settings.problems, []);
    settings
}

/// Returns complete settings for an OTLP endpoint, some of which are overridden.
#[allow(dead_code)]
#[track_caller]
pub(crate) fn otlp<'s>(pairs: impl IntoIterator<Item = (&'s str, &'s str)>) -> Settings {
    let otlp = [("DESTINATION", "otlp"), ("OTLP_URL", "https://otlp.example.com/v1/metrics")];
    let pairs: Vec<_> = pairs.into_iter().collect();
    let is_given = |name: &str| pairs.iter().any(|(given, _)| *given == name);
    let base = otlp.into_iter().filter(|(name, _)| !is_given(name));
    settings(base.chain(pairs.iter().copied()).collect::<Vec<_>>())
}

/// Parses a body as if it had been posted to a path.
#[allow(dead_code)]
#[track_caller]
pub(crate) fn post<'b>(
    settings: &Settings,
    path: &str,
    body: &'b str,
    received_at: Millis,
    native_date: NativeDate,
) -> Result<ParsedRequest<'b>> {
    let kind = match Route::of(path, "") {
        Route::Event(event_type) => Kind::Single(event_type),
        Route::Batch => Kind::Batch,
        other => panic!("{path} is {other:?}"),
    };
    let call =
        Call { settings, kind, received_at, header_key: Some(WRITE_KEY), query_key: None, native_date, shown: 0 };
    ingest::parse(body, &call)
}

/// Returns the gauges of a request as they are sent to Librato.
#[allow(dead_code)]
#[track_caller]
pub(crate) fn gauges(settings: &Settings, request: &ParsedRequest) -> Vec<Value> {
    let librato = settings.destination.as_ref().expect("complete settings");
    let oldest = i64::MIN;
    let measured = request.measured().map(|(measurement, _)| measurement);
    let (gauges, _) = Rollup::of(measured, settings.rollup_seconds, oldest);
    let batch: Vec<_> = gauges.iter().collect();
    let body: Value = serde_json::from_slice(&librato.encode(&batch, WriterId::NONE)).expect("JSON");
    body["gauges"].as_array().expect("gauges").clone()
}

/// Returns the epoch milliseconds of a date such as `2026-11-23T12:00:00.250Z`.
#[allow(dead_code)]
#[track_caller]
pub(crate) fn moment(text: &str) -> Millis {
    use librato_edge::json::Scalar;
    use librato_edge::time::Timestamp;
    match Timestamp::read(&Scalar::Text(text.into()), |_| None) {
        Timestamp::At(moment) => moment,
        other => panic!("{text} is {other:?}"),
    }
}
