//! What analytics.js and the mobile libraries load before they send anything.

use serde::Serialize;

use super::answer::Answer;

/// Points a library back to this host and to nothing else.
///
/// Each part prevents something: a second integration would make the browser fetch a script from
/// Segment, an absent `apiHost` would send the events there, and without `sampleRate` 0 the library
/// reports figures about itself to Segment every half minute.
///
/// `origin` is scheme and host as the client addressed them, `base` the path of our routes there.
#[must_use]
pub fn answer(write_key: &str, origin: &str, base: &str) -> Answer {
    #[derive(Serialize)]
    struct Fields<'a> {
        integrations: Integrations<'a>,
        metrics: Metrics,
    }
    #[derive(Serialize)]
    struct Integrations<'a> {
        #[serde(rename = "Segment.io")]
        segment: Segment<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Segment<'a> {
        api_key: &'a str,
        api_host: String,
        protocol: &'a str,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Metrics {
        sample_rate: u8,
    }
    let (protocol, host) = origin.split_once("://").unwrap_or(("https", origin));
    let fields = Fields {
        integrations: Integrations {
            segment: Segment { api_key: write_key, api_host: format!("{host}{base}/v1"), protocol },
        },
        metrics: Metrics { sample_rate: 0 },
    };
    let mut answer = Answer::ok(&fields);
    answer.headers.push(("Cache-Control", "public, max-age=3600".to_owned()));
    answer
}
