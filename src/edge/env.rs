//! Settings and bindings: what `wrangler.toml` and the secrets give the Worker.
//!
//! Not by the getters of `worker::Env`: those compare the name of the binding's JavaScript class and fail where it
//! differs, as it does for a service binding in a queue's place. `queue("…").ok()` would then make delivery direct
//! without a word, and `var("…")` cannot tell a number from nothing.

use std::cell::OnceCell;

use wasm_bindgen::{JsCast, JsValue, intern};
use worker::js_sys::{JSON, Reflect};
use worker::{Env, Fetcher, ObjectNamespace, Queue, RateLimiter};

use super::outbound::{Targets, Upstream};
use super::{stop, tally};
use crate::settings::{Setting, Settings};

/// Everything that an event of the platform is handled with.
#[derive(Clone)]
pub(super) struct Platform {
    env: Env,
    account: &'static Account,
}

impl Platform {
    pub(super) fn new(env: Env) -> Self {
        let account = Account::get(&env);
        Self { env, account }
    }

    pub(super) fn settings(&self) -> &'static Settings {
        &self.account.settings
    }

    /// Returns where measurements go, when the settings say it.
    pub(super) fn upstream(&self) -> Option<Upstream<'static>> {
        let destination = self.account.settings.destination.as_deref()?;
        Some(Upstream { destination, targets: self.account.targets.as_ref()? })
    }

    /// Returns the queues of accepted measurements: `MEASUREMENTS`, and those bound as `MEASUREMENTS_1` and so on.
    /// Without the first, delivery is direct.
    pub(super) fn measurements(&self) -> Option<Queues> {
        let first = self.binding("MEASUREMENTS")?;
        // One shard is the first queue's: no request looks for others.
        let most = if self.settings().once_shards > 1 { MAX_QUEUES } else { 1 };
        let others = (1..most).map_while(|number| self.binding(&format!("MEASUREMENTS_{number}"))).collect();
        Some(Queues { first, others })
    }

    /// Returns the dead-letter queue.
    pub(super) fn set_aside(&self) -> Option<Queue> {
        self.binding("SET_ASIDE")
    }

    /// Returns the namespace of the objects that remember events.
    pub(super) fn once(&self) -> Option<ObjectNamespace> {
        self.binding("ONCE")
    }

    /// Returns the namespace of the object that keeps dead letters.
    pub(super) fn letters(&self) -> Option<ObjectNamespace> {
        self.binding("LETTERS")
    }

    /// Returns the namespace of the object that holds the operator's figures.
    pub(super) fn operator(&self) -> Option<ObjectNamespace> {
        self.binding("OPERATOR")
    }

    pub(super) fn rate_limiter(&self) -> Option<RateLimiter> {
        self.binding("RATE_LIMITER")
    }

    /// Returns the static assets beside the Worker.
    pub(super) fn assets(&self) -> Option<Fetcher> {
        self.binding("ASSETS")
    }

    /// Returns which bindings of the shipped `wrangler.toml` are missing.
    pub(super) fn missing_bindings(&self) -> Vec<&'static str> {
        let mut names = vec!["MEASUREMENTS", "SET_ASIDE", "ONCE", "LETTERS", "OPERATOR", "ASSETS"];
        names.retain(|name| self.binding::<JsValue>(name).is_none());
        names
    }

    fn binding<T: JsCast>(&self, name: &str) -> Option<T> {
        binding(&self.env, name)
    }
}

fn binding<T: JsCast>(env: &Env, name: &str) -> Option<T> {
    let binding = Reflect::get(env, &intern(name).into()).ok()?;
    binding.is_object().then(|| binding.unchecked_into())
}

/// Most queues: each has its shards, of which there are a thousand.
const MAX_QUEUES: u32 = 100;

/// The queues of accepted measurements: one, or more.
pub(super) struct Queues {
    first: Queue,
    others: Vec<Queue>,
}

impl Queues {
    /// Returns the place of the queue that carries a shard's events, so that its consumers meet few shards.
    pub(super) fn place(&self, shard: u32) -> u32 {
        let others = u32::try_from(self.others.len()).unwrap_or_default();
        shard % (others + 1)
    }

    /// Returns that queue.
    pub(super) fn of_shard(&self, shard: u32) -> &Queue {
        let place = (self.place(shard) as usize).checked_sub(1);
        place.and_then(|place| self.others.get(place)).unwrap_or(&self.first)
    }
}

/// Settings and what follows from them, read once an isolate: they do not change while it lives, and reading them for
/// each request costs more than the request.
struct Account {
    settings: Settings,
    /// How the destination is reached, when the settings name one.
    targets: Option<Targets>,
}

impl Account {
    fn get(env: &Env) -> &'static Self {
        thread_local! {
            static ACCOUNT: OnceCell<&'static Account> = const { OnceCell::new() };
        }
        ACCOUNT.with(|account| {
            *account.get_or_init(|| {
                // The first thing that any event does.
                stop::watch();
                // It lives as long as the module does.
                Box::leak(Box::new(Self::read(env)))
            })
        })
    }

    fn read(env: &Env) -> Self {
        let settings = Settings::read(|name| setting(env, name));
        let targets = settings.destination.as_deref().map(Targets::of);
        tally::with(|tally| {
            tally.is_on = settings.operator_token.is_some() && binding::<JsValue>(env, "OPERATOR").is_some();
            tally.shows_events = settings.live_events;
        });
        Self { settings, targets }
    }
}

/// Reads a setting. `[vars]` of `wrangler.toml` may hold numbers and booleans, which count as their text.
fn setting(env: &Env, name: &str) -> Setting {
    let value = Reflect::get(env, &name.into()).unwrap_or(JsValue::UNDEFINED);
    if value.is_undefined() || value.is_null() {
        return Setting::Missing;
    }
    let is_scalar = value.as_f64().is_some() || value.as_bool().is_some();
    let text = if is_scalar { JSON::stringify(&value).ok().map(JsValue::from) } else { Some(value) };
    text.and_then(|text| text.as_string()).map_or(Setting::Malformed, Setting::Text)
}
