//! Serializes `OsString`s in records as text. Serde's own form is a list of numbers, which takes five times the bytes,
//! and five times as long to read at a hit. Only strings that are not UTF-8 are written as lists of bytes.

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// For `#[serde(with = "text")]` on an `OsString`.
pub(crate) fn serialize<S: Serializer>(value: &OsString, to: S) -> Result<S::Ok, S::Error> {
    match value.to_str() {
        Some(text) => text.serialize(to),
        None => value.as_bytes().serialize(to),
    }
}

/// See [`serialize`].
pub(crate) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<OsString, D::Error> {
    from.deserialize_any(Either)
}

/// A string, or a list of bytes.
struct Either;

impl<'d> Visitor<'d> for Either {
    type Value = OsString;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a string or a list of bytes")
    }

    fn visit_str<E>(self, text: &str) -> Result<OsString, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'d>>(self, mut list: A) -> Result<OsString, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = list.next_element()? {
            bytes.push(byte);
        }
        Ok(OsString::from_vec(bytes))
    }
}

/// For `#[serde(with = "text::list")]` on a `Vec<OsString>`.
pub(crate) mod list {
    use super::{Deserialize, Deserializer, OsString, Serialize, Serializer};

    #[derive(Deserialize, Serialize)]
    #[serde(transparent)]
    struct Text(#[serde(with = "super")] OsString);

    /// See [`super::serialize`].
    pub(crate) fn serialize<S: Serializer>(values: &[OsString], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(values.iter().cloned().map(Text))
    }

    /// See [`super::serialize`].
    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Vec<OsString>, D::Error> {
        let texts = Vec::<Text>::deserialize(from)?;
        Ok(texts.into_iter().map(|Text(value)| value).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Record {
        #[serde(with = "super")]
        one: OsString,
        #[serde(with = "super::list")]
        several: Vec<OsString>,
    }

    #[test]
    fn text_is_text_and_other_bytes_come_back() {
        let odd = OsString::from_vec(vec![b'a', 0xff]);
        let record = Record {
            one: "-I\u{e9}\"x".into(),
            several: vec!["b".into(), odd],
        };
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(text, r#"{"one":"-Ié\"x","several":["b",[97,255]]}"#);
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }
}
