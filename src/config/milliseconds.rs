//! A time in milliseconds.

use super::value::{Scalar, SettingKind};
use std::ffi::OsStr;
use std::time::Duration;

/// A time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Milliseconds(pub u32);

const HINT: &str = "write digits, such as 1000";

impl From<Milliseconds> for Duration {
    fn from(time: Milliseconds) -> Self {
        Self::from_millis(time.0.into())
    }
}

impl SettingKind for Milliseconds {
    const KIND: &'static str = "whole milliseconds";

    fn from_text(text: &OsStr) -> Result<Self, String> {
        let digits = text.to_str().filter(|text| {
            // `parse` alone would accept a sign.
            text.bytes().all(|byte| byte.is_ascii_digit())
        });
        let number = digits.and_then(|digits| digits.parse().ok());
        number
            .map(Self)
            .ok_or_else(|| format!("not a number of milliseconds; {HINT}"))
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::Integer(number) => Self::from_text(OsStr::new(&number.to_string())),
            _ => Err(format!("not a number of milliseconds; {HINT}")),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.0.to_string())
    }

    fn to_toml(&self) -> Result<Scalar, String> {
        Ok(Scalar::Integer(self.0.into()))
    }
}
