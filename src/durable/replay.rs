//! How dead letters are packed to be sent again.
//!
//! Each letter becomes an event whose identity is the letter's, so that it counts once however often its replay is
//! asked for.

use std::collections::HashSet;

use super::dead_letter::DeadLetter;
use super::parcel::{EventId, Owner, Packed, Parcel};
use crate::destination::WriterId;
use crate::measurement::Measurement;

/// What an original begins with that was sent again: JSON that nobody reads.
const MARK: &str = "{\"again\":";

/// Messages in which letters are sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// The messages.
    pub messages: Vec<String>,
    /// The numbers of the letters in them. What could not be read cannot be sent.
    pub letters: Vec<u32>,
}

/// Measurements that are sent under one writer.
struct Group {
    writer: Option<WriterId>,
    measured: Vec<(Measurement, EventId)>,
}

impl Replay {
    /// Packs letters with their numbers, for a ledger of so many shards. `at` is the second at which they are to count, if not at their own;
    /// `received_at` is the present one. `new_owner` gives a new owner for each message.
    ///
    /// A measurement that was sent under a writer is sent again under it, since the destination may have stored it:
    /// then it is the same point. At another second it is another point, and has no writer yet; nor has what would be
    /// the second point of its writer with the same metric, source and second, of which only one would be kept.
    pub fn pack(
        letters: &[(u32, DeadLetter)],
        at: Option<i64>,
        shards: u32,
        received_at: i64,
        new_owner: &mut dyn FnMut() -> Owner,
    ) -> Self {
        let mut groups = vec![Group { writer: None, measured: Vec::new() }];
        let (mut points, mut originals, mut sent) = (HashSet::new(), Vec::new(), Vec::new());
        for (number, letter) in letters {
            match (letter.revived(), &letter.original) {
                (Some(measurement), _) => {
                    let time = at.unwrap_or(measurement.time);
                    let measurement = Measurement { time, ..measurement };
                    let writer = letter.writer.as_deref().and_then(WriterId::read);
                    let writer = writer.filter(|writer| {
                        let (name, source) = (measurement.name.clone(), measurement.source.clone());
                        at.is_none() && points.insert((writer.text(), name, source, time))
                    });
                    let event = event_of(*number, letter);
                    match groups.iter_mut().find(|group| group.writer == writer) {
                        Some(group) => group.measured.push((measurement, event)),
                        None => groups.push(Group { writer, measured: vec![(measurement, event)] }),
                    }
                }
                (None, Some(original)) if Parcel::read(original).is_ok() => {
                    originals.push(marked(original, *number));
                }
                (None, _) => continue,
            }
            sent.push(*number);
        }
        let packed = groups.iter().flat_map(|Group { writer, measured }| {
            let packed: Vec<Packed> = measured.iter().map(|(measurement, id)| (measurement, Some(*id))).collect();
            Parcel::pack_as(*writer, &packed, shards, received_at, new_owner)
        });
        Self { messages: packed.chain(originals).collect(), letters: sent }
    }
}

/// Returns the identity of a letter as an event. A letter of an older version has only its number.
fn event_of(number: u32, letter: &DeadLetter) -> EventId {
    match &letter.letter_id {
        Some(id) => EventId::named("set-aside", id),
        None => EventId::named("set-aside", &number.to_string()),
    }
}

