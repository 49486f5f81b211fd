//! Calendar arithmetic and the timestamp forms that the original destination understood.

use std::borrow::Cow;
use std::time::UNIX_EPOCH;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use crate::Millis;
use crate::json::{Scalar, number};

/// Milliseconds in a second, for readable sums.
const SECOND: Millis = 1_000;
/// Largest distance from 1970 that a JavaScript `Date` can hold (ECMA-262, time range).
const DATE_RANGE: f64 = 8.64e15;
/// Numbers below this are seconds, others milliseconds (npm `new-date`).
const SECONDS_BELOW: f64 = 31_557_600_000.0;

/// Reads a date as the JavaScript engine's own `Date.parse` does, in UTC: milliseconds, or `None` where that gives
/// `NaN`.
///
/// RFC 2822, `5/13/2014` and the like have no specification other than the engine that the original ran on. The Worker
/// runs on the same one and asks it.
pub type NativeDate = fn(&str) -> Option<Millis>;

/// A timestamp field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timestamp {
    /// Absent, `null` or empty.
    Missing,
    /// A moment.
    At(Millis),
    /// Anything else.
    Invalid,
}

impl Timestamp {
    /// Reads a timestamp in any of the forms that the original's date library took (`@segment/facade` with `new-date`
    /// and `@segment/isodate`), with one repair: a zone after `2014-05-13 16:53:20` is honoured.
    #[must_use]
    pub fn read(value: &Scalar, native: NativeDate) -> Self {
        let moment = match value {
            Scalar::Null => return Self::Missing,
            Scalar::Text(text) if text.is_empty() => return Self::Missing,
            Scalar::Number(text) => {
                let value = number(text);
                date(if value < SECONDS_BELOW { value * 1e3 } else { value })
            }
            Scalar::Text(text) => read_text(&plain(text), native),
            _ => None,
        };
        moment.map_or(Self::Invalid, Self::At)
    }
}

fn read_text(text: &str, native: NativeDate) -> Option<Millis> {
    if let Some(moment) = iso(text) {
        return Some(moment);
    }
    match longest_run_of_digits(text) {
        13.. => date(parse_int(text)?),
        10.. => date(parse_int(text)? * 1e3),
        // The engine passes over words that it does not know, and takes any number behind them for a date.
        _ if !text.is_ascii() => None,
        _ => native(text),
    }
}

/// Returns a date's text as it would be written in ASCII, as far as that says the same.
///
/// A phone that is set to Arabic writes digits in Arabic, engines put a narrow space before `AM` and marks of direction
/// around everything, ISO 8601 prefers the minus sign to the hyphen, and what stands in parentheses is the zone's name
/// in the visitor's language.
fn plain(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut depth = 0_usize;
    let kept = text.chars().filter_map(|c| match c {
        '(' => {
            depth += 1;
            None
        }
        ')' => {
            depth = depth.saturating_sub(1);
            None
        }
        _ if depth > 0 => None,
        '\u{2212}' => Some('-'),
        c if c.is_whitespace() => Some(' '),
        c if c.general_category() == GeneralCategory::Format => None,
        c => Some(decimal(c).unwrap_or(c)),
    });
    Cow::Owned(kept.collect())
}

/// Returns the ASCII digit that a decimal digit of another script is. Digits stand in tens, and the zero stands first
/// (The Unicode Standard, 4.6, "Numeric Value").
fn decimal(c: char) -> Option<char> {
    let is_decimal = |c: char| c.general_category() == GeneralCategory::DecimalNumber;
    if !is_decimal(c) {
        return None;
    }
    let before = (1..).map_while(|distance| char::from_u32(u32::from(c) - distance));
    let before = before.take_while(|c| is_decimal(*c)).count() % 10;
    char::from_digit(u32::try_from(before).ok()?, 10)
}

/// The moment, when a JavaScript `Date` can hold it.
fn date(millis: f64) -> Option<Millis> {
    // The comparison is false for NaN, and what passes it fits an i64.
    #[allow(clippy::cast_possible_truncation)]
    (millis.abs() <= DATE_RANGE).then_some(millis as Millis)
}

fn longest_run_of_digits(text: &str) -> usize {
    text.as_bytes().split(|byte| !byte.is_ascii_digit()).map(<[u8]>::len).max().unwrap_or(0)
}

/// JavaScript's `parseInt(text, 10)`: leading white space, a sign, digits; the rest is ignored.
fn parse_int(text: &str) -> Option<f64> {
    let text = text.trim();
    let digits = text.strip_prefix("-").or_else(|| text.strip_prefix("+")).unwrap_or(text);
    let end = digits.bytes().take_while(u8::is_ascii_digit).count();
    let value: f64 = digits.get(..end)?.parse().ok()?;
    Some(if text.starts_with('-') { -value } else { value })
}

