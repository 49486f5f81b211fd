//! What the `worker` crate does not offer, or offers with a panic inside: queues.
//!
//! Its messages do not tell how often they were delivered, and its `ack` and `retry` unwrap.

use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use worker::Env;
use worker::js_sys::{Array, JSON, Object, Reflect};

#[wasm_bindgen]
extern "C" {
    /// What a consumer is handed.
    pub(super) type MessageBatch;

    /// Name of the queue.
    #[wasm_bindgen(method, getter)]
    pub(super) fn queue(this: &MessageBatch) -> String;

    #[wasm_bindgen(method, getter)]
    fn messages(this: &MessageBatch) -> Array;

    /// One message of a batch.
    pub(super) type Message;

    #[wasm_bindgen(method, getter)]
    fn body(this: &Message) -> JsValue;

    /// How often it has been delivered, this time included.
    #[wasm_bindgen(method, getter)]
    pub(super) fn attempts(this: &Message) -> u32;

    #[wasm_bindgen(method, catch)]
    fn ack(this: &Message) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    fn retry(this: &Message, options: &Object) -> Result<(), JsValue>;

    /// The producer's end of a queue.
    pub(super) type Queue;

    #[wasm_bindgen(method, catch)]
    async fn send(this: &Queue, body: &str, options: &Object) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, js_name = sendBatch)]
    async fn send_batch(this: &Queue, messages: &Array) -> Result<JsValue, JsValue>;
}

impl MessageBatch {
    /// The messages.
    pub(super) fn to_vec(&self) -> Vec<Message> {
        self.messages().iter().map(JsCast::unchecked_into).collect()
    }
}

impl Message {
    /// The body: a text as it is, anything else as JSON.
    pub(super) fn text(&self) -> Option<String> {
        let body = self.body();
        body.as_string().or_else(|| JSON::stringify(&body).ok()?.as_string())
    }

    /// It is dealt with. What cannot be acknowledged comes again, and is known then.
    pub(super) fn acknowledge(&self) {
        _ = self.ack();
    }

    /// It is to come again after so many seconds.
    pub(super) fn again_after(&self, seconds: u32) {
        _ = self.retry(&object(&[("delaySeconds", seconds.into())]));
    }
}

/// Why a queue did not take a message.
pub(super) enum QueueError {
    /// Too many at once.
    TooMany,
    /// Anything else.
    Unavailable,
}

impl Queue {
    /// The queue that is bound under a name, if one is.
    pub(super) fn bound(env: &Env, name: &str) -> Option<Self> {
        let binding = Reflect::get(env, &name.into()).ok()?;
        binding.is_object().then(|| binding.unchecked_into())
    }

    /// Stores messages: none or all of up to a hundred. As text, since other forms are known to arrive
    /// changed.
    pub(super) async fn store(&self, messages: &[String], delay: u32) -> Result<(), QueueError> {
        let options = |body: Option<&String>| {
            let mut entries = vec![("contentType", "text".into()), ("delaySeconds", delay.into())];
            entries.extend(body.map(|body| ("body", body.into())));
            object(&entries)
        };
        let stored = match messages {
            [] => return Ok(()),
            [message] => self.send(message, &options(None)).await,
            messages => {
                let batch: Array = messages.iter().map(|message| options(Some(message))).collect();
                self.send_batch(&batch).await
            }
        };
        match stored {
            Ok(_) => Ok(()),
            Err(error) => {
                let text = Reflect::get(&error, &"message".into()).ok();
                let text = text.and_then(|text| text.as_string()).unwrap_or_default();
                let is_limit = text.to_ascii_lowercase().contains("too many requests");
                Err(if is_limit { QueueError::TooMany } else { QueueError::Unavailable })
            }
        }
    }
}

fn object(entries: &[(&str, JsValue)]) -> Object {
    let object = Object::new();
    for (name, value) in entries {
        // Setting a field of a plain object does not fail.
        _ = Reflect::set(&object, &(*name).into(), value);
    }
    object
}
