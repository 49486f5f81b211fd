//! Fuzz targets: properties that hold for any bytes.
//!
//! `cargo test` runs each of them for a second, from the seeds in `tests/fixtures/fuzz`. `cargo bolero test` runs one
//! for a given time, guided by coverage. Its sanitizer needs `--rustc-bootstrap` on stable Rust:
//!
//! ```sh
//! cargo install cargo-bolero --version 0.13.5 --locked --no-default-features --features libfuzzer
//! cargo bolero test fuzz_event --package librato-edge --profile fuzz --rustc-bootstrap \
//!     -T 10m -E tests/fixtures/fuzz/event
//! ```
//!
//! Its findings are stored in `tests/__fuzz__`, from where `cargo test` replays them.

// Tests may panic; the Worker may not.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use bolero::check;
use common::{gauges, post, settings};
use hmac::{Hmac, KeyInit, Mac};
use librato_edge::delivery::{Arrival, Delivery, Judgement, Outcome, Policy, Reply, Step};
use librato_edge::ingest::{self, Call, Kind, ParsedRequest};
use librato_edge::json::{Scalar, is_too_deep, with_words_quoted};
use librato_edge::librato::WINDOW;
use librato_edge::measurement::{MAX_NAME, Measurement, Samples, is_in_range};
use librato_edge::rejection::Code;
use librato_edge::segment::answer::{Result, success};
use librato_edge::segment::payload::{self, Member};
use librato_edge::segment::{credential, pixel, query, webhook};
use librato_edge::settings::Settings;
use librato_edge::time::{Timestamp, http_date};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha1::Sha1;

/// Defines a fuzz target: a test that passes each input of the engine to a function that must not panic, first as it
/// is, then as edits to one of the target's seeds. An engine without coverage would hardly get past the first bracket.
macro_rules! targets {
    ($($name:ident: $seeds:literal, $judge:ident;)*) => {$(
        #[test]
        fn $name() {
            let seeds = Seeds::of($seeds);
            // Shrinking would not make an edited seed any clearer.
            check!().with_shrink_time(Duration::ZERO).for_each(|input: &[u8]| {
                let edited = seeds.edited(input);
                for input in [input, &edited] {
                    let _shown = Shown(input);
                    $judge(input);
                }
            });
        }
    )*};
}

targets! {
    fuzz_string: "string", string;
    fuzz_words: "event", words;
    fuzz_event: "event", event;
    fuzz_envelope: "envelope", envelope;
    fuzz_timestamp: "timestamp", timestamp;
    fuzz_pixel: "pixel", pixel_query;
    fuzz_signature: "signature", signature;
    fuzz_credential: "credential", basic;
    fuzz_answer: "answer", answer_of_librato;
}

/// An input that is printed after a panic, since the engine only knows the edits.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("given {:?}", String::from_utf8_lossy(self.0));
        }
    }
}

/// Fragments of meaningful inputs.
static PIECES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    r#"{ } [ ] " \ , : null true false 0 -0 1e999 9 \ud800 \u0000 "" é 😀 & = % + . - -- Z T12:00
    \ud83d \ude00 +02:00 2026 "value": "source": "Librato": "All": "providers": "type":"track" "batch":[
    "sentAt": "timestamp": data= Basic errors Signed-Up remaining=0"#
        .split_whitespace()
        .collect()
});

/// Valid inputs of a target.
struct Seeds(Vec<Vec<u8>>);

impl Seeds {
    fn of(target: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fuzz").join(target);
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        Self(files.iter().map(|file| fs::read(file).unwrap()).collect())
    }

    /// Edits a seed: the first byte chooses it, the second is the number of edits, and each edit is four further bytes.
    fn edited(&self, input: &[u8]) -> Vec<u8> {
        let (choice, edits) = input.split_at(input.len().min(2));
        let [seed, count] = [0, 1].map(|n| choice.get(n).copied().map_or(0, usize::from));
        let mut text = self.0[seed % self.0.len()].clone();
        for edit in edits.chunks_exact(4).take(count % 8) {
            let at = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % (text.len() + 1);
            let end = (at + usize::from(edit[3] % 16)).min(text.len());
            match edit[2] % 4 {
                0 => drop(text.drain(at..end)),
                1 => text.extend_from_within(at..end),
                2 => text.insert(at, edit[3]),
                _ => _ = text.splice(at..at, PIECES[usize::from(edit[3]) % PIECES.len()].bytes()),
            }
        }
        text
    }
}

const NOW: i64 = 1_795_435_200_250;
const TOKEN: &str = "hunter2-hunter2-hunter2";

static SETTINGS: LazyLock<Settings> =
    LazyLock::new(|| settings([("LIBRATO_TOKEN", TOKEN), ("CONSENT_CATEGORIES", "a")]));

