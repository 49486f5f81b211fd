//! Makes the calls that standard input describes with the library that it names, and prints the errors that the library
//! has told of as a JSON list, once everything is sent or given up.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{stdin, stdout};

use rudderanalytics::client::RudderAnalytics;
use rudderanalytics::message as rudder;
use segment::message as segments;
use segment::{AutoBatcher, Batcher, Client, HttpClient};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, from_reader, from_value, to_writer};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Task {
    library: String,
    host: String,
    write_key: String,
    calls: Vec<Call>,
    settings: Settings,
}

#[derive(Deserialize)]
struct Settings {
    /// Whether all calls go in one request.
    #[serde(default)]
    batch: bool,
}

#[derive(Deserialize)]
struct Call {
    r#type: String,
    category: Option<String>,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl Call {
    /// Makes a message of a library's own type, in which the time has this name.
    fn message<M: DeserializeOwned>(mut self, time: &str) -> serde_json::Result<M> {
        // Neither library knows of a page's category.
        if let (Some(category), Some(Value::String(name))) = (self.category, self.fields.get_mut("name")) {
            *name = format!("{category} {name}");
        }
        let at = self.fields.remove("timestamp").unwrap_or_default();
        self.fields.insert(time.into(), at);
        from_value(self.fields.into())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let task: Task = from_reader(stdin())?;
    let errors = match task.library.as_str() {
        "segment" => tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(by_segments(task))?,
        "rudderstack" => by_rudderstacks(task)?,
        other => return Err(format!("no library {other}").into()),
    };
    to_writer(stdout(), &errors)?;
    Ok(())
}

/// An error and what led to it.
fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // A write to a string cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

async fn by_segments(task: Task) -> Result<Vec<String>, Box<dyn Error>> {
    let client = HttpClient::new(reqwest::Client::new(), task.host);
    let mut batcher = AutoBatcher::new(client.clone(), Batcher::new(None), task.write_key.clone());
    let mut errors = Vec::new();
    for call in task.calls {
        let sent = match (call.r#type.as_str(), task.settings.batch) {
            ("track", true) => batcher.push(call.message::<segments::Track>("timestamp")?).await,
            ("track", false) => {
                client.send(task.write_key.clone(), call.message::<segments::Track>("timestamp")?.into()).await
            }
            (_, true) => batcher.push(call.message::<segments::Page>("timestamp")?).await,
            (_, false) => {
                client.send(task.write_key.clone(), call.message::<segments::Page>("timestamp")?.into()).await
            }
        };
        errors.extend(sent.err().map(|error| told(&error)));
    }
    errors.extend(batcher.flush().await.err().map(|error| told(&error)));
    Ok(errors)
}

fn by_rudderstacks(task: Task) -> Result<Vec<String>, Box<dyn Error>> {
    let client = RudderAnalytics::load(task.write_key, task.host);
    let mut messages = Vec::new();
    let mut batch = Vec::new();
    for call in task.calls {
        match (call.r#type.as_str(), task.settings.batch) {
            ("track", true) => batch.push(rudder::BatchMessage::Track(call.message("originalTimestamp")?)),
            ("track", false) => messages.push(rudder::Message::Track(call.message("originalTimestamp")?)),
            (_, true) => batch.push(rudder::BatchMessage::Page(call.message("originalTimestamp")?)),
            (_, false) => messages.push(rudder::Message::Page(call.message("originalTimestamp")?)),
        }
    }
    if !batch.is_empty() {
        messages.push(rudder::Message::Batch(rudder::Batch { batch, ..Default::default() }));
    }
    Ok(messages.iter().filter_map(|message| client.send(message).err()).map(|error| told(&error)).collect())
}
