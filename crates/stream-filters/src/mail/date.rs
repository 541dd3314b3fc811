//! Dates of messages (RFC 5322 section 3.3) in UTC.

use alloc::{format, string::String, vec::Vec};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// 1 January 1970 was a Thursday.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// The same instant in UTC. `None` if the text is not a date.
pub(super) fn in_utc(text: &[u8]) -> Option<String> {
    seconds_of(text).map(print)
}

/// The same for a date of IMAP, `30-Nov-2026 16:36:24 +0100` (RFC 9051, `date-time`). Some programs write one digit for the day.
pub(super) fn of_imap_in_utc(text: &[u8]) -> Option<String> {
    if !(25..=26).contains(&text.len()) {
        return None;
    }
    let text: Vec<u8> = text
        .iter()
        .enumerate()
        .map(|(at, byte)| if at < 11 && *byte == b'-' { b' ' } else { *byte })
        .collect();
    let utc = print(seconds_of(&text)?);
    let words: Vec<&str> = utc.split(' ').collect();
    let [_, day, month, year, time, zone] = words.as_slice() else { return None };
    Some(format!("{day:>2}-{month}-{year} {time} {zone}"))
}

/// Seconds since 1970.
fn seconds_of(text: &[u8]) -> Option<i64> {
    let text = core::str::from_utf8(text).ok()?;
    // The name of the zone stands in a comment.
    let text = text.split('(').next()?;
    let text = text.split_once(',').map_or(text, |(_, date)| date);
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let [day, month, year, time, zone] = words.as_slice() else { return None };
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))?;
    let (day, year) = (number(day, 1, 31)?, number(year, 1970, 9999)?);
    let mut parts = time.split(':');
    let hour = number(parts.next()?, 0, 23)?;
    let minute = number(parts.next()?, 0, 59)?;
    // A leap second is no second of a day that can be counted.
    let second = parts.next().map_or(Some(0), |second| number(second, 0, 60))?.min(59);
    if parts.next().is_some() {
        return None;
    }
    let month = i64::try_from(month).ok()? + 1;
    let local = days_before(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(local - offset(zone)?)
}

/// A number of at most four digits.
fn number(text: &str, least: i64, most: i64) -> Option<i64> {
    let is_short = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_short && (least..=most).contains(number))
}

/// Seconds that a zone is ahead of UTC. Names other than those of UTC are ambiguous.
fn offset(zone: &str) -> Option<i64> {
    if ["GMT", "UT", "UTC", "Z"].iter().any(|name| name.eq_ignore_ascii_case(zone)) {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let digits = zone.strip_prefix(['+', '-']).filter(|digits| digits.len() == 4)?;
    let number = number(digits, 0, 2359)?;
    (number % 100 < 60).then_some(sign * (number / 100 * 3600 + number % 100 * 60))
}

/// Days from 1 January 1970 to a day of the Gregorian calendar.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March have their leap day at the end.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

fn print(seconds: i64) -> String {
    let (days, time) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let since_march_of_0 = days + 719_468;
    let era = since_march_of_0.div_euclid(146_097);
    let day_of_era = since_march_of_0.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12;
    let year = era * 400 + year_of_era + i64::from(month < 2);
    let name = |names: &[&'static str], index: i64| {
        usize::try_from(index).ok().and_then(|index| names.get(index).copied()).unwrap_or_default()
    };
    let (weekday, month) = (name(&WEEKDAYS, days.rem_euclid(7)), name(&MONTHS, month));
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{weekday}, {day} {month} {year} {hour:02}:{minute:02}:{second:02} +0000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_given_in_utc() {
        for (given, utc) in [
            ("Mon, 30 Nov 2026 16:36:24 +0100 (CET)", "Mon, 30 Nov 2026 15:36:24 +0000"),
            ("1 Jan 2025 00:30 +0530", "Tue, 31 Dec 2024 19:00:00 +0000"),
            ("Thu, 29 Feb 2024 23:59:60 -0800", "Fri, 1 Mar 2024 07:59:59 +0000"),
            ("Thu,  1 Jan 1970 00:00:00 GMT", "Thu, 1 Jan 1970 00:00:00 +0000"),
            ("Thu, 1 Jan 1970 00:00:00 +0100", "Wed, 31 Dec 1969 23:00:00 +0000"),
            ("Sat, 31 Dec 2101 12:00:00 -0000", "Sat, 31 Dec 2101 12:00:00 +0000"),
        ] {
            assert_eq!(in_utc(given.as_bytes()).as_deref(), Some(utc), "{given}");
        }
    }

    #[test]
    fn dates_of_imap_keep_their_form() {
        for (given, utc) in [
            ("30-Nov-2026 16:36:24 +0100", Some("30-Nov-2026 15:36:24 +0000")),
            (" 1-Nov-2026 00:36:24 +0100", Some("31-Oct-2026 23:36:24 +0000")),
            ("31-Oct-2026 23:36:24 -0100", Some(" 1-Nov-2026 00:36:24 +0000")),
            ("1-Nov-2026 00:36:24 +0000", Some(" 1-Nov-2026 00:36:24 +0000")),
            ("1-Nov-2026 00:36 +0000", None),
            ("30-Nov-2026 16:36:24 +0100 (CET)", None),
            ("laptop", None),
        ] {
            assert_eq!(of_imap_in_utc(given.as_bytes()).as_deref(), utc, "{given}");
        }
    }

    #[test]
    fn what_is_no_date_has_no_utc() {
        for text in [
            "",
            "yesterday",
            "Mon, 30 Nov 2026 16:36:24",
            "Mon, 30 Nov 2026 16:36:24 CET",
            "Mon, 30 Nov 2026 25:36:24 +0100",
            "Mon, 30 Nov 2026 16:36:24:1 +0100",
            "Mon, 30 Nov 2026 16:36:24 +01000",
            "Mon, 30 Nov 2026 16:36:24 +0199",
            "Mon, 32 Nov 2026 16:36:24 +0100",
            "Mon, 30 Foo 2026 16:36:24 +0100",
            "Mon, 30 Nov 26 16:36:24 +0100",
            "Mon, +3 Nov 2026 16:36:24 +0100",
            "a (b",
        ] {
            assert_eq!(in_utc(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn every_day_is_the_day_after_the_one_before() {
        let mut last = String::new();
        for day in 0..200_000 {
            let text = print(day * 86_400);
            assert_ne!(text, last);
            let again = in_utc(text.as_bytes()).unwrap();
            assert_eq!(again, text);
            last = text;
        }
        assert_eq!(last, "Sat, 31 Jul 2517 00:00:00 +0000");
    }
}
