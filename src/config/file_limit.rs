//! The most files that a store may hold.

use super::value::{Scalar, SettingKind};
use std::ffi::OsStr;
use std::num::NonZeroU64;

/// The most files that a store may hold; `None` for any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimit(pub Option<NonZeroU64>);

impl FileLimit {
    /// The number of files; the largest number if there is no limit.
    pub fn files(self) -> u64 {
        self.0.map_or(u64::MAX, NonZeroU64::get)
    }
}

impl SettingKind for FileLimit {
    const KIND: &'static str = "a number from 1, or `none`";

    fn from_text(text: &OsStr) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        // `parse` alone would accept a sign.
        let digits = text
            .to_str()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let limit = digits.and_then(|digits| digits.parse().ok());
        limit
            .map(|limit| Self(Some(limit)))
            .ok_or_else(|| format!("not a number of files; {HINT}"))
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::String(text) => Self::from_text(OsStr::new(text)),
            toml::Value::Integer(number) => Self::from_text(OsStr::new(&number.to_string())),
            _ => Err(format!("not a number of files; {HINT}")),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.0.map_or("none".to_owned(), |limit| limit.to_string()))
    }

    fn to_toml(&self) -> Result<Scalar, String> {
        match self.0 {
            None => Ok(Scalar::Text("none".to_owned())),
            Some(limit) => i64::try_from(limit.get())
                .map(Scalar::Integer)
                .map_err(|_| "too many files".to_owned()),
        }
    }
}

const HINT: &str = "write digits, such as 200000, or none";
