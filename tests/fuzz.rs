//! What holds for any bytes at all: the fuzz targets.
//!
//! `cargo test` runs each of them for a second, from the seeds in `tests/fixtures/fuzz`.
//! `cargo bolero test` runs one for as long as it is told to, and learns from the branches that an
//! input takes. Its sanitizer is what wants `--rustc-bootstrap` on stable Rust:
//!
//! ```sh
//! cargo install cargo-bolero --version 0.13.5 --locked --no-default-features --features libfuzzer
//! cargo bolero test fuzz_event --package librato-edge --profile fuzz --rustc-bootstrap \
//!     -T 10m -E tests/fixtures/fuzz/event
//! ```
//!
//! What it finds lands under `tests/__fuzz__`, where `cargo test` takes it up.

// A test may fail by a panic; the Worker may not.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod common;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use bolero::check;
use common::{gauges, post, settings};
use flate2::{Crc, Decompress, FlushDecompress, Status};
use hmac::{Hmac, KeyInit, Mac};
use librato_edge::delivery::{Arrival, Delivery, Judgement, Outcome, Policy, Reply, Step};
use librato_edge::ingest::{self, Call, Intake, Kind};
use librato_edge::json::reader::{Malformed, Raw, Reader, unescaped};
use librato_edge::json::tree;
use librato_edge::json::writer::to_json;
use librato_edge::json::{Scalar, is_too_deep};
use librato_edge::librato::WINDOW;
use librato_edge::mapping::name::MAX_LENGTH;
use librato_edge::measurement::{Measurement, Samples, is_in_range};
use librato_edge::segment::answer::{FailureCode, Fallible, success};
use librato_edge::segment::body;
use librato_edge::segment::payload::{self, Envelope, Member};
use librato_edge::segment::{credential, pixel, query, webhook};
use librato_edge::settings::Settings;
use librato_edge::time::{Timestamp, http_date};
use serde::Deserializer;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha1::Sha1;

/// A target is a test that hands whatever the engine thinks up to a function that must not panic:
/// first as it is, then as edits to one of the target's seeds. An engine that cannot learn would
/// not get past the first bracket by chance.
macro_rules! targets {
    ($($name:ident: $seeds:literal, $judge:ident;)*) => {$(
        #[test]
        fn $name() {
            let seeds = Seeds::of($seeds);
            // Shrinking would only blur what the edits have made.
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
    fuzz_reader: "event", reader;
    fuzz_tree: "event", tree;
    fuzz_string: "string", string;
    fuzz_event: "event", event;
    fuzz_envelope: "envelope", envelope;
    fuzz_body: "body", packed_body;
    fuzz_timestamp: "timestamp", timestamp;
    fuzz_pixel: "pixel", pixel_query;
    fuzz_signature: "signature", signature;
    fuzz_credential: "credential", basic;
    fuzz_answer: "answer", answer_of_librato;
}

/// An input that is printed when it has led to a panic: the engine knows only what was edited.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("given {:?}", String::from_utf8_lossy(self.0));
        }
    }
}

/// What inputs that mean something are made of.
static PIECES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    r#"{ } [ ] " \ , : null true false 0 -0 1e999 9 \ud800 \u0000 "" é 😀 & = % + . - -- Z T12:00
    \ud83d \ude00 +02:00 2026 "value": "source": "Librato": "All": "providers": "type":"track" "batch":[
    "sentAt": "timestamp": data= Basic errors Signed-Up remaining=0"#
        .split_whitespace()
        .collect()
});

/// Good inputs of a target.
struct Seeds(Vec<Vec<u8>>);

impl Seeds {
    fn of(target: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fuzz").join(target);
        let mut files: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        Self(files.iter().map(|file| fs::read(file).unwrap()).collect())
    }