/// Reads the ISO 8601 forms of npm `@segment/isodate`: `2014`, `2014-05`, `201405`, `2014-05-13`, `20140513`, each with
/// an optional time (`T16:53`, ` 16:53:20`, `.5`, `,5`) and zone (`Z`, `+02:00`, `-05`). Without a zone it is UTC.
/// Months and days beyond the calendar roll over.
///
/// And two that others make of them: `T4:53:20 PMZ`, where a phone's owner prefers twelve hours, and the zone's name
/// behind the offset, `[Europe/Paris]` (RFC 9557).
fn iso(text: &str) -> Option<Millis> {
    let mut rest = Reader(text.as_bytes());
    let year = rest.digits(4)?;
    let (mut month, mut day) = (1, 1);
    if let Some(value) = rest.optional(|r| r.skip("-").digits(2)) {
        month = value.max(1);
        if let Some(value) = rest.optional(|r| r.skip("-").digits(2)) {
            day = value.max(1);
        }
    }
    let (mut minutes, mut seconds, mut millis) = (0, 0, 0);
    if rest.take(" T").is_some() {
        let two = rest.digits(2);
        let hours = match two {
            Some(hours) => hours,
            None => rest.digits(1)?,
        };
        minutes = rest.skip(":").digits(2)?;
        if let Some(value) = rest.optional(|r| r.skip(":").digits(2)) {
            seconds = value;
            if rest.take(".,").is_some() {
                millis = rest.fraction()?;
            }
        }
        minutes += 60
            * match rest.optional(Reader::half_of_day) {
                Some(_) if hours > 12 => return None,
                Some(half) => hours % 12 + half,
                // One digit alone is no hour.
                None => two?,
            };
        if rest.take("Z").is_some() {
            rest.skip_names();
        } else if let Some(sign) = rest.take("+-") {
            let hours = rest.digits(2)?;
            let offset = hours * 60 + rest.optional(|r| r.skip(":").digits(2)).unwrap_or(0);
            minutes += if sign == b'+' { -offset } else { offset };
            rest.skip_names();
        }
    }
    if !rest.0.is_empty() {
        return None;
    }
    let days = days_from_civil(year, month, 1) + day - 1;
    Some(((days * 1_440 + minutes) * 60 + seconds) * SECOND + millis)
}

/// Days from 1970-01-01 to a day of the proleptic Gregorian calendar; months beyond 12 roll over.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, so that the leap day is a year's last.
    let months = year * 12 + month - 3;
    let (year, month) = (months.div_euclid(12), months.rem_euclid(12));
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// A moment in ISO 8601, as Segment writes it: `2026-01-31T12:00:00.000Z`.
#[must_use]
pub fn iso8601(moment: Millis) -> String {
    let (days, millis) = (moment.div_euclid(86_400_000), moment.rem_euclid(86_400_000));
    let (year, month, day) = civil_from_days(days);
    let (seconds, millis) = (millis / SECOND, millis % SECOND);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
}

/// The day of the proleptic Gregorian calendar that is so many days from 1970-01-01.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let leaps = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leaps) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Years begin in March here.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Reads a date of HTTP in any of its three forms (RFC 9110, "Date/Time Formats").
#[must_use]
pub fn http_date(text: &str) -> Option<Millis> {
    let since_1970 = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    since_1970.as_millis().try_into().ok()
}