/// Checks that a request has one of few outcomes, and that Librato accepts all measurements.
fn check_taken(taken: &Result<ParsedRequest>) {
    let answer = match taken {
        Ok(intake) => intake.answer(),
        Err(failure) => failure.answer(),
    };
    let body: Value = serde_json::from_str(answer.text()).expect("an answer is JSON");
    assert_eq!(body["success"], answer.status == 200);
    assert!(matches!(answer.status, 200 | 400), "{body}");
    let Ok(intake) = taken else { return };

    let counts = intake.counts();
    let rejected: usize = counts.rejected.values().sum();
    assert_eq!(counts.accepted + rejected, counts.events);
    assert_eq!(intake.measured().count(), counts.measured);
    // A batch that could be read is 200, whatever was refused of it.
    assert!(answer.status == 200 || (counts.events, counts.accepted) == (1, 0));

    let now = NOW / 1_000;
    for gauge in gauges(&SETTINGS, intake) {
        let text = |key: &str| gauge[key].as_str().unwrap().to_owned();
        assert!(is_name(&text("name"), b""), "{gauge}");
        assert!(is_name(&text("source"), b":"), "{gauge}");
        assert!(!text("source").eq_ignore_ascii_case("all"), "{gauge}");
        let time = gauge["measure_time"].as_i64().unwrap();
        assert!(WINDOW.holds(time, now));
        let value = gauge.get("value").or(gauge.get("sum")).and_then(Value::as_f64);
        assert!(value.is_some_and(is_in_range), "{gauge}");
    }
}

fn is_name(text: &str, also: &[u8]) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b) || also.contains(&b))
}

/// Parses a text with another reader of JSON. Texts with a private key of `serde_json` are left out, as `Value` gives
/// it a meaning.
fn other_reader(text: &str) -> Option<Value> {
    let is_literal = !text.contains("$serde_json::private");
    serde_json::from_str(text).ok().filter(|_| is_literal && !is_too_deep(text.as_bytes()))
}

/// Compares strings with another reader. A lone surrogate, which that refuses, must become U+FFFD.
fn string(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let quoted = format!("\"{text}\"");
    let Ok(raw) = serde_json::from_str::<&RawValue>(&quoted) else { return };
    let Scalar::Text(found) = Scalar::of(raw) else { panic!("{quoted} is a string") };
    match serde_json::from_str::<String>(&quoted) {
        Ok(expected) => assert_eq!(found, expected),
        Err(_) => assert!(found.contains('\u{fffd}'), "{found:?}"),
    }
}

/// Checks that words that JSON does not have are quoted where another reader would stop at them, and nothing else.
fn words(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Some(quoted) = with_words_quoted(text) else { return };
    assert_eq!(quoted.replace('"', ""), text.replace('"', ""));
    assert!(serde_json::from_str::<IgnoredAny>(text).is_err(), "{text}");
}

/// Checks that an event has the same outcome alone and as a batch of one.
fn event(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let value = other_reader(text);
    let named = value.as_ref().and_then(|value| value["type"].as_str());
    for (path, named_so) in [("/v1/t", "track"), ("/v1/p", "page"), ("/v1/i", "identify")] {
        let alone = post(&SETTINGS, path, text, NOW, |_| None);
        check_taken(&alone);
        let batch = format!("{{\"batch\":[{text}]}}");
        if named != Some(named_so) || is_too_deep(batch.as_bytes()) {
            continue;
        }
        let alone = alone.expect("an object is judged as an event");
        let batch = post(&SETTINGS, "/v1/b", &batch, NOW, |_| None).expect("so is a batch of one");
        assert!(alone.measured().eq(batch.measured()));
        assert_eq!(alone.counts(), batch.counts());
    }
}

/// Compares the members of a batch, and of a webhook's array, with another reader of JSON.
fn envelope(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let value = other_reader(text);
    let check_members = |found: Option<Vec<Member>>, expected: Option<&Vec<Value>>, limit| {
        let Some(expected) = expected.filter(|expected| expected.len() <= limit) else { return };
        let found = found.expect("any other reader takes it");
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            for (key, field) in [
                ("type", found.event.kind),
                ("event", found.event.event),
                ("messageId", found.event.message_id),
                ("traits", found.event.traits),
            ] {
                let found = field.map(|raw| serde_json::from_str::<Value>(raw.get()).unwrap());
                assert_eq!(found.as_ref(), expected.get(key).filter(|value| !value.is_null()));
            }
            let is_too_large = |code: Code| code == Code::EventTooLarge;
            assert_eq!(found.check().err().is_some_and(|it| !is_too_large(it.code)), !expected.is_object());
        }
    };
    let object = value.as_ref().filter(|value| value.is_object());
    check_members(
        payload::batch(text).ok().filter(|batch| !batch.is_single).map(|batch| batch.members),
        object.and_then(|object| object["batch"].as_array()),
        payload::MAX_EVENTS,
    );
    let array = value.as_ref().and_then(Value::as_array);
    check_members(payload::batch(text).ok().map(|batch| batch.members), array, payload::MAX_EVENTS);
    check_members(payload::webhook(text).ok().map(|it| it.members), array, webhook::MAX_EVENTS);
    check_taken(&post(&SETTINGS, "/v1/b", text, NOW, |_| Some(NOW)));
    let call = Call {
        settings: &SETTINGS,
        kind: Kind::Webhook,
        received_at: NOW,
        header_key: None,
        query_key: None,
        native_date: |_| None,
        shown: 0,
    };
    check_taken(&ingest::parse(text, &call));
}

