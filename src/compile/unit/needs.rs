//! What a result depends on in addition to what every result does. A result that depends on such a part lies under a key
//! with it, to which a pointer leads.

use crate::key::{RootName, RootSet};
use serde::{Deserialize, Serialize};

/// What a result depends on besides the key or the files under which it lies. `docs/design/keys.md#direct-mode` says
/// when it depends on which.
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