/// What is left of a text.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take(&mut self, any_of: &str) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        any_of.as_bytes().contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    fn skip(&mut self, any_of: &str) -> &mut Self {
        self.take(any_of);
        self
    }

    /// Exactly so many digits.
    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let value = digits
            .iter()
            .try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))?;
        self.0 = rest;
        Some(value)
    }

    /// One digit or more after the point, cut to milliseconds.
    fn fraction(&mut self) -> Option<i64> {
        let mut scale = 100;
        let mut value = self.digits(1)? * scale;
        while let Some(digit) = self.digits(1) {
            scale /= 10;
            value += digit * scale;
        }
        Some(value)
    }

    /// `AM` or `PM`: the hours before that half.
    fn half_of_day(&mut self) -> Option<i64> {
        let half = self.skip(" ").take("AaPp")?;
        self.take("Mm")?;
        Some(if half.eq_ignore_ascii_case(&b'P') { 12 } else { 0 })
    }

    /// Names in brackets, which say no more than the offset before them.
    fn skip_names(&mut self) {
        while let Some(behind) = self.0.strip_prefix(b"[") {
            let Some(end) = behind.iter().position(|byte| *byte == b']') else { return };
            self.0 = behind.get(end + 1..).unwrap_or_default();
        }
    }

    /// Reads all of a part, or nothing.
    fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let before = *self;
        let value = read(self);
        if value.is_none() {
            *self = before;
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Timestamp {
        Timestamp::read(&Scalar::Text(text.into()), |_| None)
    }

    #[test]
    fn a_moment_is_written_as_it_is_read() {
        for moment in [0, 951_782_400_000, 1_709_164_799_999, 1_795_435_200_250, -1, 4_102_444_800_000] {
            assert_eq!(read(&iso8601(moment)), Timestamp::At(moment));
        }
        assert_eq!(iso8601(1_709_164_800_000), "2024-02-29T00:00:00.000Z");
    }

    #[test]
    fn http_dates() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000));
        for wrong in [
            "",
            "Sun, 06 Nov 1994",
            "06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 25:49:37 GMT",
            "Sun, 06 Nov 99999999999999999 08:49:37 GMT",
        ] {
            assert_eq!(http_date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_fraction_of_any_length_is_cut_to_milliseconds() {
        assert_eq!(read("1970-01-01T00:00:00.1239999999999999999999"), Timestamp::At(123));
        assert_eq!(read("1970-01-01T00:00:00,5Z"), Timestamp::At(500));
        assert_eq!(read("1970-01-01T00:00:00."), Timestamp::Invalid);
    }

    #[test]
    fn digits_of_any_script_are_digits() {
        let moment = read("2026-11-29T10:48:29.5Z");
        for text in [
            "٢٠٢٦-١١-٢٩T١٠:٤٨:٢٩.٥Z",
            "٢٠٢٦-١١-٢٩T١٠:٤٨:٢٩.5Z",
            "۲۰۲۶-۱۱-۲۹T۱۰:۴۸:۲۹.۵Z",
            "२०२६-११-२९T१०:४८:२९.५Z",
            "２０２６-１１-２９T１０:４８:２９.５Z",
            "𝟐𝟎𝟐𝟔-𝟏𝟏-𝟐𝟗T𝟏𝟎:𝟒𝟖:𝟐𝟗.𝟓Z",
            "𝟸𝟶𝟸𝟼-𝟷𝟷-𝟸𝟿T𝟷𝟶:𝟺𝟾:𝟸𝟿.𝟻Z",
        ] {
            assert_eq!(read(text), moment, "{text}");
        }
        for text in ["²⁰²⁶-11-29", "Ⅻ", "二〇二六-11-29", "(2026) é"] {
            assert_eq!(Timestamp::read(&Scalar::Text(text.into()), |_| Some(0)), Timestamp::Invalid, "{text}");
        }
    }

    #[test]
    fn what_engines_and_phones_put_into_dates() {
        let moment = read("2026-11-29T22:48:29Z");
        for text in [
            "2026-11-29T10:48:29 PMZ",
            "2026-11-29T10:48:29 pm",
            "2026-11-30T12:48:29 AM+0200",
            "2026-11-29T17:48:29\u{2212}05:00",
            "\u{200e}2026\u{200e}-11-29T22:48:29Z",
            "2026-11-29\u{a0}22:48:29Z\u{feff}",
            "2026-11-29T22:48:29Z[UTC]",
            "2026-11-29T23:48:29+01:00[Europe/Berlin][u-ca=gregory]",
        ] {
            assert_eq!(read(text), moment, "{text}");
        }
        assert_eq!(read("2026-11-29T9:48:29.5 AMZ"), read("2026-11-29T09:48:29.5Z"));
        for text in [
            "2026-11-29T9:48:29Z",
            "2026-11-29T13:48:29 PMZ",
            "2026-11-29T10:48:29 P",
            "2026-11-29T10:48:29 XMZ",
            "2026-11-29T22:48:29[Europe/Berlin]",
            "2026-11-29T22:48:29Z[UTC",
            "2026-11-29[UTC]",
        ] {
            assert_eq!(read(text), Timestamp::Invalid, "{text}");
        }
        let asked = |text: &str| {
            Timestamp::read(&Scalar::Text(text.into()), |text| {
                ["Sun Nov 29 2026 23:48:29 GMT+0100 ", "11/29/2026, 10:48:29 PM"].contains(&text).then_some(1)
            })
        };
        for text in [
            "Sun Nov 29 2026 23:48:29 GMT+0100 (Mitteleuropäische Normalzeit)",
            "Sun Nov 29 2026 23:48:29 GMT+0100 (中国标准时间)",
            "11/29/2026, 10:48:29\u{202f}PM",
            "\u{200e}11\u{200e}/29/2026, 10:48:29 PM",
        ] {
            assert_eq!(asked(text), Timestamp::At(1), "{text}");
        }
    }

    #[test]
    fn digits_are_read_as_far_as_they_go() {
        assert_eq!(read("1400000000"), Timestamp::At(1_400_000_000_000));
        assert_eq!(read(" 1400000000000abc"), Timestamp::At(1_400_000_000_000));
        assert_eq!(read("abc1400000000"), Timestamp::Invalid);
        assert_eq!(read(&"9".repeat(400)), Timestamp::Invalid);
    }
}