    /// The first byte chooses a seed, the second how many edits are made to it, and each edit is
    /// four further bytes.
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

/// What becomes of a request is one of few things, and what is measured is what Librato takes.
fn check_taken(taken: &Fallible<Intake>) {
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
    assert!(counts.accepted > 0 || counts.events == 0 || answer.status == 400);

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
    (1..=MAX_LENGTH).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b) || also.contains(&b))
}

/// What another reader of JSON makes of a text. In an object that begins with such a key `Value`
/// would read the text that stands under it.
fn other_reader(text: &str) -> Option<Value> {
    let is_literal = !text.contains("$serde_json::private");
    serde_json::from_str(text).ok().filter(|_| is_literal && !is_too_deep(text.as_bytes()))
}

/// Our reader takes what `serde_json` takes and nothing else, and tells every value by its very text.
fn reader(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let other = serde_json::from_str::<&RawValue>(text).ok().filter(|_| !is_too_deep(input));
    let raw = Raw::read(text).ok();
    assert_eq!(raw.map(Raw::text), other.map(RawValue::get));
    let Some(raw) = raw else { return };
    match text.trim_ascii_start().as_bytes()[0] {
        b'[' => {
            let members: Vec<&RawValue> = serde_json::from_str(text).unwrap();
            let members: Vec<_> = members.into_iter().map(RawValue::get).collect();
            let found: Vec<_> = raw.members().unwrap().into_iter().map(Raw::text).collect();
            assert_eq!(found, members);
        }
        b'{' => {
            let mut keys = Vec::new();
            let mut reader = Reader::new(text);
            let read: Result<(), Malformed> = reader.object(|key, reader| {
                keys.push(key);
                reader.raw().map(|_| ())
            });
            assert_eq!(read.and_then(|()| reader.end()), Ok(()));
            // Another reader keeps the last of repeated keys, and does not take halves of characters.
            let Ok(entries) = serde_json::from_str::<HashMap<String, &RawValue>>(text) else {
                return;
            };
            assert!(entries.keys().all(|name| keys.iter().any(|key| key.is(name))));
            assert!(keys.iter().all(|key| entries.keys().any(|name| key.is(name))));
            for (name, value) in entries {
                let found = raw.field(&name).map(Raw::text);
                assert_eq!(found, Some(value.get()).filter(|value| *value != "null"));
            }
        }
        _ => assert_eq!(raw.members(), None),
    }
}

/// A tree is the one that another reader makes, and is written again as such.
fn tree(input: &[u8]) {
    // What is written as an integer and fits none of 64 bits is as good as any other number; just below
    // the end of the range another reader may be off.
    fn same(ours: &tree::Value, other: &Value) -> bool {
        match (ours, other) {
            (tree::Value::Null, Value::Null) => true,
            (tree::Value::Bool(ours), Value::Bool(other)) => ours == other,
            (tree::Value::Number(_), Value::Number(other)) => {
                let (number, expected) = (ours.as_f64().unwrap(), other.as_f64().unwrap());
                ours.as_whole() == other.as_u64()
                    && ours.as_integer() == other.as_i64()
                    && (number - expected).abs() <= 1e-12 * expected.abs()
            }
            (tree::Value::Text(ours), Value::String(other)) => ours == other,
            (tree::Value::Array(ours), Value::Array(other)) => {
                ours.len() == other.len()
                    && ours.iter().zip(other).all(|(ours, other)| same(ours, other))
            }
            (tree::Value::Object(entries), Value::Object(other)) => {
                entries.iter().all(|(key, _)| other.contains_key(&**key))
                    && other.iter().all(|(key, other)| same(ours.get(key).unwrap(), other))
            }
            _ => false,
        }
    }
    let ours = tree::Value::read_bytes(input);
    let Ok(text) = std::str::from_utf8(input) else { return assert_eq!(ours, None) };
    if text.contains("$serde_json::private") || is_too_deep(input) {
        return;
    }
    let other = serde_json::from_str::<Value>(text).ok();
    match (&ours, &other) {
        (None, None) => {}
        (Some(ours), Some(other)) => {
            assert!(same(ours, other), "{ours:?}");
            let written = serde_json::from_str::<Value>(&to_json(ours));
            assert_eq!(written.ok().as_ref(), Some(other));
        }
        _ => panic!("{ours:?} and not {other:?}"),
    }
}

