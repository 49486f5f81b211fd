//! What analytics.js and the mobile libraries load before they send anything.

use super::answer::Answer;
use crate::json::writer::Writer;
use crate::text::{concat, split_once};

/// Points a library back to this host and to nothing else.
///
/// Each part prevents something: a second integration would make the browser fetch a script from
/// Segment, an absent `apiHost` would send the events there, and without `sampleRate` 0 the library
/// reports figures about itself to Segment every half minute.
///
/// `origin` is scheme and host as the client addressed them, `base` the path of our routes there.
#[must_use]
pub fn answer(write_key: &str, origin: &str, base: &str) -> Answer {
    let (protocol, host) = split_once(origin, "://").unwrap_or(("https", origin));
    let mut json = Writer::default();
    json.raw(r#"{"integrations":{"Segment.io":"#);
    json.object(|json| {
        json.field("apiKey", write_key);
        json.field("apiHost", &concat(&[host, base, "/v1"]));
        json.field("protocol", protocol);
    });
    json.raw(r#"},"metrics":{"sampleRate":0}}"#);
    let mut answer = Answer::of(json);
    answer.headers.push(("Cache-Control", "public, max-age=3600".to_owned()));
    answer
}
