//! Numbers as text, as JavaScript reads and writes them.
//!
//! Reading any decimal exactly, and finding the shortest one for any number, takes tables and code that
//! the engine around the Worker has anyway. So what can be told with one exact operation is told here,
//! which is nearly every number that anybody sends, and the engine is asked for the rest.

/// Every whole number below this is an `f64`, and so is the next.
const EXACT: u64 = 1 << 53;

/// The largest power of ten, with those below it, that is exact in an `f64`.
const EXACT_POWER: u64 = 22;

/// The number that a decimal text is: a sign or none, digits with a point anywhere or none, an exponent
/// or none. One beyond an `f64` is infinite. `None` for any other text.
#[must_use]
pub fn parse(text: &str) -> Option<f64> {
    let (is_negative, mut rest) = sign(text.as_bytes());
    let mut digits = 0;
    let whole = take_digits(&mut rest, &mut digits);
    let mut fraction = 0;
    if let [b'.', behind @ ..] = rest {
        rest = behind;
        fraction = take_digits(&mut rest, &mut digits);
    }
    if whole + fraction == 0 {
        return None;
    }
    let mut exponent = 0;
    let mut is_small = false;
    if let [b'e' | b'E', behind @ ..] = rest {
        (is_small, rest) = sign(behind);
        if take_digits(&mut rest, &mut exponent) == 0 {
            return None;
        }
    }
    if !rest.is_empty() {
        return None;
    }
    // Neither is much above 2^53 * 10, so nothing overflows.
    let (up, down) = if is_small { (0, exponent + fraction) } else { (exponent, fraction) };
    let power = if digits == 0 { 0 } else { up.abs_diff(down) };
    if digits > EXACT || power > EXACT_POWER {
        return Some(engine::parse(text));
    }
    // Both operands are exact, so the one operation rounds as reading has to (Clinger, "How to read
    // floating point numbers accurately", 1990).
    #[allow(clippy::cast_precision_loss)]
    let digits = digits as f64;
    let power = power_of_ten(power);
    let size = if up < down { digits / power } else { digits * power };
    Some(if is_negative { -size } else { size })
}

/// Whether a minus begins the text, and what is behind a sign.
fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] | rest => (false, rest),
    }
}

/// Takes digits, appends them to a number and tells how many they were. A number beyond [`EXACT`] stays
/// as it is, as nobody looks at what it is beyond that.
fn take_digits(rest: &mut &[u8], number: &mut u64) -> u64 {
    let mut count = 0;
    while let [digit @ b'0'..=b'9', behind @ ..] = rest {
        if *number <= EXACT {
            *number = *number * 10 + u64::from(digit - b'0');
        }
        count += 1;
        *rest = behind;
    }
    count
}

/// Exact up to [`EXACT_POWER`].
fn power_of_ten(power: u64) -> f64 {
    (0..power).fold(1.0, |value, _| value * 10.0)
}

/// Appends a number as JSON has it: as [`javascript_number`], and `null` for what is not finite.
pub fn write(value: f64, json: &mut Vec<u8>) {
    if value.is_finite() {
        write_finite(value, json);
    } else {
        json.extend_from_slice(b"null");
    }
}

/// What JavaScript's `String(number)` gives (ECMA-262, `Number::toString`): the shortest digits that read
/// back as the same number.
#[must_use]
pub fn javascript_number(value: f64) -> String {
    let mut text = Vec::new();
    if value.is_finite() {
        write_finite(value, &mut text);
    } else if value.is_nan() {
        text.extend_from_slice(b"NaN");
    } else {
        text.extend_from_slice(if value > 0.0 { b"Infinity" } else { b"-Infinity" });
    }
    String::from_utf8(text).unwrap_or_default()
}

fn write_finite(value: f64, text: &mut Vec<u8>) {
    if value < 0.0 {
        text.push(b'-');
    }
    let size = value.abs();
    match decimal(size) {
        Some((digits, places)) => write_decimal(digits, places, text),
        None => text.extend_from_slice(engine::write(size).as_bytes()),
    }
}

