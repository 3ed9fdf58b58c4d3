//! Finds texts of the forms that `__TIME__`, `__DATE__` and `__TIMESTAMP__` expand to, anywhere in preprocessed
//! output. It does not matter there through which macros a source asked for the time.
//!
//! Such a text may also be the source's own. If a source file holds it literally, it is taken for the source's own,
//! unless it is also a time that these macros could have given in this compile. Reads no clock and no file.

use memchr::{memchr_iter, memmem};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
const WEEKDAYS: [&[u8; 3]; 7] = [b"Sun", b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat"];

/// The texts that GCC writes for a time and for a date that it cannot determine.
const UNKNOWN: [&[u8]; 2] = [b"??:??:??", b"??? ?? ????"];

const MINUTE: i64 = 60;
const DAY: i64 = 86_400;

/// More than the greatest difference between the clocks of two time zones, in seconds.
const ZONES: i64 = 27 * 3_600;

/// The times that the macros could have given, in seconds since 1970.
#[derive(Clone, Debug)]
pub struct Moments {
    /// The time of the compile, from before its passes to now.
    pub compile: RangeInclusive<i64>,
    /// The times of the files that it read.
    pub files: Vec<i64>,
    /// The time that replaces that of the compile, if `SOURCE_DATE_EPOCH` is set.
    pub given: Option<i64>,
}

/// Every part of `text` that has one of the forms.
pub fn find(text: &[u8]) -> BTreeSet<Vec<u8>> {
    let clocks = memchr_iter(b':', text).filter_map(|at| clock_or_stamp(text, at.checked_sub(2)?));
    let mut times: BTreeSet<_> = clocks.map(<[u8]>::to_vec).collect();
    each_year(text, |at| {
        times.extend(date_before(text, at).map(<[u8]>::to_vec))
    });
    let unknown = UNKNOWN.into_iter();
    let unknown = unknown.filter(|form| memmem::find(text, form).is_some());
    times.extend(unknown.map(<[u8]>::to_vec));
    times
}

/// A sentence that says which kind of time a compile may have asked for; `None` if it asked for none. Of `times`,
/// it may have asked for those that none of `sources` holds, and for those that the macros could have given.
pub fn asked(
    times: &BTreeSet<Vec<u8>>,
    sources: &[&[u8]],
    moments: &Moments,
) -> Option<&'static str> {
    let is_held = |text: &[u8]| {
        let mut sources = sources.iter();
        sources.any(|source| memmem::find(source, text).is_some())
    };
    let sentences = times.iter().filter_map(|text| {
        let Some(time) = Time::read(text) else {
            return Some("a source asks for a time that the preprocessor cannot tell");
        };
        let is_own = time.is_given(moments) || (is_held(text) && !time.may_be_of(moments));
        (!is_own).then_some(match time {
            Time::Stamp(_) => "a source tells the time of a file",
            Time::Clock(_) | Time::Date(_) => "a source tells the time of the compile",
        })
    });
    // The least of several sentences, so that the answer does not depend on the times.
    sentences.min()
}

/// A parsed text of one of the forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Time {
    /// Seconds since midnight.
    Clock(i64),
    /// Days since 1970.
    Date(i64),
    /// Seconds since 1970.
    Stamp(i64),
}

impl Time {
    fn read(text: &[u8]) -> Option<Self> {
        let words = text.split(|&byte| byte == b' ');
        let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        Some(match *words.as_slice() {
            [clock] => Self::Clock(seconds(clock)?),
            [month, day, year] => Self::Date(days(month, day, year)?),
            [_, month, day, clock, year] => {
                Self::Stamp(days(month, day, year)? * DAY + seconds(clock)?)
            }
            _ => return None,
        })
    }

    /// Whether `SOURCE_DATE_EPOCH`, which is part of every key, determines it. It has no influence on the times of
    /// files.
    fn is_given(self, moments: &Moments) -> bool {
        moments.given.is_some_and(|given| match self {
            Self::Clock(seconds) => seconds == given.rem_euclid(DAY),
            Self::Date(days) => days == given.div_euclid(DAY),
            Self::Stamp(_) => false,
        })
    }

    /// Whether it may be the time of the compile or of a file in any time zone. Time zones differ by whole minutes,
    /// and by little more than a day.
    fn may_be_of(self, moments: &Moments) -> bool {
        let (from, to) = moments.compile.clone().into_inner();
        match self {
            // One more second at both ends, because clocks may lag behind each other.
            Self::Clock(seconds) => {
                let duration = to.saturating_sub(from) + 2;
                (seconds - (from - 1)).rem_euclid(MINUTE) <= duration
            }
            Self::Date(days) => {
                let around = from.div_euclid(DAY) - 2..=to.div_euclid(DAY) + 2;
                around.contains(&days)
            }
            Self::Stamp(stamp) => {
                let mut files = moments.files.iter();
                files.any(|time| (time - stamp).abs() <= ZONES)
            }
        }
    }
}

