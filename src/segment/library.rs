//! What client libraries load before they send anything: analytics.js itself, and where to send.

use serde::Serialize;

use super::answer::Answer;
use crate::Millis;
use crate::time::iso8601;

/// What a source is called that has no other name.
const SERVICE: &str = env!("CARGO_PKG_NAME");

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

/// Returns analytics.js with what it is told where something stands before the Worker: the write key of its path, and where
/// the Worker is reached. `script` has placeholders for both (`scripts/lib/library-prefix.js`).
#[must_use]
pub fn told(script: &str, write_key: &str, public_url: &str) -> String {
    let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let told = script.replacen(r#""__WRITE_KEY__""#, &quoted(write_key), 1);
    told.replacen(r#""__PUBLIC_URL__""#, &quoted(public_url), 1)
}

/// Returns settings that point a library back to this host and to nothing else.
///
/// Each part prevents something: a second integration would make the browser fetch a script from Segment, an absent
/// `apiHost` would send the events there, and without `sampleRate` 0 the library reports figures about itself to Segment
/// every half minute.
///
/// `root` is scheme, host and path under which clients reach our routes.
#[must_use]
pub fn settings(write_key: &str, root: &str) -> Answer {
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

/// Returns what `RudderStack`'s mobile libraries ask first (`/sourceConfig`): a source without destinations of its own. Each
/// field is needed by one of them, and `dataplanes`, which is not there, would lead them elsewhere.
#[must_use]
pub fn source_config(write_key: &str, now: Millis) -> Answer {
    #[derive(Serialize)]
    struct SourceConfig<'a> {
        source: Source<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Source<'a> {
        id: &'a str,
        name: &'a str,
        write_key: &'a str,
        enabled: bool,
        workspace_id: &'a str,
        updated_at: String,
        config: serde_json::Value,
        destinations: [(); 0],
    }
    let mut answer = Answer::ok(&SourceConfig {
        source: Source {
            id: SERVICE,
            name: SERVICE,
            write_key,
            enabled: true,
            workspace_id: SERVICE,
            updated_at: iso8601(now),
            config: serde_json::json!({
                "statsCollection": { "errors": { "enabled": false }, "metrics": { "enabled": false } },
            }),
            destinations: [],
        },
    });
    answer.headers.push(("Cache-Control", "public, max-age=3600".to_owned()));
    answer
}
