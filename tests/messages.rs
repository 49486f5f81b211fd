//! The exact texts of answers to clients, on which users rely.

// Tests may panic; the Worker may not.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod common;

use common::{post, settings};
use librato_edge::segment::answer::{Answer, ApiError, ErrorCode};
use librato_edge::segment::health::{self, Deployment};
use librato_edge::settings::{Setting, Settings};

const NOW: i64 = 1_795_435_200_250;

fn answer(path: &str, body: &str) -> Answer {
    let settings = settings([("ALLOWED_EVENTS", "A*")]);
    match post(&settings, path, body, NOW, |_| None) {
        Ok(intake) => intake.answer(),
        Err(failure) => failure.answer(),
    }
}

#[test]
fn refusals_of_one_event() {
    for (body, code, message) in [
        ("", "malformed_json", "body: expected a JSON object, found nothing"),
        ("{\"event\": }", "malformed_json", "body: expected JSON, stopped at line 1, column 11"),
        ("[]", "invalid_event", "body: expected a JSON object"),
        ("{}", "missing_event", "event: expected a string that is not empty, found nothing"),
        (r#"{"event":""}"#, "missing_event", "event: expected a string that is not empty, found an empty string"),
        (r#"{"event":7}"#, "missing_event", "event: expected a string that is not empty, found a number"),
        (
            r#"{"event":"A"}"#,
            "missing_identity",
            "userId or anonymousId: one of them is required, as a string or a number",
        ),
        (
            r#"{"event":"A","userId":1,"properties":{"value":"x"}}"#,
            "invalid_value",
            "properties.value: expected a number below 1e127, found a string that is not a number",
        ),
        (
            r#"{"event":"A","userId":1,"properties":{"value":1e127}}"#,
            "invalid_value",
            "properties.value: expected a number below 1e127, found one of 1e127 or more",
        ),
        (
            r#"{"event":"A","userId":1,"properties":{"value":[]}}"#,
            "invalid_value",
            "properties.value: expected a number below 1e127, found an array",
        ),
        (
            r#"{"event":"A","userId":1,"timestamp":"soon"}"#,
            "invalid_timestamp",
            "timestamp: expected an ISO 8601 date such as \"2026-01-31T12:00:00.000Z\", found a string that is no date",
        ),
        (
            r#"{"event":"A","userId":1,"timestamp":true}"#,
            "invalid_timestamp",
            "timestamp: expected an ISO 8601 date such as \"2026-01-31T12:00:00.000Z\", found a boolean",
        ),
        (
            r#"{"event":"A","userId":1,"timestamp":1795427999}"#,
            "timestamp_out_of_range",
            "timestamp: expected a time between 7200 s before and 600 s after its receipt, found one 7201 s before",
        ),
        (
            r#"{"event":"A","userId":1,"timestamp":1795435801}"#,
            "timestamp_out_of_range",
            "timestamp: expected a time between 7200 s before and 600 s after its receipt, found one 601 s after",
        ),
        (
            r#"{"event":"B c","userId":1}"#,
            "event_not_allowed",
            "event: the metric `B-c` is not among the names that may be created here",
        ),
        (
            r#"{"event":"A","userId":1,"context":{"Librato":{"source":{}}}}"#,
            "invalid_source",
            "Librato.source: expected a string or a number, found an object",
        ),
        (
            r#"{"event":"A","userId":1,"context":{"source":true}}"#,
            "invalid_source",
            "source: expected a string or a number, found a boolean",
        ),
    ] {
        let expected = serde_json::json!({
            "success": false, "code": code, "message": message, "error": message,
        });
        let answer = answer("/v1/track", body);
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(answer.text()).unwrap(), expected, "{body}");
    }
}

#[test]
fn refusals_of_a_batch() {
    assert_eq!(
        answer("/v1/batch", "{}").text(),
        r#"{"success":false,"code":"invalid_event","message":"batch: expected an array of events","error":"batch: expected an array of events"}"#
    );
    let many = format!("{{\"batch\":[{}0]}}", "0,".repeat(2_500));
    assert!(answer("/v1/batch", &many).text().contains("batch: expected at most 2500 events, found 2501"));
    assert_eq!(
        answer("/v1/batch", r#"{"batch":[{"messageId":"m"},7,{"type":"delete"},{"type":1}]}"#).text(),
        concat!(
            r#"{"success":true,"accepted":0,"#,
            r#""rejected":[{"index":0,"messageId":"m","code":"missing_type","message":"type: required in a batch, for example \"track\""},"#,
            r#"{"index":1,"messageId":null,"code":"invalid_event","message":"event: expected an object"},"#,
            r#"{"index":2,"messageId":null,"code":"unsupported_type","message":"type: expected track, page, screen, identify, group or alias"},"#,
            r#"{"index":3,"messageId":null,"code":"missing_type","message":"type: expected a string, found a number"}]}"#
        )
    );
}

#[test]
fn ids_outlive_a_body_that_had_to_be_rewritten() {
    let body =
        r#"{"batch":[{"type":"track","event":"A","userId":"u","messageId":"one","x":NaN},{"messageId":"t\u0077o"}]}"#;
    let request = post(&settings([]), "/v1/batch", body, NOW, |_| None).unwrap();
    assert_eq!(request.measured().map(|(_, id)| id).collect::<Vec<_>>(), [Some("one")]);
    let answer = request.answer();
    assert!(answer.text().contains(r#"{"index":1,"messageId":"two","code":"missing_type""#), "{}", answer.text());
}

#[test]
fn successes() {
    assert_eq!(answer("/v1/batch", r#"{"batch":[]}"#).text(), r#"{"success":true}"#);
    assert_eq!(
        answer(
            "/v1/batch",
            r#"{"batch":[{"type":"track","event":"A","userId":"u"},{"type":"track","event":"B","userId":"u"}]}"#
        )
        .text(),
        concat!(
            r#"{"success":true,"accepted":1,"rejected":[{"index":1,"messageId":null,"code":"event_not_allowed","#,
            r#""message":"event: the metric `B` is not among the names that may be created here"}]}"#
        )
    );
}

#[test]
fn pauses_are_whole_seconds_that_clients_understand() {
    for (retry_after, header) in [(None, "10"), (Some(0), "1"), (Some(7), "7"), (Some(86_400), "300")] {
        let failure = ApiError::new(ErrorCode::RateLimited, "x").after(retry_after);
        let answer = failure.answer();
        assert_eq!(answer.status, 429);
        for name in ["Retry-After", "X-RateLimit-Reset"] {
            assert!(answer.headers.contains(&(name, header.to_owned())), "{:?}", answer.headers);
        }
    }
    let unavailable = ApiError::new(ErrorCode::UpstreamUnavailable, "x").answer();
    assert_eq!((unavailable.status, unavailable.headers.len()), (503, 1));
}

fn deployment(missing_bindings: Vec<&'static str>) -> Deployment {
    Deployment {
        public_url: "https://edge.example.com".to_owned(),
        is_durable: !missing_bindings.contains(&"MEASUREMENTS"),
        missing_bindings,
        live_list: None,
    }
}

#[test]
fn health_names_what_is_missing_and_shows_no_value() {
    let complete = deployment(Vec::new());
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        health::answer(&settings([]), &complete, None).text(),
        format!(
            r#"{{"status":"ok","version":"{version}","publicUrl":"https://edge.example.com","delivery":{{"mode":"durable"}}}}"#
        )
    );
    let bare = Settings::read(|name| match name {
        "ROLLUP_SECONDS" => Setting::Text("hunter2".to_owned()),
        "ALLOWED_EVENTS" => Setting::Malformed,
        _ => Setting::Missing,
    });
    let answer = health::answer(&bare, &complete, None);
    assert_eq!(answer.status, 503);
    for setting in ["LIBRATO_EMAIL", "LIBRATO_TOKEN", "LIBRATO_URL", "WRITE_KEYS", "ROLLUP_SECONDS", "ALLOWED_EVENTS"] {
        let missing = format!(r#"{{"setting":"{setting}","expected":"#);
        assert!(answer.text().contains(&missing), "{}", answer.text());
    }
    assert!(!answer.text().contains("hunter2"));
}

#[test]
fn health_notes_what_is_well_formed_and_strange() {
    for (url, note) in [
        ("https://metrics-api.librato.com", Some("was switched off")),
        ("https://203.0.113.7/api", Some("IP address")),
        ("https://[2001:db8::7]:8443", Some("IP address")),
        ("http://127.0.0.1:8788", None),
        ("http://[::1]:8788", None),
        ("https://librato.example.com", None),
    ] {
        let settings = settings([("LIBRATO_URL", url)]);
        let answer = health::answer(&settings, &deployment(Vec::new()), None);
        assert_eq!(answer.status, 200, "{url}");
        let notes = answer.text().split_once("notes").map(|(_, notes)| notes);
        assert_eq!(notes.is_some(), note.is_some(), "{url}: {notes:?}");
        assert!(notes.unwrap_or_default().contains(note.unwrap_or_default()), "{url}: {notes:?}");
    }
    for binding in ["MEASUREMENTS", "SET_ASIDE", "ONCE", "LETTERS", "OPERATOR", "ASSETS"] {
        let answer = health::answer(&settings([]), &deployment(vec![binding]), None);
        assert!(answer.text().contains(&format!("{binding} is not bound")), "{}", answer.text());
        let mode = if binding == "MEASUREMENTS" { "direct" } else { "durable" };
        assert!(answer.text().contains(&format!(r#""mode":"{mode}""#)), "{}", answer.text());
    }
}