/// The clock `hh:mm:ss` at `at`, or the time stamp around it: `Ddd Mmm dd hh:mm:ss yyyy`.
fn clock_or_stamp(text: &[u8], at: usize) -> Option<&[u8]> {
    const LENGTH: usize = b"hh:mm:ss".len();
    let clock = text.get(at..at + LENGTH)?;
    let digits = [0, 1, 3, 4, 6, 7];
    let is_clock = clock[2] == b':' && clock[5] == b':';
    if !is_clock || !digits.iter().all(|&at| clock[at].is_ascii_digit()) {
        return None;
    }
    let is_stamp = |from: usize| {
        let rest = &text[at + LENGTH..];
        let has_year = matches!(rest, [b' ', year @ ..] if starts_with_year(year));
        let before = &text[from..at];
        let weekday = WEEKDAYS.iter().any(|day| before.starts_with(*day));
        let month = before.get(3..)?.strip_prefix(b" ")?;
        let date = month.strip_suffix(b" ")?;
        let has_month = MONTHS.iter().any(|month| date.starts_with(*month));
        (weekday && has_month && has_year && is_day(&date[3..])).then_some(())
    };
    let stamp = [b"Ddd Mmm dd ".len(), b"Ddd Mmm d ".len()]
        .into_iter()
        .filter_map(|length| at.checked_sub(length))
        .find(|&from| is_stamp(from).is_some());
    Some(match stamp {
        Some(from) => &text[from..at + LENGTH + b" yyyy".len()],
        None => clock,
    })
}

/// The date `Mmm dd yyyy` whose day has its last digit at `at`; a blank and four digits must follow there. (A pragma
/// loses one of the two blanks before a day of one digit.)
fn date_before(text: &[u8], at: usize) -> Option<&[u8]> {
    let end = at + b"d yyyy".len();
    let starts = [b"Mmm d".len(), b"Mmm".len() + 1].map(|length| at.checked_sub(length));
    let start = starts.into_iter().flatten().find(|&start| {
        let (month, day) = text[start..=at].split_at(3);
        MONTHS.iter().any(|name| name.as_slice() == month) && is_day(day)
    });
    start.map(|start| &text[start..end])
}

/// Whether `text` is a day: ` 7`, ` 17` or `  7`.
fn is_day(text: &[u8]) -> bool {
    match *text {
        [b' ', ten, one] => (ten == b' ' || ten.is_ascii_digit()) && one.is_ascii_digit(),
        [b' ', one] => one.is_ascii_digit(),
        _ => false,
    }
}

fn starts_with_year(text: &[u8]) -> bool {
    text.len() >= 4 && text[..4].iter().all(u8::is_ascii_digit)
}

