//! Futures on the platform's promises.
//!
//! `wasm-bindgen-futures` makes two closures for each promise that is waited for and takes each step
//! through `queueMicrotask`. Here a promise is known by a ticket from the moment it is made, one function
//! says of all of them which is settled ([`Tasks::wake`]), and the task that waits for it goes on at once.
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use slab::Slab;
use wasm_bindgen::JsValue;

use super::bindings::{self, Deferred};
use crate::Millis;

/// All that is under way.
#[derive(Clone)]
pub(super) struct Tasks(Rc<RefCell<Executor>>);

struct Executor {
    /// The time, once it was asked for: it stands still until something is settled.
    now: Option<Millis>,
    /// By number; `None` while it is polled.
    tasks: Slab<Option<Task>>,
    /// By ticket.
    waits: Slab<Wait>,
    /// The task that is polled: whatever waits then is its own.
    polled: usize,
}

struct Task {
    future: Pin<Box<dyn Future<Output = JsValue>>>,
    promise: Deferred,
}

enum Wait {
    /// With the task that waits, once it does.
    Open(Option<usize>),
    Settled(Settlement),
    /// Nobody waits any more.
    Over,
}

/// What a promise came to.
pub(super) struct Settlement {
    /// What it means depends on what was begun; 0 where there is nothing to tell.
    pub(super) code: u32,
    pub(super) bytes: Vec<u8>,
    pub(super) value: JsValue,
}

impl Tasks {
    pub(super) fn new() -> Self {
        let (tasks, waits) = (Slab::new(), Slab::new());
        Self(Rc::new(RefCell::new(Executor { now: None, tasks, waits, polled: 0 })))
    }

    /// Runs a future up to where it first waits, and the rest when that is there. The promise gets what
    /// comes of it. It may wait for nothing but what is [`begun`](Self::begun).
    pub(super) fn run(&self, promise: Deferred, future: Pin<Box<dyn Future<Output = JsValue>>>) {
        let number = self.with(|executor| executor.tasks.insert(Some(Task { future, promise })));
        self.go_on(number);
    }

    /// The time within a task.
    pub(super) fn now(&self) -> Millis {
        // A JavaScript date is a whole number of milliseconds and fits.
        #[allow(clippy::cast_possible_truncation)]
        self.with(|executor| *executor.now.get_or_insert_with(|| bindings::date_now() as Millis))
    }

    /// Begins something that takes its time, whether it is waited for or not. `begin` is handed the
    /// ticket.
    pub(super) fn begun(&self, begin: impl FnOnce(usize)) -> Begun {
        let ticket = self.with(|executor| executor.waits.insert(Wait::Open(None)));
        begin(ticket);
        Begun { tasks: self.clone(), ticket }
    }

    /// Something that was begun is settled.
    pub(super) fn wake(&self, ticket: usize, settlement: Settlement) {
        let before = self.with(|executor| match executor.waits.get_mut(ticket) {
            Some(wait @ Wait::Open(_)) => Some(mem::replace(wait, Wait::Settled(settlement))),
            _ => executor.waits.try_remove(ticket),
        });
        if let Some(Wait::Open(Some(task))) = before {
            self.go_on(task);
        }
    }

    /// Polls a task.
    fn go_on(&self, number: usize) {
        let task = self.with(|executor| {
            executor.now = None;
            executor.polled = number;
            executor.tasks.get_mut(number).and_then(Option::take)
        });
        // The number may be another's by now: that one is polled for nothing.
        let Some(mut task) = task else { return };
        match task.future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => self.with(|executor| {
                if let Some(slot) = executor.tasks.get_mut(number) {
                    *slot = Some(task);
                }
            }),
            Poll::Ready(value) => {
                _ = self.with(|executor| executor.tasks.try_remove(number));
                bindings::end(&task.promise, &value);
            }
        }
    }

    /// Nothing is woken or polled within: that comes back here.
    fn with<T>(&self, change: impl FnOnce(&mut Executor) -> T) -> T {
        change(&mut self.0.borrow_mut())
    }
}

/// What is settled first of these, with its key; it is taken out. `None` of none.
pub(super) async fn first<T>(begun: &mut Vec<(T, Begun)>) -> Option<(T, Settlement)> {
    poll_fn(|context| {
        for place in 0..begun.len() {
            if let Some((_, wait)) = begun.get_mut(place)
                && let Poll::Ready(settlement) = Pin::new(wait).poll(context)
            {
                let (key, _) = begun.swap_remove(place);
                return Poll::Ready(Some((key, settlement)));
            }
        }
        if begun.is_empty() { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}

/// See [`Tasks::begun`].
pub(super) struct Begun {
    tasks: Tasks,
    ticket: usize,
}

impl Future for Begun {
    type Output = Settlement;

    fn poll(self: Pin<&mut Self>, _: &mut Context) -> Poll<Settlement> {
        self.tasks.with(|executor| match executor.waits.get_mut(self.ticket) {
            Some(wait @ Wait::Settled(_)) => match mem::replace(wait, Wait::Over) {
                Wait::Settled(settlement) => Poll::Ready(settlement),
                Wait::Open(_) | Wait::Over => Poll::Pending,
            },
            Some(Wait::Open(task)) => {
                *task = Some(executor.polled);
                Poll::Pending
            }
            _ => Poll::Pending,
        })
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.tasks.with(|executor| match executor.waits.get_mut(self.ticket) {
            // The ticket is given back when the promise is settled.
            Some(wait @ Wait::Open(_)) => *wait = Wait::Over,
            _ => _ = executor.waits.try_remove(self.ticket),
        });
    }
}
