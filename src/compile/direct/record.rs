//! The record of a result that direct mode finds, and what such a result depends on besides its files.

use crate::compile::deliver::write_output::WriteMode;
use crate::key::{RootName, RootSet};
use crate::store::Artefact;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The version of [`DirectRecord`]. It is also raised when results of older versions are no longer trusted.
pub(crate) const SCHEMA: u32 = 4;

/// A result. Paths stand below the names of their roots.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DirectRecord {
    pub schema: u32,
    /// What the result depends on. Under the key without these parts lies a [`Pointer`] to this record.
    #[serde(default)]
    pub needs: Needs,
    /// Translation units, for the counters.
    pub units: u64,
    pub outputs: Vec<OutputRecord>,
    /// Depfiles and kept files, by the paths that they are written to.
    pub depfiles: Vec<(PathBuf, Artefact)>,
    pub kept: Vec<(PathBuf, Artefact)>,
    pub stdout: Option<Artefact>,
    pub stderr: Option<Artefact>,
    /// Wall time of the compile, passes included, in milliseconds.
    #[serde(default)]
    pub milliseconds: u64,
    /// The key of the facts of that compile, in hex.
    #[serde(default)]
    pub facts: Option<String>,
    /// The sources that it was compiled from, to be shown to users: absolute paths without `.`.
    #[serde(default)]
    pub sources: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OutputRecord {
    /// Where it is written; `None` stands for the value of `-o`.
    pub path: Option<PathBuf>,
    #[serde(rename = "manner")]
    pub mode: WriteMode,
    pub artefact: Artefact,
}

/// The result of one unit of several, or of one that is linked: the key of the unit's own record.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct UnitPointer {
    pub schema: u32,
    #[serde(default)]
    pub needs: Needs,
    /// The key, in hex.
    pub unit: String,
    /// The unit's depfile.
    pub depfile: Option<Artefact>,
}

/// Stands in place of a record whose key has more parts.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Pointer {
    pub schema: u32,
    pub needs: Needs,
}

/// What a result depends on besides its files. `docs/design/keys.md#direct-mode` says when it depends on which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub(crate) struct Needs {
    /// The path of the output: each output is a module of its own.
    pub output: bool,
    /// What messages depend on.
    pub messages: bool,
    /// SOURCE_DATE_EPOCH.
    pub time: bool,
    /// Where these roots are.
    pub roots: RootSet,
}

impl Needs {
    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl From<Needs> for Vec<String> {
    fn from(needs: Needs) -> Self {
        let parts = [
            (needs.output, "output"),
            (needs.messages, "messages"),
            (needs.time, "time"),
        ];
        let parts = parts
            .into_iter()
            .filter_map(|(is_needed, name)| is_needed.then_some(name));
        let roots = needs.roots.names().map(RootName::text);
        parts.chain(roots).map(str::to_owned).collect()
    }
}

impl TryFrom<Vec<String>> for Needs {
    type Error = String;

    fn try_from(names: Vec<String>) -> Result<Self, String> {
        let mut needs = Self::default();
        for name in names {
            match name.as_str() {
                "output" => needs.output = true,
                "messages" => needs.messages = true,
                "time" => needs.time = true,
                _ => {
                    let mut roots = RootName::ALL.into_iter();
                    let root = roots.find(|root| root.text() == name);
                    let root = root.ok_or_else(|| format!("unknown part: {name}"))?;
                    needs.roots = needs.roots.with(root);
                }
            }
        }
        Ok(needs)
    }
}

#[cfg(test)]
mod tests {
    use super::Needs;
    use crate::key::{RootName, RootSet};

    #[test]
    fn needs_are_read_as_they_were_written() {
        let needs = Needs {
            messages: true,
            roots: RootSet::default().with(RootName::Toolkit),
            ..Needs::default()
        };
        let text = serde_json::to_string(&needs).unwrap();
        assert_eq!(text, "[\"messages\",\"{toolkit}\"]");
        assert_eq!(serde_json::from_str::<Needs>(&text).unwrap(), needs);
        assert!(serde_json::from_str::<Needs>("[\"more\"]").is_err());
    }
}
