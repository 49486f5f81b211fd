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

/// What analytics.js is told where its own address does not tell it. It has a placeholder for each
/// (`scripts/lib/library-prefix.js`).
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The write key that it is to use.
    pub write_key: &'a str,
    /// Where the Worker is reached; `None` where it is where the script came from.
    pub public_url: Option<&'a str>,
}

impl Told<'_> {
    /// Returns the script with it.
    #[must_use]
    pub fn fill(self, script: &str) -> String {
        let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
        let told = script.replacen(r#""__WRITE_KEY__""#, &quoted(self.write_key), 1);
        match self.public_url {
            Some(url) => told.replacen(r#""__PUBLIC_URL__""#, &quoted(url), 1),
            None => told,
        }
    }
}

/// Returns settings that point a library back to this host and to nothing else.
///
/// Each part prevents something: a second integration would make the browser fetch a script from Segment, an absent
/// `apiHost` would send the events there, and without `sampleRate` 0 the library reports figures about itself to
/// Segment every half minute.
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

/// Returns what `RudderStack`'s mobile libraries ask first (`/sourceConfig`): a source without destinations of its own.
/// Each field is needed by one of them, and `dataplanes`, which is not there, would lead them elsewhere.
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
