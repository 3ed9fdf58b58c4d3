//! Which files of the store a request is about. Does not know what becomes of them.

use super::contents::{CLASSES, Contents};
use crate::config::Lifetime;
use crate::store::{Sort, StoreError, Stored};
use glob::Pattern;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Which files a request is about; all where nothing is said.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Selection {
    /// Only what was not used for AGE, such as 12h or 30d
    #[arg(long, value_name = "AGE")]
    older_than: Option<Lifetime>,
    /// Only what GLOB matches: a class, or a file that a record names
    #[arg(long, value_name = "GLOB", long_help = matching_help())]
    matching: Option<Pattern>,
}

impl Selection {
    pub(super) fn is_everything(&self) -> bool {
        self.older_than.is_none() && self.matching.is_none()
    }

    /// What is known of the file, if it is one of these; records are read.
    ///
    /// # Errors
    /// A record cannot be read.
    pub(super) fn take(
        &self,
        sort: Sort,
        stored: &Stored<'_>,
        now: i128,
    ) -> Result<Option<Contents>, StoreError> {
        if let Some(age) = self.older_than
            && now.saturating_sub(stored.read) < i128::from(age.seconds()) * 1_000_000_000
        {
            return Ok(None);
        }
        let contents = Contents::of(sort, stored)?;
        Ok(self.matches(&contents).then_some(contents))
    }

    fn matches(&self, contents: &Contents) -> bool {
        let Some(glob) = &self.matching else {
            return true;
        };
        let names_file = |file: &Path| match glob.as_str().contains('/') {
            true => glob.matches_path(file),
            false => file
                .file_name()
                .is_some_and(|name| glob.matches_path(Path::new(name))),
        };
        glob.matches(contents.class) || contents.files.iter().any(|file| names_file(file))
    }
}

fn matching_help() -> String {
    let classes = CLASSES.join(", ");
    format!(
        "Only what GLOB matches: a class, or a file that a record names.\n\nClasses are {classes}. Path \
         sets name every file that a compile read; results name kept files and depfiles, and \
         sources only where they quote them, so that no glob selects everything of one source. A \
         glob without a slash is compared with names without directories."
    )
}

/// The clock, as file times count.
pub(super) fn now() -> i128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as i128)
}
