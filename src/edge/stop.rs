//! What becomes known of a panic. It should not come to one; `entry.mjs` answers what it cuts off.

use std::panic;
use std::sync::Once;

use wasm_bindgen::JsValue;
use worker::js_sys::{self, Reflect};

/// Replaces the panic hook of `worker`, which prints the panic's message: that may quote a request.
///
/// That hook does one thing more, which has to be done here too, as the function for it is private: it
/// sets `criticalError` in `__worker_init_state`, by which `worker-build`'s script knows that the module
/// must be instantiated again (worker 0.8.7, `init.rs`). Its value need only be true, so it is the place
/// of the panic, for `entry.mjs` to print.
pub(super) fn watch() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        panic::set_hook(Box::new(|info| {
            let place = info.location().map_or_else(
                || "an unknown place".to_owned(),
                |location| format!("{}:{}", location.file(), location.line()),
            );
            // Where nothing can be set, nothing more can be done.
            let state = Reflect::get(&js_sys::global(), &JsValue::from("__worker_init_state"));
            _ = state.and_then(|state| {
                Reflect::set(&state, &JsValue::from("criticalError"), &place.into())
            });
        }));
    });
}
