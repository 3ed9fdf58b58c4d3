//! The public keys of machines whose results are believed.

use super::value::{Scalar, SettingKind, words};
use std::ffi::OsStr;
use std::fmt;

/// A public key: `NAME:HEX`, or `NAME:HEX:NAMESPACE,…` for one that is believed in these namespaces alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// Its name, by which signatures say whose they are.
    pub name: String,
    /// The Ed25519 key.
    pub key: [u8; 32],
    /// The namespaces in which it is believed; all if there are none.
    pub namespaces: Vec<String>,
}

/// All keys that are believed; if there are none, signatures are not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedKeys(pub Vec<TrustedKey>);

const HINT: &str = "write NAME:KEY as pcache remote keygen prints it, with blanks between keys";

impl TrustedKey {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (name, digits) = (parts.next()?, parts.next()?);
        let namespaces = parts.next();
        let mut key = [0; 32];
        hex::decode_to_slice(digits, &mut key).ok()?;
        let names = namespaces.map(|names| names.split(',').map(str::to_owned).collect());
        (is_key_name(name) && parts.next().is_none()).then(|| Self {
            name: name.to_owned(),
            key,
            namespaces: names.unwrap_or_default(),
        })
    }
}

/// Whether a key can have this name.
pub(crate) fn is_key_name(name: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    (1..=64).contains(&name.len()) && name.chars().all(is_plain)
}

impl fmt::Display for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, hex::encode(self.key))?;
        if !self.namespaces.is_empty() {
            write!(f, ":{}", self.namespaces.join(","))?;
        }
        Ok(())
    }
}

impl TrustedKeys {
    fn parse(text: &str) -> Result<Self, String> {
        let keys = text.split_whitespace().map(|word| {
            TrustedKey::parse(word).ok_or_else(|| format!("{word:?} is no public key; {HINT}"))
        });
        keys.collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for TrustedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.0.iter().map(TrustedKey::to_string).collect();
        f.write_str(&keys.join(" "))
    }
}

impl SettingKind for TrustedKeys {
    const GUARDS: bool = true;
    const KIND: &'static str =
        "public keys with blanks between them; in TOML a text, or a list of texts";

    fn from_text(text: &OsStr) -> Result<Self, String> {
        let text = text.to_str().ok_or_else(|| format!("not UTF-8; {HINT}"))?;
        Self::parse(text)
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        let words =
            words(value).ok_or_else(|| format!("neither a text nor a list of texts; {HINT}"))?;
        Self::parse(&words)
    }

    fn show(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.to_string())
    }

    fn to_toml(&self) -> Result<Scalar, String> {
        Ok(Scalar::Text(self.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::{SettingKind, TrustedKeys};
    use std::ffi::OsStr;

    #[test]
    fn keys_are_read_back() {
        let digits = "ab".repeat(32);
        let text = format!("farm-1:{digits} release-2:{digits}:release,main");
        let keys = TrustedKeys::from_text(OsStr::new(&text)).unwrap();
        assert_eq!(keys.to_string(), text);
        assert_eq!(keys.0[1].namespaces, ["release", "main"]);
    }

    #[test]
    fn other_texts_are_refused() {
        let digits = "ab".repeat(32);
        for text in [
            digits.clone(),
            "farm:ab".to_owned(),
            format!(":{digits}"),
            format!("a b:{digits}"),
            format!("a:{digits}:x:y"),
        ] {
            let read = TrustedKeys::from_text(OsStr::new(&text));
            assert!(read.is_err(), "{text}");
        }
    }
}
