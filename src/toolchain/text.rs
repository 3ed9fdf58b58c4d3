//! Names and arguments of the system as text in records. Serde's own form of them is a list of numbers, which takes
//! five times the bytes and the time at a hit. What is not UTF-8 cannot be written, so that its record is not there.

use serde::de::Deserializer;
use serde::ser::{Error as _, Serializer};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;

/// For `#[serde(with = "text")]` on one.
pub fn serialize<S: Serializer>(value: &OsString, to: S) -> Result<S::Ok, S::Error> {
    let text = value.to_str();
    text.ok_or_else(|| S::Error::custom("not UTF-8"))?
        .serialize(to)
}

/// See [`serialize`].
pub fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<OsString, D::Error> {
    String::deserialize(from).map(OsString::from)
}

/// For `#[serde(with = "text::list")]` on several.
pub mod list {
    use super::{Deserialize, Deserializer, OsString, Serialize, Serializer};
    use serde::ser::Error as _;

    /// See [`super::serialize`].
    pub fn serialize<S: Serializer>(values: &[OsString], to: S) -> Result<S::Ok, S::Error> {
        let texts = values.iter().map(|value| value.to_str());
        let texts: Option<Vec<_>> = texts.collect();
        texts
            .ok_or_else(|| S::Error::custom("not UTF-8"))?
            .serialize(to)
    }

    /// See [`super::serialize`].
    pub fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Vec<OsString>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        Ok(texts.into_iter().map(OsString::from).collect())
    }
}
