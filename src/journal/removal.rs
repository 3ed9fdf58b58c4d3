//! A record of the journal: `pcache clear` removed results. With it, `pcache explain` can give the reason of a miss
//! after that.

use super::record::SCHEMA;
use serde::{Deserialize, Serialize};

/// One `pcache clear`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// [`SCHEMA`].
    pub v: u32,
    /// When it started: microseconds since 1970.
    pub start: u64,
    /// How many artefacts and records it removed.
    pub cleared: u64,
    /// The value of `--older-than`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older_than: Option<String>,
    /// The value of `--matching`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matching: Option<String>,
}

impl Removal {
    /// The text of the record.
    pub fn to_text(&self) -> String {
        // Strings and numbers can always be serialised.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The record in `text`, if it is a removal and this version can read it.
    pub fn from_text(text: &str) -> Option<Self> {
        let record: Self = serde_json::from_str(text).ok()?;
        (record.v == SCHEMA).then_some(record)
    }

    /// The command line.
    pub fn command(&self) -> String {
        let mut command = "pcache clear".to_owned();
        let options = [
            ("--older-than", &self.older_than),
            ("--matching", &self.matching),
        ];
        for (option, value) in options {
            if let Some(value) = value {
                command += &format!(" {option} {value}");
            }
        }
        command
    }

    /// Whether it removed all results.
    pub fn is_whole(&self) -> bool {
        self.older_than.is_none() && self.matching.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::Removal;
    use crate::journal::{Compile, SCHEMA};

    #[test]
    fn a_removal_is_read_back_and_is_no_compile() {
        let mut removal = Removal {
            v: SCHEMA,
            start: 5,
            cleared: 7,
            older_than: None,
            matching: None,
        };
        assert_eq!(removal.command(), "pcache clear");
        assert!(removal.is_whole());
        removal.matching = Some("a.cu".to_owned());
        assert_eq!(removal.command(), "pcache clear --matching a.cu");
        assert!(!removal.is_whole());
        let text = removal.to_text();
        assert_eq!(Removal::from_text(&text), Some(removal));
        assert_eq!(Compile::from_text(&text), None);
        assert_eq!(
            Removal::from_text(&text.replace("\"v\":1", "\"v\":9")),
            None
        );
        assert_eq!(Removal::from_text(r#"{"v":1,"start":5}"#), None);
    }
}
