//! A batch of realistic events and its processing by the core, for the benchmark and the count of allocations.

use librato_edge::Millis;
use librato_edge::destination::WriterId;
use librato_edge::ingest::{self, Call, Kind};
use librato_edge::rollup::Rollup;
use librato_edge::settings::{Setting, Settings};

/// Half a second after the first of the events.
const RECEIVED_AT: Millis = 1_795_435_200_500;
const WRITE_KEY: &str = "fj8Ts0Dk6cVrXuYdhGq3Lm2nWb7pZaKe";
const NAMES: [&str; 8] = [
    "Product Viewed",
    "Product Added",
    "Product List Viewed",
    "Cart Viewed",
    "Checkout Started",
    "Payment Info Entered",
    "Order Completed",
    "Coupon Applied",
];

/// Returns the required settings, with all others at their defaults.
pub(crate) fn settings() -> Settings {
    Settings::read(|name| {
        let text = match name {
            "LIBRATO_EMAIL" => "metrics@example.com",
            "LIBRATO_TOKEN" => "token",
            "LIBRATO_URL" => "https://librato.example.com",
            "WRITE_KEYS" => WRITE_KEY,
            _ => return Setting::Missing,
        };
        Setting::Text(text.to_owned())
    })
}

/// Returns a batch of events of 1.2 KB, as analytics.js 1.84 sends them: eight names, 25 events a second, and a
/// `messageId` each.
pub(crate) fn batch(count: usize) -> String {
    let pretty: String = include_str!("event.json").lines().map(str::trim_start).collect();
    let event = pretty.replace("\": ", "\":").replace("{ ", "{").replace(" }", "}").replace(", \"", ",\"");
    let events: Vec<String> = (0..count)
        .map(|index| {
            event
                .replace("Product Viewed", NAMES[index % NAMES.len()])
                .replace("19.9", &format!("{}.9", 19 + index % 10))
                .replace("-000000000000", &format!("-{index:012}"))
                .replace("12:00:00.000", &format!("11:59:{:02}.{:02}0", 59 - index / 25 % 60, 99 - 4 * (index % 25)))
        })
        .collect();
    format!("{{\"batch\":[{}],\"sentAt\":\"2026-11-23T12:00:00.400Z\"}}", events.join(","))
}

/// Processes the text of a batch up to the body of the request to Librato, as direct delivery does.
pub(crate) fn deliver(body: &str, settings: &Settings) -> Vec<u8> {
    let call = Call {
        settings,
        kind: Kind::Batch,
        received_at: RECEIVED_AT,
        header_key: Some(WRITE_KEY),
        query_key: None,
        native_date: |_| None,
        shown: 0,
    };
    let request = ingest::parse(body, &call).expect("a good batch");
    let measured = request.measured().map(|(measurement, _)| measurement);
    let oldest = settings.window().oldest(RECEIVED_AT / 1_000);
    let (gauges, _) = Rollup::of(measured, settings.rollup_seconds, oldest);
    let gauges: Vec<_> = gauges.iter().collect();
    settings.destination.as_ref().expect("Librato").encode(&gauges, WriterId::NONE)
}