/// A string means what it means to another reader, and to a lenient one where it holds half a character;
/// what is written of it reads as the same.
fn string(input: &[u8]) {
    struct Bytes;
    impl serde::de::Visitor<'_> for Bytes {
        type Value = Vec<u8>;
        fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            f.write_str("a string")
        }
        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    assert_eq!(to_json(text), serde_json::to_string(text).unwrap());
    let quoted = format!("\"{text}\"");
    let Ok(raw) = Raw::read(&quoted) else { return };
    let other = serde_json::Deserializer::from_str(&quoted).deserialize_bytes(Bytes);
    assert_eq!(unescaped(text), other.unwrap());
    let other: Option<String> = serde_json::from_str(&quoted).ok();
    assert_eq!(Scalar::of(raw).into_text().as_deref(), other.as_deref());
}

/// An event means the same whether it comes alone or as a batch of one.
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

/// A batch has the members that any other reader of JSON finds in it; so has a webhook's array.
fn envelope(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let value = other_reader(text);
    let check_members = |found: Option<Vec<Member>>, expected: Option<&Vec<Value>>, limit| {
        let Some(expected) = expected.filter(|expected| expected.len() <= limit) else { return };
        let found = found.expect("any other reader takes it");
        let found: Vec<Value> =
            found.iter().map(|member| serde_json::from_str(member.raw.text()).unwrap()).collect();
        assert_eq!(&found, expected);
    };
    let object = value.as_ref().filter(|value| value.is_object());
    check_members(
        Envelope::read(text).ok().map(|(_, members)| members),
        object.and_then(|object| object["batch"].as_array()),
        payload::MAX_EVENTS,
    );
    check_members(
        payload::webhook(text).ok(),
        value.as_ref().and_then(Value::as_array),
        webhook::MAX_EVENTS,
    );
    check_taken(&post(&SETTINGS, "/v1/b", text, NOW, |_| Some(NOW)));
    let call = Call {
        settings: &SETTINGS,
        kind: Kind::Webhook,
        received_at: NOW,
        header_key: None,
        query_key: None,
        native_date: |_| None,
    };
    check_taken(&ingest::take(text, &call));
}

/// A body is what another library unpacks, and damaged where that finds it so. The input is what stands
/// behind a gzip's header; where it is whole, its checksum is made to fit.
fn packed_body(input: &[u8]) {
    const LIMIT: usize = 10_000;
    let mut unpacked = vec![0; LIMIT + 1];
    let mut other = Decompress::new(false);
    let status = other.decompress(input, &mut unpacked, FlushDecompress::Finish);
    let [read, written] =
        [other.total_in(), other.total_out()].map(|count| usize::try_from(count).unwrap());
    let is_whole = matches!(status, Ok(Status::StreamEnd));
    unpacked.truncate(written);
    let mut packed = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], input].concat();
    if is_whole {
        packed.truncate(10 + read);
        let mut checksum = Crc::new();
        checksum.update(&unpacked);
        packed.extend([checksum.sum(), checksum.amount()].map(u32::to_le_bytes).concat());
    }
    let found = body::text(packed, None, LIMIT).map_err(|failure| failure.code);
    if is_whole && written <= LIMIT {
        assert_eq!(found, String::from_utf8(unpacked).map_err(|_| FailureCode::MalformedJson));
    } else if status.is_ok() && written > LIMIT {
        // A block without an end is damaged here before it is too large, and there only too large.
        let codes = [FailureCode::PayloadTooLarge, FailureCode::UnsupportedEncoding];
        assert!(found.is_err_and(|code| codes.contains(&code)));
    } else {
        assert_eq!(found, Err(FailureCode::UnsupportedEncoding));
    }
}

