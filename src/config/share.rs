//! A share of all compiles.

use super::value::{Scalar, SettingKind};
use std::ffi::OsStr;
use std::fmt;

/// How many of a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MillionthShare(pub u32);

const HINT: &str = "write a percentage from 0% to 100%, such as 0.1%";

impl MillionthShare {
    /// Whether `draw`, any number, falls into the share.
    pub fn takes(self, draw: u64) -> bool {
        draw % 1_000_000 < self.0.into()
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_suffix('%')?;
        let is_plain = digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        let percent: f64 = digits.parse().ok().filter(|_| is_plain)?;
        (percent <= 100.0).then(|| Self((percent * 10_000.0).round() as u32))
    }
}

impl fmt::Display for MillionthShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 10_000.0)
    }
}

impl SettingKind for MillionthShare {
    const KIND: &'static str = "a percentage, such as `0.1%`";

    fn from_text(text: &OsStr) -> Result<Self, String> {
        let parsed = Self::parse(&text.to_string_lossy());
        parsed.ok_or_else(|| format!("not a percentage; {HINT}"))
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        let text = value.as_str().and_then(Self::parse);
        text.ok_or_else(|| format!("not a percentage in quotes; {HINT}"))
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }

    fn to_toml(&self) -> Result<Scalar, String> {
        Ok(Scalar::Text(self.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::MillionthShare;

    #[test]
    fn percentages_are_read_and_written() {
        for (text, millionths) in [
            ("0%", 0),
            ("0.1%", 1000),
            ("2.5%", 25_000),
            ("100%", 1_000_000),
        ] {
            assert_eq!(
                MillionthShare::parse(text),
                Some(MillionthShare(millionths))
            );
            assert_eq!(MillionthShare(millionths).to_string(), text);
        }
        for text in ["", "%", "1", "-1%", "101%", "1e3%", "nan%", "1.2.3%"] {
            assert_eq!(MillionthShare::parse(text), None, "{text}");
        }
    }

    #[test]
    fn none_and_all_are_exact() {
        assert!(!(0..2_000_000).any(|draw| MillionthShare(0).takes(draw)));
        assert!((0..2_000_000).all(|draw| MillionthShare(1_000_000).takes(draw)));
        let taken = (0..1_000_000).filter(|draw| MillionthShare(1000).takes(*draw));
        assert_eq!(taken.count(), 1000);
    }
}
