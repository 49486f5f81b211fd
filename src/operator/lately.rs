//! What came of the last deliveries: a destination that lets everybody in and takes nothing looks healthy otherwise.

use crate::Millis;
use crate::delivery::Outcome;
use crate::destination::PartialSuccess;

/// How long a refusal is lately.
const HOUR: Millis = 3_600_000;

/// What an isolate has seen of its last deliveries.
#[derive(Debug, Default)]
pub struct Lately {
    /// When all of a delivery was refused, with the destination's words, unless something was taken since.
    refusal: Option<(Millis, String)>,
}

impl Lately {
    /// Takes what came of a delivery.
    pub fn record(&mut self, outcomes: &[Outcome], partial: Option<&PartialSuccess>, now: Millis) {
        let refused = |outcome: &Outcome| match outcome {
            Outcome::SetAside(reason) => Some(reason.clone()),
            Outcome::Delivered | Outcome::Later(_) => None,
        };
        let is_taken = outcomes.contains(&Outcome::Delivered);
        match partial {
            // As many points as there are measurements, and more where their counts are sent.
            Some(partial) if is_taken && partial.rejected_points >= outcomes.len() as u64 => {
                self.refusal = Some((now, partial.message.clone()));
            }
            _ if is_taken => self.refusal = None,
            _ => {
                if let Some(words) = outcomes.iter().rev().find_map(refused) {
                    self.refusal = Some((now, words));
                }
            }
        }
    }

    /// Returns the destination's words, where it has refused all that was lately sent.
    #[must_use]
    pub fn refusal(&self, now: Millis) -> Option<&str> {
        self.refusal.as_ref().filter(|(at, _)| now - at < HOUR).map(|(_, words)| words.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_refuses_everything_until_it_takes_something() {
        let taken = [Outcome::Delivered];
        let refused = [Outcome::SetAside("no".into())];
        let both = [Outcome::SetAside("no".into()), Outcome::Delivered];
        let partial =
            |rejected_points| PartialSuccess { rejected_points, summary: String::new(), message: "delta".into() };
        for (deliveries, words) in [
            (vec![(&taken[..], None)], None),
            (vec![(&refused[..], None)], Some("no")),
            (vec![(&both[..], None)], None),
            (vec![(&refused[..], None), (&taken[..], None)], None),
            (vec![(&taken[..], None), (&refused[..], None)], Some("no")),
            (vec![(&taken[..], Some(partial(2)))], Some("delta")),
            (vec![(&taken[..], Some(partial(0)))], None),
            (vec![(&refused[..], None), (&[][..], None)], Some("no")),
        ] {
            let mut lately = Lately::default();
            for (outcomes, partial) in &deliveries {
                lately.record(outcomes, partial.as_ref(), 5);
            }
            assert_eq!(lately.refusal(6), words, "{deliveries:?}");
            assert_eq!(lately.refusal(5 + HOUR), None);
        }
    }
}
