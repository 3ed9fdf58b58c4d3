//! Finds the setting that a misspelled name may mean.

use super::setting::Setting;
use super::table::SETTINGS;
use std::ffi::OsString;
use std::fmt;

/// A variable that looks like one of ours, and that no setting has.
#[derive(Clone, Debug)]
pub struct UnknownVariable {
    /// Its name.
    pub name: String,
    /// The setting that it may mean.
    pub nearest: Option<&'static Setting>,
}

impl UnknownVariable {
    /// What to do about it.
    pub fn advice(&self) -> String {
        match self.nearest {
            Some(row) => format!("did you mean {}?", row.variable),
            None => "unset it; pcache config lists all settings".to_owned(),
        }
    }
}

impl fmt::Display for UnknownVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is set, and no program reads it", self.name)
    }
}

/// Those among `names` that begin with `PCACHE_` and that no setting has, sorted.
pub fn unknown_variables(names: impl Iterator<Item = OsString>) -> Vec<UnknownVariable> {
    let names = names.filter_map(|name| name.into_string().ok());
    let is_unknown = |name: &String| {
        name.starts_with("PCACHE_") && !SETTINGS.iter().any(|row| row.variable == name)
    };
    let mut names: Vec<_> = names.filter(is_unknown).collect();
    names.sort_unstable();
    names
        .into_iter()
        .map(|name| UnknownVariable {
            nearest: nearest(&name),
            name,
        })
        .collect()
}

/// The setting called `name`, by its key or its variable.
pub fn setting(name: &str) -> Option<&'static Setting> {
    SETTINGS
        .iter()
        .find(|row| row.key == name || row.variable == name)
}

/// The setting whose key or variable is nearest to `name`, if one is near.
pub fn nearest(name: &str) -> Option<&'static Setting> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let name = name.strip_prefix("pcache_").unwrap_or(&name);
    let best = SETTINGS.iter().min_by_key(|row| distance(row.key, name))?;
    // At most two mistakes in a long name, one in a short name.
    (distance(best.key, name) <= (name.len() / 3).clamp(1, 2)).then_some(best)
}

/// The number of mistakes with which `name` may be meant as `key`.
fn distance(key: &str, name: &str) -> usize {
    // One word of the key is near enough, such as `size` for `max_size`.
    if key.split('_').any(|word| word == name) {
        1
    } else {
        strsim::damerau_levenshtein(key, name)
    }
}

#[cfg(test)]
mod tests {
    use super::{nearest, setting};

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let found = |name| nearest(name).map(|row| row.key);
        for (name, key) in [
            ("max-size", "max_size"),
            ("PCACHE_MAXSIZE", "max_size"),
            ("size", "max_size"),
            ("redonly", "readonly"),
            ("PCACHE_READ_ONLY", "readonly"),
            ("jbos", "jobs"),
        ] {
            assert_eq!(found(name), Some(key), "{name}");
        }
        assert_eq!(found("speed"), None);
        assert_eq!(found(""), None);
        assert_eq!(setting("PCACHE_JOBS").map(|row| row.key), Some("jobs"));
        assert!(setting("Jobs").is_none());
    }
}