/// A moment is one that JavaScript can hold, and moves by its zone.
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
    if let Ok(raw) = Raw::read(text) {
        check_range(Timestamp::read(&Scalar::of(raw), |_| None));
    }
    if let Some(moment) = http_date(text) {
        assert!(moment >= 0, "{moment}");
    }

    // A run of so many digits is a count of seconds, whatever stands after it.
    let is_count = text.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() >= 10);
    if let (Some((day, time)), Timestamp::At(utc), false) =
        (text.split_once('T'), read(&format!("{text}Z")), is_count)
    {
        assert_eq!(read(&format!("{day} {time}Z")), Timestamp::At(utc));
        for (zone, minutes) in [("+00:00", 0), ("+0130", -90), ("-05", 300)] {
            let there = read(&format!("{text}{zone}"));
            assert_eq!(there, Timestamp::At(utc + minutes * 60_000), "{zone}");
        }
    }

    // Whatever it is, an event can bear it, also from a clock that is far off.
    for body in [
        json!({"event": "A", "userId": "u", "timestamp": text}),
        json!({"event": "A", "userId": "u", "timestamp": text, "sentAt": text}),
        json!({"event": "A", "userId": "u", "timestamp": NOW, "sentAt": text}),
    ] {
        let body = body.to_string();
        check_taken(&post(&SETTINGS, "/v1/t", &body, NOW, |_| Some(-8_640_000_000_000_000)));
    }
}

/// A query's event arrives as it was sent, however that was encoded; what runs in a page is a
/// function's name.
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

/// A signature holds for the very bytes that it was made of, or for the first element of an array,
/// and for nothing else. The input is a secret, a line break and a body.
fn signature(input: &[u8]) {
    let line = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let secret = String::from_utf8_lossy(&input[..line]);
    let body = input.get(line + 1..).unwrap_or_default();
    let verify =
        |body: &[u8], signature: Option<&str>| webhook::verify(&secret, body, signature).is_ok();
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

    let elements: Vec<&RawValue> = std::str::from_utf8(body)
        .ok()
        .and_then(|body| serde_json::from_str(body).ok())
        .unwrap_or_default();
    for element in &elements {
        let is_first = element.get() == elements[0].get();
        let text = element.get().as_bytes();
        assert_eq!(verify(body, Some(&hex(&mac(&secret, text)))), is_first);
    }
}

/// A header names a key or nothing, and never an empty one.
fn basic(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Some(user) = credential::basic_user(text) {
        assert!(!user.is_empty() && !user.contains(':'));
        assert!(text.trim().get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic ")));
        assert_eq!(
            credential::basic_user(&format!("bASIC  {}", STANDARD.encode(&user))),
            Some(user)
        );
    }
    let user = text.split(':').next().filter(|user| !user.is_empty());
    for encoded in [STANDARD.encode(text), STANDARD_NO_PAD.encode(text)] {
        assert_eq!(credential::basic_user(&format!("Basic {encoded}")).as_deref(), user);
        assert_eq!(credential::basic_user(&format!("Bearer {encoded}")), None);
    }
}

/// Whatever Librato answers, it is judged, nobody is told a credential, and the delivery comes to an
/// end. The input is a status, `Retry-After` and a rate limit, a line each, and a body.
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
    let members = [
        ("Signed-Up", "w-1", now),
        ("Viewed-Home-Page", "w-1", now - 7_000),
        ("a", "A", now + 500),
    ];
    let members = members.map(|(name, source, time)| Measurement {
        name: name.into(),
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
        Judgement::Remarked(remark) => &remark.words,
        Judgement::Delivered | Judgement::TooLarge => "",
    };
    assert!(said.chars().count() < 400 && !said.contains(char::is_control), "{said:?}");
    // Who says only a part of a token has not been told the token.
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
