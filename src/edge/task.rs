//! Futures on the platform's promises.
//!
//! `wasm-bindgen-futures` makes two closures for each promise that is waited for and takes each step
//! through `queueMicrotask`. Here a promise is known by a number, one closure says of all of them
//! which is settled, and the task that waits for it goes on at once.

use std::cell::RefCell;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use js_sys::Promise;
use slab::Slab;
use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;

use super::bindings;

/// Runs a future up to where it first waits, and the rest when that is there. Gives the promise of what
/// comes of it.
pub(super) fn run(future: impl Future<Output = JsValue> + 'static) -> Promise {
    let deferred = bindings::begin();
    let promise = deferred.promise();
    let future = Box::pin(async move { bindings::end(&deferred, &future.await) });
    with(|executor| {
        let number = executor.tasks.vacant_key();
        let waker = Waker::from(Arc::new(Number(number)));
        executor.tasks.insert(Some(Task { future, waker }));
        executor.ready.push(number);
    });
    go_on();
    promise
}

/// What a promise gives. It must never be rejected.
pub(super) fn settled(promise: &Promise) -> Settled {
    with(|executor| {
        let ticket = executor.waits.insert(Wait::Open(None));
        bindings::settle(promise, ticket, &executor.wake);
        Settled(ticket)
    })
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    waker: Waker,
}

struct Executor {
    /// By number; `None` while it is polled.
    tasks: Slab<Option<Task>>,
    /// By ticket.
    waits: Slab<Wait>,
    /// Tasks that can go on.
    ready: Vec<usize>,
    /// What JavaScript calls when a promise is settled.
    wake: JsValue,
}

enum Wait {
    Open(Option<Waker>),
    Settled(JsValue),
    /// Nobody waits any more.
    Over,
}

thread_local! {
    static EXECUTOR: RefCell<Executor> = RefCell::new(Executor {
        tasks: Slab::new(),
        waits: Slab::new(),
        ready: Vec::new(),
        wake: Closure::<dyn Fn(usize, JsValue)>::new(wake).into_js_value(),
    });
}

/// Nothing is woken or polled within: that comes back here.
fn with<T>(change: impl FnOnce(&mut Executor) -> T) -> T {
    EXECUTOR.with_borrow_mut(change)
}

fn wake(ticket: usize, value: JsValue) {
    let before = with(|executor| match executor.waits.get_mut(ticket) {
        Some(wait @ Wait::Open(_)) => Some(mem::replace(wait, Wait::Settled(value))),
        _ => executor.waits.try_remove(ticket),
    });
    if let Some(Wait::Open(Some(waker))) = before {
        waker.wake();
        go_on();
    }
}

/// Polls the tasks that can go on.
fn go_on() {
    while let Some(number) = with(|executor| executor.ready.pop()) {
        // A waker may outlive its task, whose number may then be another's: that one is polled for nothing.
        let task = with(|executor| executor.tasks.get_mut(number).and_then(Option::take));
        let Some(mut task) = task else { continue };
        let is_done = task.future.as_mut().poll(&mut Context::from_waker(&task.waker)).is_ready();
        with(|executor| match executor.tasks.get_mut(number) {
            Some(slot) if !is_done => *slot = Some(task),
            _ => _ = executor.tasks.try_remove(number),
        });
    }
}

/// Wakes the task of a number.
struct Number(usize);

impl Wake for Number {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        with(|executor| executor.ready.push(self.0));
    }
}

/// See [`settled`].
pub(super) struct Settled(usize);

impl Future for Settled {
    type Output = JsValue;

    fn poll(self: Pin<&mut Self>, context: &mut Context) -> Poll<JsValue> {
        with(|executor| match executor.waits.get_mut(self.0) {
            Some(wait @ Wait::Settled(_)) => match mem::replace(wait, Wait::Over) {
                Wait::Settled(value) => Poll::Ready(value),
                Wait::Open(_) | Wait::Over => Poll::Pending,
            },
            Some(Wait::Open(waker)) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
            _ => Poll::Pending,
        })
    }
}

impl Drop for Settled {
    fn drop(&mut self) {
        with(|executor| match executor.waits.get_mut(self.0) {
            // The ticket is given back when the promise is settled.
            Some(wait @ Wait::Open(_)) => *wait = Wait::Over,
            _ => _ = executor.waits.try_remove(self.0),
        });
    }
}