/// Checks that a moment is in the range of JavaScript, and shifted by its zone.
fn timestamp(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let read = |text: &str| Timestamp::read(&Scalar::Text(text.into()), |_| None);
    let check_range = |read: Timestamp| {
        if let Timestamp::At(moment) = read {
            assert!(moment.abs() <= 8_640_000_000_000_000, "{moment}");
        }
    };
    check_range(read(text));
    assert_eq!(read(text) == Timestamp::Missing, text.is_empty());
    if let Ok(raw) = serde_json::from_str::<&RawValue>(text) {
        check_range(Timestamp::read(&Scalar::of(raw), |_| None));
    }
    if let Some(moment) = http_date(text) {
        assert!(moment >= 0, "{moment}");
    }

    // A run of this many digits is a number of seconds, with any text after it.
    let is_count = text.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() >= 10);
    if let (Some((day, time)), Timestamp::At(utc), false) = (text.split_once('T'), read(&format!("{text}Z")), is_count)
    {
        assert_eq!(read(&format!("{day} {time}Z")), Timestamp::At(utc));
        for (zone, minutes) in [("+00:00", 0), ("+0130", -90), ("-05", 300)] {
            let there = read(&format!("{text}{zone}"));
            assert_eq!(there, Timestamp::At(utc + minutes * 60_000), "{zone}");
        }
    }

    // An event can have any timestamp, also from a clock that is far off.
    for body in [
        json!({"event": "A", "userId": "u", "timestamp": text}),
        json!({"event": "A", "userId": "u", "timestamp": text, "sentAt": text}),
        json!({"event": "A", "userId": "u", "timestamp": NOW, "sentAt": text}),
    ] {
        let body = body.to_string();
        check_taken(&post(&SETTINGS, "/v1/t", &body, NOW, |_| Some(-8_640_000_000_000_000)));
    }
}

/// Checks that an event in a query arrives as it was sent, in any encoding, and that a callback is the name of a
/// function.
fn pixel_query(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(event) = pixel::event(text) {
        check_taken(&post(&SETTINGS, "/v1/t", &event, NOW, |_| None));
        if query::parameter(text, "data").is_none() {
            assert!(payload::single(&event).is_ok(), "flat parameters make an object");
        }
    }
    for alphabet in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
        let encoded = alphabet.encode(text);
        for data in [encoded.replace('+', "%2B").replace('=', "%3d"), encoded] {
            let found = pixel::event(&format!("a=b&data={data}&data=x"));
            assert_eq!(found.as_deref().ok(), Some(text), "{data}");
        }
    }
    let escaped = text.bytes().fold(String::new(), |all, byte| all + &format!("%{byte:02x}"));
    let found = query::parameter(&format!("a&{escaped}={escaped}"), text);
    assert_eq!(found.as_deref(), Some(if text == "a" { "" } else { text }));

    let answer = success(1, &[]);
    let script = pixel::script(answer.clone(), text);
    if script != answer {
        assert_eq!(script.text(), format!("/**/{text}({{\"success\":true}});"));
        let is_part = |b: u8| b.is_ascii_alphanumeric() || b"_$.".contains(&b);
        assert!(text.len() <= 128 && text.bytes().all(is_part));
    }
}

fn mac(secret: &str, text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |all, byte| all + &format!("{byte:02x}"))
}

