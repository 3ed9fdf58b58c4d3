//! Changes one setting in the text of a configuration file and leaves everything else unchanged:
//! comments, order, blanks. Reads and writes no file.

use super::value::Scalar;
use toml_edit::{DocumentMut, Item, Value};

/// Why a text was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It is not TOML, so the position of a setting is unknown.
    #[error("it is not TOML ({0}); correct it by hand first")]
    NotToml(String),
}

/// `text` with `key` set to `value`. A comment after the old value is kept.
///
/// # Errors
/// `text` is not TOML.
pub fn set(text: &str, key: &str, value: &Scalar) -> Result<String, EditError> {
    let mut document = parse(text)?;
    let mut new = match value {
        Scalar::Boolean(value) => Value::from(*value),
        Scalar::Integer(value) => Value::from(*value),
        Scalar::Text(value) => Value::from(value.as_str()),
        Scalar::Texts(values) => values.iter().collect(),
    };
    match document.get_mut(key) {
        Some(item) => {
            if let Some(old) = item.as_value() {
                *new.decor_mut() = old.decor().clone();
            }
            *item = Item::Value(new);
        }
        None => {
            document.insert(key, Item::Value(new));
        }
    }
    Ok(document.to_string())
}

/// `text` without `key`, and whether it was there. Comments above it are removed with it.
///
/// # Errors
/// `text` is not TOML.
pub fn unset(text: &str, key: &str) -> Result<(String, bool), EditError> {
    let mut document = parse(text)?;
    let was_there = document.remove(key).is_some();
    Ok((document.to_string(), was_there))
}

fn parse(text: &str) -> Result<DocumentMut, EditError> {
    let parsed = text.parse::<DocumentMut>();
    parsed.map_err(|error| EditError::NotToml(error.message().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{EditError, set, unset};
    use crate::config::Scalar;

    const TEXT: &str = "# mine\n\njobs   = 4 # as many as fit\n# for the laptop\nmax_size = '2G'\n";

    #[test]
    fn only_the_value_changes() {
        let text = set(TEXT, "jobs", &Scalar::Integer(8)).unwrap();
        assert_eq!(text, TEXT.replace("= 4 #", "= 8 #"));
        let text = set(TEXT, "max_size", &Scalar::Text("1T".into())).unwrap();
        assert_eq!(text, TEXT.replace("'2G'", "\"1T\""));
    }

    #[test]
    fn new_setting_comes_last_but_before_tables() {
        let text = set(TEXT, "stages", &Scalar::Boolean(false)).unwrap();
        assert_eq!(text, format!("{TEXT}stages = false\n"));
        assert_eq!(set("", "jobs", &Scalar::Integer(1)).unwrap(), "jobs = 1\n");
        let text = set("[other]\na = 1\n", "jobs", &Scalar::Integer(1)).unwrap();
        assert_eq!(
            text.parse::<toml::Table>().unwrap()["jobs"].as_integer(),
            Some(1)
        );
    }

    #[test]
    fn removed_setting_leaves_the_others() {
        let (text, was_there) = unset(TEXT, "jobs").unwrap();
        assert!(
            was_there && text.ends_with("# for the laptop\nmax_size = '2G'\n"),
            "{text}"
        );
        assert_eq!(unset(TEXT, "log").unwrap(), (TEXT.to_owned(), false));
    }

    #[test]
    fn what_is_no_toml_is_not_touched() {
        let error = set("jobs = \n", "jobs", &Scalar::Integer(1)).unwrap_err();
        assert!(matches!(error, EditError::NotToml(_)));
    }
}
