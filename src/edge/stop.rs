//! What becomes known of a panic. It should not come to one; `entry.mjs` answers what it cuts off.

use std::panic;
use std::sync::Once;

use wasm_bindgen::JsValue;
use wasm_bindgen::throw_val;
use worker::js_sys::Error;

/// Replaces the panic hook of `worker`, which prints the panic's message: that may quote a request.
///
/// Instead of a trap, which `worker-build`'s script would print as well, an error is thrown that tells the place alone.
/// Nobody catches it but `entry.mjs`, which prints it and has the module instantiated again.
pub(super) fn watch() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        panic::set_hook(Box::new(|info| {
            let place = info.location().map_or_else(
                || "an unknown place".to_owned(),
                |location| format!("{}:{}", location.file(), location.line()),
            );
            let error = Error::new(&place);
            error.set_name("Panic");
            throw_val(JsValue::from(error))
        }));
    });
}
