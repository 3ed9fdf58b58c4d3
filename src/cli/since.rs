//! `--since`: a moment, as people write it. Knows no journal.

use crate::config::Lifetime;
use crate::log::timestamp;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a whole moment looks like, `0` for any digit.
const SHAPE: &[u8] = b"0000-00-00T00:00:00.000Z";

/// A moment: so long ago (`2h`), or a time as the log and `pcache explain` write it
/// (`2026-11-22T16:25`), which is UTC and may be cut short behind the day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Since {
    /// The beginning of a timestamp.
    text: String,
}

impl Since {
    /// Whether a time, in microseconds since 1970, is not before it.
    pub(super) fn includes(&self, micros: u64) -> bool {
        // Timestamps sort as their times do, and a beginning sorts before all that begins so.
        timestamp(micros / 1000).as_str() >= self.text.as_str()
    }

    /// As it was understood.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(lifetime) = text.parse::<Lifetime>() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = now.map_or(0, |now| now.as_secs());
            let then = now.saturating_sub(lifetime.seconds());
            return Ok(Self {
                text: timestamp(then * 1000),
            });
        }
        let is_like = |(found, shape): (u8, &u8)| match shape {
            b'0' => found.is_ascii_digit(),
            other => found == *other,
        };
        // With a blank and without the letter for UTC, too.
        let text = text.trim_end_matches('Z').replace(' ', "T");
        let fits = text.bytes().zip(SHAPE).all(is_like);
        if fits && (10..SHAPE.len()).contains(&text.len()) {
            Ok(Self { text })
        } else {
            Err(
                "neither a time ago, such as 2h, nor a day or time, such as 2026-11-22T16:25"
                    .into(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Since;

    #[test]
    fn times_are_understood_as_they_are_printed() {
        let since: Since = "2000-02-29T00:00".parse().unwrap();
        assert!(since.includes(951_782_400_042_000));
        assert!(!since.includes(951_782_399_999_000));
        let day: Since = "2000-02-29".parse().unwrap();
        assert!(day.includes(951_782_400_000_000));
        let exact: Since = "2000-02-29 00:00:00.042Z".parse().unwrap();
        assert!(exact.includes(951_782_400_042_000) && !exact.includes(951_782_400_041_000));
    }

    #[test]
    fn times_ago_end_now() {
        let since: Since = "1h".parse().unwrap();
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64;
        assert!(since.includes(now) && !since.includes(now - 7_200_000_000));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "2000",
            "yesterday",
            "2000-02-29X",
            "0s",
            "2000-02-29T00:00:00.0000",
        ] {
            assert!(text.parse::<Since>().is_err(), "{text}");
        }
    }
}