/// The shortest decimal that reads back as a number, as digits and how many of them stand behind the
/// point. `None` for the few whose decimal is not found here: very small and very large ones.
///
/// A whole number below 2^53 has no other whole one within reach. Of decimals with at most fifteen
/// digits no two read back as the same `f64` (`f64::DIGITS`), so one that does is the shortest: a shorter
/// one would be another of them. That it does is seen by a division of two exact numbers, which rounds as
/// reading does. The first that is found ends in no zero, as it would have been found without it: with
/// fifteen digits, what multiplication rounds off is less than a quarter of the last.
// What is cast to an integer is not negative, and below 2^53; from one, exact. Equal is what is meant.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::float_cmp
)]
fn decimal(size: f64) -> Option<(u64, usize)> {
    /// From here on JavaScript writes an exponent.
    const SMALL: f64 = 1e-6;
    const FIFTEEN_DIGITS: f64 = 1e15;
    if size < EXACT as f64 && (size as u64) as f64 == size {
        return Some((size as u64, 0));
    }
    if size < SMALL {
        return None;
    }
    let mut power = 1.0;
    // What is not small has more than fifteen digits before the power is inexact.
    for places in 1..=MOST_PLACES {
        power *= 10.0;
        let scaled = size * power + 0.5;
        if scaled >= FIFTEEN_DIGITS {
            return long_decimal(size, places);
        }
        let digits = scaled as u64;
        if digits as f64 / power == size {
            return Some((digits, places));
        }
    }
    None
}

/// The same with more digits, which is what sums of prices have (`0.1 + 0.2`), from so many places on.
///
/// With the number as `mantissa / 2^shift` and a decimal as `digits / 10^places`, all is exact in whole
/// numbers: the nearest decimal reads back as the number when it is nearer to it than half the way to
/// the next number, or just half the way and the mantissa is even.
fn long_decimal(size: f64, from_places: usize) -> Option<(u64, usize)> {
    const FRACTION_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    /// How many bits stand behind the point in a number from 1 to 2, and how 1 is written in the exponent.
    const SHIFT_OF_ONE: u64 = FRACTION_BITS as u64 + 1_023;
    let fraction = size.to_bits() & ((1 << FRACTION_BITS) - 1);
    let shift = SHIFT_OF_ONE.checked_sub(size.to_bits() >> FRACTION_BITS)?;
    // A power of two is nearer to the number below it than to the one above, which nothing here minds;
    // and with more places the power of ten would not fit.
    if fraction == 0 || !(1..=61).contains(&shift) {
        return None;
    }
    let mantissa = u128::from(fraction | 1 << FRACTION_BITS);
    let half = 1_u128 << (shift - 1);
    let mut power = (0..from_places).fold(1_u64, |power, _| power.wrapping_mul(10));
    for places in from_places..=19 {
        let scaled = mantissa * u128::from(power);
        let mut digits = (scaled + half) >> shift;
        let distance = (digits << shift).abs_diff(scaled);
        // Of two decimals that are equally near, JavaScript takes the even one.
        if distance == half {
            digits &= !1;
        }
        let reach = distance * 2;
        if reach < u128::from(power) || (reach == u128::from(power) && mantissa % 2 == 0) {
            return u64::try_from(digits).ok().map(|digits| (digits, places));
        }
        power = power.wrapping_mul(10);
    }
    None
}

/// So many a small number has with fifteen digits.
const MOST_PLACES: usize = 21;

/// Digits with a point before the last `places` of them.
fn write_decimal(mut digits: u64, places: usize, text: &mut Vec<u8>) {
    if places == 0 {
        return write_whole(digits, text);
    }
    let mut room = [b'.'; MOST_PLACES + 2];
    let mut length = 0;
    for slot in room.iter_mut().rev() {
        if length != places {
            *slot = take_last(&mut digits);
        }
        length += 1;
        // A digit stands before the point, even if it is zero.
        if digits == 0 && length > places + 1 {
            break;
        }
    }
    text.extend_from_slice(room.get(room.len() - length..).unwrap_or_default());
}

