//! One structured line a request, without anything of its payload.

use super::bindings;
use crate::Millis;
use crate::delivery::{Outcome, TroubleKind};
use crate::ingest::Counts;
use crate::json::writer::{ToJson, Writer, to_json};
use crate::segment::answer::Answer;

/// What a request's log line tells.
pub(super) struct Line {
    event: &'static str,
    route: &'static str,
    status: u16,
    code: Option<&'static str>,
    pub(super) counts: Counts,
    /// Messages to the queue, in durable delivery.
    pub(super) messages: u64,
    /// Gauges and requests to the destination, in direct delivery.
    pub(super) gauges: usize,
    pub(super) requests: u64,
    pub(super) refused_points: u64,
    pub(super) trouble: Option<String>,
    ms: Millis,
}

/// What a batch of the queue came to.
pub(super) struct ConsumerLine {
    event: &'static str,
    messages: usize,
    events: usize,
    gauges: usize,
    delivered: usize,
    pub(super) requests: u64,
    pub(super) refused_points: u64,
    /// Shipments that are to be sent again as they were.
    pub(super) sealed: u64,
    pub(super) set_aside: usize,
    pub(super) retried: usize,
    pub(super) trouble: Option<String>,
    /// Nothing will be delivered until somebody sets it right.
    operator_fault: bool,
    ms: Millis,
}

impl ConsumerLine {
    pub(super) fn new(messages: usize, events: usize, gauges: usize) -> Self {
        Self {
            event: "consume",
            messages,
            events,
            gauges,
            delivered: 0,
            requests: 0,
            refused_points: 0,
            sealed: 0,
            set_aside: 0,
            retried: 0,
            trouble: None,
            operator_fault: false,
            ms: 0,
        }
    }

    pub(super) fn count(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            match outcome {
                Outcome::Delivered => self.delivered += 1,
                Outcome::Later(trouble) => {
                    self.operator_fault |= trouble.kind == TroubleKind::Unauthorized;
                }
                Outcome::SetAside(_) => {}
            }
        }
    }

    pub(super) fn write(&mut self, ms: Millis) {
        self.ms = ms;
        let text = to_json(self);
        if self.operator_fault {
            bindings::console_error(&text);
        } else {
            bindings::console_log(&text);
        }
    }
}

/// A figure that is told only where there is something to tell.
fn unless_zero(number: u64) -> Option<u64> {
    Some(number).filter(|number| *number > 0)
}

impl ToJson for Line {
    fn write(&self, json: &mut Writer) {
        json.object(|json| {
            json.field("event", self.event);
            json.field("route", self.route);
            json.field("status", &self.status);
            json.field_of("code", self.code);
            json.field("events", &self.counts.events);
            json.field("accepted", &self.counts.accepted);
            json.field("measured", &self.counts.measured);
            json.field("rejected", &self.counts.rejected);
            json.field("messages", &self.messages);
            json.field("gauges", &self.gauges);
            json.field("libratoRequests", &self.requests);
            json.field_of("refusedPoints", unless_zero(self.refused_points));
            json.field_of("trouble", self.trouble.as_ref());
            json.field("ms", &self.ms);
        });
    }
}

impl ToJson for ConsumerLine {
    fn write(&self, json: &mut Writer) {
        json.object(|json| {
            json.field("event", self.event);
            json.field("messages", &self.messages);
            json.field("events", &self.events);
            json.field("gauges", &self.gauges);
            json.field("delivered", &self.delivered);
            json.field("libratoRequests", &self.requests);
            json.field_of("refusedPoints", unless_zero(self.refused_points));
            json.field_of("sealed", unless_zero(self.sealed));
            json.field("setAside", &self.set_aside);
            json.field("retried", &self.retried);
            json.field_of("trouble", self.trouble.as_ref());
            json.field_of("operatorFault", Some(self.operator_fault).filter(|is_one| *is_one));
            json.field("ms", &self.ms);
        });
    }
}

impl Line {
    pub(super) fn new(route: &'static str) -> Self {
        Self {
            event: "request",
            route,
            status: 200,
            code: None,
            counts: Counts::default(),
            messages: 0,
            gauges: 0,
            requests: 0,
            refused_points: 0,
            trouble: None,
            ms: 0,
        }
    }

    pub(super) fn write(&mut self, answer: &Answer, ms: Millis) {
        (self.status, self.code, self.ms) = (answer.status, answer.code, ms);
        bindings::console_log(&to_json(self));
    }
}