/// Marks a message that is sent again as it was, in place of an earlier mark: its events are the same, but the message
/// is another. Should the platform move it once more, its letter must not be taken for the one that was just sent.
fn marked(original: &str, number: u32) -> String {
    let unmarked = original.strip_prefix(MARK).and_then(|rest| rest.split_once(',')).map(|(_, rest)| rest);
    let Some(fields) = unmarked.or_else(|| original.trim_start().strip_prefix('{')) else {
        return original.to_owned();
    };
    format!("{MARK}{number},{fields}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::Samples;
    use crate::rejection::Code;

    const NOW: i64 = 1_795_000_000;

    fn measurement(name: &str, time: i64) -> Measurement {
        Measurement {
            name: name.into(),
            display_name: name.into(),
            source: "s".into(),
            time,
            samples: Samples::one(1.0),
        }
    }

    fn letter(name: &str, time: i64, event: u8, writer: Option<WriterId>) -> DeadLetter {
        let events = [EventId([event; 12])];
        DeadLetter::of(&measurement(name, time), Code::RefusedByLibrato, None, NOW, &events, writer)
    }

    fn packed(letters: &[(u32, DeadLetter)], at: Option<i64>) -> (Vec<Parcel>, Vec<u32>) {
        let mut owner = 0;
        let Replay { messages, letters } = Replay::pack(letters, at, 1, NOW, &mut || {
            owner += 1;
            owner
        });
        (messages.iter().map(|message| Parcel::read(message).expect("a parcel")).collect(), letters)
    }

    fn names(parcel: &Parcel) -> Vec<&str> {
        parcel.entries.iter().map(|entry| &*entry.measurement.name).collect()
    }

    #[test]
    fn each_writer_has_a_parcel_of_its_own() {
        let (one, two) = (Some(WriterId::Assigned(1)), Some(WriterId::Random(1)));
        let letters: Vec<_> = [None, one, two, one, None]
            .into_iter()
            .zip(0_u8..)
            .map(|(writer, n)| (u32::from(n), letter(&format!("m{n}"), NOW, n, writer)))
            .collect();
        let (parcels, sent) = packed(&letters, None);
        assert_eq!(sent, [0, 1, 2, 3, 4]);
        let parts: Vec<_> = parcels.iter().map(|parcel| (parcel.sealed, names(parcel))).collect();
        assert_eq!(parts, [(None, vec!["m0", "m4"]), (one, vec!["m1", "m3"]), (two, vec!["m2"])]);
        // At another time they are other points.
        let (parcels, _) = packed(&letters, Some(NOW + 7));
        let [parcel] = &parcels[..] else { panic!("{parcels:?}") };
        assert_eq!((parcel.sealed, parcel.entries.len()), (None, 5));
        assert!(parcel.entries.iter().all(|entry| entry.measurement.time == NOW + 7));
    }

    #[test]
    fn two_letters_of_one_point_do_not_share_their_writer() {
        let writer = Some(WriterId::Assigned(3));
        let letters = [(1, letter("m", NOW, 1, writer)), (2, letter("m", NOW, 2, writer))];
        let (parcels, sent) = packed(&letters, None);
        assert_eq!(sent, [1, 2]);
        let sealed: Vec<_> = parcels.iter().map(|parcel| (parcel.sealed, parcel.entries.len())).collect();
        assert_eq!(sealed, [(None, 1), (writer, 1)]);
    }

    #[test]
    fn an_event_is_the_letter_and_not_the_number_or_the_content() {
        let ids = |letters: &[(u32, DeadLetter)]| -> Vec<_> {
            let (parcels, _) = packed(letters, None);
            parcels.iter().flat_map(|parcel| &parcel.entries).map(|entry| entry.id).collect()
        };
        let first = ids(&[(1, letter("m", NOW, 1, None))]);
        assert_eq!(ids(&[(9, letter("m", NOW, 1, None))]), first);
        assert_ne!(ids(&[(1, letter("m", NOW, 2, None))]), first);
        // Older letters have nothing but their number.
        let old = DeadLetter { letter_id: None, ..letter("m", NOW, 1, None) };
        assert_eq!(ids(&[(1, old.clone())]), [EventId::named("set-aside", "1")]);
        assert_ne!(ids(&[(1, old.clone())]), ids(&[(2, old)]));
    }

    #[test]
    fn an_original_is_sent_again_as_another_message_with_the_same_events() {
        let original = Parcel::pack(&[(&measurement("m", NOW), None)], 1, NOW, &mut || 5).remove(0);
        let moved = DeadLetter::read(&original, 0);
        let again = Replay::pack(&[(7, moved.clone())], None, 1, NOW, &mut || 6).messages;
        assert_ne!(again[0], original);
        assert_eq!(Parcel::read(&again[0]), Parcel::read(&original));
        let moved_again = DeadLetter::read(&again[0], 0);
        assert_ne!(moved_again.letter_id, moved.letter_id);
        // And so on, without becoming longer each time.
        let later = Replay::pack(&[(8, moved_again)], None, 1, NOW, &mut || 6).messages;
        assert_eq!(later[0].len(), again[0].len());
        assert_eq!(Parcel::read(&later[0]), Parcel::read(&original));
        assert_ne!(later, again);
    }

    #[test]
    fn what_cannot_be_read_is_not_sent() {
        let letters = [(1, DeadLetter::read("garbage", 0)), (2, DeadLetter::read("{}", 0))];
        assert_eq!(packed(&letters, None), (Vec::new(), Vec::new()));
    }

    #[test]
    fn what_one_message_does_not_take_is_several_under_the_same_writer() {
        let writer = Some(WriterId::Assigned(3));
        let letters: Vec<_> = (0..1_000_u32)
            .map(|n| {
                let name = format!("{n}-{}", "x".repeat(240));
                let event = [EventId::named("k", &name)];
                let one = measurement(&name, NOW);
                (n, DeadLetter::of(&one, Code::RefusedByLibrato, None, NOW, &event, writer))
            })
            .collect();
        let (parcels, sent) = packed(&letters, None);
        assert_eq!(sent.len(), 1_000);
        assert!(parcels.len() > 1 && parcels.iter().all(|parcel| parcel.sealed == writer));
        assert_eq!(parcels.iter().map(|parcel| parcel.entries.len()).sum::<usize>(), 1_000);
    }
}
