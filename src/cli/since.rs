//! `--since`: a moment, as people write it.

use super::zone::Zone;
use crate::store::policy::Nanos;
use jiff::civil::Time;
use jiff::fmt::temporal::Pieces;
use jiff::{Span, SpanRelativeTo, Timestamp};
use std::str::FromStr;

/// A moment: so long ago (`2h`, `2 hours ago`), a day or a time of the local time zone (`2026-11-22 16:25`), or a time
/// with its offset from UTC, as `pcache` and the log print times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Since(Timestamp);

impl Since {
    /// Whether a time, in microseconds since 1970, is not before it.
    pub(super) fn includes(self, micros: u64) -> bool {
        i128::from(micros) >= i128::from(self.0.as_microsecond())
    }

    /// The moment, as file times have it.
    pub(super) fn nanos(self) -> Nanos {
        let nanos = self.0.as_nanosecond();
        nanos.clamp(Nanos::MIN.into(), Nanos::MAX.into()) as Nanos
    }

    /// The moment, in words for users of `zone`.
    pub(super) fn text(self, zone: &Zone) -> String {
        zone.written(self.0, 3)
    }

    /// Reads `text`, when it is `now` and clocks show the time of `zone`.
    fn read(text: &str, now: Timestamp, zone: &Zone) -> Option<Self> {
        let moment = match text.parse::<Span>() {
            Ok(span) => ago(span, now),
            Err(_) => time_of(text, zone),
        };
        moment.map(Self)
    }
}

impl FromStr for Since {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::read(text, Timestamp::now(), &Zone::local()).ok_or(
            "expected a time ago, such as 2h, or a local day or time, such as 2026-11-22T16:25",
        )
    }
}

/// What was a span before `now`. A day has 24 hours; months and years, which have no length, are refused.
fn ago(span: Span, now: Timestamp) -> Option<Timestamp> {
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    if length.is_zero() {
        return None;
    }
    // Longer ago than there are times: everything is later.
    Some(now.checked_sub(length.abs()).unwrap_or(Timestamp::MIN))
}

/// A day begins at midnight.
fn time_of(text: &str, zone: &Zone) -> Option<Timestamp> {
    let pieces = Pieces::parse(text).ok()?;
    // `[Europe/Berlin]` at the end, which few machines and no output of ours have.
    if pieces.time_zone_annotation().is_some() {
        return None;
    }
    let time = pieces
        .date()
        .to_datetime(pieces.time().unwrap_or(Time::midnight()));
    match pieces.to_numeric_offset() {
        Some(offset) => offset.to_timestamp(time).ok(),
        None => zone.moment(time),
    }
}

#[cfg(test)]
mod tests {
    use super::{Since, Zone};
    use jiff::Timestamp;

    /// 2000-02-29T12:00Z, in seconds.
    const NOON: i64 = 951_825_600;

    fn read(text: &str, rule: &str) -> Option<Timestamp> {
        let now = Timestamp::from_second(NOON).unwrap();
        Since::read(text, now, &Zone::by_rule(rule)).map(|since| since.0)
    }

    #[track_caller]
    fn check(text: &str, rule: &str, expected: &str) {
        let expected: Timestamp = expected.parse().unwrap();
        assert_eq!(read(text, rule), Some(expected), "{text} in {rule}");
    }

    #[test]
    fn days_and_times_are_those_of_the_zone() {
        for (rule, midnight) in [
            ("UTC0", "00:00Z"),
            ("EST5", "05:00Z"),
            ("IST-5:30", "00:00+05:30"),
        ] {
            check("2000-02-29", rule, &format!("2000-02-29T{midnight}"));
        }
        for text in [
            "2000-02-29 16:25",
            "2000-02-29T16:25",
            "2000-02-29T16:25:00.000",
        ] {
            check(text, "EST5", "2000-02-29T21:25Z");
            check(text, "IST-5:30", "2000-02-29T10:55Z");
        }
    }

    #[test]
    fn an_offset_decides_whatever_the_zone() {
        check("2000-02-29T16:25Z", "EST5", "2000-02-29T16:25Z");
        check("2000-02-29 16:25+05:30", "EST5", "2000-02-29T10:55Z");
        check(
            "2000-02-29T16:25:54.548-08",
            "EST5",
            "2000-03-01T00:25:54.548Z",
        );
    }

    #[test]
    fn clocks_may_skip_an_hour_or_show_it_twice() {
        let rule = "EST5EDT,M3.2.0,M11.1.0";
        check("2026-03-08 01:59", rule, "2026-03-08T06:59Z");
        check("2026-03-08 02:30", rule, "2026-03-08T07:30Z");
        check("2026-03-08 03:30", rule, "2026-03-08T07:30Z");
        check("2026-11-01 01:30", rule, "2026-11-01T05:30Z");
        check("2026-11-01 01:30-05:00", rule, "2026-11-01T06:30Z");
        // Has 23 hours before it, and 25.
        check("2026-03-09", rule, "2026-03-09T04:00Z");
        check("2026-11-02", rule, "2026-11-02T05:00Z");
    }

    #[test]
    fn times_ago_end_now() {
        for text in ["2h", "2 hours ago", "120m", "1h 60m"] {
            check(text, "EST5", "2000-02-29T10:00Z");
        }
        check("7d", "EST5", "2000-02-22T12:00Z");
        check("1w", "EST5", "2000-02-22T12:00Z");
        assert_eq!(read("5000000d", "EST5"), Some(Timestamp::MIN));
    }

    #[test]
    fn what_is_printed_is_taken_back() {
        for rule in ["UTC0", "EST5EDT,M3.2.0,M11.1.0", "IST-5:30"] {
            let zone = Zone::by_rule(rule);
            // Each quarter of an hour around the days on which clocks change.
            for quarter in (0..200).flat_map(|n| [1_772_900_000 + n * 900, 1_793_400_000 + n * 900])
            {
                let micros = quarter * 1_000_000 + 548_999;
                for printed in [zone.time(micros), zone.second(micros)] {
                    let since = Since::read(&printed, Timestamp::UNIX_EPOCH, &zone).unwrap();
                    assert!(
                        since.includes(micros) && !since.includes(micros - 549_000),
                        "{printed}"
                    );
                }
            }
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "2000",
            "yesterday",
            "2000-02-29X",
            "2000-02-30",
            "16:25",
            "0s",
            "1mo",
            "2000-02-29T16:25[America/New_York]",
        ] {
            assert_eq!(read(text, "UTC0"), None, "{text}");
        }
    }
}
