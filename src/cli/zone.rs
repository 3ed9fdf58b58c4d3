//! Times of day, written and read. People get those of their time zone; JSON has UTC, as the log does.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

/// The time zone in which times are written and read.
#[derive(Clone, Debug)]
pub(super) struct Zone(TimeZone);

impl Zone {
    /// The zone of a command's output: UTC in JSON, which programs read, and the local zone for people.
    pub(super) fn of(json: bool) -> Self {
        if json { Self::utc() } else { Self::local() }
    }

    /// For programs.
    pub(super) fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// For people: what `TZ` names, or else the machine's zone. UTC if the machine has no data of that zone. It is the
    /// process's, whatever [`Env`](super::Env) says: command lines are parsed without one.
    pub(super) fn local() -> Self {
        Self(TimeZone::system())
    }

    /// Microseconds since 1970 as `2026-11-22T16:25:54.548+01:00`, or with `Z` where the clocks show UTC: one word that
    /// `--since` takes back.
    pub(super) fn time(&self, micros: u64) -> String {
        self.written(moment(micros), 3)
    }

    /// A time to the second, for headings: `2026-11-22 16:25:54+01:00`.
    pub(super) fn second(&self, micros: u64) -> String {
        self.written(moment(micros), 0).replace('T', " ")
    }

    /// With so many digits of the second's fraction; the others are cut off.
    pub(super) fn written(&self, time: Timestamp, digits: usize) -> String {
        match self.0.to_offset(time) {
            Offset::UTC => format!("{time:.digits$}"),
            offset => format!("{:.digits$}", time.display_with_offset(offset)),
        }
    }

    /// Hours and minutes alone: `16:25`.
    pub(super) fn minute(&self, micros: u64) -> String {
        let local = self.0.to_datetime(moment(micros));
        format!("{:02}:{:02}", local.hour(), local.minute())
    }

    /// When clocks of the zone show `time`: the first time, if they do so twice. If they skip it, as much later as they
    /// skip. `None` beyond the years that are known.
    pub(super) fn moment(&self, time: DateTime) -> Option<Timestamp> {
        self.0.to_timestamp(time).ok()
    }
}

/// Times that no calendar has are the last one that it has: a damaged record may hold any number.
fn moment(micros: u64) -> Timestamp {
    let micros = i64::try_from(micros).unwrap_or(i64::MAX);
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
impl Zone {
    /// A zone by a rule as `TZ` has them, which needs no data of the machine's.
    pub(super) fn by_rule(rule: &str) -> Self {
        Self(TimeZone::posix(rule).unwrap())
    }
}

#[cfg(test)]
mod tests {
    use super::Zone;
    use crate::log::timestamp;

    /// Ten o'clock of 2026-11-22, UTC.
    const TEN: u64 = 1_795_341_600_123_456;

    #[test]
    fn times_name_their_distance_from_utc() {
        for (rule, time, second, minute) in [
            (
                "UTC0",
                "2026-11-22T10:00:00.123Z",
                "2026-11-22 10:00:00Z",
                "10:00",
            ),
            (
                "CET-1",
                "2026-11-22T11:00:00.123+01:00",
                "2026-11-22 11:00:00+01:00",
                "11:00",
            ),
            (
                "IST-5:30",
                "2026-11-22T15:30:00.123+05:30",
                "2026-11-22 15:30:00+05:30",
                "15:30",
            ),
            (
                "EST5",
                "2026-11-22T05:00:00.123-05:00",
                "2026-11-22 05:00:00-05:00",
                "05:00",
            ),
        ] {
            let zone = Zone::by_rule(rule);
            assert_eq!(zone.time(TEN), time);
            assert_eq!(zone.second(TEN), second);
            assert_eq!(zone.minute(TEN), minute);
        }
    }

    #[test]
    fn the_hour_that_clocks_repeat_is_told_apart() {
        let zone = Zone::by_rule("EST5EDT,M3.2.0,M11.1.0");
        // 2026-11-01, half an hour before and after clocks go back to one o'clock.
        let before = 1_793_511_000_000_000;
        assert_eq!(zone.second(before), "2026-11-01 01:30:00-04:00");
        assert_eq!(
            zone.second(before + 3_600_000_000),
            "2026-11-01 01:30:00-05:00"
        );
    }

    #[test]
    fn utc_is_written_as_in_the_log() {
        for micros in [0, 951_782_400_042_999, TEN, 253_370_764_800_000_000] {
            assert_eq!(Zone::utc().time(micros), timestamp(micros / 1000));
        }
        assert_eq!(Zone::utc().time(u64::MAX), "9999-12-30T22:00:00.999Z");
    }
}
