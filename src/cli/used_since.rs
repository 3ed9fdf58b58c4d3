//! A moment since which files count as used: a time, or the beginning of the last build.

use super::builds::builds;
use super::journal::compiles;
use super::since::Since;
use crate::files::now;
use crate::store::FileStore;
use crate::store::policy::Nanos;
use anyhow::{Error, bail};
use std::str::FromStr;

/// How far behind the clock that is read the one that stamps files may be: a tick of the slowest kernel, and a bit.
const TICK: Nanos = 20_000_000;

const LAST_BUILD: &str = "last-build";

/// What `--keep-used-since` and `--used-since` take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UsedSince {
    /// A time, as `--since` takes it.
    Moment(Since),
    /// The beginning of the last build that the journal has.
    LastBuild,
}

impl FromStr for UsedSince {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == LAST_BUILD {
            return Ok(Self::LastBuild);
        }
        let moment = text.parse().map(Self::Moment);
        moment.map_err(|error| format!("{error}, or {LAST_BUILD}"))
    }
}

impl UsedSince {
    /// The moment as file times have it.
    ///
    /// # Errors
    /// The journal cannot be read, or has no build.
    pub(super) fn moment(self, store: &FileStore) -> Result<Nanos, Error> {
        let exact = match self {
            Self::Moment(since) => since.nanos(),
            Self::LastBuild => {
                let compiles = compiles(store)?;
                let last = builds(&compiles).pop().and_then(<[_]>::first);
                let Some(first) = last else {
                    bail!("the journal has no build; give a time instead of {LAST_BUILD}");
                };
                Nanos::try_from(first.start)
                    .unwrap_or(Nanos::MAX)
                    .saturating_mul(1000)
            }
        };
        if exact > now() {
            bail!("that moment is still to come, so nothing was used since");
        }
        Ok(exact.saturating_sub(TICK))
    }
}

#[cfg(test)]
mod tests {
    use super::UsedSince;

    #[test]
    fn times_and_the_last_build_are_read() {
        for age in ["2h", "30d", "90s", "5m", "2 days ago", "2026-11-22T16:25"] {
            let moment = age.parse();
            assert!(matches!(moment, Ok(UsedSince::Moment(_))), "{age}");
        }
        assert_eq!("last-build".parse(), Ok(UsedSince::LastBuild));
        for wrong in ["", "last", "long", "0s"] {
            let error = wrong.parse::<UsedSince>().unwrap_err();
            assert!(error.ends_with(", or last-build"), "{error}");
        }
    }
}
