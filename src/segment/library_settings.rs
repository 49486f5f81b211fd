//! What analytics.js and the mobile libraries load before they send anything.

use serde::Serialize;

use super::answer::Answer;

#[derive(Serialize)]
struct LibrarySettings<'a> {
    integrations: Integrations<'a>,
    metrics: Metrics,
}

#[derive(Serialize)]
struct Integrations<'a> {
    #[serde(rename = "Segment.io")]
    segment: Target<'a>,
    /// Without an entry of this name, Customer.io's libraries send nothing.
    #[serde(rename = "Customer.io Data Pipelines")]
    customer_io: Target<'a>,
    /// And without this one, Hightouch's.
    #[serde(rename = "Hightouch.io")]
    hightouch: Target<'a>,
}

#[derive(Serialize, Clone, Copy)]
#[serde(rename_all = "camelCase")]
struct Target<'a> {
    api_key: &'a str,
    api_host: &'a str,
    protocol: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metrics {
    sample_rate: u8,
}

/// Returns settings that point a library back to this host and to nothing else.
///
/// Each part prevents something: a second integration would make the browser fetch a script from Segment, an absent
/// `apiHost` would send the events there, and without `sampleRate` 0 the library reports figures about itself to Segment
/// every half minute.
///
/// `root` is scheme, host and path under which clients reach our routes.
#[must_use]
pub fn answer(write_key: &str, root: &str) -> Answer {
    let (protocol, host) = root.split_once("://").unwrap_or(("https", root));
    let api_host = format!("{host}/v1");
    let target = Target { api_key: write_key, api_host: &api_host, protocol };
    let mut answer = Answer::ok(&LibrarySettings {
        integrations: Integrations { segment: target, customer_io: target, hightouch: target },
        metrics: Metrics { sample_rate: 0 },
    });
    answer.headers.push(("Cache-Control", "public, max-age=3600".to_owned()));
    answer
}