/// Calls `take` for the position of each digit that a blank and four digits follow. Examines many bytes at once,
/// because passes have megabytes and few such places.
fn each_year(text: &[u8], mut take: impl FnMut(usize)) {
    const STEP: usize = 64;
    const SHAPE: usize = b"d yyyy".len();
    let is_digit = |byte: u8| byte.wrapping_sub(b'0') < 10;
    let fits = |place: &[u8]| {
        let digits = [0, 2, 3, 4, 5].map(|at| is_digit(place[at]));
        place[1] == b' ' && digits == [true; 5]
    };
    let mut at = 0;
    while let Some(block) = text[at..].first_chunk::<{ STEP + SHAPE - 1 }>() {
        // Plain loops over bytes, which the compiler vectorises.
        let digits = block.map(|byte| u8::from(is_digit(byte)));
        let mut any = 0;
        for start in 0..STEP {
            let year =
                digits[start + 2] & digits[start + 3] & digits[start + 4] & digits[start + 5];
            any |= digits[start] & u8::from(block[start + 1] == b' ') & year;
        }
        if any != 0 {
            let starts = (0..STEP).filter(|&start| fits(&block[start..start + SHAPE]));
            starts.for_each(|start| take(at + start));
        }
        at += STEP;
    }
    let rest = text[at..].windows(SHAPE).enumerate();
    rest.filter(|(_, place)| fits(place))
        .for_each(|(start, _)| take(at + start));
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn seconds(clock: &[u8]) -> Option<i64> {
    let mut parts = clock.split(|&byte| byte == b':').map(number);
    let mut next = || parts.next().flatten();
    let (hours, minutes, seconds) = (next()?, next()?, next()?);
    Some((hours * 60 + minutes) * 60 + seconds)
}

/// Days since 1970 in the Gregorian calendar.
fn days(month: &[u8], day: &[u8], year: &[u8]) -> Option<i64> {
    let month = MONTHS.iter().position(|name| name.as_slice() == month)?;
    // Counts years from March, so that a leap day is the last day of its year.
    let month = (i64::try_from(month).ok()? + 10) % 12;
    let year = number(year)? - i64::from(month >= 10);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + number(day)? - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::{Moments, Time, asked, find};
    use proptest::prelude::{any, proptest};

    #[track_caller]
    fn holds(text: &str, expected: &[&str]) {
        let found = find(text.as_bytes());
        let found: Vec<_> = found
            .iter()
            .map(|text| String::from_utf8_lossy(text))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn every_form_is_found_wherever_it_stands() {
        holds("x = \"19:27:37\";", &["19:27:37"]);
        holds("\"\\\"19:27:37\\\"\"", &["19:27:37"]);
        holds("u8\"19:27:37\"_x", &["19:27:37"]);
        holds("#pragma 19:27:37\n", &["19:27:37"]);
        holds("# 7 \"in/19:27:37\" 1", &["19:27:37"]);
        holds("19:27:37:7:2: warning", &["19:27:37"]);
        holds("\"Nov 28 2026\"", &["Nov 28 2026"]);
        holds("L\"Nov  8 2026\"", &["Nov  8 2026"]);
        holds("#pragma Nov 8 2026", &["Nov 8 2026"]);
        holds("Nov  8 2026", &["Nov  8 2026"]);
        let stamp = "Sat Nov 28 19:27:37 2026";
        holds(&format!("\"{stamp}\""), &[stamp]);
        holds(
            "\"Sat Nov  8 19:27:37 2026\"",
            &["Sat Nov  8 19:27:37 2026"],
        );
        holds(
            "#pragma Sat Nov 8 19:27:37 2026",
            &["Sat Nov 8 19:27:37 2026"],
        );
        holds("\"??? ??? ?? ??:??:?? ????\"", &["??:??:??"]);
        holds("\"??? ?? ????\"", &["??? ?? ????"]);
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "",
            "std::a::b",
            "1:22:33",
            "a ? 10 : 20",
            "12:34:5",
            "Nov 2026",
            "Now 28 2026",
            "28 2026",
            "# 12 2026",
            "v 8 2026",
            "Sat",
            ":",
            "::::::::",
            " 2026",
        ] {
            holds(text, &[]);
        }
    }

    fn is_asked(text: &str, sources: &[&str]) -> bool {
        let moments = Moments {
            // Sat Nov 28 19:27:37 2026
            compile: 1_795_894_057..=1_795_894_059,
            files: vec![100_000_000],
            given: Some(200_000_000),
        };
        let sources: Vec<_> = sources.iter().map(|text| text.as_bytes()).collect();
        asked(&find(text.as_bytes()), &sources, &moments).is_some()
    }

    #[test]
    fn what_a_source_holds_is_its_own_unless_it_may_be_the_time_of_the_compile() {
        assert!(is_asked("\"12:00:00\"", &[]));
        assert!(is_asked("\"12:00:00\"", &["12:00:01"]));
        assert!(!is_asked("\"12:00:00\"", &["", "x \"12:00:00\""]));
        assert!(is_asked("\"12:27:38\"", &["12:27:38"]), "in some zone");
        assert!(is_asked("\"12:57:37\"", &["12:57:37"]), "in some zone");
        assert!(!is_asked("\"12:27:41\"", &["12:27:41"]));
        assert!(!is_asked("\"Nov 20 2026\"", &["Nov 20 2026"]));
        assert!(is_asked("\"Nov 29 2026\"", &["Nov 29 2026"]));
        assert!(is_asked("\"Nov 28 2026\"", &["Nov 28 2026"]));
        // 100,000,000 is Sat Mar  3 09:46:40 1973.
        assert!(is_asked(
            "\"Sat Mar  3 12:46:40 1973\"",
            &["Sat Mar  3 12:46:40 1973"]
        ));
        assert!(!is_asked(
            "\"Sat Mar  8 12:46:40 1973\"",
            &["Sat Mar  8 12:46:40 1973"]
        ));
        assert!(is_asked("??:??:??", &["??:??:??"]));
    }

    #[test]
    fn a_given_time_is_known_and_that_of_a_file_is_not() {
        // 200,000,000 is Mon May  3 19:33:20 1976.
        assert!(!is_asked("\"19:33:20\" \"May  3 1976\"", &[]));
        assert!(is_asked("\"Mon May  3 19:33:20 1976\"", &[]));
        assert!(is_asked("\"19:33:21\"", &[]));
    }

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        for (text, days) in [
            ("Jan  1 1970", 0),
            ("Dec 31 1969", -1),
            ("Feb 29 2000", 11_016),
            ("Mar  1 2000", 11_017),
            ("Mar  1 1900", -25_508),
            ("Nov 28 2026", 20_785),
        ] {
            assert_eq!(
                Time::read(text.as_bytes()),
                Some(Time::Date(days)),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_date_is_found_in_any_text(before in any::<Vec<u8>>(), after in any::<Vec<u8>>()) {
            let text = [&before[..], b"Nov 28 2026", &after].concat();
            assert!(find(&text).contains(&b"Nov 28 2026"[..]));
        }
    }
}