/// A whole number.
pub(crate) fn write_whole(mut digits: u64, text: &mut Vec<u8>) {
    // As many digits as the largest has.
    let mut room = [b'0'; 20];
    let mut length = 0;
    for slot in room.iter_mut().rev() {
        *slot = take_last(&mut digits);
        length += 1;
        if digits == 0 {
            break;
        }
    }
    text.extend_from_slice(room.get(room.len() - length..).unwrap_or_default());
}

/// Takes the last digit off a number.
fn take_last(digits: &mut u64) -> u8 {
    // The remainder is below ten.
    #[allow(clippy::cast_possible_truncation)]
    let digit = b'0' + (*digits % 10) as u8;
    *digits /= 10;
    digit
}

/// The engine's own reading and writing. Outside of it the standard library's are the same, so that what
/// is pure is tested natively; only that of two decimals that are equally near it takes the larger.
#[cfg(target_arch = "wasm32")]
mod engine {

    use wasm_bindgen::prelude::wasm_bindgen;

    #[wasm_bindgen]
    extern "C" {
        #[wasm_bindgen(js_name = Number)]
        pub(super) fn parse(text: &str) -> f64;

        #[wasm_bindgen(js_name = String)]
        pub(super) fn write(number: f64) -> String;
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod engine {
    pub(super) fn parse(text: &str) -> f64 {
        text.parse().unwrap_or(f64::NAN)
    }

    /// Of a number above zero. Rust's `{:e}` has the shortest digits, as ECMA-262 wants; only where the
    /// point goes differs.
    pub(super) fn write(number: f64) -> String {
        let scientific = format!("{number:e}");
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
        let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
        let point = exponent + 1;
        let zeros = |n: i32| "0".repeat(usize::try_from(n).unwrap_or(0));
        match point {
            22.. | ..=-6 => {
                let (first, rest) = digits.split_at_checked(1).unwrap_or((&digits, ""));
                let dot = if rest.is_empty() { "" } else { "." };
                format!("{first}{dot}{rest}e{exponent:+}")
            }
            _ if point >= count => format!("{digits}{}", zeros(point - count)),
            1.. => {
                let at = usize::try_from(point).unwrap_or(0);
                let (whole, fraction) = digits.split_at_checked(at).unwrap_or((&digits, ""));
                format!("{whole}.{fraction}")
            }
            _ => format!("0.{}{digits}", zeros(-point)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Numbers that people send, numbers of any bits, and neighbours of short decimals.
    fn numbers() -> impl Strategy<Value = f64> {
        let short = (0_u64..2_000_000_000_000_000_000, 0_usize..19, -30_i32..30).prop_map(
            |(digits, cut, exponent)| {
                let digits = digits / 10_u64.pow(u32::try_from(cut).unwrap());
                format!("{digits}e{exponent}").parse::<f64>().unwrap()
            },
        );
        let near = (short.clone(), -2_i64..=2).prop_map(|(value, steps)| {
            f64::from_bits(value.to_bits().saturating_add_signed(steps))
        });
        let cents = (any::<u32>(), 0_i32..9)
            .prop_map(|(digits, places)| f64::from(digits) / 10_f64.powi(places));
        let halves = any::<i64>().prop_map(|value| {
            #[allow(clippy::cast_precision_loss)]
            let value = value as f64 / 2.0;
            value
        });
        let any_bits = any::<u64>().prop_map(f64::from_bits);
        let subnormal = (1_u64..1 << 52).prop_map(f64::from_bits);
        prop_oneof![short, near, cents, halves, any_bits, subnormal]
            .prop_filter("finite", |value| value.is_finite())
    }

    /// Decimal texts, more of them short than long.
    fn decimals() -> impl Strategy<Value = String> {
        let exponent = prop_oneof!["", "[eE][+-]?[0-9]{1,2}", "[eE][+-]?[0-9]{1,4}", "e[0-9]{30}"];
        let digits =
            prop_oneof!["[0-9]{1,6}", "[0-9]{0,17}", "0{0,30}[0-9]{0,20}", "[0-9]{0,40}0{0,30}"];
        let fraction =
            prop_oneof!["", r"\.", r"\.[0-9]{1,4}", r"\.[0-9]{0,17}", r"\.0{0,30}[0-9]{0,30}"];
        ("[+-]?", digits, fraction, exponent)
            .prop_map(|(sign, digits, fraction, exponent)| sign + &digits + &fraction + &exponent)
    }

    proptest! {
        #[test]
        fn a_decimal_is_read_as_the_standard_library_reads_it(text in decimals()) {
            prop_assert_eq!(parse(&text).map(f64::to_bits), text.parse().ok().map(f64::to_bits));
        }

        #[test]
        fn what_is_no_decimal_is_none(text in "[+-]?[0-9.e+xX_ -]{0,6}") {
            prop_assert_eq!(parse(&text).map(f64::to_bits), text.parse().ok().map(f64::to_bits));
        }

        #[test]
        fn a_number_is_written_by_itself_as_the_engine_writes_it(value in numbers()) {
            let value = value.abs();
            if value > 0.0 && let Some((digits, places)) = decimal(value) {
                let mut text = Vec::new();
                write_decimal(digits, places, &mut text);
                let (text, standard) = (String::from_utf8(text).unwrap(), engine::write(value));
                // Of two that are equally near, ours is the even one.
                let is_even_one = text.len() == standard.len()
                    && text.parse() == Ok(value)
                    && text.ends_with(['0', '2', '4', '6', '8']);
                prop_assert!(text == standard || is_even_one, "{} {}", text, standard);
            }
        }

        #[test]
        fn a_number_reads_back_as_itself(value in numbers()) {
            let text = javascript_number(value);
            prop_assert_eq!(text.parse(), Ok(value), "{}", text);
            prop_assert_eq!(parse(&text), Some(value), "{}", text);
            let mut json = Vec::new();
            write(value, &mut json);
            prop_assert_eq!(serde_json::from_slice(&json).ok(), Some(value));
        }
    }

    #[test]
    fn nearly_every_number_is_written_without_the_engine() {
        for (value, expected) in [
            (0.0, Some((0, 0))),
            (0.5, Some((5, 1))),
            (19.99, Some((1999, 2))),
            (1e-6, Some((1, 6))),
            (0.000_001_234_567_890_123_45, Some((123_456_789_012_345, 20))),
            (99_999_999_999_999.9, Some((999_999_999_999_999, 1))),
            (9_007_199_254_740_991.0, Some((9_007_199_254_740_991, 0))),
            (9_007_199_254_740_992.0, None),
            (0.1 + 0.2, Some((30_000_000_000_000_004, 17))),
            (1_052_730_259_603_333.3, Some((10_527_302_596_033_332, 1))),
            (0.001_234_567_890_123_456_7, None),
            (9e-7, None),
            (5e-324, None),
            (f64::MAX, None),
        ] {
            assert_eq!(decimal(value), expected, "{value}");
        }
    }

    #[test]
    fn numbers_are_written_as_javascript_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (7.0, "7"),
            (-1.5, "-1.5"),
            (123.456, "123.456"),
            (1e21, "1e+21"),
            (-1e21, "-1e+21"),
            (1.25e21, "1.25e+21"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (0.000_001, "0.000001"),
            (0.000_000_1, "1e-7"),
            (1.5e-7, "1.5e-7"),
            (0.1, "0.1"),
            (100.0, "100"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(javascript_number(value), text);
        }
    }

    #[test]
    fn what_is_not_finite_is_null() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut json = Vec::new();
            write(value, &mut json);
            assert_eq!(json, b"null");
        }
    }
}