/// Checks that a signature is valid for the signed bytes, or for the first element of an array, and for nothing else.
/// The input is a secret, a line break and a body.
fn signature(input: &[u8]) {
    let line = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let secret = String::from_utf8_lossy(&input[..line]);
    let body = input.get(line + 1..).unwrap_or_default();
    let verify = |body: &[u8], signature: Option<&str>| webhook::verify(&secret, body, signature).is_ok();
    let right = mac(&secret, body);
    let signature = hex(&right);
    assert!(verify(body, Some(&signature)));
    assert!(verify(body, Some(&format!(" {} ", signature.to_uppercase()))));

    let mut wrong = right.clone();
    wrong[usize::from(right[0]) % 20] ^= 1 << (right[1] % 8);
    for wrong in [hex(&wrong), format!("{signature}00"), hex(&right[1..]), String::new()] {
        assert!(!verify(body, Some(&wrong)), "{wrong}");
    }
    assert!(!verify(body, None));
    assert!(!verify(body, std::str::from_utf8(body).ok()));
    assert!(webhook::verify(&format!("{secret}."), body, Some(&signature)).is_err());
    let mut other = body.to_vec();
    if let Some(byte) = other.get_mut(usize::from(right[2]) % body.len().max(1)) {
        *byte ^= 1;
        assert!(!verify(&other, Some(&signature)));
    }

    let elements: Vec<&RawValue> =
        std::str::from_utf8(body).ok().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
    for element in &elements {
        let is_first = element.get() == elements[0].get();
        let text = element.get().as_bytes();
        assert_eq!(verify(body, Some(&hex(&mac(&secret, text)))), is_first);
    }
}

/// Checks that a header has a key that is not empty, or none.
fn basic(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Some(user) = credential::basic_user(text) {
        assert!(!user.is_empty() && !user.contains(':'));
        assert!(text.trim().get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic ")));
        assert_eq!(credential::basic_user(&format!("bASIC  {}", STANDARD.encode(&user))), Some(user));
    }
    let user = text.split(':').next().filter(|user| !user.is_empty());
    for encoded in [STANDARD.encode(text), STANDARD_NO_PAD.encode(text)] {
        assert_eq!(credential::basic_user(&format!("Basic {encoded}")).as_deref(), user);
        assert_eq!(credential::basic_user(&format!("Bearer {encoded}")), None);
    }
}

/// Checks for any answer of Librato that it is judged, that no credential leaks, and that the delivery ends. The input
/// is a status, `Retry-After` and a rate limit, a line each, and a body.
fn answer_of_librato(input: &[u8]) {
    let mut lines = input.splitn(4, |byte| *byte == b'\n');
    let mut line = || String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let (status, retry_after, limit) = (line(), line(), line());
    let body = lines.next().unwrap_or_default();
    let reply = Reply {
        status: status.parse().unwrap_or(200),
        retry_after: Some(retry_after).filter(|text| !text.is_empty()),
        rate_limits: vec![("x-librato-ratelimit-agg", limit)],
        body: body.to_vec(),
    };
    let now = NOW / 1_000;
    let members = [("Signed-Up", "w-1", now), ("Viewed-Home-Page", "w-1", now - 7_000), ("a", "A", now + 500)];
    let members = members.map(|(name, source, time)| Measurement {
        name: name.into(),
        display_name: name.into(),
        source: source.into(),
        time,
        samples: Samples::one(1.0),
    });
    let batch: Vec<_> = members.iter().collect();
    let librato = SETTINGS.destination.as_deref().unwrap();

    let judgement = librato.judge(&reply, &batch, NOW);
    let is_success = (200..300).contains(&reply.status);
    assert!(judgement != Judgement::Delivered || is_success);
    assert_eq!(judgement == Judgement::TooLarge, reply.status == 413);
    let said = match &judgement {
        Judgement::Refused(refusal) | Judgement::Partly(refusal) => {
            assert!(is_success || reply.status == 400);
            assert!(refusal.suspects.iter().all(|place| *place < batch.len()), "{refusal:?}");
            assert!(refusal.suspects.is_sorted_by(|a, b| a < b), "{refusal:?}");
            &refusal.reason
        }
        Judgement::Rejected(reason) => reason,
        Judgement::Later(trouble) => &trouble.detail,
        Judgement::Partial(partial) => &partial.message,
        Judgement::Delivered | Judgement::TooLarge => "",
    };
    assert!(said.chars().count() < 400 && !said.contains(char::is_control), "{said:?}");
    // A part of a token does not give the token away.
    let text: String = String::from_utf8_lossy(body).chars().filter(|c| !c.is_control()).collect();
    let (beginning, _) = TOKEN.split_at(8);
    let is_innocent = text.contains('\\') || text.replace(TOKEN, "").contains(beginning);
    assert!(!said.contains(beginning) || is_innocent, "a token is told: {said:?}");

    let mut delivery = Delivery::new(librato, &members, Policy::direct(NOW, NOW, 1));
    let mut clock = NOW;
    for _ in 0..50 {
        match delivery.next(clock) {
            Step::Send(shipment) => {
                delivery.settle(shipment.id, &Arrival::Answered(reply.clone()), clock);
            }
            Step::Wait(until) => clock = until.expect("nothing is under way"),
            Step::Done => break,
        }
    }
    assert_eq!(delivery.next(clock), Step::Done);
    let outcomes = delivery.finish();
    assert_eq!(outcomes.len(), members.len());
    if reply.status >= 500 {
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Later(_))));
    }
}
