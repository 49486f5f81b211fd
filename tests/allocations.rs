//! Heap allocations of the core: the cost of one more event, once buffers have grown to their size.

#![allow(clippy::cast_precision_loss)]
#![allow(clippy::expect_used, clippy::indexing_slicing)]

#[path = "../bench/batch.rs"]
mod batch;

/// Counts allocations from the text of a batch to the body of the request to Librato.
#[test]
fn an_event_costs_at_most_three_allocations() {
    let settings = batch::settings();
    let allocations = |events| {
        let body = batch::batch(events);
        let counted = allocation_counter::measure(|| {
            batch::deliver(&body, &settings);
        });
        counted.count_total
    };
    let (hundred, two_hundred) = (allocations(100), allocations(200));
    let each = two_hundred.saturating_sub(hundred) as f64 / 100.0;
    println!("{hundred} allocations for 100 events, {two_hundred} for 200: {each} an event");
    assert!(hundred > 0, "nothing was counted");
    assert!(each <= 3.0, "{each} allocations an event");
}
